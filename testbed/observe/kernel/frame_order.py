"""Which frame of a capture each event of its interface is about: the n-th event is the n-th frame.

The kernel gives a tap its copy of a packet, and the time, right before it reports that packet's departure. So events
and frames are in one order, and only where the capture begins among the events must be found. Every frame's length and
protocol must then be those of its event; if one is not, nothing is matched at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from testbed.capture.directions import FrameRun
from testbed.model.arrays import Int64
from testbed.observe.kernel.observed_interface import ETHERNET


@dataclass(frozen=True, slots=True)
class Passing:
    """A packet at an interface, as its event has it.

    ``time`` is in ns on the captures' clock, ``length`` the bytes of the frame, ``protocol`` its EtherType (-1 where
    the event has none); ``pid`` and ``interrupt`` are of what ran there, ``stack`` the call stack's number.
    """

    time: int
    cpu: int
    length: int
    protocol: int = -1
    pid: int = 0
    interrupt: bool = False
    stack: int | None = None
    in_hand: int | None = None
    """Of a departure: which event of this interface (its place among them) began what this processor has in hand."""
    given: int | None = None
    """Of a departure: when it was made to wait, where it was."""


def match_departures(frames: FrameRun, events: Sequence[Passing], error: int) -> int | str:
    """Return at which event the capture begins: its frames are the events from there on. Or why they are not.

    A frame's time lies between the event before it and its own; ``error`` is by how many ns the clocks may be apart.
    """
    times, lengths, protocols = _columns(events)
    if not len(frames.number):
        return len(events)
    first = int(np.searchsorted(times, int(frames.time[0]) - error))
    last = first + len(frames.number)
    if last > len(events):
        return f"{len(frames.number)} frames left, and the kernel reports {len(events) - first}"
    other = (lengths[first:last] != frames.length) | (protocols[first:last] != frames.protocol)
    if other.any():
        return f"frame {frames.number[int(other.argmax())]} is not the packet that the kernel reports at its place"
    before = np.concatenate([times[first - 1 : first], times[first : last - 1]]) if first else times[first : last - 1]
    after = frames.time[len(frames.time) - len(before) :]
    apart = (frames.time > times[first:last] + error).any() or (after < before - error).any()
    return "the order of frames and of the kernel's reports is not one" if apart else first


def match_arrivals(frames: FrameRun, events: Sequence[Passing]) -> int | None:
    """Return at which event the capture begins, None where not exactly one place has frames of these lengths.

    A frame may have its time from before it waited for a processor, so times say nothing here.
    """
    _, lengths, _ = _columns(events)
    wanted = frames.length - ETHERNET
    size = len(wanted)
    places = [
        first for first in range(len(lengths) - size + 1) if np.array_equal(lengths[first : first + size], wanted)
    ]
    return places[0] if len(places) == 1 else None


def _columns(events: Sequence[Passing]) -> tuple[Int64, Int64, Int64]:
    columns = np.array([(event.time, event.length, event.protocol) for event in events], np.int64).reshape(-1, 3)
    return columns[:, 0], columns[:, 1], columns[:, 2]
