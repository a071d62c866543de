"""Each endpoint of each connection: its kernel events and its packets, on one clock."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from testbed.model import HOSTS, Crossing, Endpoint, Flow, Host, Joined, peer_of
from testbed.model.kernel_log import KernelEvent, KernelLog

SLACK = 1000
"""ns by which an event may lie before the packet that it follows, besides the clocks' error."""


@dataclass
class KernelEndpoint:
    """One host's endpoint of one connection.

    ``events`` are in time order; ``sent`` are its own packets by the time they left, ``arrived`` the peer's (and the
    link's in its name) by the time they came.
    """

    flow: Flow
    host: Host
    events: list[KernelEvent] = field(default_factory=list)
    sent: list[Crossing] = field(default_factory=list)
    arrived: list[Crossing] = field(default_factory=list)

    def named(self, *names: str) -> list[KernelEvent]:
        """Return the events of some tracepoints."""
        return [event for event in self.events if event.name in names]

    def last_arrived(self, time: int) -> Crossing | None:
        """Return what came last until ``time``."""
        at = bisect_right(self.arrived, time, key=_arrival)
        return self.arrived[at - 1] if at else None

    def arrived_until(self, time: int) -> list[Crossing]:
        """Return what had come by ``time``, the newest first."""
        return self.arrived[: bisect_right(self.arrived, time, key=_arrival)][::-1]

    def repeats(self) -> frozenset[int]:
        """Return the numbers of packets all of whose sequence space had been sent before."""
        found, highest = set(), None
        for packet in self.sent:
            length = packet.sequence_length
            if not length:
                continue
            end = packet.seq + length
            if highest is not None and end <= highest:
                found.add(packet.n)
            highest = end if highest is None else max(highest, end)
        return frozenset(found)


def _arrival(packet: Crossing) -> int:
    return packet.arrived if packet.arrived is not None else 0


def _departure(packet: Crossing) -> int:
    return packet.sent if packet.sent is not None else 0


@dataclass
class Gathered:
    """All endpoints of a run by flow and host, and the events that belong to none of its connections."""

    endpoints: dict[tuple[int, Host], KernelEndpoint]
    strays: list[KernelEvent]


def gather(joined: Joined, log: KernelLog) -> Gathered:
    """Assign events and packets to the endpoints of connections that they belong to."""
    endpoints = {
        (flow.index, host): KernelEndpoint(flow, host)
        for flow in joined.flows
        if flow.protocol == "tcp"
        for host in HOSTS
    }
    first: dict[int, int] = {}
    for packet in joined.crossings:
        if packet.flow is None or packet.protocol != "tcp":
            continue
        first.setdefault(packet.flow, packet.time)
        if packet.sent is not None:
            endpoints[packet.flow, packet.sender].sent.append(packet)
        if packet.arrived is not None:
            endpoints[packet.flow, peer_of(packet.sender)].arrived.append(packet)
    for endpoint in endpoints.values():
        endpoint.sent.sort(key=_departure)
        endpoint.arrived.sort(key=_arrival)
    choose = _Flows(joined.flows, first)
    strays = []
    for event in log.events:
        index = choose.of(event)
        if index is None or event.host is None:
            strays.append(event)
        else:
            endpoints[index, event.host].events.append(event)
    return Gathered(endpoints, strays)


class _Flows:
    """Which flow an event is of: by its endpoints; of several that used them one after the other, by time."""

    def __init__(self, flows: Iterable[Flow], first: dict[int, int]) -> None:
        self._by_endpoints: dict[tuple[Host, Endpoint, Endpoint], list[tuple[int, int]]] = defaultdict(list)
        for flow in flows:
            if flow.protocol != "tcp" or flow.index not in first:
                continue
            for host in HOSTS:
                key = host, flow.endpoint(host), flow.endpoint(peer_of(host))
                self._by_endpoints[key].append((first[flow.index], flow.index))
        for found in self._by_endpoints.values():
            found.sort()

    def of(self, event: KernelEvent) -> int | None:
        if event.host is None or event.local is None or event.peer is None:
            return None
        found = self._by_endpoints.get((event.host, event.local, event.peer), [])
        if not found:
            return None
        at = bisect_right(found, (event.time + SLACK, len(found) + found[-1][1]))
        opens = event.fields.get("newstate") == "SYN_SENT"  # that comes before its SYN
        return found[min(at, len(found) - 1)][1] if opens else found[max(at - 1, 0)][1]
