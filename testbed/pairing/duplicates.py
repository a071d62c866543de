"""Match byte-identical packets when the captures hold different counts.

Equal counts are paired in order. With unequal ones the delay decides, where it can: if only one pairing in order keeps
all delays within the range of other packets. Where it cannot, the packets stay unresolved.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from testbed.model.arrays import Bool, Int64, UInt64, distinct

_MOST = 64  # identical packets of one kind that are compared each with each
_SLACK = 4  # delays may be so many times as widely spread as those of most packets
_BUCKETS = 1 << 20  # by the lowest bits of keys, to look at few of them
_JITTER = 50_000  # ns that any delay may differ

DelayRange = tuple[int, int]
UsualDelays = tuple[DelayRange | None, DelayRange | None]
UnevenGroups = list[tuple[Int64, Int64]]


@dataclass(slots=True)
class Resolved:
    """Pairs (``x``, ``y``: int64[n], positions in both sides), and what became of kinds of unequal counts.

    ``copies`` are left over: which side, position, index of the pair of which it is a copy. ``by_delay`` are kinds
    that were resolved by their delays, ``unresolved`` those where several pairings are possible.
    """

    x: Int64
    y: Int64
    copies: list[tuple[int, int, int]] = field(default_factory=list)
    by_delay: UnevenGroups = field(default_factory=list)
    unresolved: UnevenGroups = field(default_factory=list)


def resolve(
    uneven: UnevenGroups, x: Int64, y: Int64, times_a: Int64, times_b: Int64, from_one: Bool, usual: UsualDelays
) -> Resolved:  # fmt: skip
    """Resolve pairs of equal keys (``x`` and ``y``, int64[n], in order) of kinds of unequal counts (``uneven``).

    ``times_a`` and ``times_b``: int64, ns, by position of each side. ``from_one``: bool, by position of the first
    side, whether the packet is sent there; ``usual`` is the range of differences in time (ns) for packets from the
    first side, and to it.
    """
    result = Resolved(x, y)
    if not uneven:
        return result
    kept = settled(uneven, x)
    new_x, new_y = [x[kept]], [y[kept]]
    count = int(kept.sum())
    for ours, theirs in uneven:
        sent = bool(from_one[ours[0]])
        pairs = _aligned(
            times_a[ours], times_b[theirs], usual[0 if sent else 1], more=(len(ours) > len(theirs)) != sent
        )
        if pairs is None:
            result.unresolved.append((ours, theirs))
            continue
        result.by_delay.append((ours, theirs))
        i, j = pairs
        new_x.append(ours[i])
        new_y.append(theirs[j])
        result.copies.extend(_copies(0, ours, i, count))
        result.copies.extend(_copies(1, theirs, j, count))
        count += len(i)
    result.x, result.y = np.concatenate(new_x), np.concatenate(new_y)
    return result


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


def settled(uneven: UnevenGroups, x: Int64) -> Bool:
    """Return a mask of the pairs that are of no uneven kind: bool[len(x)]."""
    gone = np.zeros(int(x.max(initial=-1)) + 1, np.bool_)
    for ours, _ in uneven:
        gone[ours[ours < len(gone)]] = True
    return np.asarray(~gone[x])


def find_uneven(a: UInt64, b: UInt64, x: Int64, y: Int64) -> UnevenGroups:
    """Return the positions on both sides (int64, ascending) of each key that both have, but not equally often.

    ``a`` and ``b``: uint64, keys of all packets; ``x`` and ``y``: int64[n], positions already paired.
    """
    spare_a, spare_b = np.ones(len(a), np.bool_), np.ones(len(b), np.bool_)
    spare_a[x] = False
    spare_b[y] = False
    paired = a[x]
    keys = distinct(np.concatenate([_among(paired, a[spare_a]), _among(paired, b[spare_b])]))
    if not len(keys):
        return []
    some_a, some_b = np.flatnonzero(is_among(a, keys)), np.flatnonzero(is_among(b, keys))
    some_a = some_a[np.argsort(a[some_a], kind="stable")]
    some_b = some_b[np.argsort(b[some_b], kind="stable")]
    low_a, high_a = np.searchsorted(a[some_a], keys), np.searchsorted(a[some_a], keys, side="right")
    low_b, high_b = np.searchsorted(b[some_b], keys), np.searchsorted(b[some_b], keys, side="right")
    return [(some_a[low_a[k] : high_a[k]], some_b[low_b[k] : high_b[k]]) for k in range(len(keys))]


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


def _copies(side: int, positions: Int64, used: Int64, base: int) -> Iterator[tuple[int, int, int]]:
    """Yield what is left over: each is a copy of the pair before it, or of the first."""
    for position in np.setdiff1d(np.arange(len(positions)), used).tolist():
        which = max(int(np.searchsorted(used, position)) - 1, 0)
        yield side, int(positions[position]), base + which


def _aligned(ours: Int64, theirs: Int64, usual: DelayRange | None, *, more: bool) -> tuple[Int64, Int64] | None:
    """Return which of ours is which of theirs, all of the fewer.

    With ``more`` at the receiving end nothing was lost and it does not matter which of them are the copies: the
    earliest that fit are taken. Else some were lost: None when more than one way is possible.
    """
    rows, columns = len(ours), len(theirs)
    if rows > _MOST or columns > _MOST or usual is None:
        both = np.arange(min(rows, columns))
        return (both, both) if more else None
    low, high = usual
    slack = (high - low) * _SLACK + _JITTER
    apart = theirs[None, :] - ours[:, None]
    fits = (apart >= low - slack) & (apart <= high + slack)
    way = _any_way if more else _only_way
    if rows > columns:
        pairs = way(fits.T)
        return None if pairs is None else (pairs[1], pairs[0])
    return way(fits)


def _any_way(fits: Bool) -> tuple[Int64, Int64]:
    """Give each row the first column that fits, else the next one."""
    earliest = _greedy(fits)
    rows = np.arange(len(fits))
    return rows, rows if earliest is None else earliest


def _only_way(fits: Bool) -> tuple[Int64, Int64] | None:
    """Return the one way of giving each row a column of its own, in order; None if there is none or another."""
    rows, columns = fits.shape
    earliest, latest = _greedy(fits), _greedy(fits[::-1, ::-1])
    if earliest is None or latest is None:
        return None
    mirrored = columns - 1 - latest[::-1]
    if (earliest != mirrored).any():
        return None
    return np.arange(rows), earliest


def _greedy(fits: Bool) -> Int64 | None:
    place = 0
    result = []
    for row in fits:
        options = np.flatnonzero(row[place:])
        if not len(options):
            return None
        result.append(place + int(options[0]))
        place = result[-1] + 1
    return np.array(result, np.int64)
