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
        mine = both.compress(sent_at_one[both] == from_one)
        sent, arrived = (one[mine], two[mine]) if from_one else (two[mine], one[mine])
        if bool((np.diff(arrived) >= 0).all()) and bool((np.diff(sent) >= 0).all()):
            continue
        places = place[mine]
        # the table is in the order of the first capture: in which they were sent there, or arrived
        numbers: AnyInt = arrived if from_one else sent
        if not bool((places == places[0]).all()):
            order = np.sort(places << 32 | np.arange(len(mine))) & 0xFFFFFFFF
            # the numbers of other places, which are before it or behind it, are always less, or greater
            mine, numbers = mine[order], numbers[order] + (places[order] << 33)
        if from_one:
            late = numbers[:-1] > np.minimum.accumulate(numbers[:0:-1])[::-1]
            result[mine[:-1][late]] = True
        else:
            late = numbers[1:] < np.maximum.accumulate(numbers[:-1])
            result[mine[1:][late]] = True
    return result
