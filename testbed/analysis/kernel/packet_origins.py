"""Which call stack each packet has, and which packet was being received as it was sent. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from testbed.analysis.kernel.classify_stack import ERRORS, Classified, classify
from testbed.model import Crossing, Host, Joined, peer_of
from testbed.model.kernel_log import Departure, KernelLog
from testbed.model.origins import Mechanism, PacketOrigin


@dataclass
class StackOrigins:
    """What the kernel's call stacks say, by crossing number: the stack's row of the table, and all of it as a value."""

    classified: dict[int, Classified] = field(default_factory=dict)
    origins: dict[int, PacketOrigin] = field(default_factory=dict)
    departures: dict[int, Departure] = field(default_factory=dict)


def packet_origins(joined: Joined, log: KernelLog) -> StackOrigins:
    """Return what is known of each packet that left a host whose capture the kernel's reports match."""
    found = StackOrigins()
    known = [classify(stack) for stack in log.stacks]
    departures = {host: {each.frame: each for each in own} for host, own in log.departures.items()}
    arrived = _by_frame_of_arrival(joined)
    last = _Arrivals(joined)
    for packet in joined.crossings:
        departure = departures.get(packet.sender, {}).get(_frame(packet, packet.sender) or 0)
        if packet.sent is None or departure is None or departure.stack is None:
            continue
        said = known[departure.stack]
        answered, certain = None, True
        if said.mechanism is Mechanism.ARRIVAL and departure.in_hand is not None:
            answered = arrived.get((packet.sender, departure.in_hand))
            if answered is not None and _is_other(joined.crossings[answered], log.stacks[departure.stack]):
                answered = None
        elif said.mechanism is Mechanism.BACKLOG:
            answered, certain = last.before(packet), False
        found.classified[packet.n], found.departures[packet.n] = said, departure
        found.origins[packet.n] = PacketOrigin(
            said.mechanism,
            said.row.meaning if said.row is not None else "a call stack that is not known",
            said.functions,
            log.stacks[departure.stack],
            departure.stack,
            said.syscall,
            departure.pid,
            said.timer,
            answered,
            certain,
            departure.time - departure.when_sent,
        )
    return found


def _is_other(arrival: Crossing, stack: Sequence[str]) -> bool:
    """Say whether a stack received something else than what came last: an ICMP error that its own host made.

    Those are no frames: one is made where a segment is larger than what the path was said to take.
    """
    return arrival.protocol == "tcp" and not set(ERRORS).isdisjoint(stack)


def _frame(packet: Crossing, host: Host) -> int | None:
    return packet.at_client if host == "client" else packet.at_server


def _by_frame_of_arrival(joined: Joined) -> Mapping[tuple[Host, int], int]:
    found = {}
    for packet in reversed(joined.crossings):  # of one that arrived merged, the first
        receiver = peer_of(packet.sender)
        frame = _frame(packet, receiver)
        if packet.arrived is not None and frame is not None:
            found[receiver, frame] = packet.n
    return found


class _Arrivals:
    """What came last on each connection."""

    def __init__(self, joined: Joined) -> None:
        self._by_flow: dict[tuple[int, Host], list[tuple[int, int]]] = defaultdict(list)
        for packet in joined.crossings:
            if packet.flow is not None and packet.arrived is not None:
                self._by_flow[packet.flow, peer_of(packet.sender)].append((packet.arrived, packet.n))
        for arrivals in self._by_flow.values():
            arrivals.sort()

    def before(self, packet: Crossing) -> int | None:
        """Return the number of what had come last on a packet's connection when it was sent."""
        if packet.flow is None or packet.sent is None:
            return None
        arrivals = self._by_flow[packet.flow, packet.sender]
        at = bisect_right(arrivals, (packet.sent, len(arrivals) << 32))
        return arrivals[at - 1][1] if at else None
