"""Rules for bytes that were sent before: which ACK showed a loss, or which timer ran out.

Linux has two timers for them. A tail-loss probe (RFC 8985 section 7) comes first, once, where both ends take SACK,
``tcp_early_retrans`` is 3 or 4 and no loss is being repaired (tcp_schedule_loss_probe); it sends the last segment
again, or a new one that was held. All others are retransmission timeouts (RFC 6298), which begin with the first
unacknowledged segment.
"""

from __future__ import annotations

from testbed.analysis.calls.endpoint_calls import duration, names
from testbed.analysis.causes.endpoint import Side, Why, bytes_of, came_at, numbers, sack_blocks, sequence_length
from testbed.model import Crossing

_RTO_MIN = 200_000_000  # TCP_RTO_MIN: a retransmission that long after the last ACK is not known to be that ACK's doing


def fast_open_fallback(side: Side, packet: Crossing) -> Why | None:
    """Explain the bytes of a SYN sent again since its SYN+ACK did not take them (RFC 7413 section 4.2.2).

    The kernel does so at once (tcp_rcv_fastopen_synack); the SYN that was answered may also have been a repeat without
    the bytes.
    """
    before, answer = _repeated(side, packet), side.una_moved
    if before is None or answer is None or "S" in packet.flags or "S" not in before.flags or "S" not in answer.flags:
        return None
    return Why(
        f"{bytes_of(packet)} again, as usual data: #{answer.n} acknowledges the SYN, not what #{before.n} carried"
        f"{_by(side, packet)}",
        _callers(side, packet),
        (answer.n,),
    )


def fast_retransmission(side: Side, packet: Crossing) -> Why | None:
    """Explain bytes sent again because ACKs since then show that later ones arrived (RFC 5681, 6675, 8985)."""
    before = _repeated(side, packet)
    if before is None:
        return None
    end = packet.seq + sequence_length(packet)
    hints = [
        ack for ack in side.sacks if came_at(ack) > before.time and any(right > end for _, right in sack_blocks(ack))
    ]
    if not hints and packet.seq == side.una:
        repeated = [ack for ack in side.duplicates if came_at(ack) > before.time]
        hints = repeated if len(repeated) >= 3 else []
    if not hints or packet.time - came_at(hints[-1]) >= _RTO_MIN:
        return None
    side.repair_until = max(side.repair_until, side.snd_max or 0)
    packets = tuple(ack.n for ack in hints)
    return Why(
        f"{bytes_of(packet)} again ({_since(before, packet)} after #{before.n}): {numbers(packets)} show that later "
        f"bytes arrived{_by(side, packet)}",
        _callers(side, packet),
        packets,
    )


def path_mtu(side: Side, packet: Crossing) -> Why | None:
    """Explain bytes cut anew since ICMP said that a segment was too big (RFC 1191, 8201; tcp_simple_retransmit)."""
    before = _repeated(side, packet)
    if before is None or packet.length >= before.length:
        return None
    told = next((icmp for icmp in reversed(side.too_big) if came_at(icmp) > before.time), None)
    if told is None:
        return None
    side.repair_until = max(side.repair_until, side.snd_max or 0)  # tcp_simple_retransmit enters the Loss state
    return Why(
        f"{bytes_of(packet)} again in a smaller segment than #{before.n}: #{told.n} says that the path takes no such "
        f"size{_by(side, packet)}",
        _callers(side, packet),
        (told.n,),
    )


def recovery(side: Side, packet: Crossing) -> Why | None:
    """Explain bytes that were out when a loss was found, sent again when an ACK moved on (RFC 6582, 5681 3.1)."""
    before = _repeated(side, packet)
    ack = side.una_moved
    if before is None or ack is None or packet.seq >= side.repair_until or came_at(ack) <= before.time:
        return None
    if packet.time - came_at(ack) >= _RTO_MIN:
        return None
    return Why(
        f"{bytes_of(packet)} again ({_since(before, packet)} after #{before.n}): #{ack.n} acknowledged the "
        f"bytes before, these were out when the loss was found{_by(side, packet)}",
        _callers(side, packet),
        (ack.n,),
    )


def tail_loss_probe(side: Side, packet: Crossing) -> Why | None:
    """Explain the last segment sent again: earlier ones are out as well, or it is the first timer of a kernel's two."""
    before = _repeated(side, packet)
    if before is None or packet.seq + sequence_length(packet) != side.snd_max:
        return None
    if packet.seq > side.una:
        reason = "the last ones, although earlier ones are unacknowledged"
    elif _probes_first(side):
        reason = "not acknowledged, and the first time: the kernel probes before its timeout"
    else:
        return None
    return Why(
        f"{bytes_of(packet)} again, {_since(before, packet)} after #{before.n}: {reason}{_by(side, packet)}",
        _callers(side, packet),
        (before.n,),
    )


def timeout(side: Side, packet: Crossing) -> Why | None:
    """Explain the first unacknowledged bytes sent again, where a tail-loss probe is excluded."""
    before = _repeated(side, packet)
    if before is None or packet.seq > side.una:
        return None
    times = side.repeats.get(packet.seq, 0)
    tail = packet.seq + sequence_length(packet) == side.snd_max
    if tail and not times and side.probes_tail is None:
        return None  # one segment is out, sent again once: a probe and a timeout look the same
    side.repair_until = max(side.repair_until, side.snd_max or 0)
    return Why(
        f"{bytes_of(packet)} again (repeat {times + 1}), {_since(before, packet)} after #{before.n}: not acknowledged"
        f"{_by(side, packet)}",
        _callers(side, packet),
        (before.n,),
    )


def retransmission(side: Side, packet: Crossing) -> Why | None:
    """Explain any other bytes that were sent before."""
    before = _repeated(side, packet)
    if before is None:
        return None
    return Why(
        f"{bytes_of(packet)} again, {_since(before, packet)} after #{before.n}, no ACK between: a tail-loss probe or "
        f"a timeout{_by(side, packet)}",
        _callers(side, packet),
        (before.n,),
    )


def _repeated(side: Side, packet: Crossing) -> Crossing | None:
    """Return the earlier transmission if all that the segment carries was sent before."""
    length = sequence_length(packet)
    if not length or side.snd_max is None or packet.seq + length > side.snd_max:
        return None
    return side.previous(packet)


def _probes_first(side: Side) -> bool:
    """Say whether the kernel's first timer for the last segment is a tail-loss probe: no loss is being repaired."""
    again = any(seq >= side.una for seq in side.repeats)  # a probe is sent once for what is out (tlp_high_seq)
    repairs = side.una < side.repair_until or bool(side.sacks) or again
    return side.probes_tail is True and not repairs


def _callers(side: Side, packet: Crossing) -> tuple[int, ...]:
    calls = [share.call.n for share in side.writers(packet)] if packet.length else []
    if "F" in packet.flags:
        ender = side.fin_ender(packet.time)
        if ender is not None and ender.call is not None:
            calls.append(ender.call.n)
    return tuple(dict.fromkeys(calls))


def _by(side: Side, packet: Crossing) -> str:
    calls = [share.call for share in side.writers(packet)] if packet.length else []
    return f"; written by {names(calls)}" if calls else ""


def _since(before: Crossing, packet: Crossing) -> str:
    return duration(packet.time - before.time)
