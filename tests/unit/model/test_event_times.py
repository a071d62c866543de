"""Time stamps that know their place: what is compared, what is subtracted, and what survives a copy."""

import copy
import json
import pickle

from testbed.model.event_times import EventTime, place_of

FIRST, SECOND = EventTime(1000, 4), EventTime(1000, 5)


def test_events_of_one_time_compare_by_place_and_are_no_time_apart() -> None:
    assert FIRST < SECOND
    assert SECOND > FIRST
    assert FIRST <= SECOND
    assert not SECOND <= FIRST
    assert FIRST != SECOND
    assert SECOND - FIRST == 0
    assert sorted([SECOND, FIRST]) == [FIRST, SECOND]


def test_with_a_plain_number_it_is_a_time() -> None:
    assert FIRST == 1000
    assert FIRST < 1001
    assert FIRST > 999
    assert max(999, FIRST) == 1000
    assert hash(FIRST) == hash(1000)


def test_a_place_counts_more_than_a_time_that_contradicts_it() -> None:
    assert EventTime(1001, 4) < EventTime(1000, 5)


def test_copies_keep_the_place_and_a_document_has_the_time() -> None:
    assert copy.deepcopy(SECOND) == SECOND
    assert pickle.loads(pickle.dumps(SECOND)).place == 5  # noqa: S301 - made here
    assert json.dumps([SECOND]) == "[1000]"


def test_a_time_of_one_event_only_has_no_place() -> None:
    assert [place_of(each) for each in (FIRST, 1000, None)] == [5, 0, 0]
