"""What must have happened before what: a run's calls and packets, whatever their time stamps say.

A thread makes one call after the other. Bytes leave after the call that wrote them has begun, and a call that took
bytes returns after they came; what opens, ends or breaks a connection off likewise. Packets among themselves are in
order already (:mod:`testbed.crossings.packet_sequence`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum, auto
from typing import NamedTuple

from testbed.analysis.calls.call_effects import (
    STARTED,
    has_flag,
    is_accept,
    option_set,
    shuts_writing,
    starts_connection,
    succeeded,
    switched_on,
)
from testbed.analysis.calls.streams import Streams
from testbed.model import HOSTS, Call, Crossing, Host, Joined, peer_of
from testbed.model.call_table import going
from testbed.model.intervals import IntervalSet
from testbed.model.kernel_log import KernelLog
from testbed.model.origins import Mechanism


class EventKind(Enum):
    """The four kinds of events."""

    SENT = auto()
    ARRIVED = auto()
    BEGINS = auto()
    RETURNS = auto()


class Event(NamedTuple):
    """A packet passes a host's capture, or a call of a host begins or returns; ``n`` is the number of either."""

    kind: EventKind
    host: Host
    n: int


Before = tuple[Event, Event]
"""Two events of which the first comes first."""

POLLS = frozenset({"poll", "ppoll", "select", "pselect", "epoll_wait", "epoll_pwait", "epoll_pwait2"})
_READS = going("in")
_BROKEN = frozenset({"ECONNRESET", "ECONNREFUSED", "EPIPE"})


def begins(call: Call) -> Event:
    """Return the event that a call begins."""
    return Event(EventKind.BEGINS, call.host, call.n)


def returns(call: Call) -> Event:
    """Return the event that a call returns."""
    return Event(EventKind.RETURNS, call.host, call.n)


def sent(packet: Crossing) -> Event:
    """Return the event that a packet leaves its host."""
    return Event(EventKind.SENT, packet.sender, packet.n)


def arrived(packet: Crossing) -> Event:
    """Return the event that a packet reaches the other host."""
    return Event(EventKind.ARRIVED, peer_of(packet.sender), packet.n)


def must_precede(calls: Mapping[Host, tuple[Call, ...]], streams: Streams) -> Iterator[Before]:
    """Yield pairs of events of which the first comes first; which packet a call is about is from ``streams``."""
    awaited: dict[Event, list[Event]] = defaultdict(list)
    for flow in streams.flows.values():
        for host in HOSTS:
            endpoint = _Endpoint(streams, flow.index, host)
            pairs = endpoint.tcp() if flow.protocol == "tcp" else endpoint.udp()
            for first, second in pairs:
                if second.kind is EventKind.RETURNS:
                    awaited[second].append(first)
                yield first, second
    for host in HOSTS:
        threads: dict[tuple[int, int], list[Call]] = defaultdict(list)
        for call in calls.get(host, ()):
            threads[call.pid, call.tid].append(call)
        for thread in threads.values():
            yield from _thread(thread)
            yield from _polls(thread, awaited)
        yield from _processes(threads.values())


def within_calls(joined: Joined, log: KernelLog, streams: Streams) -> Iterator[Before]:
    """Yield that a packet left within the call in whose course the kernel's call stack says that it was sent."""
    from testbed.analysis.kernel.calls_in_progress import CallsInProgress
    from testbed.analysis.kernel.packet_origins import packet_origins

    known, calls = packet_origins(joined, log), CallsInProgress(streams)
    for packet in joined.crossings:
        origin = known.origins.get(packet.n)
        if origin is None or origin.mechanism not in (Mechanism.CALL, Mechanism.BACKLOG) or not origin.syscall:
            continue
        departure = known.departures[packet.n]
        call = calls.at(packet.sender, departure.time, origin.syscall, packet.flow, departure.pid)
        if call is not None:
            yield begins(call), sent(packet)
            yield sent(packet), returns(call)


def window_updates(streams: Streams) -> dict[int, frozenset[Event]]:
    """Return the packets that only tell a larger window, each with the reads of which one made room for it."""
    found: dict[int, frozenset[Event]] = {}
    for (flow, host), packets in streams.by_sender.items():
        reads: frozenset[Event] | None = None
        before: Crossing | None = None
        for packet in packets:
            if packet.sent is None or packet.ack is None or packet.protocol != "tcp":
                continue
            same = before is not None and before.ack == packet.ack and packet.flags == "." and not packet.length
            if same and before is not None and packet.window > before.window:
                if reads is None:
                    reads = frozenset(
                        begins(call) for call in streams.calls.get((flow, host), ()) if call.name in _READS
                    )
                found[packet.n] = reads
            before = packet
    return found


# ------------------------------------------------------------------ threads and processes


def _thread(calls: list[Call]) -> Iterator[Before]:
    """Yield the order of one thread's calls; one that began before another returned is within that."""
    before: Call | None = None
    for call in calls:
        if call.end is not None:
            yield begins(call), returns(call)
        if before is not None:
            ended = before.end is not None and before.end <= call.start
            yield (returns(before) if ended else begins(before)), begins(call)
        before = call


def _processes(threads: Iterable[list[Call]]) -> Iterator[Before]:
    """Yield that a process does nothing before the fork that made it, nor after its end."""
    forks: dict[int, Call] = {}
    firsts: dict[int, list[Call]] = defaultdict(list)
    ends: dict[int, Call] = {}
    every = [call for thread in threads for call in thread]
    for call in every:
        if call.name == "fork" and call.result > 0:
            forks[call.result] = call
        if call.name == "exit":
            ends[call.pid] = call
        firsts[call.pid].append(call)
    for child, fork in forks.items():
        yield from ((begins(fork), begins(call)) for call in firsts.get(child, ()))
    for pid, end in ends.items():
        for call in firsts[pid]:
            if call is not end:
                yield (begins(call) if call.end is None else returns(call)), begins(end)


def _polls(calls: list[Call], awaited: Mapping[Event, list[Event]]) -> Iterator[Before]:
    """Yield that a call that waited for any socket returned after what the next one took had come."""
    for at, call in enumerate(calls[:-1]):
        if call.name in POLLS and call.result > 0 and call.end is not None:
            yield from ((first, returns(call)) for first in awaited.get(returns(calls[at + 1]), ()))


# ------------------------------------------------------------------ connections


class _Endpoint:
    """One host's endpoint of a flow: what it sent and what came, each in order, and its calls."""

    def __init__(self, streams: Streams, flow: int, host: Host) -> None:
        self.streams, self.flow, self.host = streams, flow, host
        self.calls = streams.calls.get((flow, host), ())
        self.sent = [each for each in streams.by_sender.get((flow, host), ()) if each.sent is not None]
        self.came = [each for each in streams.by_sender.get((flow, peer_of(host)), ()) if each.arrived is not None]
        self.came.sort(key=lambda each: (each.arrived, each.n))
        self.holds = any(option_set(call, "TCP_CORK") or has_flag(call, "MSG_MORE") for call in self.calls)

    def tcp(self) -> Iterator[Before]:
        yield from self._written()
        yield from self._read()
        yield from self._opened()
        yield from self._ended()

    def udp(self) -> Iterator[Before]:
        for datagram in self.streams.datagrams.get((self.flow, self.host, "out"), ()):
            if datagram.crossing is not None:
                yield begins(datagram.call), Event(EventKind.SENT, self.host, datagram.crossing)
        for datagram in self.streams.datagrams.get((self.flow, self.host, "in"), ()):
            if datagram.crossing is not None:
                yield Event(EventKind.ARRIVED, self.host, datagram.crossing), returns(datagram.call)

    def _written(self) -> Iterator[Before]:
        stream = self.streams.stream(self.flow, self.host, "out")
        for packet in self.sent:
            shares = stream.covering(max(packet.start, 0), packet.end) if packet.length else ()
            for share in shares:
                yield begins(share.call), sent(packet)
            if shares and self.holds and "F" not in packet.flags:
                release = self._released(shares[-1].call)
                if release is not None:
                    yield begins(release), sent(packet)

    def _released(self, last: Call) -> Call | None:
        """Return the call that lets held bytes go which ``last`` wrote: the one that uncorks, or ends the sending."""
        at = self.calls.index(last)
        corked = False
        for call in self.calls[:at]:
            if option_set(call, "TCP_CORK"):
                corked = switched_on(call, "TCP_CORK")
        if not corked and not has_flag(last, "MSG_MORE"):
            return None
        for call in self.calls[at + 1 :]:
            uncorks = option_set(call, "TCP_CORK") and not switched_on(call, "TCP_CORK")
            if uncorks or switched_on(call, "TCP_NODELAY") or shuts_writing(call):
                return call
        return None

    def _read(self) -> Iterator[Before]:
        known, reached = IntervalSet(), []
        for packet in self.came:
            known.add(max(packet.start, 0), packet.end)
            reached.append(known.end_after(0))
        for share in self.streams.stream(self.flow, self.host, "in").shares:
            at = bisect_left(reached, share.end)
            if at < len(self.came):
                yield arrived(self.came[at]), returns(share.call)
        fin = next((each for each in self.came if "F" in each.flags), None)
        for call in self.calls:
            at_end = call.name in _READS and succeeded(call) and not call.length and call.result == 0
            if fin is not None and at_end:
                yield arrived(fin), returns(call)

    def _opened(self) -> Iterator[Before]:
        syn = next((each for each in self.sent if "S" in each.flags and each.ack is None), None)
        answer = next((each for each in self.came if "S" in each.flags and each.ack is not None), None)
        completes = next((each for each in self.came if each.ack is not None and "S" not in each.flags), None)
        makers = [call for call in self.calls if starts_connection(call)]
        if makers and syn is not None:
            yield begins(makers[0]), sent(syn)
        # with TCP_FASTOPEN_CONNECT a connect returns at once, and the first write sends the SYN
        waited = makers if syn is not None and not syn.length else []
        for call in waited:
            if answer is not None and call.name == "connect" and succeeded(call):
                yield arrived(answer), returns(call)
        for call in self.calls:
            if completes is not None and is_accept(call) and succeeded(call):
                yield arrived(completes), returns(call)

    def _ended(self) -> Iterator[Before]:
        enders = [call for call in self.calls if shuts_writing(call)]
        closes = [each.ended for each in self.streams.descriptors.get((self.flow, self.host), ()) if each.ended]
        if closes:
            enders.append(max(closes, key=_when))
        elif all(is_accept(call) for call in self.calls):
            enders += sorted(self._ends_of_listener(), key=_when)
        for packet in self.sent:
            ends = enders[:1] if "F" in packet.flags else enders[-1:] if packet.flags == "R." else ()
            yield from ((begins(call), sent(packet)) for call in ends)
            if packet.flags == "R" and closes:  # it answers what came when the socket was gone
                yield returns(enders[-1]), sent(packet)
        reset = next((each for each in self.came if "R" in each.flags), None)
        for call in self.calls:
            told = call.errno in _BROKEN and call.errno not in STARTED
            if reset is not None and told and call.end is not None:
                yield arrived(reset), returns(call)

    def _ends_of_listener(self) -> Iterator[Call]:
        """Yield what gave up the listener on this endpoint's port: it resets what nobody accepted."""
        port = self.streams.flows[self.flow].endpoint(self.host).port
        for socket in self.streams.sockets[self.host]:
            if socket.listening and socket.local is not None and socket.local.port == port:
                yield from (each.ended for each in socket.descriptors if each.ended is not None)


def _when(call: Call) -> tuple[int, int]:
    return call.start, call.n
