"""Time stamps of events that time alone does not order. Pure data."""

from __future__ import annotations

from typing import Self


class EventTime(int):
    """A time (ns) with the event's place in the order of its run: places are compared, times are subtracted.

    In virtual time, or on a coarse clock, a packet leaves, arrives and is answered at one time stamp. Which came first
    is then worked out once (:mod:`testbed.crossings.packet_sequence`, :mod:`testbed.analysis.event_order`) and kept in
    the time stamps themselves, so that whoever compares two of them is right. Only events that share their time with
    another (or whose times contradict their order) have an ``EventTime``; with any other number it compares as a time.
    """

    place: int

    def __new__(cls, time: int, place: int) -> Self:
        """Make one; ``place`` grows along the run, and is of no other event."""
        made = super().__new__(cls, time)
        made.place = place
        return made

    def __getnewargs__(self) -> tuple[int, int]:  # type: ignore[override] # what copies and pickles are made from
        return int(self), self.place

    def __hash__(self) -> int:
        return int.__hash__(self)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, EventTime):
            return self.place == other.place
        return int.__eq__(self, other) if isinstance(other, int) else NotImplemented

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __lt__(self, other: int) -> bool:
        return self.place < other.place if isinstance(other, EventTime) else int.__lt__(self, other)

    def __le__(self, other: int) -> bool:
        return self.place <= other.place if isinstance(other, EventTime) else int.__le__(self, other)

    def __gt__(self, other: int) -> bool:
        return self.place > other.place if isinstance(other, EventTime) else int.__gt__(self, other)

    def __ge__(self, other: int) -> bool:
        return self.place >= other.place if isinstance(other, EventTime) else int.__ge__(self, other)


def place_of(time: int | None) -> int:
    """Return the place of a time stamp among those of equal times, from 1; 0 where its time is of no other event."""
    return time.place + 1 if isinstance(time, EventTime) else 0
