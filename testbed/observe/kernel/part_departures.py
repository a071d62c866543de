"""What left the interface of a host of whose frames a capture has some only: those of one conversation, since a moment.

So the n-th event is not the n-th frame. The kernel gives a tap its copy of a packet, and the time, right before it
reports the departure, and no processor sends another packet in between: of each processor only the first event after a
frame's time can be the frame's. Where two can, and nothing else says which, none is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from testbed.capture.directions import FrameRun
from testbed.model import Host
from testbed.model.kernel_log import Departure
from testbed.observe.kernel.departures import RELEASES, SLACK
from testbed.observe.kernel.frame_order import Passing
from testbed.observe.kernel.observed_interface import ETHERNET, SeenInterface

LONGEST = 10_000_000
"""ns that can lie between a frame's time and its event, on a machine that is busy."""
_QUEUED = frozenset(("__qdisc_run", "qdisc_run", "sch_direct_xmit", "net_tx_action", RELEASES))
"""Functions by which a packet leaves that had waited: the stack is then that of whoever let it go."""


class PartlyCaptured:
    """The packets that left the hosts' interfaces; of what came in nothing is known."""

    def __init__(self, seen: Mapping[Host, SeenInterface]) -> None:
        self.hosts = frozenset(seen)
        self._seen = {each.name: (host, each) for host, each in seen.items()}
        self._left: dict[Host, list[Passing]] = defaultdict(list)

    def leaves(self, device: str, skb: int, passing: Passing, functions: Collection[str]) -> None:
        """Take a ``net_dev_start_xmit`` or a ``netif_rx`` of any interface; ``functions`` are those of its stack."""
        del skb
        host, seen = self._seen.get(device, (None, None))
        if host is None or seen is None:
            return
        header = ETHERNET if seen.by_peer else 0
        stack = None if _QUEUED.intersection(functions) else passing.stack
        self._left[host].append(replace(passing, length=passing.length + header, stack=stack))

    def waits(self, device: str, passing: Passing) -> None:
        """Take a ``neigh_event_send_done``: what waited is not known by its stack."""

    def gives_up_waiting(self) -> None:
        """Take the drop of a packet that waited for a hardware address."""

    def queues(self, device: str, skb: int, passing: Passing, functions: Collection[str]) -> None:
        """Take a ``net_dev_queue``: what waited is not known by its stack."""

    def begins(self, device: str, passing: Passing) -> None:
        """Take a ``netif_receive_skb``."""

    def departures(self, host: Host, frames: tuple[FrameRun, FrameRun], error: int) -> tuple[Departure, ...]:
        """Return the departures that are known of what ``host`` sent; ``error`` is that of the clocks, ns."""
        sent, _ = frames
        found = zip(sent.number.tolist(), match_some(sent, self._left[host], error + SLACK), strict=True)
        return tuple(
            Departure(frame, event.time, event.cpu, event.pid, event.interrupt, event.stack)
            for frame, event in found
            if event is not None and event.stack is not None
        )


def match_some(frames: FrameRun, events: Sequence[Passing], error: int) -> list[Passing | None]:
    """Return the event of each frame, None where there is none or two can be it; ``error``: of the clocks, ns."""
    able = _able(frames, events, error)
    takers: dict[int, set[int]] = defaultdict(set)
    for frame, own in able.items():
        for event in own:
            takers[event].add(frame)
    chosen: list[Passing | None] = [None] * len(frames.number)
    sure = [frame for frame, own in able.items() if len(own) == 1]
    while sure:
        frame = sure.pop()
        only = next(iter(able[frame]), None)
        if only is None or any(len(able[other]) == 1 for other in takers[only] - {frame}):
            continue  # it would be the only one of two frames
        chosen[frame] = events[only]
        for other in takers[only] - {frame}:
            able[other].discard(only)
            sure += [other] if len(able[other]) == 1 else []
        takers[only] = {frame}
    return chosen


def _able(frames: FrameRun, events: Sequence[Passing], error: int) -> dict[int, set[int]]:
    """Return for each frame (its place) the events that can be its: of each processor the first, if it is alike."""
    able: dict[int, set[int]] = {place: set() for place in range(len(frames.number))}
    by_processor: dict[int, list[int]] = defaultdict(list)
    for number, event in enumerate(events):
        by_processor[event.cpu].append(number)
    lengths, limits = frames.length.tolist(), (frames.time + LONGEST).tolist()
    for own in by_processor.values():
        own.sort(key=lambda number: events[number].time)
        times = np.array([events[number].time for number in own], np.int64)
        firsts = np.searchsorted(times, frames.time - error).tolist()
        for place, first in enumerate(firsts):
            if first == len(own):
                continue
            event = events[own[first]]
            if event.time <= limits[place] and event.length == lengths[place]:
                able[place].add(own[first])
    return able
