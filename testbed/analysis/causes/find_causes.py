"""Why each packet exists: one table of rules, tried in order; the first that explains a packet is its cause.

A rule looks at byte ranges, sequence numbers, flags and state, never at how near in time a call was. What no rule
explains has the rule ``unknown``. The rules' code stands in ``causes_*.py``; the table is the reference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Generic, NamedTuple, TypeVar

from testbed.analysis.absent.no_packet import silent_calls
from testbed.analysis.calls.streams import Streams
from testbed.analysis.causes import acknowledgements as ack
from testbed.analysis.causes import datagrams as other
from testbed.analysis.causes import resets as reset
from testbed.analysis.causes import retransmissions as repeat
from testbed.analysis.causes import transmissions as send
from testbed.analysis.causes.datagrams import Others
from testbed.analysis.causes.endpoint import Side, Why
from testbed.analysis.link_check import origin_text
from testbed.model import HOSTS, Cause, CauseKind, Crossing, Host, Joined, LinkOrigin, peer_of

State = TypeVar("State")
CALL, ANSWER, TIMER, EXIT, LINK, UNKNOWN = CauseKind


class Rule(NamedTuple, Generic[State]):
    """A rule's name, the family of what it finds, what it explains, its source, and its code."""

    name: str
    kind: CauseKind
    what: str
    source: str
    explain: Callable[[State, Crossing], Why | None]


TCP_RULES: tuple[Rule[Side], ...] = (
    Rule("closed-port", ANSWER, "RST to a SYN that nobody takes", "RFC 9293 3.10.7.1", reset.closed_port),
    Rule(
        "reset-answer",
        ANSWER,
        "RST without ACK to a segment that no socket takes",
        "RFC 9293 3.10.7.1; tcp_v4_send_reset",
        reset.answer,
    ),
    Rule("reset-linger", CALL, "RST by close with SO_LINGER 0", "__tcp_close", reset.lingering),
    Rule("reset-unread", CALL, "RST by close with unread data", "RFC 2525 2.17; __tcp_close", reset.unread),
    Rule("reset-listener", CALL, "RST of a connection never accepted", "inet_csk_listen_stop", reset.listener_closed),
    Rule("user-timeout", TIMER, "RST after TCP_USER_TIMEOUT", "RFC 5482; tcp_keepalive_timer", reset.user_timeout),
    Rule("keep-alive-timeout", TIMER, "RST after unanswered probes", "tcp_keepalive_timer", reset.unanswered_probes),
    Rule("reset-exit", EXIT, "RST by the end of the process", "do_exit; __tcp_close", reset.exit_reset),
    Rule("reset-unseen", CALL, "RST by a host that nobody observed", "tcp_send_active_reset", reset.unseen_reset),
    Rule("connect", CALL, "the first SYN", "RFC 9293 3.10.1; RFC 7413", send.connect),
    Rule("syn-ack", ANSWER, "SYN+ACK", "RFC 9293 3.10.7.2", send.syn_ack),
    Rule("syn-retransmission", TIMER, "SYN or SYN+ACK sent again", "RFC 6298; tcp_syn_retries", send.syn_again),
    Rule(
        "window-probe",
        TIMER,
        "asks for the window while it is 0",
        "RFC 9293 3.8.6.1; tcp_send_probe0",
        send.window_probe,
    ),
    Rule(
        "keep-alive-probe",
        TIMER,
        "asks whether the peer is there",
        "RFC 9293 3.8.4; tcp_keepalive_timer",
        send.keepalive_probe,
    ),
    Rule("probe", UNKNOWN, "looks like a probe without a reason", "RFC 9293 3.8.4", send.probe_without_reason),
    Rule(
        "fast-open-fallback",
        ANSWER,
        "the SYN's bytes again as its answer did not take them",
        "RFC 7413 4.2.2; tcp_rcv_fastopen_synack",
        repeat.fast_open_fallback,
    ),
    Rule(
        "path-mtu",
        ANSWER,
        "bytes cut anew as ICMP says that they were too big",
        "RFC 1191; RFC 8201; tcp_simple_retransmit",
        repeat.path_mtu,
    ),
    Rule(
        "fast-retransmission",
        ANSWER,
        "bytes again as ACKs show a loss",
        "RFC 5681 3.2; RFC 8985",
        repeat.fast_retransmission,
    ),
    Rule(
        "recovery",
        ANSWER,
        "bytes again that were out at a loss",
        "RFC 6582; tcp_xmit_retransmit_queue",
        repeat.recovery,
    ),
    Rule("tail-loss-probe", TIMER, "the last bytes again", "RFC 8985 7; tcp_send_loss_probe", repeat.tail_loss_probe),
    Rule("timeout", TIMER, "the first unacknowledged bytes again", "RFC 6298; tcp_retransmit_timer", repeat.timeout),
    Rule("retransmission", TIMER, "bytes again: probe or timeout", "RFC 6298; RFC 8985", repeat.retransmission),
    Rule("cork-timeout", TIMER, "bytes that TCP_CORK held", "tcp(7); tcp_probe_timer", send.cork_timeout),
    Rule("more-timeout", TIMER, "bytes that MSG_MORE held", "send(2); tcp_probe_timer", send.more_timeout),
    Rule("data", CALL, "new bytes, by byte range", "tcp_sendmsg", send.data),
    Rule("unlogged-data", UNKNOWN, "new bytes that no logged call wrote", "", send.unlogged_data),
    Rule("fin", CALL, "FIN by shutdown or the last close", "RFC 9293 3.10.4; tcp_shutdown, __tcp_close", send.fin),
    Rule("exit", EXIT, "FIN by the end of the process", "do_exit; __tcp_close", send.exit_fin),
    Rule("d-sack", ANSWER, "reports bytes received twice", "RFC 2883", ack.d_sack),
    Rule(
        "delayed-ack",
        TIMER,
        "covers what came, later",
        "RFC 9293 3.8.6.3; tcp_delack_timer",
        ack.delayed,
    ),
    Rule("ack", ANSWER, "covers what came", "RFC 9293 3.10.7.4; RFC 5681 4.2", ack.acknowledgement),
    Rule("probe-answer", ANSWER, "repeats the ACK to a probe", "RFC 9293 3.8.4", ack.probe_answer),
    Rule(
        "duplicate-ack",
        ANSWER,
        "repeats the ACK to old or out-of-order data",
        "RFC 5681 4.2; tcp_send_dupack",
        ack.duplicate_ack,
    ),
    Rule("window-update", CALL, "the window grows", "tcp_cleanup_rbuf", ack.window_update),
    Rule(
        "challenge-ack",
        ANSWER,
        "repeats the ACK to what cannot be",
        "RFC 5961; tcp_send_challenge_ack",
        ack.challenge_ack,
    ),
    Rule(
        "not-taken",
        ANSWER,
        "repeats the ACK to data it had no room for",
        "RFC 9293 3.10.7.4; tcp_data_queue",
        ack.unaccepted_data,
    ),
)

OTHER_RULES: tuple[Rule[Others], ...] = (
    Rule("datagram", CALL, "a UDP datagram", "RFC 768; udp_sendmsg", other.datagram),
    Rule("unlogged-data", UNKNOWN, "a datagram that no logged call sent", "", other.unlogged_datagram),
    Rule("icmp-error", ANSWER, "an ICMP error about a packet", "RFC 792; RFC 4443", other.icmp_error),
    Rule("echo-reply", ANSWER, "an ICMP echo reply", "RFC 792; RFC 4443", other.echo_reply),
)

__all__ = ["OTHER_RULES", "TCP_RULES", "Rule", "find_causes", "silent_calls"]


def find_causes(
    joined: Joined, streams: Streams, sysctls: Mapping[Host, Mapping[str, str]] = MappingProxyType({})
) -> tuple[Cause, ...]:
    """Return the cause of every crossing, aligned with ``joined.crossings``.

    ``streams`` holds the calls; :func:`testbed.analysis.calls.streams.build_streams` makes it. ``sysctls`` as in
    :class:`testbed.model.Inputs`.
    """
    sides = {
        (flow.index, host): Side(flow.index, host, streams, sysctls.get(host, {}))
        for flow in joined.flows
        if flow.protocol == "tcp"
        for host in HOSTS
    }
    others = Others.of(joined, streams)
    causes: dict[int, Cause] = {}
    seen: dict[tuple[int | None, Host, int, int, str], int] = {}
    for packet, is_departure in _events(joined.crossings):
        host = packet.sender if is_departure else peer_of(packet.sender)
        side = sides.get((packet.flow, host)) if packet.flow is not None and packet.protocol == "tcp" else None
        key = (packet.flow, packet.sender, packet.raw_seq, packet.length, packet.flags)
        if is_departure:
            if side is not None:
                cause = _first(TCP_RULES, side, packet)
                side.note_sent(packet, cause)
            else:
                cause = _first(OTHER_RULES, others, packet)
            causes[packet.n] = cause
            seen[key] = packet.n
        else:
            if packet.sent is None:
                causes[packet.n] = _appeared(packet, seen.get(key))
            if side is not None:
                side.note_arrived(packet)
            others.note_arrived(packet, host)
            if other.is_too_big(packet):
                for each in sides.values():
                    if each.host == host:
                        each.note_too_big(packet)
    return tuple(causes[packet.n] for packet in joined.crossings)


def _events(crossings: Iterable[Crossing]) -> list[tuple[Crossing, bool]]:
    """Return departures (True) and arrivals (False) in time order; a departure comes first among equals."""
    events = [(packet.sent, 0, packet.n, packet) for packet in crossings if packet.sent is not None]
    events += [(packet.arrived, 1, packet.n, packet) for packet in crossings if packet.arrived is not None]
    events.sort(key=lambda event: event[:3])
    return [(packet, not arrival) for _, arrival, _, packet in events]


def _first(rules: tuple[Rule[State], ...], state: State, packet: Crossing) -> Cause:
    for rule in rules:
        why = rule.explain(state, packet)
        if why is not None:
            return Cause(rule.kind, rule.name, why.evidence, why.calls, why.packets)
    return Cause(UNKNOWN, "unknown", _unexplained(packet))


def _unexplained(packet: Crossing) -> str:
    if packet.protocol == "tcp":
        return f"no rule explains [{packet.flags}] at sequence number {packet.seq}: no call, arrival or timer fits"
    return f"no rule explains this {packet.protocol} packet"


def _appeared(packet: Crossing, original: int | None) -> Cause:
    if packet.made:
        evidence = "; ".join(origin_text(origin) for origin in packet.link if isinstance(origin, LinkOrigin))
        return Cause(LINK, f"link-{packet.made}", evidence)
    if original is not None:
        text = f"never left {packet.sender}: a copy of #{original} made on the way"
        return Cause(UNKNOWN, "appeared", text, packets=(original,))
    return Cause(UNKNOWN, "appeared", f"never seen to leave {packet.sender}: made on the way, or missed by its tap")
