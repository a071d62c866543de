"""The order in which packets left and arrived, from both captures: what must be comes before what time stamps say.

A capture's own order holds among packets of one time stamp, and a departure comes before the arrival of the same
packet. Both together order all that depends on each other: what answers an arrival is behind it in its host's capture.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from testbed.model.arrays import Int64
from testbed.model.event_times import EventTime

Both = tuple[Int64, Int64]
Lists = tuple[list[int], list[int]]


@dataclass(slots=True)
class PacketSequence:
    """Each packet's place in the order of all, by capture and position: int64[n], from 0, and when it passed there.

    A time (ns) is an :class:`EventTime` where it does not say the place: another packet has the same, or it contradicts
    the order.
    """

    places: Both
    times: Lists


def sequence(times: Both, sender: Int64, near: Int64, far: Int64) -> PacketSequence:
    """Return the order of the packets of two captures, given in file order.

    ``times``: ns, int64[n] each. ``sender`` (0: the first capture's end), ``near`` and ``far``: int64[k], for each
    packet or part of one its position in its sender's capture and in its receiver's, -1 where that does not have it.
    """
    both = (near >= 0) & (far >= 0)
    before = np.full(len(times[0]), -1, np.int64), np.full(len(times[1]), -1, np.int64)
    until = times[0].copy(), times[1].copy()  # an arrival with a time before its departure waits for that
    for end in (0, 1):
        mine = both & (sender == 1 - end)
        np.maximum.at(before[end], far[mine], near[mine])
        np.maximum.at(until[end], far[mine], times[1 - end][near[mine]])
    end_of = np.repeat(np.array([0, 1]), [len(each) for each in times])
    position = np.concatenate([np.arange(len(each)) for each in times])
    time, last = np.concatenate(times), np.concatenate(until)
    order = np.lexsort((position, end_of, time))
    end_of, position, time = end_of[order], position[order], time[order]
    begins = np.ones(len(order), np.bool_)
    begins[1:] = time[1:] > np.maximum.accumulate(last[order])[:-1]
    starts = np.append(np.flatnonzero(begins), len(order))
    places = [np.full(len(each), -1, np.int64) for each in times]
    alone = np.flatnonzero(begins & np.append(begins[1:], True))
    for end in (0, 1):
        mine = alone[end_of[alone] == end]
        places[end][position[mine]] = mine
    stamps = times[0].tolist(), times[1].tolist()
    together = np.flatnonzero(np.diff(starts) > 1)
    if len(together):
        _place_together(
            starts[together].tolist(), starts[together + 1].tolist(), end_of, position, before, places, stamps
        )
    return PacketSequence((places[0], places[1]), stamps)


def _place_together(
    firsts: list[int],
    ends: list[int],
    end_of: Int64,
    position: Int64,
    before: Both,
    places: list[Int64],
    stamps: Lists,
) -> None:
    """Give the packets of each group that time does not order their places, and time stamps that say them.

    A group is a range of places, ``firsts`` to ``ends``; ``end_of`` and ``position`` (int64[n]) are by place before
    that. Python's lists: packets one by one are slow to get out of NumPy's columns.
    """
    whose, items = end_of.tolist(), position.tolist()
    awaited = before[0].tolist(), before[1].tolist()
    placed = places[0].tolist(), places[1].tolist()
    times = list(stamps[0]), list(stamps[1])
    for first, end in zip(firsts, ends, strict=True):
        queues: Lists = ([], [])
        for place in range(first, end):
            queues[whose[place]].append(items[place])
        for place, (which, item) in enumerate(_merged(queues, times, awaited, placed), start=first):
            placed[which][item] = place
            stamps[which][item] = EventTime(times[which][item], place)
    for which in (0, 1):
        places[which][:] = placed[which]


def _merged(queues: Lists, times: Lists, before: Lists, places: Lists) -> Iterator[tuple[int, int]]:
    """Yield end and position of some packets in order; ``places`` has those that were yielded before."""
    at = [0, 0]
    while at[0] < len(queues[0]) and at[1] < len(queues[1]):
        keys = []
        for end in (0, 1):
            item = queues[end][at[end]]
            departure = before[end][item]
            waits = departure >= 0 and places[1 - end][departure] < 0
            keys.append((waits, times[end][item], departure < 0))  # at one time an arrival first: it was under way
        end = 0 if keys[0] <= keys[1] else 1
        yield end, queues[end][at[end]]
        at[end] += 1
    for end in (0, 1):
        yield from ((end, item) for item in queues[end][at[end] :])
