"""Sets of byte numbers as half-open intervals ``[first, end)``: what was seen, what is free, what is missing."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

Interval = tuple[int, int]


class IntervalSet:
    """A set of integers, kept as sorted intervals of which no two overlap or touch.

    Each operation looks at the intervals that it meets (found by bisection), so bytes that come in order cost nothing
    but a comparison. Empty intervals are ignored.
    """

    __slots__ = ("_ends", "_firsts")

    def __init__(self, intervals: Iterable[Interval] = ()) -> None:
        self._firsts: list[int] = []
        self._ends: list[int] = []
        for first, end in intervals:
            self.add(first, end)

    def __iter__(self) -> Iterator[Interval]:
        return zip(self._firsts, self._ends, strict=True)

    def __bool__(self) -> bool:
        return bool(self._firsts)

    def __contains__(self, number: int) -> bool:
        return self.end_after(number) > number

    def __eq__(self, other: object) -> bool:
        return isinstance(other, IntervalSet) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment] # it changes

    def __repr__(self) -> str:
        return f"IntervalSet({list(self)})"

    @property
    def first(self) -> int:
        """The least number; raises IndexError where there is none."""
        return self._firsts[0]

    @property
    def end(self) -> int:
        """One more than the greatest number; raises IndexError where there is none."""
        return self._ends[-1]

    @property
    def total(self) -> int:
        """How many numbers there are."""
        return sum(self._ends) - sum(self._firsts)

    def end_after(self, number: int) -> int:
        """Return the least number from ``number`` on that is not in the set."""
        at = bisect_right(self._firsts, number) - 1
        return max(number, self._ends[at]) if at >= 0 else number

    def gaps(self, first: int, end: int) -> list[Interval]:
        """Return the parts of ``[first, end)`` that are not in the set, in order."""
        at = bisect_right(self._ends, first)
        found = []
        while first < end:
            until = min(self._firsts[at], end) if at < len(self._firsts) else end
            if first < until:
                found.append((first, until))
            if at == len(self._firsts):
                break
            first = max(first, self._ends[at])
            at += 1
        return found

    def covered(self, first: int, end: int) -> int:
        """Return how many numbers of ``[first, end)`` are in the set."""
        if first >= end:
            return 0
        return end - first - sum(until - since for since, until in self.gaps(first, end))

    def add(self, first: int, end: int) -> list[Interval]:
        """Add ``[first, end)``; return the parts of it that are new, in order."""
        if first >= end:
            return []
        if self._ends and self._firsts[-1] <= first <= self._ends[-1]:  # goes on where the last one ends
            reached = self._ends[-1]
            if end <= reached:
                return []
            self._ends[-1] = end
            return [(reached, end)]
        new = self.gaps(first, end)
        low, high = bisect_left(self._ends, first), bisect_right(self._firsts, end)  # those that overlap or touch
        if low < high:
            first, end = min(first, self._firsts[low]), max(end, self._ends[high - 1])
        self._firsts[low:high], self._ends[low:high] = [first], [end]
        return new

    def remove(self, first: int, end: int) -> None:
        """Take ``[first, end)`` out, as far as it is in."""
        if first >= end:
            return
        low, high = bisect_right(self._ends, first), bisect_left(self._firsts, end)  # those that overlap
        if low >= high:
            return
        kept = [(self._firsts[low], first), (end, self._ends[high - 1])]
        kept = [each for each in kept if each[0] < each[1]]
        self._firsts[low:high] = [each[0] for each in kept]
        self._ends[low:high] = [each[1] for each in kept]
