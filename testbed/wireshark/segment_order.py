"""Sort segments into streams and directions, and find for each its predecessor in both directions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from testbed.model.arrays import AnyInt, Bool, Int32, Int64, UInt8, distinct
from testbed.model.tcp import ACK, FIN, RST, SYN, seq_add
from testbed.wireshark.label_names import LabelRules, TcpSegments


def streams(segments: TcpSegments, rules: LabelRules) -> tuple[Int64, Bool]:
    """Return each segment's stream (int64[n]) and a mask of those that open one on used ports (bool[n]).

    A SYN with another number than the stream's base opens a new stream. The first stream of a conversation has its
    number, later ones have ``number + (count << 40)``.
    """
    stream = segments.conversation.astype(np.int64)
    reused = np.zeros(len(segments), np.bool_)
    syns = np.flatnonzero(segments.flags & SYN)
    if not len(syns):
        return stream, reused
    # of one side and number: a repeat; nearly every conversation has one kind of SYN on each side
    kinds = _distinct_columns(np.stack([stream[syns], segments.side[syns], segments.seq[syns]]))
    several = kinds[0][1:][(kinds[:2, 1:] == kinds[:2, :-1]).all(axis=0)]
    late = _unusual_openings(segments, stream, syns)
    special = distinct(np.concatenate([several, late]))
    for members in members_of(stream, special):
        number, opened = _split(segments, members, rules)
        stream[members] += number << 40  # conversations are fewer
        reused[members[opened]] = True
    return stream, reused


def _distinct_columns(rows: Int64) -> Int64:
    """Return the columns of an array (int64[k, n]), each once, in ascending order of the first row, then the next."""
    ordered = rows[:, np.lexsort(rows[::-1])]
    return ordered[:, np.append(True, (ordered[:, 1:] != ordered[:, :-1]).any(axis=0))]


def members_of(stream: Int64, wanted: Int64) -> list[Int64]:
    """Return the positions of the segments of each of some streams."""
    places = np.flatnonzero(np.isin(stream, wanted))
    by_stream = places[np.argsort(stream[places], kind="stable")]
    edges = np.flatnonzero(np.diff(stream[by_stream])) + 1
    return np.split(by_stream, edges) if len(places) else []


def _unusual_openings(segments: TcpSegments, stream: Int64, syns: Int64) -> Int64:
    """Return the streams that do not begin with their one SYN, or with SYN and at once the other side's SYN."""
    size = int(stream.max()) + 1
    counts = np.bincount(stream[syns], minlength=size)
    places = np.arange(len(stream))
    first, second = np.full(size, len(stream), np.int64), np.full(size, len(stream), np.int64)
    np.minimum.at(first, stream, places)
    later = places[first[stream] != places]
    np.minimum.at(second, stream[later], later)
    first_syn, last_syn = np.full(size, len(stream), np.int64), np.full(size, -1, np.int64)
    np.minimum.at(first_syn, stream[syns], syns)
    np.maximum.at(last_syn, stream[syns], syns)
    odd = (counts > 2) | ((counts > 0) & (first_syn > first)) | ((counts == 2) & (last_syn != second))
    two = np.flatnonzero((counts == 2) & ~odd)
    odd[two] = segments.side[first_syn[two]] == segments.side[last_syn[two]]
    odd[two] |= (segments.flags[first_syn[two]] & ACK) != 0  # it said where the other side begins
    result: Int64 = np.flatnonzero(odd)
    return result


def _split(segments: TcpSegments, members: Int64, rules: LabelRules) -> tuple[Int64, list[int]]:
    """Return numbers for the streams of one conversation, and the positions at which another one began."""
    base: list[int | None] = [None, None]
    number = 0
    closed = False
    numbers = np.zeros(len(members), np.int64)
    opened = []
    columns = (segments.side[members], segments.seq[members], segments.ack[members], segments.flags[members])
    for k, (side, seq, ack, flags) in enumerate(zip(*(column.tolist() for column in columns), strict=True)):
        own = base[side]
        if flags & SYN and own is not None and (seq != own or (rules.closed and closed)):
            opened.append(k)
            if not flags & ACK or rules.closed:
                number += 1
                base, closed = [None, None], False
            base[side] = seq
        if base[side] is None:
            base[side] = seq if flags & SYN else seq_add(seq, -1)
        if base[1 - side] is None and flags & ACK:
            base[1 - side] = seq_add(ack, -1)
        closed |= bool(flags & (FIN | RST))
        numbers[k] = number
    return numbers, opened


@dataclass(slots=True)
class SegmentOrder:
    """Segments sorted by stream, direction and time ("places"), n of them; ``position`` is where each is in the file.

    ``group`` numbers the directions of streams (stream * 2 + side, streams counted from 0), ``first`` marks the first
    of each, ``before`` is the place of the last segment of the other direction that came earlier, -1 without one.
    """

    position: Int32
    group: Int32
    first: Bool
    before: Int32


def order_segments(stream: Int64, side: UInt8) -> SegmentOrder:
    """Sort segments. ``stream`` counts from 0, below 2**30."""
    count = len(stream)
    places = np.arange(count, dtype=np.int32)
    group = (stream << 1 | side).astype(np.int32)
    position = _sorted(group, places)
    place_of = np.empty(count, np.int32)
    place_of[position] = places
    by_time = _sorted(stream, places)
    place, is_one = place_of[by_time], side[by_time] == 1
    # places rise with the stream, and within a direction with time: a running maximum is the latest
    last = [np.maximum.accumulate(np.where(is_one == wanted, place, -1)) for wanted in (False, True)]
    other = np.empty(count, np.int32)
    other[place] = np.where(is_one, last[0], last[1])
    group = group[position]
    first = np.ones(count, np.bool_)
    first[1:] = group[1:] != group[:-1]
    other[(other >= 0) & (group[other] != group ^ 1)] = -1
    return SegmentOrder(position, group, first, other)


def _sorted(key: AnyInt, places: Int32) -> Int32:
    """Return the places in the order of a key, those of one key in their own."""
    packed = key.astype(np.int64)
    packed <<= 32
    packed |= places
    packed.sort()
    return packed.astype(np.int32)  # the lower half
