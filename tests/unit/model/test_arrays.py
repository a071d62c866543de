"""The set of an array's values, and its quantiles, are NumPy's own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.model.arrays import distinct, median, upper_quartile


@given(st.lists(st.integers(-3, 3) | st.integers(-(1 << 63), (1 << 63) - 1)))
def test_each_value_once_in_order(values: list[int]) -> None:
    array = np.array(values, np.int64)
    assert distinct(array).tolist() == np.unique(array).tolist() == sorted(set(values))


@pytest.mark.parametrize("kind", [np.uint8, np.uint64, np.float64, np.bool_])
@pytest.mark.parametrize("values", [[], [1], [1, 0, 1]])
def test_of_other_types_and_the_type_stays(kind: type[np.generic], values: list[int]) -> None:
    array = np.array(values, kind)
    assert distinct(array).dtype == array.dtype
    assert distinct(array).tolist() == np.unique(array).tolist()


def test_an_array_of_rows_is_flattened() -> None:
    assert distinct(np.array([[3, 1], [1, 2]])).tolist() == [1, 2, 3]


@given(st.lists(st.integers(-(2**62), 2**62 - 1), min_size=1, max_size=40))
def test_the_median_of_whole_numbers(values: list[int]) -> None:
    array = np.array(values, np.int64)
    assert median(array) == np.median(array)


@given(st.lists(st.floats(-1e18, 1e18), min_size=1, max_size=40))
def test_the_median_of_fractions(values: list[float]) -> None:
    array = np.array(values, np.float64)
    assert median(array) == np.median(array)


@given(st.lists(st.floats(-1e18, 1e18), min_size=1, max_size=40))
def test_the_upper_quartile(values: list[float]) -> None:
    array = np.array(values, np.float64)
    assert upper_quartile(array) == np.quantile(array, 0.75)
