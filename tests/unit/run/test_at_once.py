"""What is called at once has a thread of its own; who asks for its result gets it, or what it raised."""

from __future__ import annotations

import threading

import pytest

from testbed.api.captures import compare_read
from testbed.model.errors import UsageError
from testbed.run.at_once import AtOnce, at_once


def test_a_result_is_made_in_another_thread_before_it_is_asked_for() -> None:
    begun = threading.Event()

    def make() -> threading.Thread:
        begun.set()
        return threading.current_thread()

    made = at_once(make)
    assert begun.wait(60)
    assert made() is not threading.current_thread()


def test_what_a_function_raises_is_raised_where_its_result_is_asked_for() -> None:
    def fail() -> int:
        raise UsageError("no")

    with pytest.raises(UsageError, match="no"):
        AtOnce(fail).result()


@pytest.mark.parametrize("options", [{"fail_on": ["colour"]}, {"flow_filter": "port port"}])
def test_of_an_option_that_is_wrong_it_is_said_before_the_files_are_read(options: dict[str, object]) -> None:
    def read() -> None:
        raise AssertionError("nobody should wait for the files")

    with pytest.raises(UsageError):
        compare_read(read, ("one", "two"), **options)  # type: ignore[arg-type]
