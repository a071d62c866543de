"""Which packets were reordered on the way."""

from __future__ import annotations

import numpy as np

from testbed.model.arrays import AnyInt, Bool, Int32, Int64


def reordered(one: Int32, two: Int32, place: Int64, sent_at_one: Bool) -> Bool:
    """Return a mask of what arrived after something sent later in the same direction (RFC 4737's type-P-reordered).

    The columns are those of a crossing table: rows of the first and the second capture (-1 where one has none), places,
    and whether it was sent at the first end.
    """
    result = np.zeros(len(one), np.bool_)
    both = np.flatnonzero((one >= 0) & (two >= 0))
    for from_one in (True, False):
        mine = both[sent_at_one[both] == from_one]
        sent, arrived = (one[mine], two[mine]) if from_one else (two[mine], one[mine])
        if bool((np.diff(arrived) >= 0).all()) and bool((np.diff(sent) >= 0).all()):
            continue
        places = place[mine]
        if bool((places == places[0]).all()):
            order = np.argsort(sent, kind="stable")
            late = _late(arrived[order])
        else:
            # the table is in the order of the first capture
            steady = np.sort(places << 32 | np.arange(len(mine))) & 0xFFFFFFFF if from_one else None
            order = np.lexsort((sent, places)) if steady is None else steady
            # the numbers of what another place sent later are always greater
            late = _late(arrived[order] + (places[order] << 33))
        result[mine[order[:-1][late]]] = True
    return result


def _late(arrived: AnyInt) -> Bool:
    """Say of all but the last whether something behind it is less: bool[n - 1]."""
    return np.asarray(arrived[:-1] > np.minimum.accumulate(arrived[:0:-1])[::-1])
