"""How sure one can be of a share: against published values and against the definition."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.campaign import shares


def test_known_limits() -> None:
    """Exact one-sided 95% limits: all of n gives 0.05^(1/n); 9 of 10 gives 0.6058 (tables of Clopper and Pearson)."""
    assert shares.at_least(1000, 1000) == pytest.approx(0.05 ** (1 / 1000))
    assert shares.at_least(9, 10) == pytest.approx(0.60584, abs=1e-5)
    assert shares.at_most(1, 10) == pytest.approx(1 - 0.60584, abs=1e-5)
    assert shares.at_least(0, 10) == 0.0
    assert shares.at_most(10, 10) == 1.0


@given(st.integers(1, 300).flatmap(lambda runs: st.tuples(st.integers(1, runs), st.just(runs))))
def test_limit_is_where_the_definition_puts_it(counts: tuple[int, int]) -> None:
    """At the lower limit p, seeing so many successes or more has probability 5%."""
    successes, runs = counts
    share = shares.at_least(successes, runs)
    tail = sum(math.comb(runs, k) * share**k * (1 - share) ** (runs - k) for k in range(successes, runs + 1))
    assert tail == pytest.approx(0.05, rel=1e-6)


def test_judgement() -> None:
    """Enough runs say yes or no; too few say neither; 100% falls with a single failure."""
    assert shares.judge(1000, 1000, 0.99) is True
    assert shares.judge(900, 1000, 0.99) is False
    assert shares.judge(10, 10, 0.99) is None
    assert shares.judge(0, 0, 0.99) is None
    assert shares.judge(10, 10, 1.0) is True
    assert shares.judge(999, 1000, 1.0) is False


def test_runs_needed_are_just_enough() -> None:
    """That many runs without a failure decide it, one fewer does not."""
    for wanted in (0.5, 0.9, 0.99, 0.999):
        needed = shares.runs_needed(wanted)
        assert shares.judge(needed, needed, wanted) is True
        assert shares.judge(needed - 1, needed - 1, wanted) is None
