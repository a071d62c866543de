"""What broke a connection off at one of its hosts: a RST that it sent or got, or a timeout of its own kernel.

The first of them counts: a RST that answers a segment after the kernel had given the connection up ended nothing here.
Nor did one that the receiver did not take, as it went on (RFC 5961 section 3.2: its number must be the next one).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, TypedDict

from testbed.analysis.calls.call_effects import is_close, option_name, option_set, option_value, switched_on
from testbed.analysis.calls.endpoint_calls import EndpointCalls
from testbed.analysis.calls.streams import Streams
from testbed.analysis.causes.endpoint import arrival_time
from testbed.model import Call, CallRef, Crossing, Host, PacketRef, call_ref, peer_of
from testbed.model.absences import GaveUp, Reset
from testbed.model.intervals import IntervalSet
from testbed.model.ledgers import ResetOrigin


class End(NamedTuple):
    """What broke a connection off at a host, and when that was known there (ns since the epoch).

    Neither ``reset`` nor ``gave_up``: data that came after the close ended it (tcp_reset), or it was gone by then and
    nothing shows by what.
    """

    time: int
    reset: Reset | None = None
    gave_up: GaveUp | None = None


class EndedBy(TypedDict):
    """The members of a :class:`NoPacket` that say what broke the connection off."""

    reset: Reset | None
    gave_up: GaveUp | None


def ended_by(end: End | None) -> EndedBy:
    """Return what broke a connection off, as members of a :class:`NoPacket`."""
    return {"reset": None if end is None else end.reset, "gave_up": None if end is None else end.gave_up}


def broken_off(crossings: Iterable[Crossing], streams: Streams) -> dict[tuple[int, Host], End]:
    """Return what broke each TCP connection off at each host; none where nothing did, or nothing was seen."""
    found: dict[tuple[int, Host], End] = {}
    for packet in crossings:
        if packet.flow is None or packet.protocol != "tcp" or "R" not in packet.flags:
            continue
        reset = Reset(PacketRef(packet.n), packet.sender, reset_origin(packet))
        if packet.sent is not None:  # without ACK it answers for a socket that was gone before (tcp_v4_send_reset)
            own = End(_made(packet, streams), reset) if packet.ack is not None else End(packet.time)
            _note(found, (packet.flow, packet.sender), own)
        if was_taken(packet, streams):
            host = peer_of(packet.sender)
            sure = not _may_have_given_up(packet, host, streams)
            _note(found, (packet.flow, host), End(arrival_time(packet), reset if sure else None))
    for flow, host in streams.calls:
        late = _came_after_close(flow, host, streams)
        if late is not None:
            _note(found, (flow, host), End(arrival_time(late)))
    for (flow, host), calls in streams.calls.items():
        gone = next((call for call in calls if _timed_out(call)), None)
        if gone is None or gone.end is None or streams.flows[flow].protocol != "tcp":
            continue
        before = found.get((flow, host))
        if before is None or before.time > gone.end:
            found[flow, host] = End(gone.end, gave_up=GaveUp(call_ref(gone), _limit(calls, gone)))
    return found


def _may_have_given_up(reset: Crossing, host: Host, streams: Streams) -> bool:
    """Say whether TCP_USER_TIMEOUT may have run out before a RST came.

    Something had waited for its ACK that long, or the peer's window was 0 since it was first asked for another
    (tcp_probe_timer).
    """
    assert reset.flow is not None and reset.arrived is not None  # noqa: S101, PT018 - it came to a connection
    came = reset.arrived
    setter = EndpointCalls(reset.flow, host, streams).option("TCP_USER_TIMEOUT", came)
    limit = sum(option_value(setter)[:1]) * 1_000_000 if setter is not None else 0
    theirs = streams.by_sender.get((reset.flow, reset.sender), ())
    acked = max(
        (each.acknowledges or 0 for each in theirs if each.arrived is not None and each.arrived < came), default=0
    )
    ours = [each for each in streams.by_sender.get((reset.flow, host), ()) if each.sent is not None]
    out = [each.time for each in ours if each.sequence_length and each.seq >= acked]
    had_room = max((arrival_time(each) for each in theirs if each.window and arrival_time(each) < came), default=0)
    probes = [each.time for each in ours if not each.sequence_length and each.seq < acked and each.time > had_room]
    return limit > 0 and came - min(out + probes, default=came) >= limit - _TICK


_TICK = 10_000_000
"""How much earlier (ns) than it is due a timer may run out by our times."""


def _came_after_close(flow: int, host: Host, streams: Streams) -> Crossing | None:
    """Return the first data that came once all descriptors were closed: it ends the connection (tcp_reset)."""
    ends = [each.ended.start if each.ended is not None else None for each in streams.descriptors.get((flow, host), ())]
    if streams.flows[flow].protocol != "tcp" or not ends or None in ends:
        return None
    closed = max(end for end in ends if end is not None)
    theirs = streams.by_sender.get((flow, peer_of(host)), ())
    late = (each for each in theirs if each.arrived is not None and each.arrived > closed and not each.discarded)
    ours = [each for each in streams.by_sender.get((flow, host), ()) if each.sent is not None and each.ack is not None]
    for packet in sorted(late, key=arrival_time):
        had = max((each.ack or 0 for each in ours if each.time < arrival_time(packet)), default=0)
        if packet.sequence_length and packet.seq + packet.length > had:
            return packet
    return None


def _made(reset: Crossing, streams: Streams) -> int:
    """Return when a host had made a RST of its own: in the close that it left in, or before it waited in a queue."""
    assert reset.flow is not None  # noqa: S101 - it is of a connection
    calls = streams.calls.get((reset.flow, reset.sender), ())
    ended = [each.ended for each in streams.descriptors.get((reset.flow, reset.sender), ()) if each.ended is not None]
    closers = [call for call in calls if is_close(call) or call.name == "connect"]
    closers = sorted((call for call in (*closers, *ended) if call.start <= reset.time), key=lambda call: call.start)
    if closers and (closers[-1].end is None or closers[-1].end >= reset.time or reset.sender in streams.queued):
        return closers[-1].start
    return reset.time


def _note(found: dict[tuple[int, Host], End], key: tuple[int, Host], end: End) -> None:
    """Keep the first of what ended a connection at a host."""
    before = found.get(key)
    if before is None or end.time < before.time:
        found[key] = end


def reset_origin(packet: Crossing) -> ResetOrigin:
    """Return who made a RST."""
    if packet.sent is not None:
        return ResetOrigin.HOST
    return ResetOrigin.LINK if packet.made else ResetOrigin.UNKNOWN


def was_taken(reset: Crossing, streams: Streams) -> bool:
    """Say whether a RST ended the connection where it arrived: its number fitted, and its receiver sent nothing after.

    What leaves in a call that was in progress as it came, or waited in a queue, was sent before it was looked at.

    RFC 5961 section 3.2: it must be the next number, which is between what the receiver had acknowledged and what had
    come in order (RFC 9293 3.10.7.4), or the one before a FIN (tcp_reset_check), or the end of the last bytes that came
    out of order, where SACK reports them (tcp_validate_incoming).
    """
    if reset.flow is None or reset.arrived is None or reset.discarded:
        return False
    host = peer_of(reset.sender)
    ours = streams.by_sender.get((reset.flow, host), ())
    in_call = _is_in_call(reset.arrived, streams.calls.get((reset.flow, host), ()))
    looked_at = reset.arrived + (_IN_CALL if in_call else 0)
    after = [each.sent for each in ours if each.sent is not None and ("R" not in each.flags or each.ack is not None)]
    last = max(after, default=0)
    if any("S" in each.flags and each.sent is not None and each.sent > reset.arrived + _AGAIN for each in ours):
        return False  # at most a SYN was forgotten, and the next one taken
    if last > looked_at and host not in streams.queued:
        return False
    arrived = [
        each
        for each in streams.by_sender.get((reset.flow, reset.sender), ())
        if each.arrived is not None and each.arrived <= reset.arrived and not each.discarded
    ]
    acknowledged = [each.ack for each in ours if each.ack is not None and each.time <= reset.arrived]
    if not acknowledged:
        # a SYN is out: only what acknowledges it ends that (RFC 9293 section 3.10.7.3)
        out = (each for each in ours if each.sent is not None and each.sent <= reset.arrived)
        edge = max((each.seq + each.sequence_length for each in out), default=0)
        answers = [each for each in arrived if "S" in each.flags and each.ack is not None and 0 < each.ack <= edge]
        if not answers:
            return reset.ack is not None and 0 < reset.ack <= edge
        acknowledged = [answers[0].seq + 1]  # it is open, though its ACK waits (tcp_rcv_synsent_state_process)
    came, fin = IntervalSet(), False
    for each in arrived:
        if each.sequence_length:
            came.add(each.seq, each.seq + each.sequence_length)
            fin = fin or "F" in each.flags
    known = max(acknowledged)
    following = max(came.end_after(known), known)
    closed = any("F" in each.flags and each.seq + each.sequence_length <= following for each in arrived)
    if closed and _is_acknowledged(ours, arrived):
        return False  # both directions had ended: what is left is a timer (TIME_WAIT)
    if known - fin <= reset.seq < following - fin and last > reset.arrived:
        return False  # it is old, unless what came before was not taken
    if known - fin <= reset.seq <= following:
        return True
    selective = any(each.options.get("sack") for each in ours if each.sent is not None and each.sent <= reset.arrived)
    return selective and bool(came) and reset.seq == came.end


def _is_acknowledged(ours: Iterable[Crossing], arrived: Iterable[Crossing]) -> bool:
    """Say whether what had arrived acknowledged a FIN of the host's."""
    end = next((each.seq + each.sequence_length for each in ours if "F" in each.flags and each.sent is not None), None)
    return end is not None and any((each.acknowledges or 0) >= end for each in arrived)


_AGAIN = 100_000_000
"""Time (ns) after which a SYN+ACK has not waited in a queue since before."""
_IN_CALL = 5_000_000
"""Most time (ns) that a RST waits while a call uses the socket (sk_backlog)."""


def _is_in_call(time: int, calls: Iterable[Call]) -> bool:
    return any(call.start <= time and (call.end is None or call.end > time) for call in calls)


def _timed_out(call: Call) -> bool:
    """Say whether a call was told that the connection was given up (sk_err: tcp_write_err, tcp_keepalive_timer)."""
    asked = call.name == "getsockopt" and option_name(call) == "SO_ERROR" and call.args.get("value") == "ETIMEDOUT"
    return call.errno == "ETIMEDOUT" or asked


def _limit(calls: Iterable[Call], gone: Call) -> CallRef | None:
    before = [call for call in calls if option_set(call, "TCP_USER_TIMEOUT") and call.start < (gone.end or 0)]
    return call_ref(before[-1]) if before and switched_on(before[-1], "TCP_USER_TIMEOUT") else None
