"""The first ending signal interrupts, later ones hurry, and what must be done is done."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from testbed.run.interruption import ENDING, ended_by_signals, may_be_hurried, not_interrupted


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    before = {each: signal.getsignal(each) for each in ENDING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def end(number: signal.Signals = signal.SIGTERM) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", ENDING)
def test_the_first_signal_interrupts_and_the_next_do_nothing(number: signal.Signals) -> None:
    with ended_by_signals():
        with pytest.raises(KeyboardInterrupt):
            end(number)
        for _ in range(5):
            end(number)
    end(number)


def test_without_a_signal_the_handlers_are_as_they_were() -> None:
    before = [signal.getsignal(each) for each in ENDING]
    with ended_by_signals():
        pass
    assert [signal.getsignal(each) for each in ENDING] == before


def test_a_second_signal_ends_what_may_be_hurried_once() -> None:
    done = []
    with ended_by_signals():
        with pytest.raises(KeyboardInterrupt):
            end()
        with may_be_hurried():
            done.append("begun")
            end()
            done.append("kept")
        end()
        done.append("removed")
    assert done == ["begun", "removed"]


def test_what_must_not_be_interrupted_goes_to_its_end_first() -> None:
    done = []
    with ended_by_signals(), pytest.raises(KeyboardInterrupt):  # noqa: PT012 - the interruption comes at the end of a block
        with not_interrupted():
            end()
            done.append("written")
        done.append("went on")
    assert done == ["written"]


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ended_by_signals():
            end(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
