"""Which packet was dropped: ``kfree_skb`` names no address, and where there is no socket nothing else does.

What the kernel tells of a packet's way in is put together: ``net:netif_rx`` as it comes, ``net:netif_receive_skb`` as a
processor begins with it; then that processor drops it. Its capture has its time stamp from right before the former, or,
of TCP whose own time stamp it still carries, from right after the latter (tpacket_rcv). Only the lab's own packets are
in its captures, so what has no place there is another's.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from testbed.capture.arrivals import Arrivals
from testbed.model import Endpoint, Host

LONGEST = 10_000_000
"""ns that can lie between an event and the time stamp beside it, on a machine that is busy."""
SLACK = 200
"""ns by which an event may be on the wrong side of it, besides the clocks' error."""
_WHEN_READ = frozenset({"UDP_CSUM"})
"""Reasons of a packet that a socket had taken already."""
_GOING_OUT = ("NEIGH_", "QDISC_", "IP_OUT", "TC_EGRESS", "BPF_CGROUP_EGRESS")
"""How reasons begin of what a host itself sends."""


@dataclass(frozen=True, slots=True)
class Came:
    """A packet's way in: when it came and when a processor began with it (ns, the captures' clock), its IP length."""

    time: int
    begun: int
    length: int


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet in the capture of the host where it came: its time there, where it went and where it came from."""

    host: Host
    time: int
    local: Endpoint
    peer: Endpoint


class WaysIn:
    """The packets that came in by some interfaces, and which of them each processor has in hand."""

    def __init__(self, interfaces: Collection[str]) -> None:
        self._interfaces = interfaces
        self._waiting: dict[int, int] = {}
        self._in_hand: dict[int, int] = {}
        self._last: dict[int, Came] = {}
        self._all: dict[int, list[Came]] = defaultdict(list)

    def arrives(self, skb: int, time: int) -> None:
        """Take a packet's ``netif_rx``."""
        self._waiting[skb] = time

    def begins(self, cpu: int, skb: int, time: int, length: int, interface: str) -> None:
        """Take a packet's ``netif_receive_skb``, of any interface; not every one has a ``netif_rx`` before."""
        self._last.pop(skb, None)
        self._in_hand.pop(cpu, None)
        if interface not in self._interfaces:
            return
        came = Came(self._waiting.pop(skb, time), time, length)
        self._in_hand[cpu] = skb
        self._last[skb] = came
        self._all[length].append(came)

    def dropped(self, cpu: int, skb: int, time: int, reason: str, *, interrupt: bool) -> Came | None:
        """Return the way in of what this processor drops; None if that is not what it has in hand.

        The kernel uses a packet's memory again at once, so that elsewhere it may be another packet's.
        """
        if reason.startswith(_GOING_OUT):
            return None
        if reason in _WHEN_READ:
            return self._last.pop(skb, None)
        if not interrupt or self._in_hand.get(cpu) != skb:
            return None
        del self._in_hand[cpu]
        came = self._last.pop(skb, None)
        return came if came is not None and time - came.begun <= LONGEST else None

    def packets(self, wanted: Iterable[Came], arrivals: Mapping[Host, Arrivals], error: int) -> dict[Came, Packet]:
        """Return which packets of the captures these are; one that is in none, or not surely one, is left out."""
        wanted = list(wanted)
        found: dict[Came, list[Packet]] = defaultdict(list)
        for tcp in (False, True):
            pairs = []
            for length in {came.length for came in wanted}:
                beside = _Beside(self._all[length], SLACK + error)
                for host, there in arrivals.items():
                    pairs += [(beside.of(time), host, time, row) for time, row in there.of(length, tcp=tcp)]
            # All of a kind get their time stamps at the same place.
            early = sum(first.gap < second.gap for (first, second), _, _, _ in pairs) * 2 > len(pairs)
            for beside_it, host, time, row in pairs:
                chosen = beside_it[0] if early else beside_it[1]
                if chosen.came is not None and chosen.gap <= LONGEST:
                    found[chosen.came].append(Packet(host, time, *arrivals[host].ends(row)))
        return {came: found[came][0] for came in wanted if len(found[came]) == 1}


@dataclass(frozen=True, slots=True)
class _Near:
    """A packet that a time stamp may be of, and how far (ns) its event is from it."""

    came: Came | None = None
    gap: int = LONGEST + 1


class _Beside:
    """Packets of one length by what can be beside a capture's time stamp."""

    def __init__(self, ways_in: list[Came], slack: int) -> None:
        self._slack = slack
        self._coming = sorted(ways_in, key=lambda came: came.time)
        self._begun = sorted(ways_in, key=lambda came: came.begun)

    def of(self, time: int) -> tuple[_Near, _Near]:
        """Return what came next after a time stamp, and what was begun with last before it."""
        first = bisect_left(self._coming, time - self._slack, key=lambda came: came.time)
        last = bisect_right(self._begun, time + self._slack, key=lambda came: came.begun) - 1
        after = self._coming[first] if first < len(self._coming) else None
        before = self._begun[last] if last >= 0 else None
        return (
            _Near(after, abs(after.time - time)) if after is not None else _Near(),
            _Near(before, abs(time - before.begun)) if before is not None else _Near(),
        )
