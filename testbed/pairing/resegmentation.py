"""Match segments of one size at one end with those of another size at the other: the same bytes, split or merged.

Offload (TSO, GSO at the sender, GRO at the receiver) and middleboxes do so. Bytes are followed by their place in the
stream: each byte range sent is matched with the earliest segment at the other end that holds it and is still free.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np

from testbed.model.arrays import Bool, Int64, UInt32, distinct
from testbed.model.intervals import Interval, IntervalSet
from testbed.model.ip import TCP
from testbed.model.tcp import seq_diff
from testbed.pairing.duplicates import UsualDelays
from testbed.pairing.packet_table import PacketTable

_TRIES = 64  # overlapping segments tried for one byte
_LONGEST = 1 << 20  # BIG TCP stays below it
_SLACK = 1_000_000  # ns by which a piece may seem early

Side = tuple[PacketTable, Int64, Int64, Int64 | UInt32]
"""A capture as :meth:`FlowPackets.parts <testbed.pairing.flow_packets.FlowPackets.parts>` has it."""


@dataclass(frozen=True, slots=True)
class SharedRange:
    """Bytes that crossed as part of a segment: positions in both sides, where they start in each, how many.

    ``same``: they are equal as far as both captures have them.
    """

    one: int
    two: int
    skip_one: int
    skip_two: int
    length: int
    same: bool


@dataclass(slots=True)
class _Segment:
    position: int
    first: int
    end: int
    time: int
    free: IntervalSet  # bytes not yet given away


def find_pieces(
    one: Side, two: Side,
    ours: Int64, theirs: Int64, from_one: Bool, usual: UsualDelays,
) -> list[SharedRange]:  # fmt: skip
    """Return the byte ranges that the segments ``ours`` and ``theirs`` have in common.

    Each capture is given as :meth:`FlowPackets.parts <testbed.pairing.match_packets.FlowPackets.parts>` has it:
    packets, items, places and sequence numbers. ``ours`` and ``theirs``: int64, positions.
    """
    left, right = _by_place(one, ours), _by_place(two, theirs)
    found: list[SharedRange] = []
    for place in left.keys() & right.keys():
        mine, others = _segments(one, left[place], left[place][0]), _segments(two, right[place], left[place][0], one)
        if from_one[place]:
            earliest = usual[0][0] - _SLACK if usual[0] else None
            found.extend(_follow(one[0], two[0], one[1], two[1], mine, others, earliest, turned=False))
        else:
            earliest = -usual[1][1] - _SLACK if usual[1] else None
            found.extend(_follow(two[0], one[0], two[1], one[1], others, mine, earliest, turned=True))
    return found


def _by_place(side: Side, positions: Int64) -> dict[int, list[int]]:
    packets, items, places, _ = side
    rows = items[positions]
    result: dict[int, list[int]] = defaultdict(list)
    data = (packets.protocol[rows] == TCP) & packets.decoded[rows] & (packets.length[rows] > 0)
    for position, place in zip(positions[data].tolist(), places[positions[data]].tolist(), strict=True):
        result[place].append(position)
    return result


def _segments(
    side: Side, positions: list[int], base: int,
    of: Side | None = None,
) -> list[_Segment]:  # fmt: skip
    """Return segments with numbers relative to that of the position ``base`` (of this side, or of another)."""
    packets, items, _, seq = side
    start = int((of or side)[3][base])
    result = []
    for position in positions:
        item = items[position]
        first = seq_diff(int(seq[position]), start)
        end = first + int(packets.length[item])
        result.append(_Segment(position, first, end, int(packets.time[item]), IntervalSet([(first, end)])))
    return result


def _follow(
    near: PacketTable, far: PacketTable, near_items: Int64, far_items: Int64, sent: list[_Segment],
    arrived: list[_Segment], earliest: int | None, *, turned: bool,
) -> list[SharedRange]:  # fmt: skip
    """Give each byte sent to a segment that arrived."""
    by_first = sorted(arrived, key=lambda segment: segment.first)
    firsts = [segment.first for segment in by_first]
    at: dict[int, list[_Segment]] = defaultdict(list)
    for segment in arrived:
        at[segment.first].append(segment)
    pieces = []
    for segment in sent:
        at_byte = segment.first
        while at_byte < segment.end:
            first: _Take | None = None  # a forged segment may have come before the one that was sent
            for taker in _holders(at_byte, at, by_first, firsts, segment.time, earliest):
                take = _look(near, near_items, segment, far, far_items, taker, at_byte)
                first = first or take
                if take.same:
                    first = take
                    break
            if first is None:
                at_byte = _next(firsts, at_byte, segment.end)
                continue
            taker, end = first.taker, first.end
            taker.free.remove(at_byte, end)
            if taker.free:
                at[taker.free.first].append(taker)
            skip_near, skip_far = at_byte - segment.first, at_byte - taker.first
            positions, skips = (segment.position, taker.position), (skip_near, skip_far)
            if turned:
                positions, skips = positions[::-1], skips[::-1]
            pieces.append(SharedRange(*positions, *skips, end - at_byte, first.same))
            at_byte = end
    return pieces


@dataclass(frozen=True, slots=True)
class _Take:
    """A segment that arrived whose free bytes may be those sent: up to where, and whether they are equal."""

    taker: _Segment
    end: int
    same: bool


def _look(
    near: PacketTable, near_items: Int64, sent: _Segment, far: PacketTable, far_items: Int64, taker: _Segment, byte: int
) -> _Take:
    end = min(sent.end, taker.free.end_after(byte))
    ours = near.bytes_at(int(near_items[sent.position]), byte - sent.first, end - byte)
    theirs = far.bytes_at(int(far_items[taker.position]), byte - taker.first, end - byte)
    common = min(len(ours), len(theirs))
    return _Take(taker, end, ours[:common] == theirs[:common])


def _holders(
    byte: int,
    at: dict[int, list[_Segment]],
    by_first: list[_Segment],
    firsts: list[int],
    time: int,
    earliest: int | None,
) -> Iterator[_Segment]:
    """Yield the segments whose free bytes include ``byte`` and that did not arrive before they could."""
    place = bisect_right(firsts, byte) - 1
    others = (by_first[k] for k in range(place, max(place - _TRIES, -1), -1) if firsts[k] >= byte - _LONGEST)
    for segment in chain(at.get(byte, ()), others):
        if byte in segment.free and (earliest is None or segment.time - time >= earliest):
            yield segment


def _next(firsts: list[int], byte: int, end: int) -> int:
    """Return the next byte at which a segment starts, at most ``end``."""
    place = bisect_right(firsts, byte)
    return min(firsts[place], end) if place < len(firsts) else end


def uncovered(pieces: list[SharedRange], length_of: dict[int, int], *, at_one: bool) -> dict[int, list[Interval]]:
    """Return for each position in pieces the ranges of its payload that are in none."""
    covered: dict[int, IntervalSet] = defaultdict(IntervalSet)
    for piece in pieces:
        position, skip = (piece.one, piece.skip_one) if at_one else (piece.two, piece.skip_two)
        covered[position].add(skip, skip + piece.length)
    missing = {position: parts.gaps(0, length_of[position]) for position, parts in covered.items()}
    return {position: gaps for position, gaps in missing.items() if gaps}


def positions_of(pieces: list[SharedRange], *, at_one: bool) -> Int64:
    """Return the positions of one side that occur in pieces, each once, ascending: int64[k]."""
    return distinct(np.array([piece.one if at_one else piece.two for piece in pieces], np.int64))
