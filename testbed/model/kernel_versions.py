"""Versions of Linux, and which of them an expectation is for. Pure data."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

KernelVersion = tuple[int, ...]
"""The numbers of a version, ``(6, 12, 41)``: two of them or more."""

COMPARISONS: Mapping[str, Callable[[KernelVersion, KernelVersion], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
    "": operator.eq,
}
"""How a version may be compared, by how that is written; an operator comes before its own beginning."""


def kernel_version(release: str) -> KernelVersion | None:
    """Return the numbers that a kernel's release (``uname -r``) begins with, None where it begins with none."""
    found = re.match(r"\d+(?:\.\d+)+", release)
    return None if found is None else tuple(map(int, found[0].split(".")))


class KernelRange(NamedTuple):
    """Kernels by their version: all ``bounds`` (a key of :data:`COMPARISONS`, a version) hold; ``text``: as written.

    As many numbers are compared as a bound has: 6.5.13 is neither above nor below 6.5, and 6.5 means all of them.
    """

    bounds: tuple[tuple[str, KernelVersion], ...]
    text: str

    def holds(self, version: KernelVersion) -> bool:
        """Whether a kernel is one of them."""
        return all(COMPARISONS[how](version[: len(bound)], bound) for how, bound in self.bounds)

    def __str__(self) -> str:
        return self.text
