"""One order of all events of a run: packets and calls, by what must be, and by time only where that leaves it open.

Events of different times are in the order of their times. Those of one time stamp (virtual time, a coarse clock, or
chance) are put in order: by what must precede what; of what is left open a packet goes first, since the kernel sends,
delivers and answers it within the call that wrote it, then a call that returns, then one that begins. The result
depends on nothing else, and is kept in the time stamps (:class:`testbed.model.event_times.EventTime`).
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate

from testbed.analysis.calls.streams import build_streams
from testbed.analysis.order.must_precede import (
    Event,
    EventKind,
    arrived,
    begins,
    must_precede,
    returns,
    sent,
    window_updates,
    within_calls,
)
from testbed.model import HOSTS, Call, Crossing, Inputs
from testbed.model.event_times import EventTime

Times = Mapping[Event, int]


def in_order(inputs: Inputs) -> Inputs:
    """Return the run with time stamps that compare as its events happened; itself where all times differ."""
    passing = _passing(inputs.joined.crossings)
    calls = [call for host in HOSTS for call in inputs.calls.get(host, ())]
    groups = _groups(passing, calls)
    if not groups:
        return inputs
    place: dict[Event, int] = {}
    for event in _ordered(inputs, groups):
        place[event] = len(place)

    def stamp(time: int, event: Event) -> int:
        return EventTime(time, place[event]) if event in place else int(time)

    crossings = tuple(_packet(each, stamp, place) for each in inputs.joined.crossings)
    return replace(
        inputs,
        joined=replace(inputs.joined, crossings=crossings),
        calls={host: tuple(_call(each, stamp, place) for each in own) for host, own in inputs.calls.items()},
    )


def _packet(packet: Crossing, stamp: Callable[[int, Event], int], place: Mapping[Event, int]) -> Crossing:
    if sent(packet) not in place and arrived(packet) not in place:
        return packet
    return replace(
        packet,
        sent=None if packet.sent is None else stamp(packet.sent, sent(packet)),
        arrived=None if packet.arrived is None else stamp(packet.arrived, arrived(packet)),
    )


def _call(call: Call, stamp: Callable[[int, Event], int], place: Mapping[Event, int]) -> Call:
    if begins(call) not in place and returns(call) not in place:
        return call
    return replace(
        call,
        start=stamp(call.start, begins(call)),
        end=None if call.end is None else stamp(call.end, returns(call)),
    )


def _passing(crossings: Sequence[Crossing]) -> list[tuple[int, Event]]:
    """Return when each packet left and arrived, in order; those of plain equal times as their numbers are."""
    found = [(packet.sent, packet.n, 0, sent(packet)) for packet in crossings if packet.sent is not None]
    found += [(packet.arrived, packet.n, 1, arrived(packet)) for packet in crossings if packet.arrived is not None]
    found.sort(key=lambda each: each[:3])
    return [(time, event) for time, _, _, event in found]


class _Group:
    """Events that time alone does not order: packets in their order, and calls."""

    def __init__(self) -> None:
        self.packets: list[Event] = []
        self.calls: list[Event] = []


def _groups(passing: Sequence[tuple[int, Event]], calls: Sequence[Call]) -> dict[int, _Group]:
    """Return the events that share a time with another, by that time, ascending."""
    # an arrival with a time before its departure's is together with it
    reached = accumulate((int(time) for time, _ in passing), max)
    known: dict[int, _Group] = defaultdict(_Group)
    marked = set()
    for time, (stamp, event) in zip(reached, passing, strict=True):
        known[time].packets.append(event)
        if isinstance(stamp, EventTime):
            marked.add(time)
    for call in calls:
        known[int(call.start)].calls.append(begins(call))
        if call.end is not None:
            known[int(call.end)].calls.append(returns(call))
    return {
        time: known[time]
        for time in sorted(known)
        if time in marked or len(known[time].packets) + len(known[time].calls) > 1
    }


def _ordered(inputs: Inputs, groups: Mapping[int, _Group]) -> Iterator[Event]:
    """Yield the events of all groups in order."""
    mixed = {time for time, group in groups.items() if group.calls}
    together = {event: time for time in mixed for event in (*groups[time].packets, *groups[time].calls)}
    before: dict[Event, set[Event]] = defaultdict(set)
    late: Mapping[int, frozenset[Event]] = {}
    if mixed:
        streams = build_streams(inputs.joined, inputs.calls, inputs.observed)
        late = window_updates(streams)
        stacks = inputs.kernel if inputs.kernel is not None and inputs.kernel.departures else None
        proven = within_calls(inputs.joined, stacks, streams) if stacks is not None else ()
        for first, second in (*must_precede(inputs.calls, streams), *proven):
            if first in together and together[first] == together.get(second):
                before[second].add(first)
    for time, group in groups.items():
        yield from _sorted(group, before, late) if time in mixed else group.packets


def _sorted(group: _Group, before: Mapping[Event, set[Event]], late: Mapping[int, frozenset[Event]]) -> Iterator[Event]:
    """Sort the events of one group topologically; where what must be contradicts itself, packets go on."""
    waits = {event: len(before.get(event, ())) for event in (*group.packets, *group.calls)}
    followers: dict[Event, list[Event]] = defaultdict(list)
    for event in waits:
        for first in before.get(event, ()):
            followers[first].append(event)
    open_calls = [_rank(event) for event in group.calls if not waits[event]]
    heapq.heapify(open_calls)
    packets = iter(group.packets)
    packet = next(packets, None)
    done: set[Event] = set()
    begun: set[Event] = set()  # since the last window update: reads that may have made room for the next
    while len(done) < len(waits):
        held = packet is not None and (waits[packet] or _waits_for_read(packet, begun, late))
        if packet is not None and not (held and open_calls):
            event, packet = packet, next(packets, None)
            begun -= late.get(event.n, frozenset()) if event.kind is EventKind.SENT else frozenset()
        elif open_calls:
            event = heapq.heappop(open_calls)[-1]
            begun.add(event)
        else:
            event = min((each for each in group.calls if each not in done), key=_rank)
        if event in done:
            continue
        yield event
        done.add(event)
        for follower in followers[event]:
            waits[follower] -= 1
            if not waits[follower] and follower.kind in _OF_CALLS:
                heapq.heappush(open_calls, _rank(follower))


def _waits_for_read(packet: Event, begun: set[Event], late: Mapping[int, frozenset[Event]]) -> bool:
    return packet.kind is EventKind.SENT and packet.n in late and late[packet.n].isdisjoint(begun)


_OF_CALLS = (EventKind.BEGINS, EventKind.RETURNS)


def _rank(event: Event) -> tuple[bool, int, int, Event]:
    """Return by what calls that may be next are compared: smaller goes first."""
    return event.kind is EventKind.BEGINS, HOSTS.index(event.host), event.n, event
