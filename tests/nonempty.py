"""Data that a test looks at one by one: a test that may look at nothing could not fail."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

import numpy as np

Item = TypeVar("Item")


def nonempty(items: Iterable[Item]) -> list[Item]:
    """Return the items as a list; AssertionError if there is none."""
    found = list(items)
    assert found, "there is nothing to check"
    return found


def every(mask: Any) -> bool:
    """Return whether all items of an array are true, and there is at least one."""
    items = np.asarray(mask, np.bool_)
    return bool(items.size and items.all())
