"""What slows transfers down: a small window, a full queue on the path, a rate, a pause, a connection per request."""

from __future__ import annotations

import statistics
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from testbed.analysis.causes.endpoint import arrival_time
from testbed.diagnosis.observed import MS, SECOND, Observed, SeenFlow
from testbed.model import HOSTS, Crossing, Endpoint, Fate, Host, PacketRef, call_ref, peer_of
from testbed.model.evidence import Duration, Part, Quantity
from testbed.model.findings import (
    Certainty,
    Cost,
    Culprit,
    Finding,
    FindingName,
    Severity,
    Undecided,
    kernel_of,
    program_of,
)

Found = Iterator[Finding | Undecided]

_MOST = 20_000
"""Packets of a connection above which its transfer is not looked at."""


class Flight(NamedTuple):
    """A data segment as it left: what was out with it (bytes), and the room that the peer's window then left."""

    packet: Crossing
    out: int
    room: int
    window: int


def flights(connection: SeenFlow, host: Host) -> list[Flight]:
    """Return each new data segment of a host with what was on its way and the room that was left."""
    found: list[Flight] = []
    events: list[tuple[int, int, Crossing]] = []
    for packet in connection.packets:
        if packet.sender == host and packet.sent is not None and packet.length:
            events.append((packet.sent, 1, packet))
        elif packet.sender != host and packet.arrived is not None and packet.ack is not None:
            events.append((packet.arrived, 0, packet))
    events.sort(key=lambda each: each[:2])
    acknowledged, window, high = 1, 0, 0
    for _, ours, packet in events:
        if not ours:
            if packet.ack is not None and packet.ack >= acknowledged and "R" not in packet.flags:
                acknowledged, window = packet.ack, connection.window(packet)
        elif packet.seq + packet.length > high:
            high = packet.seq + packet.length
            found.append(Flight(packet, high - acknowledged, acknowledged + window - high, window))
    return found


_FILLS, _SHARE, _TRIPS_SET, _TRIPS = 10, 0.4, 5, 10
"""Least segments that used a window up, share of the time and round trips that were waited: one may grow at first."""


def small_windows(seen: Observed) -> Found:
    """Yield each receiver whose window was used up in every round trip although its program read all along."""
    for connection in seen.tcp:
        trip = connection.round_trip
        if trip is None or trip < MS or len(connection.packets) > _MOST:
            continue
        for sender in HOSTS:
            sent = flights(connection, sender)
            largest = max((each.packet.length for each in sent), default=0)
            most = max((each.window for each in sent), default=0)
            filled = [n for n, each in enumerate(sent[:-1]) if each.room < largest and each.window * 2 > most]
            waited = sum(max(sent[n + 1].packet.time - sent[n].packet.time, 0) for n in filled)
            if len(filled) < _FILLS or not most:
                continue
            if seen.both_ends and any(_bloated(connection, sender)):
                continue  # what was on its way stood in a queue: a larger window would only fill that
            span = sent[-1].packet.time - sent[0].packet.time
            host = peer_of(sender)
            setter = (
                connection.calls[host].option("SO_RCVBUF", sent[-1].packet.time) if connection.knows(host) else None
            )
            trips = _TRIPS if setter is None else _TRIPS_SET
            if waited < max(_SHARE * span, trips * trip) or any(each.window < largest for each in sent[1:]):
                continue
            facts: dict[str, Part] = {
                "host": host,
                "peer": sender,
                "window": Quantity(most, "byte"),
                "rtt": Duration(trip),
                "rate": Quantity(most * SECOND // trip, "byte"),
                "waited": Duration(waited),
                "better": Quantity(2 * most, "byte"),
            }
            if setter is not None:
                facts["call"] = call_ref(setter)
            yield Finding(
                FindingName.SMALL_BUFFER,
                Severity.WARNING,
                program_of(host) if setter is not None else kernel_of(host),
                connection.index,
                facts,
                variant="set" if setter is not None else "",
                packets=tuple(sent[n].packet.n for n in filled[:8]),
                calls=(call_ref(setter),) if setter is not None else (),
                cost=Cost(wait=waited, of_wait=connection.span),
                certainty=Certainty.PROVEN if setter is not None else Certainty.INFERRED,
            )


_PACKETS, _GROWN, _TIMES, _FOLLOWS, _LASTING = 50, 50 * MS, 3, 0.7, 200 * MS
"""Packets, growth of the delay, and how long late ones come: a processor that was busy for a moment is no queue."""


def full_queues(seen: Observed) -> Found:
    """Yield each direction in which the delay grew with what was on its way, or in which a rate spaced the packets."""
    if not seen.both_ends:
        return
    for connection in seen.tcp:
        if len(connection.packets) > _MOST:
            continue
        for host in HOSTS:
            yield from _bloated(connection, host)
            if len(_crossed(connection, host)) >= _PACKETS:
                yield from _limited(connection, host)


def _crossed(connection: SeenFlow, host: Host) -> list[Flight]:
    return [each for each in flights(connection, host) if each.packet.fate is Fate.CROSSED]


def _bloated(connection: SeenFlow, host: Host) -> Found:
    sent = _crossed(connection, host)
    if len(sent) < _PACKETS:
        return
    delays = [arrival_time(each.packet) - each.packet.time for each in sent]
    least, most = min(delays), max(delays)
    if most - least < _GROWN or most < _TIMES * max(least, 1):
        return
    # what a busy processor held up comes all at once, what had to queue comes one by one
    late = [arrival_time(each.packet) for each, delay in zip(sent, delays, strict=True) if delay - least >= _GROWN]
    if max(late) - min(late) < _LASTING:
        return
    came = sorted(arrival_time(each.packet) for each in sent)
    stretch = came[max(came.index(min(late)) - 1, 0) : came.index(max(late)) + 1]
    if max(after - before for before, after in pairwise(stretch)) * 2 >= most - least:
        return  # nothing arrived for about as long as they were late: something stood still
    if statistics.pstdev([each.out for each in sent]) == 0:
        return
    if statistics.correlation([each.out for each in sent], delays) < _FOLLOWS:
        return
    worst = sent[delays.index(most)]
    yield Finding(
        FindingName.BUFFERBLOAT,
        Severity.WARNING,
        Culprit.PATH,
        connection.index,
        {
            "host": host,
            "peer": peer_of(host),
            "least": Duration(least),
            "most": Duration(most),
            "out": Quantity(worst.out, "byte"),
            "packet": PacketRef(worst.packet.n),
        },
        packets=(worst.packet.n,),
        certainty=Certainty.INFERRED,
    )


_STRETCH, _STRETCHES, _EVEN, _MANY_EVEN = 20, 4, 0.15, 0.8


def _limited(connection: SeenFlow, host: Host) -> Found:
    """Yield a rate: in stretches of packets that all had to wait, as many bytes arrive each second in all of them.

    Most of the stretches must be such: where few packets wait, something else was busy for a while.
    """
    crossed = [each for each in connection.data[host] if each.fate is Fate.CROSSED]
    came = sorted(((arrival_time(each), each) for each in crossed), key=lambda each: each[0])
    least = min(time - each.time for time, each in came)
    rates: list[float] = []
    for at in range(1, len(came) - _STRETCH, _STRETCH):
        stretch = came[at : at + _STRETCH]
        took = stretch[-1][0] - came[at - 1][0]
        if all(time - each.time > least + MS for time, each in stretch) and took > 0:
            rates.append(sum(connection.size(each) for _, each in stretch) * SECOND / took)
    if len(rates) < max(_STRETCHES, len(came) // _STRETCH // 2):
        return
    usual = statistics.median(rates)
    if sum(abs(each - usual) <= _EVEN * usual for each in rates) < _MANY_EVEN * len(rates):
        return
    yield Finding(
        FindingName.RATE_LIMIT,
        Severity.NOTE,
        Culprit.PATH,
        connection.index,
        {"host": host, "peer": peer_of(host), "rate": Quantity(int(usual), "byte")},
        packets=tuple(packet.n for _, packet in came[:4]),
        certainty=Certainty.INFERRED,
    )


_INITIAL = 10
"""Segments with which a kernel begins again after a pause (the restart window, RFC 5681 section 4.1, RFC 6928)."""
_PAUSE = 200 * MS
"""Least retransmission timeout: after so long without sending a kernel begins with slow start again."""


def restarts(seen: Observed) -> Found:
    """Yield each sender that began slowly again after a pause, although it had much to send."""
    for connection in seen.tcp:
        trip = connection.round_trip
        if trip is None or trip < MS or len(connection.packets) > _MOST:
            continue
        for host in HOSTS:
            sent = flights(connection, host)
            times = [each.packet.time for each in sent]
            for before, after in pairwise(sent):
                pause = after.packet.time - before.packet.time
                if pause < max(_PAUSE, 2 * trip) or after.out != after.packet.length:
                    continue
                at = sent.index(after)
                first = max(each.out for each in sent[at : bisect_right(times, after.packet.time + trip // 2)])
                reached = max(each.out for each in sent[:at])
                rest = sum(each.packet.length for each in sent[at:])
                setting = seen.facts.inputs.sysctls.get(host, {}).get("net.ipv4.tcp_slow_start_after_idle")
                if (
                    setting == "0"
                    or first * 2 > reached
                    or rest < 2 * first
                    or connection.writes_between(host, after.packet.time, times[min(at + 3, len(times) - 1)])
                ):
                    continue
                largest = max(each.packet.length for each in sent)
                if reached <= _INITIAL * largest:
                    continue
                yield Finding(
                    FindingName.SLOW_START_AFTER_IDLE,
                    Severity.NOTE,
                    kernel_of(host),
                    connection.index,
                    {
                        "host": host,
                        "pause": Duration(pause),
                        "packet": PacketRef(after.packet.n),
                        "packets": Quantity(max(first // largest, 1), "packet"),
                        "before": Quantity(reached // largest),
                    },
                    packets=(before.packet.n, after.packet.n),
                    certainty=Certainty.INFERRED,
                )
                break


_REQUESTS = 5


def one_each(seen: Observed) -> Found:
    """Yield each client that opened a connection for every request to one server, one after the other."""
    groups: dict[tuple[Host, Endpoint], list[SeenFlow]] = defaultdict(list)
    for connection in seen.tcp:
        if connection.opener is not None and connection.opened and connection.round_trip is not None:
            groups[connection.opener, connection.flow.endpoint(peer_of(connection.opener))].append(connection)
    for (host, endpoint), group in groups.items():
        single = [each for each in group if _turns(each) == 1]
        follow = [
            after
            for before, after in pairwise(single)
            if after.packets[0].time > next(each.time for each in reversed(before.packets) if each.length)
        ]
        if len(single) < _REQUESTS or len(single) < len(group) or len(follow) + 1 < len(single):
            continue
        opening = sum(each.round_trip or 0 for each in single)
        whole = sum(each.span for each in single)
        yield Finding(
            FindingName.CONNECTION_PER_REQUEST,
            Severity.NOTE,
            program_of(host),
            None,
            {
                "host": host,
                "endpoint": endpoint,
                "connections": Quantity(len(single), "connection"),
                "waited": Duration(opening),
            },
            packets=tuple(each.packets[0].n for each in single),
            cost=Cost(wait=opening, of_wait=whole),
        )


def _turns(connection: SeenFlow) -> int:
    """Return how often data of the opener was followed by data of its peer."""
    senders = [each.sender for each in connection.packets if each.length]
    if not senders or senders[0] != connection.opener:
        return 0
    return sum(one == connection.opener != other for one, other in pairwise(senders))
