"""Unions of many intervals at once, for columns of packets; :mod:`testbed.model.intervals` has the set for a few."""

from __future__ import annotations

import numpy as np

from testbed.model.arrays import Bool, Int64


def union(firsts: Int64, ends: Int64) -> tuple[Int64, Int64]:
    """Return the union of intervals ``[first, end)`` as intervals that neither overlap nor touch, ascending.

    ``firsts`` and ``ends``: int64[n], aligned, in any order, none empty. Returns int64[m] each, m <= n.
    """
    order = np.argsort(firsts, kind="stable")
    firsts, ends = firsts[order], np.maximum.accumulate(ends[order])
    if not len(firsts):
        return firsts, ends
    begins = np.flatnonzero(np.append(True, firsts[1:] > ends[:-1]))
    return firsts[begins], np.append(ends[begins[1:] - 1], ends[-1])


def covers(firsts: Int64, ends: Int64, wanted: Int64, until: Int64) -> Bool:
    """Tell which intervals ``[wanted, until)`` (int64[k]) lie whole in a :func:`union` (int64[m] each)."""
    if not len(firsts):
        return np.zeros(len(wanted), np.bool_)
    which = np.searchsorted(firsts, wanted, side="right") - 1
    return np.asarray((which >= 0) & (ends[np.maximum(which, 0)] >= until))
