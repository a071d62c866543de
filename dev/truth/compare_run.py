"""What a run's inference says beside what the kernel and the actor say, as counts and as single disagreements. Pure.

Inferred causes are held against those that the kernel's stacks prove, and what they say let a packet go against those
stacks; each reason for a call without a packet, each fact of the verdict and each ledger figure, as they would be
without the kernel's trace, against its changes of state, its stacks, and what the actors counted themselves.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from dev.truth.check_absences import check_absences
from dev.truth.check_verdict import check_verdict, name_of, silent
from dev.truth.disagreement import Disagreement
from dev.truth.kernel_says import KernelSays, without_kernel
from testbed.model import HOSTS, Analysis, Cause, CauseKind, Host, peer_of
from testbed.model.causes import Basis
from testbed.report.evidence_text import sentence

Document = Mapping[str, Any]

_SENDING = ("send", "sendmsg", "sendmmsg", "writev", "sendfile", "splice")
_RECEIVING = ("recv", "recvmsg", "recvmmsg", "readv", "recv_exact", "recv_all", "on_readable")
_NESTED = ("fork", "repeat")
_TAKES_NOTHING = ("MSG_PEEK", "MSG_OOB", "MSG_ERRQUEUE")


@dataclass(slots=True)
class Tally:
    """What one run, or several, come to.

    ``confusion`` counts packets by (inferred, kernel) names; ``open`` those whose inferred cause is unknown or has
    alternatives; ``unproven`` those that left a host without the kernel's word; ``unnamed`` are their stacks where the
    kernel gave one. ``sent_by`` counts statements of what let a packet go that the kernel's stack confirms or refutes,
    ``calls`` calls without a packet by how their reason was checked, ``facts`` facts of verdicts by name, and
    ``figures`` figures of ledgers.
    """

    runs: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    packets: int = 0
    proven: int = 0
    confusion: Counter[tuple[str, str]] = field(default_factory=Counter)
    open: Counter[str] = field(default_factory=Counter)
    contradicted: int = 0
    unnamed: Counter[str] = field(default_factory=Counter)
    sent_by: int = 0
    calls: Counter[str] = field(default_factory=Counter)
    facts: Counter[str] = field(default_factory=Counter)
    figures: int = 0
    disagreements: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        """Add what other runs come to."""
        for name in ("runs", "packets", "proven", "contradicted", "sent_by", "figures"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("skipped", "confusion", "open", "unnamed", "calls", "facts", "disagreements"):
            getattr(self, name).update(getattr(other, name))


def compare_run(document: Document, analysis: Analysis) -> tuple[Tally, tuple[Disagreement, ...]]:
    """Compare a run of a drawn scenario with what kernel and actor say of it."""
    tally = Tally(runs=1)
    found = list(_causes(analysis, tally))
    if analysis.inputs.kernel is not None:
        says, blind = KernelSays.of(analysis), without_kernel(analysis)
        found += _sent_by(analysis, says, tally)
        found += check_absences(blind, says, tally.calls)
        found += _verdict(analysis, blind, says, tally)
        found += _figures(document, blind, tally)
    else:
        found += _figures(document, analysis, tally)
    tally.disagreements.update(each.kind for each in found)
    return tally, tuple(found)


def inferred_of(cause: Cause) -> Cause:
    """Return what the rules said of a packet, whether or not the kernel has the last word."""
    return cause if cause.inferred is None else cause.inferred


def _causes(analysis: Analysis, tally: Tally) -> Iterator[Disagreement]:
    for packet, cause in zip(analysis.inputs.joined.crossings, analysis.causes, strict=True):
        if packet.sent is None:
            continue
        tally.packets += 1
        inferred = inferred_of(cause)
        if inferred.kind is CauseKind.UNKNOWN or inferred.alternatives:
            tally.open[inferred.rule] += 1
        if cause.basis is not Basis.KERNEL:
            if cause.origin is not None:
                tally.unnamed[" < ".join(cause.origin.functions or cause.origin.stack)] += 1
            continue
        tally.proven += 1
        tally.confusion[inferred.rule, cause.rule] += 1
        if inferred.kind is CauseKind.UNKNOWN or not cause.differs:
            continue
        tally.contradicted += 1
        same = cause.rule in (inferred.rule, *inferred.alternatives)
        kind = f"{inferred.rule} answers another packet" if same else f"cause {inferred.rule} is {cause.rule}"
        said, real = sentence(inferred.evidence), sentence(cause.evidence)
        where = f"#{packet.n} {packet.sender} [{packet.flags}]"
        yield Disagreement(kind, f"{where}: {inferred.rule} ({said}); the kernel: {cause.rule} ({real})")


def _sent_by(analysis: Analysis, says: KernelSays, tally: Tally) -> Iterator[Disagreement]:
    """Yield packets of which it was said that something else let them go than the kernel's stack says."""
    for packet, cause in zip(analysis.inputs.joined.crossings, analysis.causes, strict=True):
        inferred = inferred_of(cause)
        said, origin = inferred.sent_by, cause.origin
        if said is None or origin is None or cause.basis is not Basis.KERNEL or cause.rule is not inferred.rule:
            continue
        tally.sent_by += 1
        call = says.sent_in.get(packet.n)
        real = f"{origin.mechanism}" + (f" {call}" if call is not None else "")
        real += f" #{origin.packet}" if origin.packet is not None else ""
        text = f"#{packet.n} {packet.sender} [{packet.flags}]: {sentence(inferred.evidence)}; the kernel: {real}"
        if origin.mechanism not in said.mechanisms:
            yield Disagreement(f"{inferred.rule} sent by {said.mechanisms[0]} is by {origin.mechanism}", text)
        elif call is not None and said.calls and call.n not in said.calls:
            yield Disagreement(f"{inferred.rule} sent in another call: {call.name}", text)
        elif said.packet is not None and origin.certain and origin.packet not in (None, said.packet):
            yield Disagreement(f"{inferred.rule} sent as another packet came", text)


def _verdict(analysis: Analysis, blind: Analysis, says: KernelSays, tally: Tally) -> Iterator[Disagreement]:
    for fact, why in check_verdict(analysis, blind, says):
        name = name_of(fact)
        tally.facts[name] += 1
        if why is not None:
            yield Disagreement(f"verdict {name}", f"{fact}; the kernel: {why}")
    yield from silent(analysis, blind, says)


def _figures(document: Document, analysis: Analysis, tally: Tally) -> Iterator[Disagreement]:
    """Yield figures of the ledger that are not what the actors counted."""
    counted = {host: actor_counts(document, host, analysis.inputs.output[host]) for host in HOSTS}
    if any(each is None for each in counted.values()):
        return
    flows = {flow.index: flow for flow in analysis.inputs.joined.flows}
    by_port = Counter(flow.server.port for flow in flows.values() if flow.protocol == "tcp")
    for row in analysis.ledger:
        flow = flows[row.flow]
        if flow.protocol != "tcp" or by_port[flow.server.port] != 1:
            continue
        at = flow.server.port - 7001
        names: dict[Host, str] = {"client": f"sock{at}", "server": f"conn{at}"}
        for point, host, way in (("written", row.sender, "out"), ("read", peer_of(row.sender), "in")):
            count = getattr(row, point)
            own = (counted[host] or {}).get((names[host], way), 0)
            if count is None or count.bytes is None or own is None:
                continue
            tally.figures += 1
            if count.bytes != own:
                text = f"flow {row.flow} from {row.sender}: {point} {count.bytes}, the actor on {host} counted {own}"
                yield Disagreement(f"ledger {point}", text)


def actor_counts(document: Document, host: Host, output: str) -> dict[tuple[str, str], int | None] | None:
    """Return how many bytes the actor's own events say that each socket sent (``out``) and received (``in``).

    None for one that cannot be known (MSG_OOB, a step that the end of the run cut short). None at all if the output is
    not whole, the program was killed, or steps have steps of their own, whose events say only which line of the script
    they are of.
    """
    counts: dict[tuple[str, str], int | None] = {}
    steps = document[host]["steps"]
    if any(key in step for step in steps for key in (*_NESTED, "kill")):
        return None
    done = -1
    for line in output.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            return None
        done = max(done, event.get("step", -1))
        if "bytes" not in event:
            continue
        step = steps[event["step"]]
        key = next(iter(step))
        flags = step[key].get("flags", ()) if isinstance(step[key], dict) else ()
        if set(flags) & set(_TAKES_NOTHING) and key in _RECEIVING:
            if "MSG_OOB" in flags:
                counts[step["on"], "in"] = None
            continue
        name = step["splice"]["to"] if key == "splice" else step["on"]
        at = (name, "out" if key in _SENDING else "in")
        before = counts.get(at, 0)
        counts[at] = None if before is None else before + int(event["bytes"])
    for step in steps[done + 1 : done + 2]:
        counts |= {(step["on"], way): None for way in ("in", "out") if "on" in step}
    return counts
