"""Reasons for which a call is said to have caused no packet, held against what the kernel did in that call. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from dev.truth.disagreement import Disagreement
from dev.truth.kernel_says import KernelSays, Key
from testbed.analysis.calls.call_effects import is_close
from testbed.model import Analysis, Call, CauseName
from testbed.model.absences import NoPacket, NoPacketReason

R = NoPacketReason
_NEVER = frozenset({R.NEVER_OPEN, R.NOT_OPEN_YET})
_ENDED_BY_CALL = frozenset({R.FIN_SENT_BEFORE, R.SENDING_ENDED_BEFORE})
_BY_RESULT = frozenset(
    {
        *(R.FAILED, R.TAKES_OPEN_CONNECTION, R.NO_CONNECTION_CAME, R.NO_CONNECTION_WAITING, R.BEING_OPENED),
        *(R.ALREADY_OPEN, R.NEVER_RETURNED, R.NO_BYTES, R.FAILED_BEFORE_SYN, R.ENDS_READING_ONLY, R.NOTES_PEER),
    }
)
"""Reasons that the call's own name and result are."""


def check_absences(blind: Analysis, says: KernelSays, checked: Counter[str]) -> Iterator[Disagreement]:
    """Yield reasons that the kernel refutes; ``checked`` counts calls by how their reason could be held against it."""
    sent = {(call.host, call.n): n for n, call in says.sent_in.items()}
    for (host, n), absence in blind.no_packet.items():
        call = blind.inputs.calls[host][n]
        checked[_how(absence)] += 1
        why = None
        if (host, n) in sent and not absence.unsent and absence.reason is not R.MAY_HAVE_SENT:
            why = f"it sent #{sent[host, n]}"
        flow = says.streams.flow_of.get((host, n))
        if why is None and flow is not None and says.streams.flows[flow].protocol == "tcp":
            why = _refuted(blind, says, (flow, host), call, absence)
        if why is not None:
            yield Disagreement(f"no packet: {call.name} {absence.reason}", f"{call}: {absence}; the kernel: {why}")


def _how(absence: NoPacket) -> str:
    if absence.reason in _BY_RESULT and absence.reset is None and absence.gave_up is None:
        return "by the call's own result"
    refutable = (R.OPEN_UNTIL, R.STILL_OPEN, R.RESET_BEFORE, R.CONNECTION_GONE, R.CONNECTION_ENDED)
    known = absence.reason in _NEVER | _ENDED_BY_CALL or absence.reason in refutable
    if known or absence.reset is not None or absence.gave_up is not None:
        return "by the kernel's states and stacks"
    return "by the kernel's stacks alone"


def _refuted(blind: Analysis, says: KernelSays, key: Key, call: Call, absence: NoPacket) -> str | None:
    """Return what the kernel says against a reason, None if nothing."""
    closed = says.closed(key)
    if absence.gave_up is not None and closed is not None and closed.kind != "timer":
        return f"{closed.old} to CLOSE by {closed.kind}"
    if absence.reset is not None and closed is not None:
        n, own = absence.reset.packet.n, absence.reset.sender == key[1]
        arrived = blind.inputs.joined.crossings[n].arrived or 0
        by_it = closed.kind == "packet" and (n in closed.packets or 0 <= closed.event.time - arrived + 2000 < 1_000_000)
        by_it = by_it or (closed.kind == "packet" and _is_of_same_host(blind, n, closed.packets))
        if not own and not by_it:
            return f"{closed.old} to CLOSE by {closed.kind} {closed.packets or closed.calls}, not by #{n}"
        if own and blind.causes[n].rule is CauseName.RESET_ANSWER and closed.event.time < blind_time(blind, n):
            return f"{closed.old} to CLOSE by {closed.kind} before #{n}"
    if absence.reason in _NEVER and any(
        change.new == "ESTABLISHED" and (call.end is None or change.event.time < call.start)
        for change in says.changes[key]
    ):
        return "it was open"
    if absence.reason in (R.STILL_OPEN, R.OPEN_UNTIL):
        for change in says.ended_in(key, call):
            if change.kind == "call" and not change.event.interrupt:
                return f"{change.old} to {change.new} in this call"
    if absence.reason is R.OPEN_UNTIL and absence.call is not None:
        last = blind.inputs.calls[absence.call.host][absence.call.n]
        ended = next((change for change in says.changes[key] if change.new in ("FIN_WAIT1", "LAST_ACK")), None)
        by = [blind.inputs.calls[key[1]][n] for n in ended.calls] if ended is not None else []
        if ended is not None and call.start <= ended.event.time < last.start and any(map(is_close, by)):
            return f"{ended.old} to {ended.new} before {last}"
    if absence.reason in _ENDED_BY_CALL and absence.call is not None:
        ender = blind.inputs.calls[absence.call.host][absence.call.n]
        ended = next((change for change in says.changes[key] if change.new in ("FIN_WAIT1", "LAST_ACK")), None)
        if ended is not None and ended.event.time > call.start and call.end is not None:
            return f"{ended.old} to {ended.new} only after it began, not by {ender}"
    return None


def _is_of_same_host(blind: Analysis, n: int, packets: tuple[int, ...]) -> bool:
    """Say whether one of these is a RST of the same host: of several the kernel's state does not say which it was."""
    crossings = blind.inputs.joined.crossings
    return any("R" in crossings[each].flags and crossings[each].sender == crossings[n].sender for each in packets)


def blind_time(blind: Analysis, n: int) -> int:
    """Return when a packet left (ns since the epoch)."""
    return blind.inputs.joined.crossings[n].time
