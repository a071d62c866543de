"""Where numbers are among all that a capture has, whether some are missing or none."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from testbed.pairing.packet_table import places_among


@given(st.sets(st.integers(0, 20)), st.booleans(), st.data())
def test_places_are_those_of_a_search(numbers: set[int], every: bool, data: st.DataObject) -> None:
    known = np.arange(len(numbers), dtype=np.int32) if every else np.array(sorted(numbers), np.int32)
    some = data.draw(st.lists(st.sampled_from(known.tolist()))) if len(known) else []
    places = places_among(known, np.array(some, np.int64))
    assert places.dtype == np.int64
    assert places.tolist() == [known.tolist().index(each) for each in some]
