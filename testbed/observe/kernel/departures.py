"""What left the hosts' interfaces and what came in there, from the events of the kernel, frame by frame."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from testbed.capture.directions import FrameRun
from testbed.model import Host
from testbed.model.kernel_log import Departure
from testbed.observe.kernel.frame_order import Passing, match_arrivals, match_departures

RELEASES = "__neigh_update"
"""The function that sends what waited for a hardware address (net/core/neighbour.c)."""
_HEADER = {0x0800: 54, 0x86DD: 74}
"""Bytes of headers before a segment's payload, by EtherType, without TCP's options."""
_OPTIONS_MOST = 40
SLACK = 200
"""ns by which an event may be on the wrong side of a time stamp, besides the clocks' error."""


@dataclass(slots=True)
class _Waiting:
    """A packet in an interface's queue: how many ``segments`` of it have left, of how many bytes in ``total``.

    ``first`` is the length of the first; ``whole`` says that by their lengths these may have been all.
    """

    origin: Passing
    released: bool
    segments: int = 0
    first: int = 0
    total: int = 0
    whole: bool = False

    def has(self, segment: Passing) -> bool:
        """Say whether a segment may be of it: it is longer, and not whole already, or this makes it whole."""
        if self.origin.length <= segment.length:
            return False
        return not self.whole or self._fills(self.total + segment.length, self.segments + 1, segment.protocol)

    def leaves(self, segment: Passing) -> bool:
        """Take a segment of it; return whether that is certainly the last: a shorter one."""
        self.segments += 1
        self.first = self.first or segment.length
        self.total += segment.length
        self.whole = self.segments > 1 and self._fills(self.total, self.segments, segment.protocol)
        return segment.length < self.first

    def _fills(self, total: int, segments: int, protocol: int) -> bool:
        """Say whether so many segments are all of it, as far as their lengths can tell.

        The packet is headers and payload; each segment has the same headers, whose options are not known: a last one
        that is shorter than they may be is taken for them.
        """
        headers, rest = divmod(total - self.origin.length, segments - 1)
        options = headers - _HEADER.get(protocol, 0)
        return not rest and not options % 4 and 0 <= options <= _OPTIONS_MOST


class _Queue:
    """What was given to an interface with a queue and has not left it, in order."""

    def __init__(self) -> None:
        self._waiting: dict[int, _Waiting] = {}
        self._longest = 0  # bytes of the longest frame so far
        self._cut = 0

    def joins(self, skb: int, origin: Passing, *, released: bool) -> None:
        before = self._waiting.get(skb)
        if before is not None and before.origin.length > self._longest:
            # it was cut into segments as it came, which wait still (tbf_segment), and its memory is used again
            self._cut -= 1
            self._waiting = {self._cut if key == skb else key: each for key, each in self._waiting.items()}
        self._waiting.pop(skb, None)  # its memory is used again: that one never left
        self._waiting[skb] = _Waiting(origin, released)

    def leaves(self, skb: int, passing: Passing) -> tuple[Passing, bool] | None:
        """Return from where a packet came into the queue; a segment is of the oldest that is longer than a frame."""
        self._longest = max(self._longest, passing.length)
        whole = self._waiting.get(skb)
        if whole is not None and whole.origin.length <= passing.length:
            del self._waiting[skb]
            return whole.origin, whole.released
        for number, each in self._waiting.items():
            if each.has(passing):
                if each.leaves(passing):
                    del self._waiting[number]
                self._waiting = {at: one for at, one in self._waiting.items() if not one.whole or one is each}
                return each.origin, each.released
        return None


class Interfaces:
    """The packets that passed the hosts' interfaces, in order. ``devices`` are their names, no two alike.

    ``queued`` are the hosts whose interface has a queue: from others a packet leaves in the call that gives it.
    """

    def __init__(self, devices: Mapping[Host, str], queued: Collection[Host] = ()) -> None:
        self.hosts = frozenset(devices)
        self._hosts = {device: host for host, device in devices.items()}
        self._queued = queued
        self._left: dict[Host, list[Passing]] = defaultdict(list)
        self._came: dict[Host, list[Passing]] = defaultdict(list)
        self._waited: dict[Host, list[Passing]] = defaultdict(list)
        self._released: dict[Host, list[int | None]] = defaultdict(list)  # places in _left, None for what was dropped
        self._queues: dict[Host, _Queue] = defaultdict(_Queue)
        self._in_hand: dict[int, tuple[Host, int] | None] = {}

    def leaves(self, device: str, skb: int, passing: Passing, functions: Collection[str]) -> None:
        """Take a ``net_dev_start_xmit``, of any interface; ``functions`` are those of its stack.

        What had waited, for the peer's hardware address or in a queue, left its stack where it was made to wait.
        """
        host = self._hosts.get(device)
        if host is None:
            return
        at = len(self._left[host])
        queued = self._queues[host].leaves(skb, passing)
        if queued is not None:
            origin, released = queued
        else:
            origin, released = self._with_in_hand(host, passing), RELEASES in functions
        if released:
            self._released[host].append(at)
        given = None if queued is None else origin.time
        self._left[host].append(
            replace(origin, time=passing.time, length=passing.length, protocol=passing.protocol, given=given)
        )

    def waits(self, device: str, passing: Passing) -> None:
        """Take a ``neigh_event_send_done`` of a packet that waits for the hardware address of the next host.

        It may come when that packet has left already.
        """
        host = self._hosts.get(device)
        if host is not None:
            self._waited[host].append(self._with_in_hand(host, passing))

    def gives_up_waiting(self) -> None:
        """Take the drop of a packet that waited for a hardware address; whose is known if only one host has any."""
        waiting = [host for host, own in self._waited.items() if len(own) > len(self._released[host])]
        if len(waiting) == 1:
            self._released[waiting[0]].append(None)

    def queues(self, device: str, skb: int, passing: Passing, functions: Collection[str]) -> None:
        """Take a ``net_dev_queue``: a packet that may have to wait in the interface's queue."""
        host = self._hosts.get(device)
        if host is not None and host in self._queued:
            self._queues[host].joins(skb, self._with_in_hand(host, passing), released=RELEASES in functions)

    def _with_in_hand(self, host: Host, passing: Passing) -> Passing:
        in_hand = self._in_hand.get(passing.cpu)
        return replace(passing, in_hand=in_hand[1] if in_hand is not None and in_hand[0] == host else None)

    def begins(self, device: str, passing: Passing) -> None:
        """Take a ``netif_receive_skb``, of any interface."""
        host = self._hosts.get(device)
        if host is None:
            self._in_hand[passing.cpu] = None
            return
        self._in_hand[passing.cpu] = host, len(self._came[host])
        self._came[host].append(passing)

    def _origins(self, host: Host) -> list[Passing]:
        """Return what left; the n-th that had waited for a hardware address is the n-th that was made to wait.

        All segments of one packet that was cut as it left are of the only one that waited.
        """
        left, released, waited = list(self._left[host]), self._released[host], self._waited[host]
        if len(waited) == 1:
            waited = waited * len(released)
        if len(released) <= len(waited):
            for at, origin in zip(released, waited, strict=False):
                if at is not None:
                    own = left[at]
                    left[at] = replace(
                        origin, time=own.time, length=own.length, protocol=own.protocol, given=origin.time
                    )
        return left

    def departures(self, host: Host, frames: tuple[FrameRun, FrameRun], error: int) -> tuple[Departure, ...] | str:
        """Return the departure of each frame that ``host`` sent, in that order; or why they are not known.

        ``frames`` are what its capture has, sent and received; ``error`` is that of the clocks, ns.
        """
        sent, received = frames
        left, came = self._origins(host), self._came[host]
        first = match_departures(sent, left, error + SLACK)
        if isinstance(first, str):
            return first
        begins = match_arrivals(received, came)
        numbers = received.number.tolist()

        def in_hand(frame: int, place: int | None) -> int | None:
            at = place - begins if place is not None and begins is not None else -1
            if place is None or not 0 <= at < len(numbers):
                return None
            # Departures and arrivals are of two recordings, which time alone puts in order. Of arrivals of one time
            # the capture knows the order: none is in hand that came after the departure.
            before = min(at, bisect_left(numbers, frame) - 1)
            same_time = before >= 0 and came[before - at + place].time == came[place].time
            return numbers[before] if same_time else None

        return tuple(
            Departure(frame, *_of(event), in_hand(frame, event.in_hand), event.given)
            for frame, event in zip(sent.number.tolist(), left[first:], strict=False)
        )


def _of(event: Passing) -> tuple[int, int, int, bool, int | None]:
    return event.time, event.cpu, event.pid, event.interrupt, event.stack
