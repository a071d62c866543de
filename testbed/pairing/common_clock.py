"""The clock of two captures applied to their packets, crossed or not."""

from __future__ import annotations

import numpy as np

from testbed.model.arrays import Bool, Int64
from testbed.pairing.clock import NO_CLOCK, ONE_CLOCK, Clock, fit_clock


class Timeline:
    """Which piece of the clock counts for which packet.

    A clock that steps does so between two packets of its own capture; for the other capture that is no one moment, as
    packets were on their way. So pieces are counted along the capture whose clock stepped: with the other, packets
    would arrive before they were sent, or take as long as the step. ``one`` and ``two`` are the items of the packets
    that crossed, aligned, ascending in ``one``.
    """

    def __init__(self, clock: Clock, one: Int64, two: Int64, *, by_two: bool = False) -> None:
        self.clock = clock
        if len(clock.pieces) <= 1:  # it counts for all
            self._one = self._two = self._rank_one = self._rank_two = np.zeros(0, np.int64)
            return
        by_item = np.argsort(two, kind="stable")
        rank = np.arange(len(one))
        self._one, self._two = one, two[by_item]
        self._rank_one, self._rank_two = rank, by_item
        if by_two:
            self._rank_one = np.empty(len(one), np.int64)
            self._rank_one[by_item] = rank
            self._rank_two = rank

    @classmethod
    def fitted(cls, one: Int64, two: Int64, time: Int64, apart: Int64, from_one: Bool, sure: Bool) -> Timeline:
        """Fit the clock to packets that crossed, those of which ``from_one`` is certain (``sure``)."""
        some = np.flatnonzero(sure)
        clock = fit_clock(time[some], apart[some], from_one[some]).at(some, len(one))
        if len(clock.pieces) <= 1:
            return cls(clock, one, two)
        order = np.argsort(two, kind="stable")
        some = np.flatnonzero(sure[order])
        mine = order[some]
        other = fit_clock(time[mine], apart[mine], from_one[mine]).at(some, len(one))
        choices = [cls(clock, one, two), cls(other, one, two, by_two=True)]
        return min(choices, key=lambda each: each.strain(time, apart, from_one))

    def mirrored(self) -> Timeline:
        """Return that of the captures in the other order."""
        return _Mirrored(self)

    def strain(self, time: Int64, apart: Int64, from_one: Bool) -> tuple[int, int, float]:
        """Return how many packets would have arrived too early, the pieces, and how long all were on their way."""
        offset, _ = self.at_one(self._one, time)
        delay = np.where(from_one, apart - offset, offset - apart)
        return int(np.count_nonzero(delay < 0)), len(self.clock.pieces), float(delay.mean())

    @classmethod
    def unfit(cls, one: Int64, two: Int64) -> Timeline:
        """Return that of captures whose packets no clock fits."""
        return cls(NO_CLOCK, one, two)

    @classmethod
    def of_one_clock(cls, one: Int64, two: Int64) -> Timeline:
        """Return that of captures made with one clock."""
        return cls(ONE_CLOCK, one, two)

    def at_one(self, items: Int64, time: Int64) -> tuple[Int64, Int64]:
        """Return offset and error (-1: unknown) at packets of the first capture, in whatever order."""
        return self.clock.offsets(self._rank(self._one, self._rank_one, items), time)

    def at_two(self, items: Int64, time: Int64) -> tuple[Int64, Int64]:
        """Return offset and error at packets of the second capture; ``time`` is its own."""
        return self.clock.offsets_there(self._rank(self._two, self._rank_two, items), time)

    def of_pairs(self, one: Int64, two: Int64, times: tuple[Int64, Int64]) -> tuple[Int64, Int64]:
        """Return offset and error at packets that crossed: items in both captures, and their times in each."""
        del two
        return self.at_one(one, times[0])

    def _rank(self, known: Int64, rank: Int64, items: Int64) -> Int64:
        if len(self.clock.pieces) <= 1 or not len(known):
            return np.zeros(len(items), np.int64)
        place = np.minimum(np.searchsorted(known, items), len(known) - 1)
        return rank[place]


class _Mirrored(Timeline):
    """A timeline with the captures exchanged: what the first's clock is ahead, the second's is behind."""

    def __init__(self, of: Timeline) -> None:
        self._of = of
        self.clock = of.clock.mirrored()

    def mirrored(self) -> Timeline:
        return self._of

    def at_one(self, items: Int64, time: Int64) -> tuple[Int64, Int64]:
        offset, error = self._of.at_two(items, time)
        return -offset, error

    def at_two(self, items: Int64, time: Int64) -> tuple[Int64, Int64]:
        offset, error = self._of.at_one(items, time)
        return -offset, error

    def of_pairs(self, one: Int64, two: Int64, times: tuple[Int64, Int64]) -> tuple[Int64, Int64]:
        offset, error = self._of.of_pairs(two, one, times[::-1])
        return -offset, error


class PartOfTimeline(Timeline):
    """A timeline of some packets of both captures: ``one`` and ``two`` are their items among all."""

    def __init__(self, of: Timeline, one: Int64, two: Int64) -> None:
        self._of, self._items = of, (one, two)
        self.clock = of.clock

    def mirrored(self) -> Timeline:
        """Return that of the captures in the other order."""
        return PartOfTimeline(self._of.mirrored(), *self._items[::-1])

    def at_one(self, items: Int64, time: Int64) -> tuple[Int64, Int64]:
        """Return offset and error at packets of the first capture; ``time`` is its own."""
        return self._of.at_one(self._items[0][items], time)

    def at_two(self, items: Int64, time: Int64) -> tuple[Int64, Int64]:
        """Return offset and error at packets of the second capture; ``time`` is its own."""
        return self._of.at_two(self._items[1][items], time)

    def of_pairs(self, one: Int64, two: Int64, times: tuple[Int64, Int64]) -> tuple[Int64, Int64]:
        """Return offset and error at packets that crossed."""
        return self._of.of_pairs(self._items[0][one], self._items[1][two], times)
