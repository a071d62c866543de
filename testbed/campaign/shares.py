"""How sure one can be of a share after so many runs: exact binomial limits (Clopper and Pearson, 1934). Pure."""

from __future__ import annotations

import math
from collections.abc import Callable

CONFIDENCE = 0.95
"""Of each one-sided limit."""
_STEPS = 60
_NEGLIGIBLE = 1e-18


def at_least(successes: int, runs: int, confidence: float = CONFIDENCE) -> float:
    """Return the share that the true one exceeds with this confidence: 998 of 1,000 gives 0.9937."""
    if successes == 0:
        return 0.0
    return _solve(lambda share: _tail(successes, runs, share), 1 - confidence)


def at_most(successes: int, runs: int, confidence: float = CONFIDENCE) -> float:
    """Return the share that the true one stays below with this confidence."""
    return 1 - at_least(runs - successes, runs, confidence)


def judge(successes: int, runs: int, wanted: float) -> bool | None:
    """Say whether the true share is at least ``wanted``: yes or no with CONFIDENCE, None where the runs do not tell."""
    if runs and at_least(successes, runs) >= wanted:
        return True
    if runs and at_most(successes, runs) < wanted:
        return False
    return True if wanted == 1 and successes == runs and runs else None


def runs_needed(wanted: float) -> int:
    """Return how many runs without a failure it takes to be sure of a share."""
    return 1 if wanted >= 1 else math.ceil(math.log(1 - CONFIDENCE) / math.log(wanted))


def _tail(successes: int, runs: int, share: float) -> float:
    """Return the probability of at least ``successes`` in ``runs``; summed from the largest term outwards."""
    if not 0 < share < 1:
        return float(share >= 1)
    above = successes > share * runs  # then the upper tail is the smaller one
    at, step = (successes, 1) if above else (successes - 1, -1)
    total = 0.0
    while 0 <= at <= runs:
        term = _probability(at, runs, share)
        total += term
        if term < total * _NEGLIGIBLE or (total == 0 and abs(at - share * runs) > abs(successes - share * runs) + 1):
            break
        at += step
    return total if above else 1 - total


def _probability(successes: int, runs: int, share: float) -> float:
    choose = math.lgamma(runs + 1) - math.lgamma(successes + 1) - math.lgamma(runs - successes + 1)
    return math.exp(choose + successes * math.log(share) + (runs - successes) * math.log1p(-share))


def _solve(increasing: Callable[[float], float], target: float) -> float:
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if increasing(middle) < target:
            low = middle
        else:
            high = middle
    return low
