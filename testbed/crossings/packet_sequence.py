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


@dataclass(slots=True)
class PacketSequence:
    """Each packet's place in the order of all, by capture and position: int64[n], from 0, and when it passed there.

    A time (ns) is an :class:`EventTime` where it does not say the place: another packet has the same, or it contradicts
    the order.
    """

    places: Both
    times: tuple[list[int], list[int]]


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
    places = np.full(len(times[0]), -1, np.int64), np.full(len(times[1]), -1, np.int64)
    shared = np.zeros(len(times[0]), np.bool_), np.zeros(len(times[1]), np.bool_)
    alone = np.flatnonzero(begins & np.append(begins[1:], True))
    for end in (0, 1):
        mine = alone[end_of[alone] == end]
        places[end][position[mine]] = mine
    for k in np.flatnonzero(np.diff(starts) > 1).tolist():
        first = int(starts[k])
        group = slice(first, int(starts[k + 1]))
        queues = tuple(position[group][end_of[group] == end].tolist() for end in (0, 1))
        for place, (end, item) in enumerate(_merged(queues, times, before, places), start=first):
            places[end][item] = place
            shared[end][item] = True
    stamps: tuple[list[int], list[int]] = (times[0].tolist(), times[1].tolist())
    for end in (0, 1):
        for item in np.flatnonzero(shared[end]).tolist():
            stamps[end][item] = EventTime(stamps[end][item], int(places[end][item]))
    return PacketSequence((places[0], places[1]), stamps)


def _merged(queues: tuple[list[int], ...], times: Both, before: Both, places: Both) -> Iterator[tuple[int, int]]:
    """Yield end and position of some packets in order; ``places`` has those that were yielded before."""
    at = [0, 0]

    def urgency(end: int) -> tuple[bool, int, bool, int]:
        """Return by what the first that is left at an end is compared: smaller goes first."""
        item = queues[end][at[end]]
        departure = int(before[end][item])
        waits = departure >= 0 and places[1 - end][departure] < 0
        return waits, int(times[end][item]), departure < 0, end  # at one time an arrival first: it was under way

    while left := [end for end in (0, 1) if at[end] < len(queues[end])]:
        end = min(left, key=urgency)
        yield end, queues[end][at[end]]
        at[end] += 1
