"""All crossings of two captures as columns: which packet matches which, its fate, what was altered."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from testbed.model.arrays import AnyInt, Bool, Int32, Int64, Item, UInt8, UInt32, distinct
from testbed.model.tcp import PSH
from testbed.pairing.changes import FlowwideChanges, find_changes
from testbed.pairing.clock import MOST_PIECES
from testbed.pairing.common_clock import Timeline
from testbed.pairing.fates import ChangedField, RowFate
from testbed.pairing.flow_packets import FlowPackets
from testbed.pairing.match_packets import PacketPairs
from testbed.pairing.not_captured import CapturedBytes, uncaptured_places
from testbed.pairing.passes import BY_NUMPY, Passes
from testbed.pairing.reordered import reordered
from testbed.pairing.resegmentation import positions_of, uncovered
from testbed.pairing.travel_direction import passed_in_line

_LEAST_SLACK = 1_000_000  # ns
_LONGEST = 10**15  # ns; damaged files have time stamps all over the centuries
_MTU = 1500
_SAMPLE = 50_000  # packets that show what delays are usual
_BLOCK = 1 << 14  # rows of which all that is needed stays in a processor's cache


@dataclass(slots=True)
class CrossingTable:
    """One row for each packet that crossed, for each byte range of a split or merged one, and for all others.

    ``one`` and ``two``: int32[n], rows of the two packet tables, -1 where a capture does not have it. ``place``:
    int64[n], pair of flows * 2 + direction (0: from the end that opened the flow). ``skip`` and ``length``: int32[n],
    which bytes of the sender's (else the receiver's) payload a row is about, ``skip_there`` where they begin in the
    receiver's. ``delay`` (int64[n], ns) and its ``error`` (-1: unknown) count where ``timed`` is set.
    Rows are in the order of the first capture, then those that only the second has.
    """

    one: Int32
    two: Int32
    place: Int64
    fate: UInt8
    changes: UInt32
    reordered: Bool
    skip: Int32
    skip_there: Int32
    length: Int32
    timed: Bool
    delay: Int64
    error: Int64
    sent_at_one: Bool

    def __len__(self) -> int:
        return len(self.one)


@dataclass(slots=True)
class _Rows:
    """Rows while they are gathered."""

    one: list[AnyInt]
    two: list[AnyInt]
    place: list[Int64]
    fate: list[UInt8]
    changes: list[UInt32]
    skip: list[AnyInt]
    skip_there: list[AnyInt]
    length: list[AnyInt]

    @classmethod
    def none(cls) -> _Rows:
        return cls([], [], [], [], [], [], [], [])

    def add(
        self, one: AnyInt, two: AnyInt, place: Int64, fate: UInt8, changes: UInt32, skip: AnyInt,
        skip_there: AnyInt, length: AnyInt,
    ) -> None:  # fmt: skip
        parts = (one, two, place, fate, changes, skip, skip_there, length)
        lists = (self.one, self.two, self.place, self.fate, self.changes, self.skip, self.skip_there, self.length)
        for each, part in zip(lists, parts, strict=True):
            each.append(part)  # type: ignore[attr-defined]

    def extend(self, others: _Rows) -> None:
        """Add all rows of others behind these."""
        for each in fields(self):
            getattr(self, each.name).extend(getattr(others, each.name))


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What is known of two captures beforehand.

    ``one_clock``: both were made with one clock. ``complete``: each has all that passed while the other ran.
    ``one_route``: see :func:`find_changes`.
    """

    one_clock: bool = False
    complete: bool = False
    one_route: bool = False


def find_timeline(one: FlowPackets, two: FlowPackets, crossed: PacketPairs, known: Assumptions) -> Timeline:
    """Return the clock; what only seemed to be a piece of a segment becomes a pair, and directions are settled.

    It is fitted to flows of which both directions crossed, where there are any. Of a flow that was captured in one
    direction only the sender is not certain; then the clock decides.
    """
    _whole_after_all(one, two, crossed)
    x, y = _by_first(crossed.one, crossed.two, len(one))
    items, others, place, ways = one.rows(x), two.rows(y), one.place[x], crossed.ways
    time = one.packets.time[items]
    apart = two.packets.time[others] - time
    sure = ways.two_way[place]
    any_sure = bool(sure.any())
    if known.one_clock:
        timeline = Timeline.of_one_clock(items, others)
    else:
        timeline = Timeline.fitted(items, others, time, apart, ways.from_one[place], sure | (not any_sure))
        if len(timeline.clock.pieces) > MOST_PIECES:
            if not passed_in_line(ways, place, apart):
                return Timeline.unfit(items, others)
            timeline = Timeline.fitted(items, others, time, apart, ways.from_one[place], np.ones(len(place), np.bool_))
            if len(timeline.clock.pieces) > MOST_PIECES:
                return Timeline.unfit(items, others)
            return timeline
    if sure.all() or not (any_sure or known.one_clock):
        return timeline
    rest = np.flatnonzero(~sure & ~ways.same_place[place] & ~ways.in_line[place])
    offset, _ = timeline.at_one(items[rest], time[rest])
    later = np.bincount(place[rest], weights=apart[rest] - offset, minlength=len(ways.from_one))
    judged = distinct(place[rest])
    ways.from_one[judged] = later[judged] >= 0
    ways.from_one[judged ^ 1] = later[judged] < 0
    return timeline


def make_table(
    one: FlowPackets, two: FlowPackets, crossed: PacketPairs, timeline: Timeline, known: Assumptions,
    passes: Passes = BY_NUMPY,
) -> tuple[CrossingTable, FlowwideChanges]:  # fmt: skip
    """Return the fate of every packet of the flows that both captures have, and flow-wide changes."""
    x, y = _by_first(crossed.one, crossed.two, len(one))
    changed = passes.aside(
        partial(find_changes, one, x, two, y, crossed.from_one, one_route=known.one_route, differ=passes.differences)
    )
    rows, others = _Rows.none(), _Rows.none()
    _add_pieces(others, one, two, crossed)
    _add_single(others, one, two, crossed, x, y, timeline, complete=known.complete)
    sizes = one.packets.length[one.rows(x)], two.packets.length[two.rows(y)]
    place = one.place[x]
    length = np.where(crossed.from_one[place], *sizes)  # as its sender sent it
    items = one.rows(x).astype(np.int32), two.rows(y).astype(np.int32)
    zero = np.zeros(len(x), np.uint8)
    changes, usual = changed()
    rows.add(*items, place, zero, changes, zero, zero, length)
    del sizes, items, place, length, changes
    rows.extend(others)
    table = _joined(rows, crossed)
    order = passes.aside(partial(reordered, table.one, table.two, table.place, table.sent_at_one))
    _measure(table, one, two, timeline)
    table.reordered = order()
    return table, usual


def _by_first(x: Int64, y: Int64, count: int) -> tuple[Int64, Int64]:
    if bool((np.diff(x) > 0).all()):
        return x, y
    match = np.full(count, -1, np.int64)
    match[x] = y
    x = np.flatnonzero(match >= 0)
    return x, match[x]


def _whole_after_all(one: FlowPackets, two: FlowPackets, crossed: PacketPairs) -> None:
    """Treat as one packet of changed length what matches one piece only and was no offloaded segment."""
    ones = [piece.one for piece in crossed.pieces]
    twos = [piece.two for piece in crossed.pieces]
    more_one, more_two = _several(ones), _several(twos)
    kept = []
    moved: list[tuple[int, int]] = []
    for piece in crossed.pieces:
        a, b = int(one.item[piece.one]), int(two.item[piece.two])
        alone = piece.one not in more_one and piece.two not in more_two and not (piece.skip_one or piece.skip_two)
        flags = one.packets.flags[a] == two.packets.flags[b] and bool(one.packets.flags[a] & PSH)
        small = max(int(one.packets.length[a]), int(two.packets.length[b])) + 40 <= _MTU
        if alone and (small or flags):
            moved.append((piece.one, piece.two))
        else:
            kept.append(piece)
    crossed.pieces = kept
    crossed.one = np.append(crossed.one, np.array([each for each, _ in moved], np.int64))
    crossed.two = np.append(crossed.two, np.array([each for _, each in moved], np.int64))


def _several(positions: list[int]) -> set[int]:
    values, counts = np.unique(np.array(positions, np.int64), return_counts=True)
    return set(values[counts > 1].tolist())


def _add_pieces(rows: _Rows, one: FlowPackets, two: FlowPackets, crossed: PacketPairs) -> None:
    pieces = crossed.pieces
    if not pieces:
        return
    x = np.array([piece.one for piece in pieces], np.int64)
    y = np.array([piece.two for piece in pieces], np.int64)
    place = one.place[x]
    from_one = crossed.from_one[place]
    whole_x = one.packets.length[one.item[x]].astype(np.int64)
    whole_y = two.packets.length[two.item[y]].astype(np.int64)
    length = np.array([piece.length for piece in pieces], np.int64)
    skips = np.array([(piece.skip_one, piece.skip_two) for piece in pieces], np.int64)
    skip = np.where(from_one, skips[:, 0], skips[:, 1])
    there = np.where(from_one, skips[:, 1], skips[:, 0])
    sender, receiver = np.where(from_one, whole_x, whole_y), np.where(from_one, whole_y, whole_x)
    fate = np.where(sender > length, RowFate.SPLIT, np.where(receiver > length, RowFate.MERGED, RowFate.CROSSED))
    changes = np.where([piece.same for piece in pieces], 0, ChangedField.PAYLOAD).astype(np.uint32)
    rows.add(one.item[x], two.item[y], place, fate.astype(np.uint8), changes, skip, there, length)
    for side, at_one in ((one, True), (two, False)):
        positions = positions_of(pieces, at_one=at_one).tolist()
        lengths = {position: int(side.packets.length[side.item[position]]) for position in positions}
        for position, gaps in uncovered(pieces, lengths, at_one=at_one).items():
            for first, end in gaps:
                sent = bool(crossed.from_one[side.place[position]]) == at_one
                gone = RowFate.LOST if sent else RowFate.APPEARED
                _add_one(rows, side, position, at_one=at_one, fate=gone, skip=first, length=end - first)


def _add_one(
    rows: _Rows, side: FlowPackets, position: int, *, at_one: bool, fate: RowFate, skip: int, length: int
) -> None:
    item, nothing = side.item[position : position + 1], np.array([-1], np.int64)
    rows.add(
        item if at_one else nothing,
        nothing if at_one else item,
        side.place[position : position + 1],
        np.array([fate], np.uint8),
        np.zeros(1, np.uint32),
        np.array([skip], np.int64),
        np.zeros(1, np.int64),
        np.array([length], np.int64),
    )


def _add_single(
    rows: _Rows, one: FlowPackets, two: FlowPackets, crossed: PacketPairs, x: Int64, y: Int64, timeline: Timeline, *,
    complete: bool,
) -> None:  # fmt: skip
    """Add packets that only one capture has, with the reason as their fate."""
    delays = (0, 0) if complete else _usual_delays(one, two, crossed, x, y, timeline)
    bytes_seen = None if complete else CapturedBytes(one, two, crossed.from_one)
    uncaptured = uncaptured_places(one, two, crossed.from_one)
    for side, at_one in ((one, True), (two, False)):
        used = np.zeros(len(side), np.bool_)
        used[crossed.one if at_one else crossed.two] = True
        used[positions_of(crossed.pieces, at_one=at_one)] = True
        left = np.flatnonzero(~used)
        if not len(left):
            continue
        place = side.place[left]
        sent = crossed.from_one[place] == at_one
        fate = np.where(sent, np.uint8(RowFate.LOST), np.uint8(RowFate.APPEARED))
        if bytes_seen:
            fate[bytes_seen.missed(left, sent, at_one=at_one)] = RowFate.NOT_CAPTURED
            fate[uncaptured[place, int(at_one)]] = RowFate.NOT_CAPTURED
        copies = np.isin(left, np.array([each for where, each, _ in crossed.copies if where == 1 - at_one], np.int64))
        fate[copies & ~sent] = RowFate.DUPLICATED
        if not complete:
            fate = _outside(fate, one, two, left, sent, timeline, delays, crossed.ways.same_place[place], at_one=at_one)
        fate[np.isin(left, crossed.unresolved_in(0 if at_one else 1))] = RowFate.AMBIGUOUS
        fate[np.isin(left, crossed.again_in(0 if at_one else 1))] = RowFate.AGAIN
        nothing = np.full(len(left), -1, np.int64)
        items = side.item[left]
        length = side.packets.length[items].astype(np.int64)
        rows.add(
            items if at_one else nothing,
            nothing if at_one else items,
            place,
            fate.astype(np.uint8),
            np.zeros(len(left), np.uint32),
            np.zeros(len(left), np.int64),
            np.zeros(len(left), np.int64),
            length,
        )


def _usual_delays(
    one: FlowPackets, two: FlowPackets, crossed: PacketPairs, x: Int64, y: Int64, timeline: Timeline
) -> tuple[int, int]:
    """Return the greatest delay to expect from the first end and to it (ns)."""
    sent = crossed.from_one[one.place[x]]
    result = []
    for sign, which in ((1, np.flatnonzero(sent)), (-1, np.flatnonzero(~sent))):
        some = which[:: len(which) // _SAMPLE + 1]
        items = one.item[x[some]]
        time = one.packets.time[items]
        offset, _ = timeline.at_one(items, time)
        mine = np.sort(sign * (two.packets.time[two.item[y[some]]] - time - offset))
        low, high = (int(mine[len(mine) // 100]), int(mine[-1 - len(mine) // 100])) if len(mine) else (0, 0)
        result.append(min(int(high + (high - low)) + _LEAST_SLACK, _LONGEST))
    return result[0], result[1]


def _outside(
    fate: UInt8, one: FlowPackets, two: FlowPackets, left: Int64, sent: Bool, timeline: Timeline,
    delays: tuple[int, int], same_place: Bool, *, at_one: bool,
) -> UInt8:  # fmt: skip
    """Return fates in which packets outside the other capture's time are marked so: it began later or ended before.

    ``delays`` are the greatest to expect from the first end, and to it; none of packets of one place (bool[k]).
    """
    side, other = (one, two) if at_one else (two, one)
    items = side.item[left]
    time = side.packets.time[items]
    if not timeline.clock.pieces:
        return fate
    offset, error = timeline.at_one(items, time) if at_one else timeline.at_two(items, time)
    there = time + offset if at_one else time - offset
    margin = np.maximum(error, 0)
    # sent here, it arrives there later; arrived here, it was sent there before
    longest = delays[0] if at_one else delays[1]
    before = delays[1] if at_one else delays[0]
    first, last = other.packets.span
    fate = fate.copy()
    known = fate != RowFate.DUPLICATED
    earliest, latest = np.where(sent, there, there - before), np.where(sent, there + longest, there)
    earliest[same_place], latest[same_place] = there[same_place] - _LEAST_SLACK, there[same_place] + _LEAST_SLACK
    fate[known & (earliest - margin < first)] = RowFate.BEFORE_START
    fate[known & (latest + margin > last)] = RowFate.AFTER_END
    return fate


def _joined(rows: _Rows, crossed: PacketPairs) -> CrossingTable:
    count = sum(map(len, rows.one))
    order, among = _order(rows)

    def column(parts: list[NDArray[Any]], kind: type[Item]) -> NDArray[Item]:
        """Return the rows of a column in their order, and let go of its parts."""
        made = np.empty(count, kind)
        first = parts.pop(0)
        if among is None:
            made[:] = first
        else:
            made[~among] = first
            made[among] = np.concatenate(parts)[order]
        parts.clear()
        return made

    place = column(rows.place, np.int64)
    return CrossingTable(
        one=column(rows.one, np.int32),
        two=column(rows.two, np.int32),
        place=place,
        fate=column(rows.fate, np.uint8),
        changes=column(rows.changes, np.uint32),
        reordered=np.zeros(count, np.bool_),
        skip=column(rows.skip, np.int32),
        skip_there=column(rows.skip_there, np.int32),
        length=column(rows.length, np.int32),
        timed=np.zeros(count, np.bool_),
        delay=np.zeros(count, np.int64),
        error=np.full(count, -1, np.int64),
        sent_at_one=crossed.from_one[place],
    )


def _order(rows: _Rows) -> tuple[Int64, Bool | None]:
    """Return the order of all rows but those of the first part, and a mask of where they are among all; None without.

    The first part is ascending in the first capture, and has no packet of it that another part has too.
    """
    first = rows.one[0]
    if len(rows.one) == 1:
        return np.zeros(0, np.int64), None
    one, two = np.concatenate(rows.one[1:]), np.concatenate(rows.two[1:])
    place = np.where(one < 0, np.iinfo(np.int64).max, one)
    order = np.lexsort((two, place))
    among = np.zeros(len(first) + len(one), np.bool_)
    among[np.searchsorted(first, place[order]) + np.arange(len(one))] = True
    return order, among


def _measure(table: CrossingTable, one: FlowPackets, two: FlowPackets, timeline: Timeline) -> None:
    """Fill in the one-way delays and their errors."""
    if timeline.clock.unfit:
        return
    np.logical_and(table.one >= 0, table.two >= 0, out=table.timed)
    for first in range(0, len(table), _BLOCK):
        both = np.flatnonzero(table.timed[first : first + _BLOCK]) + first
        items = table.one[both].astype(np.int64), table.two[both].astype(np.int64)
        time, there = one.packets.time[items[0]], two.packets.time[items[1]]
        offset, error = timeline.of_pairs(*items, (time, there))
        apart = there - time - offset
        table.delay[both] = np.where(table.sent_at_one[both], apart, -apart)
        table.error[both] = error
