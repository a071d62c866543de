"""Which packets were reordered: whichever end sent them, and however many flows there are."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from testbed.pairing.reordered import reordered

PLACES = st.lists(st.integers(0, 3), max_size=12)


@given(PLACES, st.randoms(use_true_random=False))
def test_what_arrived_after_something_sent_later_is_reordered(places: list[int], chance: object) -> None:
    count = len(places)
    two = list(range(count))
    chance.shuffle(two)  # type: ignore[attr-defined]
    one = [-1 if k % 7 == 5 else k for k in range(count)]  # ascending, as in a table
    two = [-1 if k % 7 == 3 else row for k, row in enumerate(two)]
    sent_at_one = [place % 2 == 0 for place in places]
    found = reordered(
        np.array(one, np.int32), np.array(two, np.int32), np.array(places, np.int64), np.array(sent_at_one, np.bool_)
    )
    sent = [(one if at_one else two)[k] for k, at_one in enumerate(sent_at_one)]
    arrived = [(two if at_one else one)[k] for k, at_one in enumerate(sent_at_one)]
    both = [k for k in range(count) if one[k] >= 0 and two[k] >= 0]
    assert np.flatnonzero(found).tolist() == [
        k for k in both if any(places[j] == places[k] and sent[j] > sent[k] and arrived[j] < arrived[k] for j in both)
    ]
