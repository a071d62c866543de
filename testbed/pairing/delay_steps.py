"""One-way delays over time: levels between which they step, and losses in bursts."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from testbed.model.arrays import Bool, Int64, median
from testbed.pairing.compare_captures import Comparison
from testbed.pairing.fates import RowFate

_SAMPLE = 100_000  # packets that are looked at
_BINS = 256  # stretches of which only the median is looked at
_LEAST = 5  # stretches of a level
_MOST = 6  # levels
_FACTOR = 4  # a step is so many times as high as delays vary
_STEP = 50_000  # ns, the least step
_SHARE = 0.2  # ... and such a share of the delay
_TOGETHER = 100_000_000  # ns between lost packets of one burst


@dataclass(frozen=True, slots=True)
class DelayLevel:
    """Delays of about ``median`` ns from the time ``start`` on (first capture's clock)."""

    start: int
    median: int


@dataclass(frozen=True, slots=True)
class LossBursts:
    """Losses of a direction: ``bursts`` of packets lost one after another, the longest with so many ``packets``.

    ``start`` and ``lasted`` (ns) are the longest one's.
    """

    lost: int
    bursts: int
    packets: int
    start: int
    lasted: int


def delay_levels(compared: Comparison, *, from_one: bool, rows: Int64 | None = None) -> tuple[DelayLevel, ...]:
    """Return the levels of the delays of one direction, in the order of time; none without delays.

    ``rows`` are those of the table that are looked at, all of them without.
    """
    table, packets = compared.table, compared.packets[0]
    rows = _of_direction(table.timed, compared, from_one, rows)
    if not len(rows):
        return ()
    rows = rows[:: len(rows) // _SAMPLE + 1]
    time = packets.time[table.one[rows]]
    order = np.argsort(time, kind="stable")
    time, delay = time[order], table.delay[rows[order]]
    edges = np.linspace(0, len(time), min(max(len(time) // 4, 1), _BINS) + 1).astype(np.int64)
    medians = np.array([median(delay[a:b]) for a, b in pairwise(edges.tolist())])
    starts = _split(medians)
    ends = [*starts[1:], len(medians)]
    return tuple(
        DelayLevel(int(time[edges[first]]), int(median(delay[edges[first] : edges[end]])))
        for first, end in zip(starts, ends, strict=True)
    )


def _split(medians: np.typing.NDArray[np.float64]) -> list[int]:
    """Return where each level begins: the greatest step first, while it is far above how much delays vary."""
    starts = [0]
    while len(starts) < _MOST:
        best: tuple[float, int] | None = None
        for first, end in zip(starts, [*starts[1:], len(medians)], strict=True):
            for k in range(first + _LEAST, end - _LEAST + 1):
                sharp = abs(float(medians[k] - medians[k - 1]))
                if sharp <= _STEP / 2:
                    continue
                before, after = medians[first:k], medians[k:end]
                low, high = sorted((median(before), median(after)))
                vary = max(median(np.abs(each - median(each))) for each in (before, after))
                step = high - low
                if step > max(_FACTOR * vary, _STEP, _SHARE * abs(high)) and sharp > step / 2:
                    best = max(best or (0.0, 0), (step + sharp, k))
        if best is None:
            break
        starts = sorted([*starts, best[1]])
    return starts


def _of_direction(wanted: Bool, compared: Comparison, from_one: bool, rows: Int64 | None) -> Int64:
    if rows is None:
        return np.flatnonzero(wanted & (compared.table.sent_at_one == from_one))
    result: Int64 = rows[wanted[rows] & (compared.table.sent_at_one[rows] == from_one)]
    return result


def loss_bursts(compared: Comparison, *, from_one: bool, rows: Int64 | None = None) -> LossBursts | None:
    """Return in what bursts packets of one direction were lost, None where none was; ``rows`` as above."""
    table = compared.table
    which = 0 if from_one else 1
    packets, items = compared.packets[which], (table.one, table.two)[which]
    rows = _of_direction((table.fate == RowFate.LOST) & (items >= 0), compared, from_one, rows)
    if not len(rows):
        return None
    time = np.sort(packets.time[items[rows]])
    head: Int64 = np.append(0, np.flatnonzero(np.diff(time) > _TOGETHER) + 1)
    counts = np.diff(np.append(head, len(time)))
    k = int(counts.argmax())
    start = int(time[head[k]])
    return LossBursts(len(rows), len(head), int(counts[k]), start, int(time[head[k] + counts[k] - 1]) - start)
