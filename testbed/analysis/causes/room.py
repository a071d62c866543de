"""Rules for ACKs that tell of room: a window that a read made larger, and data that came in order but found none."""

from __future__ import annotations

from bisect import bisect_right

from testbed.analysis.causes.endpoint import EndpointEffect, Explanation, TcpEndpoint, arrival_time, sack_blocks
from testbed.analysis.causes.release import HAS_LEFT, IN_PROCESSING
from testbed.analysis.causes.rule_set import BoundRules
from testbed.model import CauseName, Crossing, PacketRef, call_ref
from testbed.model.origins import sent_in

RULES: BoundRules[TcpEndpoint] = BoundRules()

SOON = 2_000_000
"""Most time (ns) between an arrival and the ACK that is sent in its processing; later, timers and reads send."""
_JUST_NOW = 8
"""So many calls back a read is looked for that had just ended."""


@RULES.explains(CauseName.WINDOW_UPDATE)
def window_update(endpoint: TcpEndpoint, packet: Crossing) -> Explanation | None:
    """Explain a repeated ACK with a larger window by the read that freed the space (tcp_cleanup_rbuf)."""
    window = endpoint.window(packet)
    if not is_bare(packet) or endpoint.last_window is None or window <= endpoint.last_window:
        return None
    last = endpoint.last_arrival
    if (
        last is not None
        and endpoint.unexpected
        and endpoint.unexpected[-1] is last
        and not _acts(endpoint, last, packet)
    ):
        return None  # a challenge ACK, with a window that grew before
    grown = f"the window grows from {endpoint.last_window} to {window}"
    if not endpoint.known:
        return Explanation((f"{grown}; {endpoint.unknown_because}",), effects=(EndpointEffect.ANSWERS_PROBES,))
    reader = endpoint.reader(packet.time)
    if reader is None:
        return None
    evidence = (f"{grown}: ", call_ref(reader), " freed the space")
    effects = (EndpointEffect.ANSWERS_PROBES,)
    advances = endpoint.last_ack is not None and ack_of(packet) > endpoint.last_ack
    if sack_blocks(packet) or advances:  # or what came was answered, or taken after all, with a larger window
        others = (CauseName.ACK,) if advances else (CauseName.DUPLICATE_ACK,)
        return Explanation(evidence, (reader.n,), effects=effects, alternatives=others)
    near = packet.time - IN_PROCESSING  # the end of a read is logged before it is over
    begun = bisect_right(endpoint.calls, packet.time, key=lambda call: call.start)
    just = (call for call in endpoint.calls[max(begun - _JUST_NOW, 0) : begun] if call.direction == "in")
    makers = {reader.n, *(call.n for call in just if call.end is None or call.end >= near)}
    return Explanation(evidence, (reader.n,), effects=effects, sent_by=sent_in(*sorted(makers)))


@RULES.explains(CauseName.NOT_TAKEN)
def unaccepted_data(endpoint: TcpEndpoint, packet: Crossing) -> Explanation | None:
    """Explain a repeated ACK while data that came in order is not covered: the kernel did not take it."""
    if not is_bare(packet) or endpoint.last_ack is None:
        return None
    if endpoint.no_room is not None:
        evidence = ("repeats its ACK although ", PacketRef(endpoint.no_room.n), " came in order: the window was 0")
        return Explanation(evidence, packets=(endpoint.no_room.n,))
    if not endpoint.pending:
        return None
    first, newest = endpoint.pending[0], endpoint.pending[-1]
    evidence = ("repeats its ACK although ", PacketRef(first.n), " came in order: it was not taken")
    if endpoint.queued:  # it may have waited to leave since before that came
        either = (*evidence, ", or came while this waited to leave")
        return Explanation(either, alternatives=(CauseName.DELAYED_ACK,))
    # what came after the one that was refused is out of order
    others: tuple[CauseName, ...] = () if newest is first else (CauseName.DUPLICATE_ACK,)
    last = endpoint.last_arrival
    if last is not newest:  # what has come since, beyond the window that is left, may be answered
        others = (CauseName.DUPLICATE_ACK, CauseName.CHALLENGE_ACK)
    reading = endpoint.taking(packet.time, endpoint.arrived) is not None
    if reading and last is newest and packet.time - arrival_time(newest) < IN_PROCESSING:
        # a read in progress tells of its room before it looks at what came meanwhile (release_sock)
        others += (CauseName.WINDOW_UPDATE,)
    packets = tuple(dict.fromkeys(each.n for each in (first, newest, last) if each is not None))
    return Explanation(evidence, packets=packets, effects=(EndpointEffect.SHOWS_REFUSAL,), alternatives=others)


def made_room(endpoint: TcpEndpoint, packet: Crossing) -> bool:
    """Say whether an ACK only tells of the room that a read made: nothing came for long, and the window grows."""
    last, before = endpoint.last_arrival, endpoint.last_window
    if last is None or before is None or endpoint.window(packet) <= before or sack_blocks(packet):
        return False
    return packet.time - arrival_time(last) >= SOON and endpoint.reader(packet.time) is not None


def refuses(endpoint: TcpEndpoint, packet: Crossing) -> bool:
    """Say whether a repeated ACK answers data that came in order, for which there was no room (tcp_data_queue).

    What had come out of order before would have been answered before.
    """
    last, pending = endpoint.last_arrival, endpoint.pending
    if last is None or packet.time - arrival_time(last) >= SOON:
        return False
    if last is endpoint.no_room:
        return True
    before = endpoint.unexpected[-1] if endpoint.unexpected else None
    alone = before is None or packet.time - arrival_time(before) >= IN_PROCESSING
    in_order = bool(pending) and pending[-1] is last and last.length > 0 and ack_of(packet) <= last.seq
    return in_order and (alone or packet.window == 0)


def may_be_read(endpoint: TcpEndpoint, packet: Crossing) -> bool:
    """Say whether a read may have sent a repeated ACK, to tell of its room: it took bytes meanwhile."""
    last, before, reader = endpoint.last_arrival, endpoint.last_window, endpoint.taking(packet.time, endpoint.arrived)
    grows = before is not None and endpoint.window(packet) > before
    if not grows or reader is None:
        return False
    if last is None or reader.start > arrival_time(last) - IN_PROCESSING:
        return True
    # what came woke it up, and the answer to that had time to leave before
    ends = reader.end is not None and reader.end - packet.time < IN_PROCESSING
    return ends and packet.time - arrival_time(last) >= HAS_LEFT


def _acts(endpoint: TcpEndpoint, last: Crossing, packet: Crossing) -> bool:
    """Say whether a read that began after the last arrival, or the lack of one since, makes an ACK the program's."""
    reader = endpoint.taking(packet.time, endpoint.arrived)
    late = packet.time - arrival_time(last) >= SOON
    return late or (reader is not None and reader.start > arrival_time(last))


def is_bare(packet: Crossing) -> bool:
    """Say whether a segment is an ACK alone."""
    return packet.ack is not None and not packet.sequence_length and "R" not in packet.flags


def reports_old(packet: Crossing) -> bool:
    """Say whether an ACK reports bytes that it acknowledges: they came twice (RFC 2883)."""
    return any(right <= ack_of(packet) for _, right in sack_blocks(packet)[:1])


def ack_of(packet: Crossing) -> int:
    """Return a segment's ACK number, -1 without one."""
    return packet.ack if packet.ack is not None else -1
