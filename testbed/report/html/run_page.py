"""The page of one run: a single HTML file that opens from the file system and asks the network for nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from testbed.model import CAUSES, HOSTS, Analysis, Delay, Evidence, Host, Outcome, peer_of
from testbed.model.findings import Severity
from testbed.model.kernel_log import Agreement
from testbed.report.evidence_text import sentence
from testbed.report.html import assemble, call_columns, kernel_columns, packet_columns
from testbed.report.html.findings_card import card
from testbed.report.html.fit import LIMIT, MOST_PACKETS, fitting
from testbed.report.html.ledger_picture import WIDTH, pictures
from testbed.report.html.links import LinkedPiece, Links
from testbed.report.html.marks import PacketMark
from testbed.report.html.pack import Packer
from testbed.report.html.page_source import PageSource, ShownPackets
from testbed.report.html.run_wire import of_run
from testbed.report.text.ledger_text import close_evidence, difference_text
from testbed.report.text.terminal_text import counted, duration, quote
from testbed.report.text.verdict_text import verdict_text

_OUTPUT = 64_000  # characters of what a program printed
_META = ("scenario", "summary", "run_id", "engine", "started")
_ROWS = 200  # ledger rows in the table
_LOOPBACK_ROWS = 200  # packets over a host's loopback
_LOOPBACK_WIDTH = 60  # characters of what each holds
SCRIPTS = ("data", "text", "model", "filter", "rows", "draw", "ladder", "panel", "plot", "state", "app")
STYLES = ("base", "run", "print")
_WITNESS = "kernel"  # a script and a style that only a page with a witness has


def render(source: PageSource, *, limit: int = LIMIT) -> str:
    """Return the page, at most ``limit`` bytes: payloads are cut first, then packets; the page says so."""
    return fitting(of_run(source), lambda wire, payload: _page(source, wire, payload), limit, MOST_PACKETS)


def _page(source: PageSource, wire: ShownPackets, payload_limit: int) -> str:
    analysis = source.analysis
    every_call = [call for host in HOSTS for call in analysis.inputs.calls.get(host, ())]
    base = min([call.start for call in every_call] + [one.time for one in wire.crossings[:1]], default=0)
    packer = Packer()
    about = packet_columns.put(packer, wire, base, payload_limit)
    call_columns.put(packer, analysis, base)
    data = packer.pack(packet_columns.head(wire, base, source.clock) | _head(analysis) | {"packets": about})
    witness = () if analysis.kernel is None else (_WITNESS,)
    last = len(SCRIPTS) - 1  # app.js begins at once: what it uses stands before it
    return assemble.page(
        "run.html.j2",
        scripts=(*SCRIPTS[:last], *witness, *SCRIPTS[last:]),
        styles=(*STYLES, *witness),
        data=data,
        title=f"{source.meta.get('scenario', 'run')}: {analysis.outcome.value}",
        **_words(source, wire, about, kernel_columns.card(analysis, wire, base), base),
    )


def _head(analysis: Analysis) -> dict[str, Any]:
    inputs = analysis.inputs
    used = {cause.rule for cause in analysis.causes}
    return {
        "observed": [inputs.observed.get(host, "none") for host in HOSTS],
        "names": inputs.address_names,
        "rules": {rule.value: [CAUSES[rule].meaning, CAUSES[rule].source] for rule in CAUSES if rule in used},
    }


# ------------------------------------------------------------------ what stands in the page without a script


@dataclass(frozen=True, slots=True)
class Chip:
    """A chip under the verdict: words, the place or selection that it leads to, how grave it is."""

    text: str
    target: str
    style: str = ""


def _words(
    source: PageSource, wire: ShownPackets, about: dict[str, Any], kernel: kernel_columns.Card | None, base: int
) -> dict[str, Any]:
    analysis = source.analysis
    joined = analysis.inputs.joined
    many = len(joined.flows) > 1
    return {
        "meta": dict.fromkeys(_META, "") | dict(source.meta),
        "analysis": analysis,
        "actual": lambda check: sentence(check.actual),
        "outcome": analysis.outcome.value,
        "pass_": analysis.outcome is Outcome.PASS,
        "evidence": list(_evidence(analysis, wire.counts)),
        "reasons": _reasons(source),
        "pictures": pictures(analysis.ledger, analysis.causes, many_flows=many),
        "picture_width": WIDTH,
        "verdict": verdict_text(analysis),
        "diagnosis": card(analysis.diagnosis, analysis.inputs.joined.flows, (one.n for one in wire.crossings)),
        "ledger": [(row, difference_text(row)) for row in analysis.ledger[:_ROWS]],
        "ledger_more": max(len(analysis.ledger) - _ROWS, 0),
        "closing": _closing(analysis),
        "many_flows": many,
        "delays": [(host, peer_of(host), analysis.delays[host]) for host in HOSTS if _measured(analysis, host)],
        "programs": [(program, str(program.end)) for program in analysis.inputs.programs],
        "printed": [(name, text[:_OUTPUT], len(text)) for name, text in source.printed.items() if text],
        "loopback_rows": _LOOPBACK_ROWS,
        "quoted": lambda packet: quote(packet.payload, _LOOPBACK_WIDTH, packet.length) if packet.length else "",
        "base": base,
        "conditions": source.conditions,
        "kernel": kernel,
        "total": wire.total,
        "kept": len(wire.crossings),
        "payload_limit": about["payload_limit"],
        "payload_cut": about["payload_cut"],
        "has_labels": bool(source.labels),
        "duration": lambda ns: duration(ns).replace("us", "µs"),
        "counted": counted,
    }


def _evidence(analysis: Analysis, counts: Mapping[int, int]) -> Iterator[Chip]:
    """Where the verdict can be checked: the ledger, the packets that differ, what ended the connection."""
    found = analysis.diagnosis.findings if analysis.diagnosis is not None else ()
    if grave := [each for each in found if each.severity is not Severity.NOTE]:
        yield Chip(counted(len(grave), "finding"), "#findings", "bad")
    yield Chip("ledger", "#ledger")
    for bit, preset in ((PacketMark.LOST, "lost"), (PacketMark.ALTERED, "altered"), (PacketMark.APPEARED, "appeared")):
        if counts.get(bit):
            yield Chip(f"{counted(counts[bit], 'packet')} {preset}", f"preset={preset}", "bad")
    if counts.get(PacketMark.UNKNOWN):
        yield Chip(f"{counted(counts[PacketMark.UNKNOWN], 'packet')} of unknown cause", "preset=unknown", "doubtful")
    seen: set[str] = set()
    for parts in _closing(analysis):
        for part in parts:
            if part.target and part.target not in seen and len(seen) < 4:
                seen.add(part.target)
                host, colon, _ = part.target.partition(":")
                yield Chip(f"{host} {part.text}" if colon else part.text, f"sel={part.target}")
    yield from _kernel(analysis)
    failed = sum(1 for check in analysis.checks if check.ok is False)
    if failed:
        yield Chip(f"{counted(failed, 'expectation')} failed", "#expectations", "bad")
    elif judged := [check for check in analysis.checks if check.applies]:
        held = sum(1 for check in judged if check.ok)
        yield Chip(f"{held} of {counted(len(judged), 'expectation')} held", "#expectations")


def _kernel(analysis: Analysis) -> Iterator[Chip]:
    """Lead to what the kernel says, and to the packets whose cause it contradicts."""
    kernel = analysis.kernel
    if kernel is None:
        return
    contradicted, confirmed = kernel.count(Agreement.CONTRADICTED), kernel.count(Agreement.CONFIRMED)
    proven = bool(kernel.log.departures)
    if contradicted:
        text = f"the kernel contradicts {counted(contradicted, 'cause')}"
        if proven:
            text = f"{counted(contradicted, 'cause')} inferred otherwise"
        yield Chip(text, "preset=kernel", "bad")
    if proven:
        text = f"the kernel's call stacks prove {counted(confirmed + contradicted, 'cause')}"
    else:
        text = f"the kernel confirms {counted(confirmed, 'cause')}"
    if kernel.log.complete:
        yield Chip(text, "#kernel", "bad" if kernel.unmatched else "")
    else:
        yield Chip(f"{text}, its log is not complete", "#kernel", "doubtful")


def _closing(analysis: Analysis) -> list[list[LinkedPiece]]:
    """How each connection ended, each way once."""
    links = Links(one.n for one in analysis.inputs.joined.crossings)
    found: dict[Evidence, list[LinkedPiece]] = {}
    for row in analysis.ledger:
        if row.close is not None and len(found) < 4:
            evidence = close_evidence(row, analysis.causes)
            found.setdefault(evidence, links.linked(evidence))
    return list(found.values())


def _reasons(source: PageSource) -> list[str]:
    """Say what is not as it should be; what the analysis repeats among its reasons is said once."""
    inputs = source.analysis.inputs
    every = [*source.analysis.reasons, *inputs.failures, *inputs.incomplete, *source.meta.get("notes", ())]
    return list(dict.fromkeys(every))


def _measured(analysis: Analysis, host: Host) -> bool:
    delay: Delay | None = analysis.delays.get(host)
    return delay is not None and delay.count > 0
