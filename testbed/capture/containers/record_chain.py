"""Follow the chain of records of a large file at many places at once.

Where a record ends is known only from its own header, so a file must be walked from record to record. Here many
walkers start all over a part of the file, each at a place that looks like a record, and take their steps together.
What they find is a guess until the one walk from the file's start arrives exactly at a position of theirs: from there
on theirs is the same chain, and it jumps to their end. So the result is that of a walk record by record.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from testbed.model.arrays import Bytes, Int64

WINDOW = 32 << 20
"""Bytes of a file that are walked, decoded and released before the next are read."""

_WORTH = 1 << 20  # bytes; a smaller part is walked one by one
_LANE = 1 << 17  # bytes for each walker
_NEAR = 2048  # bytes in which a walker looks for a record to start at
_FARTHER = 1 << 16  # where there are larger ones

Next = Callable[[Int64], Int64]
"""Give for positions of records the positions of the next ones, -1 where there is no plain record."""
Plausible = Callable[[Int64, int], tuple[Int64, Int64]]
"""Give for each of the bytes from several positions on where a record may start: (number of the position, where)."""


@dataclass(slots=True)
class Runs:
    """Chains of records: ``positions`` ascending within each lane, ``ends`` where each lane's chain leads."""

    starts: list[int]
    positions: list[Int64]
    ends: list[int]

    def at(self, position: int) -> tuple[Int64, int] | None:
        """Return the records from ``position`` on that are known, and where the next is; None when it is not known."""
        lane = bisect_right(self.starts, position) - 1
        if lane < 0:
            return None
        mine = self.positions[lane]
        place = int(mine.searchsorted(position))
        if place == len(mine) or mine[place] != position:
            return None
        return mine[place:], self.ends[lane]


def find_runs(data: Bytes, first: int, following: Next, plausible: Plausible) -> Runs:
    """Walk a window of a file at many places; ``first`` is the position of its first record."""
    limit = min(first + WINDOW, len(data))
    if limit - first < _WORTH:
        return Runs([], [], [])
    starts = _starts(first, limit, following, plausible)
    table = np.stack(_walk(starts, np.append(starts[1:], limit), following), axis=1)
    result = Runs(starts.tolist(), [], [])
    counts = (np.diff(table, axis=1) > 0).sum(axis=1) + 1
    for lane, count in enumerate(counts.tolist()):
        # the last position is where the chain leads: beyond the lane, or a record that is not plain
        result.positions.append(table[lane, : count - 1])
        result.ends.append(int(table[lane, count - 1]))
    return result


def _starts(first: int, limit: int, following: Next, plausible: Plausible) -> Int64:
    """Return the first position, and near each border of a lane the first that leads to two more records."""
    borders = np.arange(first + _LANE, limit - 2 * _FARTHER, _LANE)
    found = [np.array([first])]
    lanes, positions = _confirmed(*plausible(borders, _NEAR), following)
    found.append(positions)
    rest = np.delete(borders, lanes)
    found.extend(_confirmed(*plausible(rest[k : k + 1], _FARTHER), following)[1] for k in range(len(rest)))
    return np.sort(np.concatenate(found))


def _confirmed(lanes: Int64, positions: Int64, following: Next) -> tuple[Int64, Int64]:
    """Return of each lane the first position that leads to two more records, where there is one."""
    once = following(positions)
    good = once >= 0
    good[good] = following(once[good]) >= 0
    lanes, index = np.unique(lanes[good], return_index=True)
    return lanes, positions[good][index]


def _walk(positions: Int64, limits: Int64, following: Next) -> list[Int64]:
    """Return the positions of all walkers after each step; one that has arrived stays."""
    steps = [positions]
    going = np.arange(len(positions))
    while len(going):
        after = following(positions[going])
        moved = after >= 0
        positions = positions.copy()
        positions[going[moved]] = after[moved]
        steps.append(positions)
        going = going[moved & (after < limits[going])]
    return steps
