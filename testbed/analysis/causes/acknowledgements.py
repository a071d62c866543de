"""Rules for segments that take no sequence space: acknowledgements, window updates, answers to probes."""

from __future__ import annotations

from testbed.analysis.calls.endpoint_calls import duration, names
from testbed.analysis.causes.endpoint import Side, Why, came_at, numbers, sack_blocks, sequence_length
from testbed.model import Call, Crossing

_DELAYED = 30_000_000
"""Least time (ns) after which only the timer of delayed ACKs sends one: TCP_DELACK_MIN is 40 ms, counted in ticks of
up to 10 ms. What answers an arrival leaves within the same interrupt."""


def delayed(side: Side, packet: Crossing) -> Why | None:
    """Explain a pure ACK that the timer of delayed ACKs let go (RFC 9293 section 3.8.6.3, tcp_delack_timer).

    A program's read may let an ACK go as well, so only where its calls are known.
    """
    covered, newest = _covered(side, packet)
    if newest is None or not side.known or _waited(newest, packet) < _DELAYED or _reader_since(side, newest, packet):
        return None
    waited = duration(_waited(newest, packet))
    return Why(f"acknowledges {numbers(covered)}, {waited} after it came: the timer of delayed ACKs", packets=covered)


def acknowledgement(side: Side, packet: Crossing) -> Why | None:
    """Explain a pure ACK by what it covers first (RFC 9293 section 3.10.7.4, RFC 5681 section 4.2)."""
    covered, newest = _covered(side, packet)
    if not covered:
        return None
    if newest is None:  # part of a segment: a receiver that took only what fitted
        return Why(f"acknowledges a part of {numbers(covered)}", packets=covered)
    last = side.last_arrival
    filled = " and what was kept behind it" if last is not None and last.n == covered[-1] and side.odd else ""
    if packet.sent is None or newest.arrived is None:
        return Why(f"acknowledges {numbers(covered)}{filled}", packets=covered)
    waited = duration(_waited(newest, packet))
    reader = _reader_since(side, newest, packet)
    if reader is not None:
        how = f", while {names([reader])} took bytes, {waited} after it came"
    elif _waited(newest, packet) >= _DELAYED:
        how = f", delayed: {waited} after it came"
    elif side.known and side.reading(packet.time) is None:
        how = f" at once, {waited} after it came"
    else:
        how = f", {waited} after it came"
    return Why(f"acknowledges {numbers(covered)}{filled}{how}", packets=covered)


def _covered(side: Side, packet: Crossing) -> tuple[tuple[int, ...], Crossing | None]:
    """Return the arrivals that a pure ACK covers first, and the newest that it covers whole."""
    if not _is_bare(packet) or (side.last_ack is not None and _ack(packet) <= side.last_ack):
        return (), None
    whole = [each for each in side.pending if each.seq + sequence_length(each) <= _ack(packet)]
    if whole:
        return tuple(each.n for each in whole), whole[-1]
    return tuple(each.n for each in list(side.pending)[:1] if each.seq < _ack(packet)), None


def _waited(newest: Crossing, packet: Crossing) -> int:
    return packet.time - came_at(newest)


def _reader_since(side: Side, newest: Crossing, packet: Crossing) -> Call | None:
    """Return the read during which an ACK left, if it began after what is acknowledged had come (tcp_cleanup_rbuf)."""
    reader = side.reading(packet.time)
    return reader if reader is not None and reader.start > came_at(newest) else None


def probe_answer(side: Side, packet: Crossing) -> Why | None:
    """Explain a repeated ACK that answers a keep-alive or window probe (RFC 9293 section 3.8.4)."""
    if not _is_bare(packet) or not side.probes:
        return None
    probe = side.probes[0]
    if _is_update(side, packet, probe):
        return None
    window = "; the window is still 0" if packet.window == 0 else ""
    return Why(f"answers the probe #{probe.n}{window}", packets=(probe.n,))


def d_sack(side: Side, packet: Crossing) -> Why | None:
    """Explain an ACK that reports bytes received twice (RFC 2883: the first block is old).

    One that also covers new bytes was sent at once for the repeat only if that came last.
    """
    if not _is_bare(packet) or not side.odd:
        return None
    covered, _ = _covered(side, packet)
    if covered and side.last_arrival is not side.odd[-1]:
        return None
    blocks = sack_blocks(packet)
    if not blocks:
        return None
    left, right = blocks[0]
    inside = len(blocks) > 1 and blocks[1][0] <= left and right <= blocks[1][1]
    if right > _ack(packet) and not inside:
        return None
    culprits = [each for each in side.odd if each.seq < right and each.seq + sequence_length(each) > left]
    if not culprits:
        return None
    also = f", and acknowledges {numbers(covered)}" if covered else ""
    told = f"says by D-SACK that #{culprits[0].n} brought bytes it had already{also}"
    return Why(told, packets=(*covered, culprits[0].n))


def duplicate_ack(side: Side, packet: Crossing) -> Why | None:
    """Explain a repeated ACK: old or out-of-order data came (RFC 5681 section 4.2, tcp_send_dupack)."""
    if not _is_bare(packet):
        return None
    segments = [each for each in side.odd if sequence_length(each) and "S" not in each.flags]
    if not segments:
        return None
    culprit = segments[0]
    for left, right in sack_blocks(packet)[:1]:  # RFC 2018 section 4: the first holds the newest
        inside = [each for each in segments if left <= each.seq and each.seq + sequence_length(each) <= right]
        culprit = inside[-1] if inside else culprit
    old = side.rcv_nxt is not None and culprit.seq < _ack(packet)
    reason = "brought bytes it had already" if old else "came out of order"
    return Why(f"repeats its ACK: #{culprit.n} {reason}", packets=(culprit.n,))


def challenge_ack(side: Side, packet: Crossing) -> Why | None:
    """Explain a repeated ACK that answers a segment which cannot be (RFC 5961, RFC 9293 section 3.10.7.4)."""
    if not _is_bare(packet) or not side.odd:
        return None
    culprit = side.odd[-1]
    what = "a SYN on an open connection" if "S" in culprit.flags else "a segment outside the window"
    if "R" in culprit.flags:
        what = "a RST that fits the window, but is not the next"
    return Why(f"repeats its ACK to #{culprit.n}: {what}", packets=(culprit.n,))


def window_update(side: Side, packet: Crossing) -> Why | None:
    """Explain a repeated ACK with a larger window by the read that freed the space (tcp_cleanup_rbuf)."""
    if not _is_bare(packet) or side.last_window is None or side.window(packet) <= side.last_window:
        return None
    if side.odd and "R" in side.odd[-1].flags and side.reading(packet.time) is None:
        return None  # a challenge, which happens to be the first segment with a scaled window
    grown = f"the window grows from {side.last_window} to {side.window(packet)}"
    if not side.known:
        return Why(f"{grown}; {side.unseen}")
    reader = side.reader(packet.time)
    if reader is None:
        return None
    return Why(f"{grown}: {names([reader])} freed the space", (reader.n,))


def unaccepted_data(side: Side, packet: Crossing) -> Why | None:
    """Explain a repeated ACK while data that came in order is not covered: the kernel did not take it."""
    if not _is_bare(packet) or not side.pending or side.last_ack is None:
        return None
    refused = side.pending[-1]
    return Why(f"repeats its ACK although #{refused.n} came in order: it was not taken", packets=(refused.n,))


def _is_update(side: Side, packet: Crossing, probe: Crossing) -> bool:
    """Say whether the window grew by a read that began after a probe had come.

    Linux answers a probe at once, or not at all within half a second of the last answer (tcp_oow_rate_limited).
    """
    if side.last_window is None or side.window(packet) <= side.last_window:
        return False
    reader = side.reader(packet.time)
    return reader is not None and reader.start > (probe.time if probe.arrived is None else probe.arrived)


def _is_bare(packet: Crossing) -> bool:
    return packet.ack is not None and not sequence_length(packet) and "R" not in packet.flags


def _ack(packet: Crossing) -> int:
    return packet.ack if packet.ack is not None else -1
