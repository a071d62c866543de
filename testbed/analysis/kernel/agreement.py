"""What the witness says of each cause: one table by rule.

``confirmed``: the kernel's own event shows it. ``contradicted``: an event shows something else, or the one that must be
there is not, although all were recorded. ``not covered``: no tracepoint tells of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from testbed.analysis.kernel.kernel_endpoints import End
from testbed.model import Cause, Crossing, Host
from testbed.model.kernel_log import KernelEvent, KernelLog, StateChange, Word

NOT_COVERED = Word("not covered")


@dataclass
class Evidence:
    """All that the witness has, by the crossing that it is about."""

    log: KernelLog
    ends: Mapping[int, End]
    again: dict[int, KernelEvent] = field(default_factory=dict)
    resets: dict[int, KernelEvent] = field(default_factory=dict)
    drops: dict[int, KernelEvent] = field(default_factory=dict)
    changes: dict[int, list[StateChange]] = field(default_factory=dict)  # by the flow
    listeners: frozenset[tuple[int, Host]] = frozenset()
    """Ends whose port may have a listener: its answers are told with its own address, which is any."""

    def has(self, name: str) -> bool:
        """Say whether the absence of a tracepoint's event means that it did not happen."""
        return self.log.complete and any(each.rpartition("/")[2] == name for each in self.log.recorded)

    def congestion(self, event: KernelEvent) -> tuple[str, bool]:
        """Return the congestion state at a retransmission (empty if none was set yet), and whether a timer set Loss.

        ``tcp_retransmit_timer`` enters the Loss state right before it sends again, each time; nothing else of that
        socket is between. A probe does not.
        """
        found = ""
        before: KernelEvent | None = None
        for each in self.ends[id(event)].events:
            if each is event:
                break
            if each.sk != event.sk:
                continue
            if each.name == "tcp_cong_state_set":
                found = str(each.fields["cong_state"])
            before = each
        fresh = before is not None and before.name == "tcp_cong_state_set" and found == "Loss"
        return found, fresh


Rule = Callable[[Evidence, Crossing, Cause], Word]


def word(evidence: Evidence, packet: Crossing, cause: Cause) -> Word:
    """Return what the witness says of a packet's cause."""
    if packet.sent is None or (packet.protocol != "tcp" and cause.rule not in _NOT_TCP):
        return NOT_COVERED
    said = _RULES.get(cause.rule, _first_time)(evidence, packet, cause)
    if said.agreement == "contradicted" and not evidence.log.complete:
        return Word("not covered", f"{said.text}; but events were lost")
    return said


# ------------------------------------------------------------------ sent again


def _first_time(evidence: Evidence, packet: Crossing, cause: Cause) -> Word:
    """Judge a cause that excludes that the kernel sent the packet again."""
    del cause
    event = evidence.again.get(packet.n)
    return (
        Word("contradicted", f"the kernel says that it sent it again ({_how(evidence, event)})")
        if event
        else NOT_COVERED
    )


def _again(*states: str, timer: bool | None = None) -> Rule:
    """Judge a cause that says that the kernel sent bytes again.

    ``states`` are the congestion states in which it can be, any if empty; ``timer``: whether the Loss state must just
    have been entered.
    """

    def judge(evidence: Evidence, packet: Crossing, cause: Cause) -> Word:
        del cause
        event = evidence.again.get(packet.n)
        if event is None:
            if not evidence.has("tcp_retransmit_skb"):
                return NOT_COVERED
            return Word("contradicted", "the kernel says nothing of a retransmission")
        if not evidence.has("tcp_cong_state_set"):
            told = timer is None and not states
            return Word("confirmed" if told else "not covered", f"{event.name}; not which timer, if any, made it")
        state, fresh = evidence.congestion(event)
        said = _how(evidence, event)
        fits = (timer is None or fresh == timer) and (not states or (state or "Open") in states)
        return Word("confirmed" if fits else "contradicted", said)

    return judge


def _how(evidence: Evidence, event: KernelEvent) -> str:
    if event.name == "tcp_retransmit_synack":
        return event.name
    state, fresh = evidence.congestion(event)
    if fresh:
        return f"{event.name} right after it entered the Loss state"
    return f"{event.name} in the {state or 'Open'} state"


def _syn_again(evidence: Evidence, packet: Crossing, cause: Cause) -> Word:
    event = evidence.again.get(packet.n)
    if event is not None and event.name == "tcp_retransmit_synack":
        return Word("confirmed", event.name)
    if packet.ack is not None and not evidence.has("tcp_retransmit_synack"):
        return NOT_COVERED
    return _again()(evidence, packet, cause)


def _syn_ack(evidence: Evidence, packet: Crossing, cause: Cause) -> Word:
    """Judge a SYN+ACK that answers a SYN: sent again only if that SYN was (tcp_check_req, tcp_rtx_synack)."""
    event = evidence.again.get(packet.n)
    if event is None:
        return NOT_COVERED
    answered = [number for number in cause.packets if number in evidence.again]
    if answered:
        return Word("confirmed", f"{event.name}: the SYN #{answered[0]} came again")
    return Word("contradicted", f"the kernel says that it sent it again ({event.name})")


# ------------------------------------------------------------------ calls


def _in_state(*new: str) -> Rule:
    """Judge a packet that a call made by the state change that must come with it."""

    def judge(evidence: Evidence, packet: Crossing, cause: Cause) -> Word:
        if packet.n in evidence.again:
            return _first_time(evidence, packet, cause)
        if not evidence.has("inet_sock_set_state") or packet.flow is None:
            return NOT_COVERED
        made = [
            change
            for change in evidence.changes.get(packet.flow, [])
            if change.event.host == packet.sender and change.new in new
        ]
        if not made:
            return Word("contradicted", f"the kernel says nothing of a change to {' or '.join(new)}")
        change = made[0]
        said = f"{change.old} to {change.new}: {change.why}"
        if change.kind != "call":
            return Word("contradicted", said)
        if change.calls and cause.calls and not set(change.calls) & set(cause.calls):
            return Word("contradicted", said)
        return Word("confirmed", said)

    return judge


# ------------------------------------------------------------------ RST


def _reset(*reasons: str) -> Rule:
    """Judge a RST by the kernel's reason (include/net/rstreason.h)."""

    def judge(evidence: Evidence, packet: Crossing, cause: Cause) -> Word:
        event = evidence.resets.get(packet.n)
        if event is None:
            if not evidence.has("tcp_send_reset"):
                return NOT_COVERED
            if cause.rule in _PASSIVE and (packet.flow, packet.sender) in evidence.listeners:
                return Word("not covered", BY_LISTENER)
            return Word("contradicted", "the kernel says nothing of a RST")
        reason = event.fields.get("reason")
        if reason is None:
            return Word("confirmed", event.name)
        if reason == "NOT_SPECIFIED":
            return Word("not covered", f"{event.name} without a reason")
        return Word("confirmed" if reason in reasons or not reasons else "contradicted", f"{event.name}: {reason}")

    return judge


# ------------------------------------------------------------------ answers


def _dropped(*reasons: str) -> Rule:
    """Judge an answer to a packet that was not taken by the reason for which it was dropped."""

    def judge(evidence: Evidence, packet: Crossing, cause: Cause) -> Word:
        if packet.n in evidence.again:
            return _first_time(evidence, packet, cause)
        event = next((evidence.drops[n] for n in reversed(cause.packets) if n in evidence.drops), None)
        if event is None or event.host != packet.sender:
            return NOT_COVERED
        said = f"#{cause.packets[-1]} was dropped: {event.fields.get('reason')}"
        return Word("confirmed" if event.fields.get("reason") in reasons else "contradicted", said)

    return judge


def _probe(evidence: Evidence, packet: Crossing, cause: Cause) -> Word:
    """Judge a probe: no retransmission here, and dropped as old where it came."""
    event = evidence.drops.get(packet.n)
    if packet.n in evidence.again or event is None:
        return _first_time(evidence, packet, cause)
    said = f"no retransmission, and dropped by its receiver: {event.fields.get('reason')}"
    known = evidence.has("tcp_retransmit_skb") and event.fields.get("reason") in _OLD
    return Word("confirmed" if known else "not covered", said)


_NOT_TCP = frozenset({"icmp-error"})
_PASSIVE = frozenset({"reset-answer", "closed-port"})
BY_LISTENER = "a listener may have sent it, and the kernel names no connection then"
_OLD = ("TCP_OLD_SEQUENCE", "TCP_OLD_DATA", "TCP_INVALID_SEQUENCE", "TCP_ZEROWINDOW", "TCP_OVERWINDOW")
_CHALLENGED = ("TCP_INVALID_SYN", "TCP_RESET", "TCP_INVALID_SEQUENCE", "TCP_INVALID_END_SEQUENCE", *_OLD)
_DISCONNECT = ("TCP_STATE", "TCP_ABORT_ON_LINGER", "TCP_DISCONNECT_WITH_DATA")
"""Linux 6.10 and newer: close with SO_LINGER 0 is tcp_disconnect, whose reason is TCP_STATE; TCP_ABORT_ON_LINGER is
that of a negative TCP_LINGER2 (__tcp_close)."""

_RULES: Mapping[str, Rule] = {
    "timeout": _again("Loss", timer=True),
    "tail-loss-probe": _again("Open", "Disorder", "CWR", timer=False),
    "fast-retransmission": _again("Recovery", "Loss", timer=False),
    "recovery": _again("Recovery", "Loss", timer=False),
    "path-mtu": _again("Loss", "Recovery"),
    "retransmission": _again(),
    "fast-open-fallback": _again("Loss"),
    "syn-retransmission": _syn_again,
    "syn-ack": _syn_ack,
    "connect": _in_state("SYN_SENT"),
    "fin": _in_state("FIN_WAIT1", "LAST_ACK"),
    "exit": _in_state("FIN_WAIT1", "LAST_ACK"),
    "closed-port": _reset("NO_SOCKET", "TCP_STATE", "INVALID_SYN"),
    "reset-answer": _reset(
        *("NO_SOCKET", "TCP_ABORT_ON_DATA", "TCP_TIMEWAIT_SOCKET", "TCP_STATE", "TCP_INVALID_ACK_SEQUENCE"),
        *("TCP_ACK_UNSENT_DATA", "TCP_TOO_OLD_ACK", "TCP_OLD_ACK", "TCP_FLAGS"),
    ),
    "reset-linger": _reset(*_DISCONNECT),
    "reset-unread": _reset("TCP_ABORT_ON_CLOSE"),
    "reset-exit": _reset("TCP_ABORT_ON_CLOSE", *_DISCONNECT),
    "reset-listener": _reset("TCP_ABORT_ON_CLOSE", *_DISCONNECT),
    "reset-unseen": _reset(),
    "user-timeout": _reset("TCP_KEEPALIVE_TIMEOUT"),
    "keep-alive-timeout": _reset("TCP_KEEPALIVE_TIMEOUT"),
    "d-sack": _dropped(*_OLD, "TCP_OFOMERGE"),
    "duplicate-ack": _dropped(*_OLD, "TCP_OFOMERGE"),
    "challenge-ack": _dropped(*_CHALLENGED),
    "probe-answer": _dropped(*_OLD),
    "not-taken": _dropped("TCP_ZEROWINDOW", "TCP_OVERWINDOW", "PROTO_MEM", "SOCKET_RCVBUFF", *_OLD),
    "icmp-error": _dropped("NO_SOCKET", "IP_NOPROTO", "FRAG_REASM_TIMEOUT"),
    "keep-alive-probe": _probe,
    "window-probe": _probe,
    "probe": _probe,
}
