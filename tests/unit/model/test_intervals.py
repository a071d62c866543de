"""Interval sets are sets of integers: whatever is added and removed, they hold and tell what a plain set would."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from testbed.model.interval_arrays import covers, union
from testbed.model.intervals import Interval, IntervalSet

PLACE = st.integers(-5, 30)
INTERVAL = st.tuples(PLACE, PLACE)
STEP = st.tuples(st.booleans(), INTERVAL)


def numbers(interval: Interval) -> set[int]:
    return set(range(*interval))


@given(st.lists(STEP, max_size=30), INTERVAL, PLACE)
def test_an_interval_set_is_a_set_of_integers(steps: list[tuple[bool, Interval]], asked: Interval, place: int) -> None:
    plain: set[int] = set()
    kept = IntervalSet()
    for adds, interval in steps:
        if adds:
            new = kept.add(*interval)
            assert new == sorted(new)
            assert set().union(*map(numbers, new)) == numbers(interval) - plain
            plain |= numbers(interval)
        else:
            kept.remove(*interval)
            plain -= numbers(interval)
        assert set().union(*map(numbers, kept)) == plain
    assert all(first < end for first, end in kept)
    assert all(one[1] < two[0] for one, two in pairwise(kept)), "intervals that overlap or touch are one"
    assert set().union(*map(numbers, kept.gaps(*asked))) == numbers(asked) - plain
    assert kept.covered(*asked) == len(numbers(asked) & plain)
    assert kept.total == len(plain)
    assert (place in kept) == (place in plain)
    assert kept.end_after(place) == next(n for n in range(place, 100) if n not in plain)
    assert bool(kept) == bool(plain)
    if plain:
        assert (kept.first, kept.end) == (min(plain), max(plain) + 1)


@given(st.lists(INTERVAL.filter(lambda each: each[0] < each[1]), max_size=20), st.lists(INTERVAL, min_size=1))
def test_arrays_of_intervals_agree_with_the_set(intervals: list[Interval], asked: list[Interval]) -> None:
    columns = np.array(intervals, np.int64).reshape(-1, 2).T
    firsts, ends = union(columns[0], columns[1])
    kept = IntervalSet(intervals)
    assert list(zip(firsts.tolist(), ends.tolist(), strict=True)) == list(kept)
    asked = [each for each in asked if each[0] < each[1]] or [(0, 1)]
    wanted, until = np.array(asked, np.int64).T
    assert covers(firsts, ends, wanted, until).tolist() == [not kept.gaps(*each) for each in asked]
