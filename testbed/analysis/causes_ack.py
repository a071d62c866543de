"""Rules for segments that take no sequence space: acknowledgements, window updates, answers to probes."""

from __future__ import annotations

from testbed.analysis.causes_calls import duration, names
from testbed.analysis.causes_side import Side, Why, numbers, sack_blocks, sequence_length
from testbed.model import Crossing


def acknowledgement(side: Side, packet: Crossing) -> Why | None:
    """Explain a pure ACK by what it covers first (RFC 9293 section 3.10.7.4, RFC 5681 section 4.2)."""
    if not _is_bare(packet) or (side.last_ack is not None and _ack(packet) <= side.last_ack):
        return None
    covered = tuple(each.n for each in side.pending if each.seq + sequence_length(each) <= _ack(packet))
    if not covered:  # part of a segment (a receiver that took only what fitted), or the tap missed the arrival
        covered = tuple(each.n for each in list(side.pending)[:1] if each.seq < _ack(packet))
        if not covered:
            return None
        return Why(f"acknowledges a part of {numbers(covered)}", packets=covered)
    last = side.last_arrival
    waited = ""
    if packet.sent is not None:
        newest = next(each for each in reversed(side.pending) if each.n == covered[-1])
        if newest.arrived is not None:
            waited = f", {duration(packet.sent - newest.arrived)} after it came"
    filled = " and what was kept behind it" if last is not None and last.n == covered[-1] and side.odd else ""
    return Why(f"acknowledges {numbers(covered)}{filled}{waited}", packets=covered)


def probe_answer(side: Side, packet: Crossing) -> Why | None:
    """Explain a repeated ACK that answers a keep-alive or window probe (RFC 9293 section 3.8.4)."""
    if not _is_bare(packet) or not side.probes:
        return None
    probe = side.probes[0]
    window = "; the window is still 0" if packet.window == 0 else ""
    return Why(f"answers the probe #{probe.n}{window}", packets=(probe.n,))


def d_sack(side: Side, packet: Crossing) -> Why | None:
    """Explain a repeated ACK that reports bytes received twice (RFC 2883: the first block is old)."""
    if not _is_bare(packet) or not side.odd:
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
    return Why(f"says by D-SACK that #{culprits[0].n} brought bytes it had already", packets=(culprits[0].n,))


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


def _is_bare(packet: Crossing) -> bool:
    return packet.ack is not None and not sequence_length(packet) and "R" not in packet.flags


def _ack(packet: Crossing) -> int:
    return packet.ack if packet.ack is not None else -1
