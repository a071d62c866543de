"""How the second capture's clock differs from the first's: offset, drift, steps, and what cannot be known.

A packet from the first end is stamped ``offset + delay`` later at the second, one to the first end ``offset - delay``.
No delay is negative, so the offset over time is a line below all differences of packets from the first end and above
all of those to it: between two convex hulls. Of all such lines the one is taken that leaves most room on both sides;
half of that room is the error, as the smallest delay may be all in one direction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from testbed.model.arrays import Bool, Float64, Int64, distinct, median, upper_quartile

_BINS = 2048  # stretches of time of which only the least and the greatest difference are used
_AT_ONCE = 64  # of them that are looked at: what they need stays in a processor's cache
_STEEPEST = 1e-3  # 1000 ppm: a clock that drifts more is broken, or stepped
_WINDOW = 5  # bins before and after a small step that must agree on it
_SLOPE_POINTS = 64  # through which a drift is looked for
_STRETCH, _MOST_STRETCHES = 4, 32  # packets of a stretch whose smallest delay counts; stretches
_LEAST_STEP = 200_000  # ns; smaller ones cannot be distinguished from delays that change


@dataclass(frozen=True, slots=True)
class ClockPiece:
    """The clock between two steps.

    ``first`` and ``last`` are positions among the pairs, ``start`` a time of the first capture (ns) at which its
    ``offset`` (ns) counts; ``drift`` is ns for each ns. The true offset lies within ``error`` (ns) of it, None where
    only one direction was captured. ``drift_error`` is by how much the drift may be off, None where it was not
    measured.
    """

    first: int
    last: int
    start: int
    offset: int
    drift: float
    error: int | None
    drift_error: float | None


@dataclass(frozen=True, slots=True)
class Clock:
    """The pieces in order, and where in the pairs each ends. Without any pair there are none.

    ``unfit``: there are pairs, and no clock of a few pieces fits them: some of them are not what they seem.
    """

    pieces: tuple[ClockPiece, ...]
    exact: bool = False
    unfit: bool = False

    def offsets(self, order: Int64, time: Int64) -> tuple[Int64, Int64]:
        """Return the offset and its error (-1: unknown) at positions among the pairs and times of the first capture."""
        offset = np.zeros(len(time), np.int64)
        error = np.zeros(len(time), np.int64)
        if not self.pieces:
            return offset, error - 1
        if len(self.pieces) == 1:
            (piece,) = self.pieces
            offset += piece.offset
            if piece.drift:
                offset += np.rint((time - piece.start) * piece.drift).astype(np.int64)
            error += -1 if piece.error is None else piece.error
            return offset, error
        last = np.array([piece.last for piece in self.pieces[:-1]], np.int64)
        which = np.searchsorted(last, order, side="right")
        for k, piece in enumerate(self.pieces):
            mine = which == k
            offset[mine] = piece.offset + np.rint((time[mine] - piece.start) * piece.drift).astype(np.int64)
            error[mine] = -1 if piece.error is None else piece.error
        return offset, error

    def offsets_there(self, order: Int64, time: Int64) -> tuple[Int64, Int64]:
        """Return the same at times of the second capture."""
        offset, error = self.offsets(order, time)
        if any(piece.drift for piece in self.pieces):
            # t2 = t1 + offset(t1), solved for t1 by steps of which each is off by the drift times the one before
            for _ in range(3):
                offset, error = self.offsets(order, time - offset)
        return offset, error

    def mirrored(self) -> Clock:
        """Return how the first capture's clock differs from the second's: pieces begin at a time of the second's."""
        return Clock(
            tuple(
                replace(piece, start=piece.start + piece.offset, offset=-piece.offset, drift=-piece.drift)
                for piece in self.pieces
            ),
            self.exact,
            self.unfit,
        )

    def at(self, positions: Int64, count: int) -> Clock:
        """Return the clock for more pairs, ``count`` in all, of which it was fitted to those at ``positions``."""
        if not self.pieces:
            return self
        firsts = [0, *(int(positions[piece.first]) for piece in self.pieces[1:])]
        lasts = [*firsts[1:], count]
        pieces = zip(self.pieces, firsts, lasts, strict=True)
        return Clock(tuple(replace(piece, first=first, last=last) for piece, first, last in pieces), self.exact)


MOST_PIECES = 3
"""A clock that steps more often is none: then packets were taken for the same that are not, or delays jump."""

NO_CLOCK = Clock((), unfit=True)
"""No clock fits."""

ONE_CLOCK = Clock((ClockPiece(0, 0, 0, 0, 0.0, 0, 0.0),), exact=True)
"""Both captures were made with one clock."""


def fit_clock(time: Int64, apart: Int64, from_one: Bool) -> Clock:
    """Fit the clock to pairs in the order of the first capture.

    ``time``: int64[n], the first capture's (ns); ``apart``: int64[n], the second's less the first's; ``from_one``:
    bool[n], sent at the first end.
    """
    pieces: list[ClockPiece] = []
    first = 0
    while first < len(time):
        line = _fit(time[first:], apart[first:], from_one[first:])
        last = _until_step(time[first:], apart[first:], from_one[first:], line) + first
        if last < len(time):
            some = slice(first, last)
            line = _fit(time[some], apart[some], from_one[some])
        pieces.append(ClockPiece(first, last, int(time[first]), line.offset, line.slope, line.error, line.slope_error))
        first = last
    return Clock(tuple(pieces))


@dataclass(frozen=True, slots=True)
class _Line:
    """An offset at the first time, a slope; ``room`` ns are left between both hulls, negative when they cross."""

    offset: int
    slope: float
    error: int | None
    slope_error: float | None
    room: float


def _fit(time: Int64, apart: Int64, from_one: Bool) -> _Line:
    start, base = int(time[0]), int(median(apart[:: len(apart) // 1000 + 1]))

    def lowest(rows: Int64, sign: int) -> tuple[Float64, Float64]:
        places = _lowest(rows, lambda some: sign * (apart[some] - base).astype(np.float64))
        return (time[places] - start).astype(np.float64), (apart[places] - base).astype(np.float64)

    low_x, low_y = lowest(np.flatnonzero(from_one), 1)
    high_x, high_y = lowest(np.flatnonzero(~from_one), -1)
    if not len(low_x) or not len(high_x):
        offset = float(low_y.min()) if len(low_x) else float(high_y.max())
        return _Line(base + round(offset), 0.0, None, None, 0.0)
    lower = _hull(low_x, low_y)
    upper = _hull(high_x, -high_y)
    upper = upper[0], -upper[1]

    def room(slope: float) -> tuple[float, float, float]:
        below = float((lower[0] * -slope + lower[1]).min())
        above = float((upper[0] * -slope + upper[1]).max())
        return below - above, below, above

    slopes = distinct(np.concatenate([[0.0], _slopes(*lower), _slopes(*upper)]))
    slopes = slopes[np.abs(slopes) <= _STEEPEST]
    rooms = np.array([room(slope)[0] for slope in slopes.tolist()])
    best = int(rooms.argmax())
    # delays vary: slopes that leave nearly as much room are as good
    noise = _noise((low_x, low_y), (high_x, high_y), float(slopes[best]))
    wider = np.concatenate([[-_STEEPEST], slopes, [_STEEPEST]])
    ends = [room(-_STEEPEST)[0]], [room(_STEEPEST)[0]]
    least, most = _as_good(wider, np.concatenate([ends[0], rooms, ends[1]]), float(rooms[best]) - noise)
    slope = float(slopes[best])
    if least <= 0.0 <= most:
        slope = 0.0
    left, below, above = room(slope)
    spread = max(most - slope, slope - least)
    return _Line(base + round((below + above) / 2), slope, max(round(left / 2), 0), spread, left)


def _noise(lower: tuple[Float64, Float64], upper: tuple[Float64, Float64], slope: float) -> float:
    """Return how much the smallest delays vary over time: they are what the line is fitted to.

    Of few packets each has a delay of its own, and the smallest of some stretches of time say how much they vary.
    """
    spread = []
    for x, y in (lower, (upper[0], -upper[1])):
        above = y - slope * x * (1 if y is lower[1] else -1)
        above -= above.min()
        stretches = min(max(len(above) // _STRETCH, 1), _MOST_STRETCHES)
        edges = np.linspace(0, len(above), min(max(stretches, 4), len(above)) + 1).astype(np.int64)[:-1]
        spread.append(upper_quartile(np.minimum.reduceat(above, edges)))
    return 1.5 * min(max(spread), 1e6) + 100.0


def _as_good(slopes: Float64, rooms: Float64, wanted: float) -> tuple[float, float]:
    """Return between which slopes so much room is left; it grows evenly from one slope to the next."""
    good = np.flatnonzero(rooms >= wanted)
    ends = []
    for at, beside in ((int(good[0]), int(good[0]) - 1), (int(good[-1]), int(good[-1]) + 1)):
        end = float(slopes[at])
        if 0 <= beside < len(slopes) and rooms[at] > rooms[beside]:
            end += float(slopes[beside] - slopes[at]) * float((rooms[at] - wanted) / (rooms[at] - rooms[beside]))
        ends.append(end)
    return ends[0], ends[1]


def _lowest(rows: Int64, values: Callable[[Int64], Float64]) -> Int64:
    """Return of each of many stretches of ``rows`` the one with the least value."""
    each = len(rows) // _BINS
    if each < 2:
        return rows
    found = []
    for first in range(0, _BINS, _AT_ONCE):
        some = rows[first * each : (first + _AT_ONCE) * each]
        found.append(some[values(some).reshape(_AT_ONCE, each).argmin(axis=1) + np.arange(_AT_ONCE) * each])
    if len(rest := rows[each * _BINS :]):
        found.append(rest[int(values(rest).argmin())][None])
    return np.concatenate(found)


def _hull(x: Float64, y: Float64) -> tuple[Float64, Float64]:
    """Return the corners of the lower convex hull (Andrew's monotone chain)."""
    order = np.lexsort((y, x))
    corners: list[tuple[float, float]] = []
    for point in zip(x[order].tolist(), y[order].tolist(), strict=True):
        while len(corners) >= 2 and _turns_right(corners[-2], corners[-1], point):
            corners.pop()
        corners.append(point)
    hull = np.array(corners)
    return hull[:, 0], hull[:, 1]


def _turns_right(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]) <= 0


def _slopes(x: Float64, y: Float64) -> Float64:
    wide = np.diff(x) > 0
    return (np.diff(y)[wide] / np.diff(x)[wide]) if len(x) > 1 else np.zeros(0)


def _until_step(time: Int64, apart: Int64, from_one: Bool, line: _Line) -> int:
    """Return how many of the pairs, from the first on, one clock explains; ``line`` is fitted to all."""
    count = len(time)
    if line.room < 0:
        low, high = 1, count  # one explains the first ``low``, not the first ``high``
        while high - low > 1:
            middle = (low + high) // 2
            if _fit(time[:middle], apart[:middle], from_one[:middle]).room >= 0:
                low = middle
            else:
                high = middle
        return _sharpened(apart, from_one, low)
    return _small_step(time, apart, from_one) or count


def _sharpened(apart: Int64, from_one: Bool, shown: int) -> int:
    """Return the first pair after the step that the one at ``shown`` shows: the other direction's may be earlier."""
    mine = np.flatnonzero(from_one[:shown] == from_one[shown])
    if not len(mine):
        return max(shown, 1)
    before = int(mine[-1])
    most = abs(int(apart[shown]) - int(apart[before]))
    others = np.flatnonzero(from_one[:shown] != from_one[shown])
    between = int(np.searchsorted(others, before))
    for k in range(max(between, 1), len(others)):
        if abs(int(apart[others[k]]) - int(apart[others[k - 1]])) > most // 2:
            return int(others[k])
    return shown


def _small_step(time: Int64, apart: Int64, from_one: Bool) -> int | None:
    """Return where both directions move by the same, less than a delay could explain; None if nowhere.

    A clock that drifts also moves both, the more the longer nothing was sent: then one line fits, and there is no step.
    """
    if len(apart) < 8 * _WINDOW:
        return None
    bins = np.linspace(0, len(apart), min(len(apart) // 8, 256) + 1).astype(np.int64)
    least, greatest = [], []
    for first, last in zip(bins[:-1].tolist(), bins[1:].tolist(), strict=True):
        mine, out = apart[first:last], from_one[first:last]
        least.append(int(mine.compress(out).min()) if out.any() else None)
        greatest.append(int(mine.compress(~out).max()) if not out.all() else None)
    known = [k for k in range(len(least)) if least[k] is not None and greatest[k] is not None]
    if len(known) < 2 * _WINDOW:
        return None
    low = np.array([least[k] for k in known], np.float64)
    high = np.array([greatest[k] for k in known], np.float64)
    middle = time[(bins[known] + bins[np.array(known) + 1]) // 2].astype(np.float64)
    drift = _steady_slope(middle, (low + high) / 2) * (middle - middle[0])
    low, high = low - drift, high - drift
    usual = max(median(np.abs(np.diff(low))), median(np.abs(np.diff(high))))
    # of each stretch of so many, an odd number: the middle one
    levels = [np.sort(sliding_window_view(each, _WINDOW), axis=1)[:, _WINDOW // 2] for each in (low, high)]
    for k in range(_WINDOW, len(known) - _WINDOW + 1):
        moves = [float(each[k] - each[k - _WINDOW]) for each in levels]
        least_move = min(abs(moves[0]), abs(moves[1]))
        together = moves[0] * moves[1] > 0 and abs(moves[0] - moves[1]) < least_move / 4
        sharp = abs(low[k] - low[k - 1]) > least_move / 2 and abs(high[k] - high[k - 1]) > least_move / 2
        if together and sharp and least_move > max(8 * usual, _LEAST_STEP):
            first, last = int(bins[known[k - 1]]), int(bins[known[k] + 1])
            return _sharpened(apart, from_one, _largest_jump(apart, from_one, first, last))
    return None


def _steady_slope(x: Float64, y: Float64) -> float:
    """Return the slope of a line through most of some points (Theil and Sen's), 0 where a clock would not drift so."""
    near = np.linspace(0, len(x) - 1, min(len(x), _SLOPE_POINTS)).astype(np.int64)
    i, j = np.triu_indices(len(near), 1)
    wide = x[near[j]] > x[near[i]]
    slopes = (y[near[j]] - y[near[i]])[wide] / (x[near[j]] - x[near[i]])[wide]
    slope = median(slopes) if len(slopes) else 0.0
    return slope if abs(slope) <= _STEEPEST else 0.0


def _largest_jump(apart: Int64, from_one: Bool, first: int, last: int) -> int:
    best, most = last, 0
    for direction in (True, False):
        mine = np.flatnonzero(from_one[first:last] == direction) + first
        jumps = np.abs(np.diff(apart[mine]))
        if len(jumps) and int(jumps.max()) > most:
            most, best = int(jumps.max()), int(mine[int(jumps.argmax()) + 1])
    return best
