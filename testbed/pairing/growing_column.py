"""A column of which nobody knows how long it becomes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Allocate = Callable[[int, np.dtype[Any]], NDArray[Any]]
"""Makes a column with room for so many values."""


class GrowingColumn:
    """A column that grows in large steps, so that it is not copied often and leaves no holes in the memory.

    ``spare`` is how often the room that is likely needed is allocated: the values to come may be more.
    """

    def __init__(self, dtype: np.dtype[Any], allocate: Allocate, spare: float) -> None:
        self._allocate, self._spare = allocate, spare
        self._room: NDArray[Any] = np.empty(0, dtype)
        self.count = 0

    def reserve(self, more: int, share: float, likely: int | None = None) -> NDArray[Any]:
        """Return room for more values; ``share`` is how much of the whole is reached then, to guess at its size.

        ``likely`` is how many more there will be, where that is known better.
        """
        count = self.count + more
        if count > len(self._room):
            guess = int(count / share * self._spare) if share > 0 else 0
            if likely is not None and share > 0:
                guess = int((self.count + likely) / share * self._spare) + more
            room = self._allocate(max(guess if guess > count else count * 3 // 2, 1024), self._room.dtype)
            room[: self.count] = self._room[: self.count]
            self._room = room
        return self._room[self.count : count]

    def add(self, values: NDArray[Any], share: float) -> None:
        """Append values."""
        self.reserve(len(values), share)[:] = values
        self.count += len(values)

    def values(self) -> NDArray[Any]:
        """Return what was added."""
        return self._room[: self.count]
