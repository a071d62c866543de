"""What the analysis is given, and what it returns. Pure data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from testbed.model.absences import NoPacket
from testbed.model.calls import Call
from testbed.model.causes import Cause
from testbed.model.crossings import Delay, Joined, Labels, host_names
from testbed.model.evidence import Evidence
from testbed.model.findings import Diagnosis
from testbed.model.hosts import Host, HostAddresses, names_of
from testbed.model.kernel_log import KernelEvidence, KernelLog
from testbed.model.label_conflicts import LabelConflict
from testbed.model.ledgers import LedgerRow
from testbed.model.link_journals import LinkJournal
from testbed.model.loopback import Loopback
from testbed.model.outcomes import Outcome
from testbed.model.programs import Program
from testbed.model.verdicts import VerdictFact


@dataclass(frozen=True, slots=True)
class Check:
    """One expectation after the run: ``ok`` None means that the observation cannot support an answer.

    ``share`` is in how many of the repeats it must hold, up to 1; None: in each, and so in this run. One that does not
    apply (``applies``) to the kernel of the run is neither held nor failed.
    """

    text: str
    ok: bool | None
    expected: str = ""
    actual: Evidence = ()
    where: str = ""
    share: float | None = None
    applies: bool = True


@dataclass(frozen=True, slots=True)
class Inputs:
    """All that the analysis may know about a run.

    ``incomplete`` lists reasons why the observation is not complete (a tap without its sentinel, packets dropped by
    the tap, a call log that overflowed, a host without an observer is NOT one). ``observed`` says for each host
    which observer made its calls (``probe``, ``none``). ``link`` is None without a link host. ``cut_short`` says why
    the lab could not carry the run through; what failed after that says nothing about the programs. ``labels`` are
    Wireshark's of both captures, ``sysctls`` the ``net.*`` settings of each host's network namespace; both empty where
    they are not known. ``kernel`` is the kernel trace, None without one; ``release`` is that of the kernel on which the
    hosts ran (``uname -r``), empty where it is not known. ``proven`` are the hosts of which the kernel's trace proves
    that ``calls`` has all calls on sockets: what is not there did not happen. ``counters`` is by how much each counter
    of a host's kernel changed during the run, those that did (:mod:`testbed.model.kernel_counters`); a host that is
    missing was not asked. ``queued`` are the hosts whose interface has a queue (``egress``), with its rate in bits a
    second: what the captures show there may have left later than the kernel's TCP had sent it. ``rto_min`` is the
    minimum of the retransmission timeout (ns) that a host's route has, 0 for none; a host that is missing was not
    asked. ``addresses`` are those of a lab's hosts where one has several. ``midway``: the hosts ran before (programs
    that were watched), so that a connection may have been open, and its calls not seen. ``loopback`` is what hosts sent
    to themselves, where that was captured and there was anything.
    """

    joined: Joined
    calls: dict[Host, tuple[Call, ...]]
    observed: dict[Host, str]
    programs: tuple[Program, ...]
    output: dict[Host, str]
    incomplete: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()
    link: LinkJournal | None = None
    cut_short: str = ""
    labels: Labels = field(default_factory=dict)
    sysctls: Mapping[Host, Mapping[str, str]] = field(default_factory=dict)
    kernel: KernelLog | None = None
    release: str = ""
    proven: frozenset[Host] = frozenset()
    counters: Mapping[Host, Mapping[str, int]] = field(default_factory=dict)
    queued: Mapping[Host, int] = field(default_factory=dict)
    rto_min: Mapping[Host, int] = field(default_factory=dict)
    addresses: Mapping[Host, HostAddresses] = field(default_factory=dict)
    midway: bool = False
    loopback: Mapping[Host, Loopback] = field(default_factory=dict)

    @property
    def address_names(self) -> dict[str, str]:
        """Addresses to what a reader knows them by: the host, or which of its addresses."""
        return {**host_names(self.joined.flows), **names_of(self.addresses)}


@dataclass(frozen=True, slots=True)
class Analysis:
    """What a run means. ``causes`` is aligned with ``joined.crossings``.

    ``no_packet`` maps a call that caused no packet to the reason, and one of whose bytes only some left to how many did
    not, and why. ``verdict`` is one or more facts about the data; ``label_conflicts`` are Wireshark's labels that
    contradict causes, ``kernel`` is what the kernel trace says of them, None without one. ``diagnosis`` is what is
    wrong, None where nobody asked. ``reasons`` say why ``outcome`` is not ``pass``.
    """

    inputs: Inputs
    causes: tuple[Cause, ...]
    no_packet: dict[tuple[Host, int], NoPacket]
    delays: dict[Host, Delay]
    ledger: tuple[LedgerRow, ...]
    checks: tuple[Check, ...]
    verdict: tuple[VerdictFact, ...]
    outcome: Outcome
    reasons: tuple[str, ...]
    label_conflicts: tuple[LabelConflict, ...] = ()
    kernel: KernelEvidence | None = None
    diagnosis: Diagnosis | None = None
