"""Which bytes of which stream each data call moved, and which datagram.

Every successful data call (send, sendto, sendmsg, sendmmsg, write, writev, sendfile, splice; recv, recvfrom, recvmsg,
recvmmsg, read, readv: all that carry ``direction``) covers ``[start, end)`` of its socket's stream, in order of call
start over all processes and threads that share the socket. Calls of several threads that overlap in time are put in
the order that the bytes on the wire show; where content cannot tell, they are marked ambiguous.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import accumulate, islice
from typing import Literal

from testbed.analysis.calls.call_effects import has_flag, moves_bytes, option_set, switched_on
from testbed.analysis.calls.datagram_calls import Datagram, matched, sent_datagrams, taken_datagrams
from testbed.analysis.calls.socket_flows import TcpFlows, UdpFlows
from testbed.analysis.calls.sockets import ObservedSocket, OpenDescriptor, group_sockets
from testbed.analysis.calls.stream_order import Fit, Seek, in_stream_order
from testbed.analysis.calls.wire_stream import Point, WireBytes, digest_of, payload_and_length_at, payload_at
from testbed.model import HOSTS, Call, Crossing, Flow, Host, Joined, peer_of

Direction = Literal["out", "in"]
POINT_OF: dict[Direction, Point] = {"out": "sent", "in": "arrived"}


@dataclass(frozen=True, slots=True)
class Share:
    """One call's bytes: stream offsets ``[start, end)``. ``ambiguous``: another order of calls fits as well."""

    call: Call
    start: int
    end: int
    ambiguous: bool = False


class Stream:
    """All data calls of one host on one flow in one direction, in stream order."""

    def __init__(self, shares: Iterable[Share] = ()) -> None:
        self.shares = tuple(shares)
        self._starts = [share.start for share in self.shares]
        self.total = sum(share.end - share.start for share in self.shares)
        self.end = self.shares[-1].end if self.shares else 0

    def covering(self, start: int, end: int) -> tuple[Share, ...]:
        """Return the shares that have a byte in ``[start, end)``."""
        at = max(bisect_right(self._starts, start) - 1, 0)
        found = []
        while at < len(self.shares) and self.shares[at].start < end:
            if self.shares[at].end > start:
                found.append(self.shares[at])
            at += 1
        return tuple(found)


@dataclass(slots=True)
class Streams:
    """What the calls moved, by flow.

    ``wires`` are TCP bytes by (flow, sender, point); ``streams`` by (flow, host, direction); ``datagrams`` the same
    for UDP in call order; ``calls`` all calls on a flow's socket by (flow, host), ``descriptors`` its descriptors;
    ``flow_of`` the flow of a call.
    ``by_sender`` lists the crossings of a flow and sender in time order. ``proven``, ``midway`` and ``queued`` as
    in :class:`testbed.model.Inputs`. ``observed`` says whether a host had an
    observer.
    """

    flows: dict[int, Flow]
    observed: dict[Host, bool]
    sockets: dict[Host, list[ObservedSocket]]
    wires: dict[tuple[int, Host, Point], WireBytes] = field(default_factory=dict)
    streams: dict[tuple[int, Host, Direction], Stream] = field(default_factory=dict)
    datagrams: dict[tuple[int, Host, Direction], tuple[Datagram, ...]] = field(default_factory=dict)
    calls: dict[tuple[int, Host], tuple[Call, ...]] = field(default_factory=dict)
    descriptors: dict[tuple[int, Host], list[OpenDescriptor]] = field(default_factory=dict)
    flow_of: dict[tuple[Host, int], int] = field(default_factory=dict)
    by_sender: dict[tuple[int, Host], list[Crossing]] = field(default_factory=dict)
    proven: frozenset[Host] = frozenset()
    midway: bool = False
    queued: Collection[Host] = ()

    def stream(self, flow: int, host: Host, direction: Direction) -> Stream:
        """Return the stream, an empty one if no call moved bytes."""
        return self.streams.get((flow, host, direction), _EMPTY)

    def wire(self, flow: int, sender: Host, point: Point) -> WireBytes:
        """Return the bytes that one capture shows, none if there are none."""
        return self.wires.get((flow, sender, point), _NOTHING)

    def knows(self, flow: int, host: Host) -> bool:
        """Say whether an observer saw this host's socket of the flow."""
        return (flow, host) in self.calls

    def observes(self, flow: int, host: Host) -> bool:
        """Say whether what a host did on a flow was observed: of an older connection, only if a call is there."""
        return self.observed[host] and (self.knows(flow, host) or not self._is_older(flow))

    def _is_older(self, flow: int) -> bool:
        known = self.flows[flow]
        return self.midway and known.protocol == "tcp" and known.client_isn is None and known.server_isn is None

    def listens(self, flow: int, host: Host) -> bool:
        """Say whether an observer saw a listener on the flow's port: then an unknown connection was never accepted.

        Of one that was open before, its being accepted need not have been seen.
        """
        port = self.flows[flow].endpoint(host).port
        if self._is_older(flow):
            return False
        return any(
            socket.listening and socket.local is not None and socket.local.port == port for socket in self.sockets[host]
        )


_EMPTY = Stream()
_NOTHING = WireBytes()


def build_streams(
    joined: Joined,
    calls: Mapping[Host, tuple[Call, ...]],
    observed: Mapping[Host, str] | None = None,
    proven: frozenset[Host] = frozenset(),
    *,
    midway: bool = False,
    queued: Collection[Host] = (),
) -> Streams:
    """Place every call's bytes.

    ``observed``, ``proven``, ``midway`` and ``queued`` as in :class:`testbed.model.Inputs`; without the first: hosts
    with calls.
    """
    seen = {host: observed.get(host, "none") != "none" if observed else bool(calls.get(host)) for host in HOSTS}
    ordered = {host: sorted(calls.get(host, ()), key=lambda call: (call.start, call.n)) for host in HOSTS}
    flows = {flow.index: flow for flow in joined.flows}
    sockets = {host: group_sockets(ordered[host]) for host in HOSTS}
    streams = Streams(flows, seen, sockets, proven=proven, midway=midway, queued=queued)
    _gather_wires(joined, streams)
    _assign_calls(joined, streams)
    for flow in joined.flows:
        for host in HOSTS:
            if flow.protocol == "tcp":
                _place(streams, flow.index, host, "out")
        for host in HOSTS:
            if flow.protocol == "tcp":
                _place(streams, flow.index, host, "in")
    _match_datagrams(streams)
    return streams


def _gather_wires(joined: Joined, streams: Streams) -> None:
    for crossing in joined.crossings:
        if crossing.flow is not None and crossing.protocol == streams.flows[crossing.flow].protocol:
            streams.by_sender.setdefault((crossing.flow, crossing.sender), []).append(crossing)
    tcp = {flow.index for flow in joined.flows if flow.protocol == "tcp"}
    for (flow, sender), crossings in streams.by_sender.items():
        if flow not in tcp:
            continue
        left = [(c.start, c.payload, c.length) for c in crossings if c.sent is not None and c.length]
        came = [(c.arrived, c.n, c) for c in crossings if c.arrived is not None and c.length and not c.discarded]
        came.sort(key=lambda each: each[:2])
        streams.wires[flow, sender, "sent"] = WireBytes(left)
        streams.wires[flow, sender, "arrived"] = WireBytes(
            (c.start, *payload_and_length_at(c, "arrived")) for _, _, c in came
        )


def _assign_calls(joined: Joined, streams: Streams) -> None:
    members: dict[tuple[int, Host], list[Call]] = defaultdict(list)
    conversations = UdpFlows(joined)
    every = [socket for host in HOSTS for socket in streams.sockets[host]]
    TcpFlows(joined).assign(socket for socket in every if socket.protocol == "tcp" and not socket.listening)
    for host in HOSTS:
        conversations.name_by_elimination(streams.sockets[host])
        for socket in streams.sockets[host]:
            if socket.protocol == "udp":
                for call in socket.calls:
                    index = conversations.of(socket, call)
                    if index is not None:
                        members[index, host].append(call)
            elif socket.flow is not None:
                members[socket.flow, host].extend(socket.calls)
                streams.descriptors.setdefault((socket.flow, host), []).extend(socket.descriptors)
    for (index, host), owned in members.items():
        owned.sort(key=lambda call: (call.start, call.n))
        streams.calls[index, host] = tuple(owned)
        streams.flow_of.update({(host, call.n): index for call in owned})


def _place(streams: Streams, flow: int, host: Host, direction: Direction) -> None:
    """Lay the calls of one host and direction along the stream."""
    owned = streams.calls.get((flow, host), ())
    moving = [call for call in owned if moves_bytes(call, direction)]
    if not moving:
        return
    sender = host if direction == "out" else peer_of(host)
    wire = streams.wire(flow, sender, POINT_OF[direction])
    holes: list[int] = []
    urgent: list[Call] = []
    if direction == "in" and not any(switched_on(call, "SO_OOBINLINE") for call in owned):
        holes = _urgent_offsets(streams, flow, sender)
        urgent = [call for call in moving if has_flag(call, "MSG_OOB")]
        moving = [call for call in moving if not has_flag(call, "MSG_OOB")]
    seek = _seek(wire, moving) if direction == "out" else None
    shares = [
        Share(call, start, start + call.length, ambiguous)
        for call, start, ambiguous in in_stream_order(moving, _fit(wire), holes, seek)
    ]
    shares += [Share(call, hole, hole + 1) for call, hole in zip(urgent, holes, strict=False)]
    shares.sort(key=lambda share: share.start)
    streams.streams[flow, host, direction] = Stream(shares)


def _fit(wire: WireBytes) -> Fit:
    def fits(call: Call, offset: int) -> bool:
        """Compare with the wire; what it does not show contradicts nothing."""
        shown = wire.slice(offset, offset + len(call.data))
        if shown is not None and shown != call.data:
            return False
        whole = wire.slice(offset, offset + call.length) if call.digest is not None else None
        return whole is None or digest_of(whole) == call.digest

    return fits


def _seek(wire: WireBytes, calls: list[Call]) -> Seek | None:
    """Return how to find a write behind bytes that no logged call wrote; None where the wire has no such bytes."""
    after = dict(zip((call.n for call in calls), accumulate(call.length for call in calls), strict=True))
    total = sum(call.length for call in calls)
    if wire.high <= total:
        return None
    fits = _fit(wire)

    def seek(call: Call, offset: int) -> list[int]:
        last = wire.high - (total - after[call.n] + call.length)  # the calls behind it must have room as well
        offsets = wire.find(call.data, offset + 1, last) if call.data else ()
        return list(islice((each for each in offsets if fits(call, each)), 2))

    return seek


def _urgent_offsets(streams: Streams, flow: int, sender: Host) -> list[int]:
    """Return the stream offsets of out-of-band bytes: the last byte of each MSG_OOB send (tcp_mark_urg).

    Where the sender's calls are unknown, the urgent pointer decides: it points behind the byte.
    """
    if streams.knows(flow, sender):
        shares = streams.stream(flow, sender, "out").shares
        return [share.end - 1 for share in shares if has_flag(share.call, "MSG_OOB")]
    pointed = {
        crossing.start + int(crossing.options["urgent"]) - 1
        for crossing in streams.by_sender.get((flow, sender), ())
        if "U" in crossing.flags and "urgent" in crossing.options
    }
    return sorted(pointed)


def _match_datagrams(streams: Streams) -> None:
    """Find the crossings that the calls on UDP sockets made, and those that they took."""
    for host in HOSTS:
        out: dict[int, list[Datagram]] = defaultdict(list)
        many: dict[int, list[Call]] = {}
        for socket in streams.sockets[host]:
            if socket.protocol != "udp":
                continue
            for datagram in sent_datagrams(socket):
                index = streams.flow_of.get((host, datagram.calls[0].n))
                if index is not None:
                    out[index].append(datagram)
            options = [call for call in socket.calls if option_set(call, "UDP_GRO")]
            for index in {streams.flow_of[host, call.n] for call in socket.calls if (host, call.n) in streams.flow_of}:
                many.setdefault(index, []).extend(options)
        for index, flow in streams.flows.items():
            if flow.protocol == "udp":
                calls = {call.n: call for call in (*streams.calls.get((index, host), ()), *many.get(index, ()))}
                ordered = sorted(calls.values(), key=lambda call: (call.start, call.n))
                out[index].sort(key=lambda datagram: (datagram.call.start, datagram.call.n))
                _match(streams, index, host, "out", out[index])
                _match(streams, index, host, "in", list(taken_datagrams(ordered)))


def _match(streams: Streams, flow: int, host: Host, direction: Direction, datagrams: list[Datagram]) -> None:
    if not datagrams:
        return
    point = POINT_OF[direction]
    sender = host if direction == "out" else peer_of(host)
    crossings = [
        (crossing, payload_at(crossing, point))
        for crossing in streams.by_sender.get((flow, sender), ())
        if getattr(crossing, point) is not None and not (point == "arrived" and crossing.discarded)
    ]
    crossings.sort(key=lambda each: (getattr(each[0], point), each[0].n))
    streams.datagrams[flow, host, direction] = matched(datagrams, crossings)
