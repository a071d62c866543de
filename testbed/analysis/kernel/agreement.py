"""Whether a kernel's trace agrees with each packet's cause: what the registry requires beside the events there are.

``confirmed``: the call stack says so. Without one: ``consistent``: an event of the kernel's shows it. ``contradicted``:
an event shows something else, or the one that must be there is missing, although all were recorded. ``not covered``:
no tracepoint reports it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from testbed.analysis.kernel.kernel_endpoints import KernelEndpoint
from testbed.model import Cause, Crossing, Evidence, Host, PacketRef
from testbed.model.causes import Basis
from testbed.model.kernel_log import Agreement, Assessment, KernelEvent, KernelLog, StateChange
from testbed.model.kernel_requirements import (
    AnsweredDropped,
    DroppedAsOld,
    NotRetransmitted,
    ResetSent,
    Retransmitted,
    StateEntered,
    SynAnswered,
    SynRetransmitted,
    Untraced,
)
from testbed.model.origins import PacketOrigin

CONFIRMED, CONSISTENT, NOT_COVERED, CONTRADICTED = Agreement
_NOTHING = Assessment(NOT_COVERED)
BY_LISTENER = "a listener may have sent it, and the kernel names no connection then"


@dataclass
class TraceIndex:
    """A kernel's trace, by the crossing that each event is about.

    ``changes`` are by flow; ``listeners`` are endpoints (flow, host) whose port may have a listener: events of its
    answers have its own address, which is any.
    """

    log: KernelLog
    endpoints: Mapping[int, KernelEndpoint]  # by id() of the event
    retransmissions: dict[int, KernelEvent] = field(default_factory=dict)
    resets: dict[int, KernelEvent] = field(default_factory=dict)
    drops: dict[int, KernelEvent] = field(default_factory=dict)
    changes: dict[int, list[StateChange]] = field(default_factory=dict)
    listeners: frozenset[tuple[int, Host]] = frozenset()

    def records(self, name: str) -> bool:
        """Say whether the absence of a tracepoint's event means that it did not happen."""
        return self.log.complete and any(each.rpartition("/")[2] == name for each in self.log.recorded)

    def congestion(self, event: KernelEvent) -> tuple[str, bool]:
        """Return the congestion state at a retransmission (empty if none was set yet), and whether a timer set Loss.

        ``tcp_retransmit_timer`` enters the Loss state right before it sends again, each time; nothing else of that
        socket is between. A probe does not.
        """
        found = ""
        before: KernelEvent | None = None
        for each in self.endpoints[id(event)].events:
            if each is event:
                break
            if each.sk != event.sk:
                continue
            if each.name == "tcp_cong_state_set":
                found = str(each.fields["cong_state"])
            before = each
        fresh = before is not None and before.name == "tcp_cong_state_set" and found == "Loss"
        return found, fresh


def assess(trace: TraceIndex, packet: Crossing, cause: Cause) -> Assessment:
    """Return what the trace says of a packet's cause: what its call stack says, and without one what events show."""
    if packet.sent is None:
        return _NOTHING
    if cause.basis is Basis.KERNEL and cause.origin is not None:
        said: Evidence = (cause.origin.meaning, *_functions(cause.origin))
        if cause.differs and cause.inferred is not None:
            return Assessment(
                CONTRADICTED, (*said, f"; without it: `{cause.inferred.rule}`, ", *cause.inferred.evidence)
            )
        return Assessment(CONFIRMED, said)
    found = _judged(trace, packet, cause)
    if found.agreement is CONTRADICTED and not trace.log.complete:
        return Assessment(NOT_COVERED, (*found.evidence, "; but events were lost"))
    return found


def _functions(origin: PacketOrigin) -> Evidence:
    return (f" ({', '.join(origin.functions)})",) if origin.functions else ()


def _judged(trace: TraceIndex, packet: Crossing, cause: Cause) -> Assessment:
    match cause.traits.kernel:
        case Untraced():
            return _NOTHING
        case NotRetransmitted():
            return _not_retransmitted(trace, packet)
        case Retransmitted(states, timeout):
            return _retransmitted(trace, packet, states, timeout)
        case SynRetransmitted():
            return _syn_retransmitted(trace, packet)
        case SynAnswered():
            return _syn_answered(trace, packet, cause)
        case StateEntered(states):
            return _state_entered(trace, packet, cause, states)
        case ResetSent() as required:
            return _reset_sent(trace, packet, required)
        case AnsweredDropped(reasons):
            return _answered_dropped(trace, packet, cause, reasons)
        case DroppedAsOld(reasons):
            return _dropped_as_old(trace, packet, reasons)


# ------------------------------------------------------------------ retransmissions


def _not_retransmitted(trace: TraceIndex, packet: Crossing) -> Assessment:
    event = trace.retransmissions.get(packet.n)
    if event is None:
        return _NOTHING
    return Assessment(CONTRADICTED, (f"the kernel reports a retransmission ({_how(trace, event)})",))


def _retransmitted(trace: TraceIndex, packet: Crossing, states: tuple[str, ...], timeout: bool | None) -> Assessment:
    event = trace.retransmissions.get(packet.n)
    if event is None:
        if not trace.records("tcp_retransmit_skb"):
            return _NOTHING
        return Assessment(CONTRADICTED, ("the kernel reports no retransmission",))
    if not trace.records("tcp_cong_state_set"):
        any_state = timeout is None and not states
        evidence: Evidence = (f"{event.name}; which timer made it, if any, was not recorded",)
        return Assessment(CONSISTENT if any_state else NOT_COVERED, evidence)
    state, fresh = trace.congestion(event)
    fits = (timeout is None or fresh == timeout) and (not states or (state or "Open") in states)
    return Assessment(CONSISTENT if fits else CONTRADICTED, (_how(trace, event),))


def _how(trace: TraceIndex, event: KernelEvent) -> str:
    if event.name == "tcp_retransmit_synack":
        return event.name
    state, fresh = trace.congestion(event)
    if fresh:
        return f"{event.name} right after it entered the Loss state"
    return f"{event.name} in the {state or 'Open'} state"


def _syn_retransmitted(trace: TraceIndex, packet: Crossing) -> Assessment:
    event = trace.retransmissions.get(packet.n)
    if event is not None and event.name == "tcp_retransmit_synack":
        return Assessment(CONSISTENT, (event.name,))
    if packet.ack is not None and not trace.records("tcp_retransmit_synack"):
        return _NOTHING
    return _retransmitted(trace, packet, (), None)


def _syn_answered(trace: TraceIndex, packet: Crossing, cause: Cause) -> Assessment:
    event = trace.retransmissions.get(packet.n)
    if event is None:
        return _NOTHING
    repeated = [number for number in cause.packets if number in trace.retransmissions]
    if repeated:
        return Assessment(CONSISTENT, (f"{event.name}: the SYN ", PacketRef(repeated[0]), " came again"))
    return Assessment(CONTRADICTED, (f"the kernel reports a retransmission ({event.name})",))


# ------------------------------------------------------------------ calls


def _state_entered(trace: TraceIndex, packet: Crossing, cause: Cause, states: tuple[str, ...]) -> Assessment:
    if packet.n in trace.retransmissions:
        return _not_retransmitted(trace, packet)
    if not trace.records("inet_sock_set_state") or packet.flow is None:
        return _NOTHING
    changes = trace.changes.get(packet.flow, [])
    change = next((each for each in changes if each.event.host == packet.sender and each.new in states), None)
    if change is None:
        return Assessment(CONTRADICTED, (f"the kernel reports no change to {' or '.join(states)}",))
    evidence = (f"{change.old} to {change.new}: ", *change.evidence)
    others = bool(change.calls and cause.calls) and not set(change.calls) & set(cause.calls)
    return Assessment(CONTRADICTED if change.kind != "call" or others else CONSISTENT, evidence)


# ------------------------------------------------------------------ RST


def _reset_sent(trace: TraceIndex, packet: Crossing, required: ResetSent) -> Assessment:
    event = trace.resets.get(packet.n)
    if event is None:
        if not trace.records("tcp_send_reset"):
            return _NOTHING
        if required.by_listener and (packet.flow, packet.sender) in trace.listeners:
            return Assessment(NOT_COVERED, (BY_LISTENER,))
        return Assessment(CONTRADICTED, ("the kernel reports no RST",))
    reason = event.fields.get("reason")
    if reason is None:
        return Assessment(CONSISTENT, (event.name,))
    if reason == "NOT_SPECIFIED":
        return Assessment(NOT_COVERED, (f"{event.name} without a reason",))
    fits = not required.reasons or reason in required.reasons
    return Assessment(CONSISTENT if fits else CONTRADICTED, (f"{event.name}: {reason}",))


# ------------------------------------------------------------------ drops


def _answered_dropped(trace: TraceIndex, packet: Crossing, cause: Cause, reasons: tuple[str, ...]) -> Assessment:
    if packet.n in trace.retransmissions:
        return _not_retransmitted(trace, packet)
    event = next((trace.drops[n] for n in reversed(cause.packets) if n in trace.drops), None)
    if event is None or event.host != packet.sender:
        return _NOTHING
    reason = event.fields.get("reason")
    evidence = (PacketRef(cause.packets[-1]), f" was dropped: {reason}")
    return Assessment(CONSISTENT if reason in reasons else CONTRADICTED, evidence)


def _dropped_as_old(trace: TraceIndex, packet: Crossing, reasons: tuple[str, ...]) -> Assessment:
    event = trace.drops.get(packet.n)
    if packet.n in trace.retransmissions or event is None:
        return _not_retransmitted(trace, packet)
    reason = event.fields.get("reason")
    known = trace.records("tcp_retransmit_skb") and reason in reasons
    evidence = (f"no retransmission, and dropped by its receiver: {reason}",)
    return Assessment(CONSISTENT if known else NOT_COVERED, evidence)
