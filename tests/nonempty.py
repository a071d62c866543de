"""Data that a test looks at one by one: a test that may look at nothing could not fail."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

Item = TypeVar("Item")


def nonempty(items: Iterable[Item]) -> list[Item]:
    """Return the items as a list; AssertionError if there is none."""
    found = list(items)
    assert found, "there is nothing to check"
    return found
