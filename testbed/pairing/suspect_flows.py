"""Flows whose packets do not fit the clock that most others have: where a join may be wrong."""

from __future__ import annotations

import numpy as np

from testbed.pairing.compare_captures import Comparison


def suspect_pairs(compared: Comparison) -> list[int]:
    """Return the pairs of flows whose possible offsets exclude that which most flows allow."""
    table, (one, two) = compared.table, compared.packets
    rows = np.flatnonzero((table.one >= 0) & (table.two >= 0))
    count = len(compared.pairs)
    if not len(rows):
        return []
    apart = two.time[table.two[rows]] - one.time[table.one[rows]]
    pair, sent = table.place[rows] >> 1, table.sent_at_one[rows]
    # packets from the first end are at least the offset apart, those to it at most
    highest, lowest = np.full(count, 2**62, np.int64), np.full(count, -(2**62), np.int64)
    np.minimum.at(highest, pair[sent], apart[sent])
    np.maximum.at(lowest, pair[~sent], apart[~sent])
    possible = np.flatnonzero(lowest <= highest)
    if not len(possible):
        return list(range(count))
    points = np.concatenate([lowest[possible], highest[possible]])
    fitting = [int(((lowest[possible] <= point) & (highest[possible] >= point)).sum()) for point in points.tolist()]
    best = int(points[int(np.argmax(fitting))])
    return np.flatnonzero((lowest > best) | (highest < best)).tolist()
