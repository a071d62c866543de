"""Facts of the verdict, held against the kernel's changes of state, stacks and drops, and the actors' counts. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dev.truth.disagreement import Disagreement
from dev.truth.kernel_says import KernelSays
from testbed.model import HOSTS, Analysis, CauseName, Crossing, Host, peer_of
from testbed.model.kernel_log import StateChange
from testbed.model.verdicts import (
    FACT_NAMES,
    BrokenOff,
    ConnectionRefused,
    DatagramsRefused,
    FlowTotals,
    GivenUp,
    NeverOpened,
    NoData,
    Transfer,
    UnreadEnd,
    VerdictFact,
)

_NAMES = {kind: name for name, kind in FACT_NAMES.items()}
_UNREAD_ENDS: Mapping[UnreadEnd, CauseName] = {
    UnreadEnd.CLOSED: CauseName.RESET_UNREAD,
    UnreadEnd.EXITED: CauseName.RESET_EXIT,
}


def check_verdict(analysis: Analysis, blind: Analysis, says: KernelSays) -> Iterator[tuple[VerdictFact, str | None]]:
    """Yield each fact that can be held against the kernel, with what the kernel says against it (None: nothing)."""
    judge = _Judge(analysis, says)
    for fact in blind.verdict:
        why = judge.why_not(fact)
        if why is not _NOTHING_TO_COMPARE:
            yield fact, why


def silent(analysis: Analysis, blind: Analysis, says: KernelSays) -> Iterator[Disagreement]:
    """Yield connections that the kernel broke off after they had opened and of which the verdict does not say so."""
    ends = BrokenOff, GivenUp, NeverOpened, ConnectionRefused
    said = {fact.flow for fact in blind.verdict if isinstance(fact, ends)}
    for fact in blind.verdict:
        if isinstance(fact, FlowTotals):
            return  # only the worst are told
        if isinstance(fact, Transfer) and (fact.refused or fact.unread_end is not UnreadEnd.UNKNOWN):
            said.add(fact.row.flow)
        if isinstance(fact, NoData) and fact.reset_by is not None:
            said.add(fact.flow)
    for flow, host in says.changes:
        closed = says.closed((flow, host))
        if closed is not None and closed.old in _BOTH_ENDED and _is_all_acknowledged(blind, flow, host):
            continue  # there was nothing left to be lost
        if flow in said or closed is None or not says.opened((flow, host)) or not _breaks_off(closed, analysis):
            continue
        yield Disagreement(
            f"verdict silent: {closed.old} to CLOSE by {closed.kind}",
            f"flow {flow} at {host}: {closed.old} to CLOSE by {closed.kind} {closed.packets or closed.calls}",
        )


def _is_all_acknowledged(analysis: Analysis, flow: int, sender: Host) -> bool:
    rows = [row for row in analysis.ledger if (row.flow, row.sender) == (flow, sender)]
    return all(row.acknowledged is not None and row.acknowledged == row.sent for row in rows)


def name_of(fact: VerdictFact) -> str:
    """Return a fact's name."""
    return _NAMES.get(type(fact), type(fact).__name__)


_NOTHING_TO_COMPARE = ""
_BOTH_ENDED = ("CLOSING", "LAST_ACK")
"""States of an endpoint of which both directions have ended, though its FIN is not acknowledged yet."""


def _breaks_off(closed: StateChange, analysis: Analysis) -> bool:
    """Say whether a change to CLOSE broke an open connection off: by a RST, data after the close, or a timer."""
    if closed.kind == "packet":
        late = closed.old.startswith("FIN_WAIT")
        crossings = (analysis.inputs.joined.crossings[n] for n in closed.packets)
        return any("R" in each.flags or (late and each.length and "F" not in each.flags) for each in crossings)
    return closed.kind == "timer" and closed.old in ("ESTABLISHED", "CLOSE_WAIT", "FIN_WAIT1", "CLOSING", "LAST_ACK")


class _Judge:
    def __init__(self, analysis: Analysis, says: KernelSays) -> None:
        self._analysis, self._says = analysis, says
        self._packets: dict[int, list[Crossing]] = {flow.index: [] for flow in analysis.inputs.joined.flows}
        for packet in analysis.inputs.joined.crossings:
            if packet.flow is not None:
                self._packets[packet.flow].append(packet)

    def why_not(self, fact: VerdictFact) -> str | None:
        """Return what the kernel says against a fact: None if nothing, the empty text if it says nothing of it."""
        match fact:
            case ConnectionRefused(flow, host, listening):
                return self._refused(flow, host, listening=listening)
            case NeverOpened(flow, opener):
                return "it was open" if self._says.opened((flow, opener)) else None
            case NoData(flow, reset_by, closed_by):
                return self._no_data(flow, reset_by, closed_by)
            case Transfer(row, _, end):
                return self._unread_end(row.flow, peer_of(row.sender), end)
            case BrokenOff(flow, reset, _):
                return self._broken_off(flow, reset.packet)
            case GivenUp(flow, host, _):
                closed = self._says.closed((flow, host))
                if closed is None or closed.kind == "timer":
                    return None
                return f"{closed.old} to CLOSE by {closed.kind}"
            case DatagramsRefused(_, _, packet):
                rule = self._analysis.causes[packet].rule
                return None if rule is CauseName.ICMP_ERROR else f"#{packet} is {rule}"
            case FlowTotals():
                return self._totals(fact)
        return _NOTHING_TO_COMPARE

    def _refused(self, flow: int, host: Host, *, listening: bool) -> str | None:
        opener = peer_of(host)
        if self._says.opened((flow, opener)) and self._says.opened((flow, host)):
            return "it was open at both hosts"
        reasons = {
            str(found.event.fields.get("reason"))
            for found in (self._analysis.kernel.resets if self._analysis.kernel is not None else ())
            for n in found.packets
            if self._analysis.inputs.joined.crossings[n].flow == flow
        }
        if reasons == {"NO_SOCKET"} and listening and not self._says.streams.listens(flow, host):
            return "no socket took it (NO_SOCKET), and none listened"
        return None

    def _no_data(self, flow: int, reset_by: Host | None, closed_by: tuple[Host, ...]) -> str | None:
        packets = self._packets[flow]
        resets = [packet for packet in packets if "R" in packet.flags]
        if reset_by is not None and not any(packet.sender == reset_by for packet in resets):
            return f"{reset_by} sent no RST"
        for host in HOSTS:
            closed = self._says.closed((flow, host))
            over = closed is not None and closed.old in _BOTH_ENDED  # there was nothing left to be lost
            if reset_by is None and closed is not None and not over and _breaks_off(closed, self._analysis):
                return f"{closed.old} to CLOSE at {host} by {closed.kind}"
            ended = any(change.new in ("FIN_WAIT1", "LAST_ACK") for change in self._says.changes[flow, host])
            if host in closed_by and not ended:
                return f"{host} never ended its direction"
        return None

    def _unread_end(self, flow: int, reader: Host, end: UnreadEnd) -> str | None:
        if end is UnreadEnd.UNKNOWN:
            return _NOTHING_TO_COMPARE
        rules = {self._analysis.causes[each.n].rule for each in self._packets[flow] if each.sender == reader}
        return None if _UNREAD_ENDS[end] in rules else f"no RST of {reader} is {_UNREAD_ENDS[end]}"

    def _broken_off(self, flow: int, reset: int) -> str | None:
        """Return what else broke a connection off at both hosts than this RST."""
        sender = self._analysis.inputs.joined.crossings[reset].sender
        theirs, own = self._says.closed((flow, peer_of(sender))), self._says.closed((flow, sender))
        crossings = self._analysis.inputs.joined.crossings
        resets = [each for each in (theirs.packets if theirs is not None else ()) if "R" in crossings[each].flags]
        if theirs is not None and theirs.kind == "packet" and any(crossings[each].sender == sender for each in resets):
            return None  # of several of one host the state does not say which it was
        answers = self._analysis.causes[reset].rule is CauseName.RESET_ANSWER
        forged = self._analysis.inputs.joined.crossings[reset].sent is None
        if own is not None and not answers and not forged:
            return None
        if own is not None and answers and set(own.packets) & set(self._analysis.causes[reset].packets):
            return None  # data that came after the close ended it, and this answers that
        if forged and theirs is None:
            return _NOTHING_TO_COMPARE  # a connection that was never opened there has no states
        ended = [each for each in (own, theirs) if each is not None and _breaks_off(each, self._analysis)]
        if not ended and theirs is None:
            return None
        others = ", ".join(f"{each.old} to CLOSE by {each.kind} at {each.event.host}" for each in ended)
        return f"#{reset} ended nothing" + (f"; {others}" if others else "")

    def _totals(self, fact: FlowTotals) -> str | None:
        never = broken = 0
        for flow in self._analysis.inputs.joined.flows:
            if flow.protocol != "tcp" or not self._packets[flow.index]:
                continue
            if all(each.sent is None for each in self._packets[flow.index]):
                continue  # the link made all of it: nobody opened anything
            opener = self._packets[flow.index][0].sender
            if not self._says.opened((flow.index, opener)):
                never += 1
                continue
            broken += any(self._is_broken_off(flow.index, host) for host in HOSTS)
        if fact.refused + fact.never_opened != never:
            return f"{never} were never open at their opener"
        if fact.broken_off < broken:
            return f"{broken} were broken off by a RST or a timer"
        return None

    def _is_broken_off(self, flow: int, host: Host) -> bool:
        """Say whether a RST or a timer ended a connection at a host while there was something left to be lost."""
        end = self._says.closed((flow, host))
        if end is None or not _breaks_off(end, self._analysis):
            return False
        return end.old not in _BOTH_ENDED or not _is_all_acknowledged(self._analysis, flow, host)
