"""Match byte-identical packets: which one of a capture is which of the other.

Time tells them apart: of two packets only those may be the same whose difference in time is about that of others that
are alike with nothing else. A TTL tells apart what came by a tap twice. What remains is paired in order where both
captures have equally many; one that has more at the receiver has copies; else they stay unresolved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import overload

import numpy as np

from testbed.model.arrays import Bool, Int64, UInt64, distinct

_MOST = 64  # identical packets at about one time that are compared each with each
_SLACK = 4  # delays may be so many times as widely spread as those of most packets
FAR = 20  # ... and packets that are late so many times
_JITTER = 50_000  # ns that any delay may differ
LATE = 20_000_000  # ns that a packet may be late
_PRODUCT = 4_000_000  # pairs of packets that are looked at at once
_BUCKETS = 1 << 20  # by the lowest bits of keys, to look at few of them
_SPREADS = (100_000, 1_000_000, 5_000_000, 25_000_000)  # ns; how widely delays may be spread that nothing else shows
_EACH = 48  # neighbours that a packet is compared with where nothing is known of delays
_ALL = 0.8  # the share of packets that must fit one difference in time
_NEXT = 0.9  # no other difference may fit so many of them

DelayRange = tuple[int, int]
UsualDelays = tuple[DelayRange | None, DelayRange | None]
IdenticalPackets = list[tuple[Int64, Int64]]


@dataclass(slots=True)
class TapPackets:
    """What one capture shows of packets, by position: ``time`` (int64, ns) and ``ttl`` (int64)."""

    time: Int64
    ttl: Int64


@dataclass(slots=True)
class Expected:
    """What is expected of identical packets.

    ``delays`` is the range of differences in time, None where it is not known, ``drop`` by how much the TTL is lower in
    the second capture, None where it is not known. ``sent`` is whether they are sent at the first capture's end.
    """

    delays: DelayRange | None
    drop: int | None
    sent: bool


@dataclass(slots=True)
class Resolved:
    """Pairs (``x``, ``y``: int64[n], positions in both sides), and what became of identical packets.

    ``copies`` are left over at the receiver: which side, position, index of the pair of which it is a copy. ``again``
    are packets that came by a tap once more, with another TTL: side, position. ``by_delay`` are those that were
    resolved by their delays, ``unresolved`` those where several pairings are possible.
    """

    x: Int64
    y: Int64
    copies: list[tuple[int, int, int]] = field(default_factory=list)
    again: list[tuple[int, int]] = field(default_factory=list)
    by_delay: IdenticalPackets = field(default_factory=list)
    unresolved: IdenticalPackets = field(default_factory=list)


def resolve(
    groups: IdenticalPackets, x: Int64, y: Int64, taps: Callable[[], tuple[TapPackets, TapPackets]],
    expect: Callable[[int], Expected], *, all_crossed: bool,
) -> Resolved:  # fmt: skip
    """Resolve ``groups`` of identical packets; ``x`` and ``y`` (int64[n]) are pairs of equal keys in order.

    ``taps`` gives what both captures show of packets, ``expect`` what is expected of a position of the first side. With
    ``all_crossed`` what is left over in both captures must be paired somehow: it is unresolved, however late it would
    be.
    """
    result = Resolved(x, y)
    if not groups:
        return result
    kept = settled(groups, x)
    pairs: list[tuple[Int64, Int64]] = [(x[kept], y[kept])]
    count = int(kept.sum())
    shown = taps()
    for ours, theirs in groups:
        group = _Group(shown, ours, theirs, expect(int(ours[0])), all_crossed=all_crossed)
        group.pair()
        result.copies.extend((side, position, count + which) for side, position, which in group.copies)
        result.again.extend(group.again)
        result.unresolved.extend(group.unresolved)
        if len(ours) != len(theirs) and not group.unresolved:
            result.by_delay.append((ours, theirs))
        pairs.extend(group.pairs)
        count += sum(len(mine) for mine, _ in group.pairs)
    result.x, result.y = (np.concatenate([each[k] for each in pairs]) for k in (0, 1))
    return result


class _Group:
    """Packets of one key, those of each side in the order of time."""

    def __init__(
        self, taps: tuple[TapPackets, TapPackets], ours: Int64, theirs: Int64, expected: Expected, *, all_crossed: bool
    ) -> None:
        self.taps, self.expected, self.all_crossed = taps, expected, all_crossed
        self.ours, self.theirs = (
            each[np.argsort(tap.time[each], kind="stable")] for each, tap in zip((ours, theirs), taps, strict=True)
        )
        self.pairs: list[tuple[Int64, Int64]] = []
        self.copies: list[tuple[int, int, int]] = []
        self.again: list[tuple[int, int]] = []
        self.unresolved: IdenticalPackets = []

    def pair(self) -> None:
        ours, theirs, expected = self.ours, self.theirs, self.expected
        if expected.delays is None:
            self._together(ours, theirs)
            return
        low, high = expected.delays
        least, most = with_slack(low, high)
        rest: tuple[list[Int64], list[Int64]] = ([], [])
        looped = False
        for mine, others in self._by_ttl():
            looped |= len(mine) < len(ours) or len(others) < len(theirs)
            used_a, used_b = self._near(mine, others, least, most)
            rest[0].append(mine[~used_a])
            rest[1].append(others[~used_b])
        left = tuple(np.concatenate(each) for each in rest)
        if looped and self.pairs:
            # the same packet with another TTL than the one that crossed
            self.again.extend((side, position) for side in (0, 1) for position in left[side].tolist())
        elif len(left[0]) and len(left[1]):
            self._late(left[0], left[1], (high - low) * FAR + LATE)
        elif len(left[side := int(expected.sent)]) and self.pairs:
            self._copied(side, left[side], (high - low) * FAR + LATE)

    def _by_ttl(self) -> Iterator[tuple[Int64, Int64]]:
        """Yield packets that can be the same by their TTL."""
        drop = self.expected.drop
        if drop is None:
            yield self.ours, self.theirs
            return
        ttl_a, ttl_b = self.taps[0].ttl[self.ours] - drop, self.taps[1].ttl[self.theirs]
        values = distinct(np.concatenate([ttl_a, ttl_b]))
        if len(values) == 1 or not np.isin(ttl_a, ttl_b).any():
            yield self.ours, self.theirs
            return
        for value in values.tolist():
            yield self.ours[ttl_a == value], self.theirs[ttl_b == value]

    def _near(self, ours: Int64, theirs: Int64, low: int, high: int) -> tuple[Bool, Bool]:
        """Pair what lies within a range of differences in time; return masks of what was decided about."""
        times_a, times_b = self.taps[0].time[ours], self.taps[1].time[theirs]
        first = np.searchsorted(times_b, times_a + low)
        end = np.searchsorted(times_b, times_a + high, side="right")
        some = np.flatnonzero(end > first)
        used_a, used_b = np.zeros(len(ours), np.bool_), np.zeros(len(theirs), np.bool_)
        if not len(some):
            return used_a, used_b
        starts = np.append(True, first[some[1:]] >= np.maximum.accumulate(end[some])[:-1])
        edges = np.append(np.flatnonzero(starts), len(some))
        if len(edges) == len(some) + 1 and bool((end[some] - first[some] == 1).all()):
            used_a[some] = used_b[first[some]] = True
            self.pairs.append((ours[some], theirs[first[some]]))
            return used_a, used_b
        for k, m in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            mine = some[k:m]
            others = np.arange(int(first[mine[0]]), int(end[mine].max()))
            used_a[mine] = used_b[others] = True
            self._together(ours[mine], theirs[others])
        return used_a, used_b

    def _copied(self, side: int, positions: Int64, late: int) -> None:
        """Note as copies what is left over at the receiver soon after one that crossed; in a complete capture, all."""
        mine = np.concatenate([pair[side] for pair in self.pairs])
        times, known = self.taps[side].time[positions], self.taps[side].time[mine]
        order = np.argsort(known, kind="stable")
        before = np.maximum(np.searchsorted(known[order], times, side="right") - 1, 0)
        soon = np.abs(times - known[order[before]]) <= late
        for k in np.flatnonzero(soon | self.all_crossed).tolist():
            self.copies.append((side, int(positions[k]), int(order[before[k]])))

    def _late(self, ours: Int64, theirs: Int64, late: int) -> None:
        """Pair what is left and may be late: one with one; of more, nothing tells which."""
        if self.all_crossed:
            if (len(theirs) > len(ours)) == self.expected.sent:
                self._together(ours, theirs)  # all crossed, and some came twice
            else:
                self.unresolved.append((ours, theirs))
            return
        assert self.expected.delays is not None  # noqa: S101 - the caller has looked
        if len(ours) * len(theirs) > _PRODUCT:
            self.unresolved.append((ours, theirs))
            return
        low, high = self.expected.delays
        apart = self.taps[1].time[theirs][None, :] - self.taps[0].time[ours][:, None]
        fits = (
            (apart >= low) & (apart <= high + late) if self.expected.sent else (apart <= high) & (apart >= low - late)
        )
        many_a, many_b = fits.any(axis=1), fits.any(axis=0)
        counts = int(many_a.sum()), int(many_b.sum())
        copied = (counts[1] > counts[0]) == self.expected.sent and counts[0] != counts[1]
        if min(counts) == 1 and (counts == (1, 1) or copied):
            self._together(ours[many_a], theirs[many_b])
        elif min(counts):
            self.unresolved.append((ours[many_a], theirs[many_b]))

    def _together(self, ours: Int64, theirs: Int64) -> None:
        """Pair packets that are all at about one time."""
        more_arrived = (len(theirs) > len(ours)) == self.expected.sent
        if len(ours) == len(theirs):
            self.pairs.append((ours, theirs))
            return
        delays = self.expected.delays
        if delays is None or max(len(ours), len(theirs)) > _MOST:
            if not more_arrived:
                self.unresolved.append((ours, theirs))
                return
            i = j = np.arange(min(len(ours), len(theirs)))
        else:
            apart = self.taps[1].time[theirs][None, :] - self.taps[0].time[ours][:, None]
            # of a packet and its copies the first to arrive is the packet, if its delay is a usual one
            beyond = np.maximum(delays[0] - apart, 0) + np.maximum(apart - delays[1], 0)
            i, j = likeliest(beyond if more_arrived else np.abs(apart - (delays[0] + delays[1]) // 2))
            if not more_arrived and not _only_way(apart, delays, i, j):
                self.unresolved.append((ours, theirs))
                return
        base = sum(len(mine) for mine, _ in self.pairs)
        self.pairs.append((ours[i], theirs[j]))
        if more_arrived:
            side, every, used = (1, theirs, j) if self.expected.sent else (0, ours, i)
            for position in np.setdiff1d(np.arange(len(every)), used).tolist():
                self.copies.append(
                    (side, int(every[position]), base + max(int(np.searchsorted(used, position)) - 1, 0))
                )


def _only_way(apart: Int64, delays: DelayRange, i: Int64, j: Int64) -> bool:
    """Tell whether ``i`` with ``j`` is the one way of pairing in order that keeps all delays usual ones."""
    least, most = with_slack(*delays)
    fits = (apart >= least) & (apart <= most)
    if fits.shape[0] > fits.shape[1]:
        fits, i, j = fits.T, j, i
    if not fits[i, j].all():
        return False
    order = np.argsort(i)
    chosen = j[order]
    # another way exists where one can move to a free place beside it
    free = np.ones(fits.shape[1], np.bool_)
    free[chosen] = False
    for row, column in enumerate(chosen.tolist()):
        for other in (column - 1, column + 1):
            if 0 <= other < len(free) and free[other] and fits[row, other]:
                return False
    return True


@overload
def with_slack(low: int, high: int) -> tuple[int, int]: ...
@overload
def with_slack(low: Int64, high: Int64) -> tuple[Int64, Int64]: ...
def with_slack(low: int | Int64, high: int | Int64) -> tuple[int | Int64, int | Int64]:
    """Return the range that differences in time may have if most lie between ``low`` and ``high`` (ns)."""
    slack = (high - low) * _SLACK + _JITTER
    return low - slack, high + slack


def shared_delays(groups: IdenticalPackets, times_a: Int64, times_b: Int64) -> DelayRange | None:
    """Return the range of differences in time in which most packets of ``groups`` have one of the other capture.

    None where no range has most of them, or where another one has nearly as many.
    """
    parts, wanted = [], 0
    for ours, theirs in groups:
        mine, others = np.sort(times_a[ours]), np.sort(times_b[theirs])
        wanted += min(len(mine), len(others))
        steps = np.arange(-_EACH, _EACH + 1)
        for step in steps[(steps > -len(mine)) & (steps < len(others))].tolist():
            skip, reach = max(-step, 0), min(len(mine), len(others) - step)
            parts.append(others[skip + step : reach + step] - mine[skip:reach])
    if not parts:
        return None
    apart = np.sort(np.concatenate(parts))
    for spread in _SPREADS:
        counts = np.searchsorted(apart, apart + spread, side="right") - np.arange(len(apart))
        best = int(counts.argmax())
        low, high = int(apart[best]), int(apart[best + int(counts[best]) - 1])
        if counts[best] < _ALL * wanted:
            continue
        elsewhere = (apart > high) | (apart + spread < low)
        rival = int(counts[elsewhere].max(initial=0))
        return (low, high) if rival < _NEXT * counts[best] else None
    return None


def likeliest(apart: Int64) -> tuple[Int64, Int64]:
    """Pair all packets of the shorter side with some of the longer one's, in order, at the least total of ``apart``.

    ``apart`` (ns, not negative) is by how much the delay of each with each would differ from the usual one.
    """
    if apart.shape[0] > apart.shape[1]:
        columns, rows = likeliest(apart.T)
        return rows, columns
    rows, columns = apart.shape
    # best[i, j]: the least total of pairing the first i rows within the first j columns
    best = np.full((rows + 1, columns + 1), np.inf)
    best[0] = 0.0
    for i in range(rows):
        best[i + 1, 1:] = np.minimum.accumulate(best[i, :-1] + apart[i])
    found = np.zeros(rows, np.int64)
    j = columns
    for i in range(rows, 0, -1):
        while best[i, j] == best[i, j - 1]:
            j -= 1
        j -= 1
        found[i - 1] = j
    return np.arange(rows), found


def settled(groups: IdenticalPackets, x: Int64) -> Bool:
    """Return a mask of the pairs that are of no such group: bool[len(x)]."""
    gone = np.zeros(int(x.max(initial=-1)) + 1, np.bool_)
    for ours, _ in groups:
        gone[ours[ours < len(gone)]] = True
    return np.asarray(~gone[x])


def find_groups(a: UInt64, b: UInt64, x: Int64, y: Int64, doubtful: Bool) -> IdenticalPackets:
    """Return the positions on both sides (int64, ascending) of keys that several packets have, where order may not do.

    ``a`` and ``b``: uint64, keys of all packets; ``x`` and ``y``: int64[n], positions paired in order; ``doubtful``:
    bool[n], pairs whose time is unlike that of others. Of keys that both sides have equally often only those with a
    doubtful pair are returned.
    """
    if len(x) == len(a) == len(b) and not doubtful.any():
        return []
    spare_a, spare_b = np.ones(len(a), np.bool_), np.ones(len(b), np.bool_)
    spare_a[x] = False
    spare_b[y] = False
    paired = a[x]
    parts = [_among(paired, a[spare_a]), _among(paired, b[spare_b]), paired[doubtful]]
    keys = distinct(np.concatenate(parts))
    if not len(keys):
        return []
    some_a, some_b = np.flatnonzero(is_among(a, keys)), np.flatnonzero(is_among(b, keys))
    some_a = some_a[np.argsort(a[some_a], kind="stable")]
    some_b = some_b[np.argsort(b[some_b], kind="stable")]
    low_a, high_a = np.searchsorted(a[some_a], keys), np.searchsorted(a[some_a], keys, side="right")
    low_b, high_b = np.searchsorted(b[some_b], keys), np.searchsorted(b[some_b], keys, side="right")
    several = np.flatnonzero((high_a - low_a > 1) | (high_b - low_b > 1)).tolist()
    return [(some_a[low_a[k] : high_a[k]], some_b[low_b[k] : high_b[k]]) for k in several]


def is_among(many: UInt64, few: UInt64) -> Bool:
    """Return a mask of the keys that are among few sorted ones: bool[len(many)]."""
    marked = np.zeros(_BUCKETS, np.bool_)
    marked[few & np.uint64(_BUCKETS - 1)] = True
    result: Bool = marked[many & np.uint64(_BUCKETS - 1)]
    near = np.flatnonzero(result)
    place = np.minimum(np.searchsorted(few, many[near]), len(few) - 1)
    result[near] = few[place] == many[near]
    return result


def _among(many: UInt64, few: UInt64) -> UInt64:
    """Return those of many keys that are among few."""
    return many[is_among(many, np.sort(few))] if len(few) else few
