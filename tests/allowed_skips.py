"""Which tests may be skipped in CI, each with the reason: all others fail it there (tests/conftest.py).

A test that needs a program, a right or a kernel's ability says so as it skips; on a developer's machine that is told
at the end. CI's machine has all of it, so that there a skip means that something which the project exists for went
untested.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple


class AllowedSkip(NamedTuple):
    """``reason`` is how the reason of the skip begins, ``why`` why nothing is lost by it."""

    reason: str
    why: str


ALLOWED = (
    AllowedSkip(
        "no captures at ",
        "captures of other people's machines are not part of the repository; pairs that the project makes itself, of "
        "each kind, go through the same tests (tests/unit/pairing/test_own_pairs.py, tests/lab/test_compare_pairs.py)",
    ),
)


def counted(reasons: Iterable[str]) -> list[str]:
    """Return a line for each reason, the most frequent first."""
    return [f"{number} skipped: {reason}" for reason, number in Counter(reasons).most_common()]


def unexpected(reasons: Iterable[str]) -> list[str]:
    """Return a line for each reason that is not on the list."""
    return counted(reason for reason in reasons if not any(reason.startswith(each.reason) for each in ALLOWED))
