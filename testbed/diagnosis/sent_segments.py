"""The segments of one host on one connection, so that what was sent again is found without looking at all others. Pure.

A long transfer has many thousands, and a capture that lost packets nearly as many that seem to be lost.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate

from testbed.model import Crossing


class SentSegments:
    """Segments that take sequence numbers, in the order in which they were sent."""

    def __init__(self, segments: Sequence[Crossing]) -> None:
        self.segments = [each for each in segments if each.sequence_length]
        self._numbers = [each.n for each in self.segments]
        starts = [each.seq for each in self.segments]
        self._lowest = list(accumulate(reversed(starts), min))[::-1]
        self._highest = list(accumulate((each.seq + each.sequence_length for each in self.segments), max))

    def place(self, packet: Crossing) -> int:
        """Return how many were sent up to a packet, itself among them."""
        return bisect_right(self._numbers, packet.n)

    def after(self, packet: Crossing) -> Iterator[Crossing]:
        """Yield those that were sent after a packet."""
        for place in range(self.place(packet), len(self.segments)):
            yield self.segments[place]

    def from_before(self, packet: Crossing, number: int) -> Iterator[Crossing]:
        """Yield those after a packet that begin at a sequence number or before it."""
        for place in range(self.place(packet), len(self.segments)):
            if self._lowest[place] > number:
                return
            if self.segments[place].seq <= number:
                yield self.segments[place]

    def beyond(self, packet: Crossing, number: int) -> Iterator[Crossing]:
        """Yield those before a packet that go as far as a sequence number, the newest first."""
        for place in range(self.place(packet) - 2, -1, -1):
            if self._highest[place] < number:
                return
            yield self.segments[place]
