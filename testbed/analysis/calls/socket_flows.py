"""Which flow a socket, or a call on a datagram socket, belongs to: by its two endpoints.

Where a four-tuple was used more than once, sockets and flows are matched in their order; only if their numbers
differ, the SYN that follows the connect (or precedes the accept's return) decides.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Sequence
from typing import Literal

from testbed.analysis.calls.call_effects import (
    STARTED,
    endpoint_argument,
    is_accept,
    is_wildcard,
    moves_bytes,
    own_address,
    plain,
    starts_connection,
)
from testbed.analysis.calls.sockets import ObservedSocket
from testbed.analysis.calls.wire_stream import payload_at
from testbed.model import DATA_PREFIX, HOSTS, Call, Crossing, Endpoint, Host, Joined, peer_of
from testbed.model.ip import is_group


class TcpFlows:
    """The TCP flows of a run, found by endpoints."""

    def __init__(self, joined: Joined) -> None:
        self.first: dict[int, int] = {}
        for crossing in joined.crossings:
            if crossing.flow is not None and crossing.flow not in self.first:
                self.first[crossing.flow] = crossing.time
        self.pairs: dict[tuple[Host, Endpoint, Endpoint], list[int]] = defaultdict(list)
        self.peers: dict[tuple[Host, Endpoint], list[int]] = defaultdict(list)
        self.local: dict[Host, dict[int, Endpoint]] = {host: {} for host in HOSTS}
        for flow in sorted(joined.flows, key=lambda flow: (self.first.get(flow.index, 0), flow.index)):
            if flow.protocol != "tcp":
                continue
            for host in HOSTS:
                own, peer = flow.endpoint(host), flow.endpoint(peer_of(host))
                self.pairs[host, own, peer].append(flow.index)
                self.peers[host, peer].append(flow.index)
                self.local[host][flow.index] = own

    def assign(self, sockets: Iterable[ObservedSocket]) -> None:
        """Set ``flow`` of each connected socket."""
        exact: dict[tuple[Host, Endpoint, Endpoint], list[ObservedSocket]] = defaultdict(list)
        unbound: list[tuple[ObservedSocket, Endpoint]] = []
        for socket in sockets:
            if socket.peer is None:
                continue
            if socket.local is None or is_wildcard(socket.local):
                unbound.append((socket, socket.peer))
            else:
                exact[socket.host, socket.local, socket.peer].append(socket)
        taken: set[tuple[Host, int]] = set()
        for key, claimants in exact.items():
            flows = self.pairs.get(key, [])
            if len(flows) == len(claimants):
                for socket, index in zip(claimants, flows, strict=True):
                    socket.flow = index
            else:
                for socket in claimants:
                    socket.flow = self._by_syn(socket, flows)
            taken.update((key[0], index) for index in flows)
        for socket, peer in unbound:
            port = socket.local.port if socket.local is not None else None
            flows = [
                index
                for index in self.peers.get((socket.host, peer), ())
                if (socket.host, index) not in taken and port in (None, self.local[socket.host][index].port)
            ]
            socket.flow = self._by_syn(socket, flows)
            if socket.flow is not None:
                taken.add((socket.host, socket.flow))

    def _by_syn(self, socket: ObservedSocket, flows: list[int]) -> int | None:
        if not flows:
            return None
        if len(flows) == 1 and socket.local is not None:
            return flows[0]
        times = [self.first.get(index, 0) for index in flows]
        maker = socket.maker
        if starts_connection(maker):
            at = bisect_left(times, maker.start)
            failed = maker.end is not None and maker.errno is not None and maker.errno not in STARTED
            if at == len(flows) or (failed and maker.end is not None and times[at] > maker.end):
                return None  # it failed before a SYN left, and a later attempt's SYN is not its own
            return flows[at]
        seen = maker.end if is_accept(maker) and maker.end is not None else maker.start
        return flows[max(bisect_right(times, seen) - 1, 0)]


class UdpFlows:
    """The UDP conversations of a run: by the peer that a call or its socket names, else by what it received."""

    def __init__(self, joined: Joined) -> None:
        self._named: dict[tuple[Host, int, Endpoint], list[tuple[Endpoint, int]]] = defaultdict(list)
        self._ports: dict[tuple[Host, int], list[tuple[Endpoint, int]]] = defaultdict(list)
        for flow in joined.flows:
            if flow.protocol == "udp":
                for host in HOSTS:
                    own = flow.endpoint(host)
                    self._named[host, own.port, flow.endpoint(peer_of(host))].append((own, flow.index))
                    self._ports[host, own.port].append((own, flow.index))
        ports = {flow.index: flow for flow in joined.flows if flow.protocol == "udp"}
        datagrams = [crossing for crossing in joined.crossings if crossing.flow in ports and crossing.protocol == "udp"]
        self._moved: dict[Literal["out", "in"], _Datagrams] = {"out": _Datagrams(), "in": _Datagrams()}
        for crossing in sorted(datagrams, key=lambda c: (c.sent or 0, c.n)):
            if crossing.flow is not None and crossing.sent is not None:
                own = ports[crossing.flow].endpoint(crossing.sender)
                self._moved["out"].add(crossing, crossing.sender, own.port, payload_at(crossing, "sent"))
        for crossing in sorted(datagrams, key=lambda c: (c.arrived or 0, c.n)):
            if crossing.flow is not None and crossing.arrived is not None:
                own = ports[crossing.flow].endpoint(peer_of(crossing.sender))
                self._moved["in"].add(crossing, peer_of(crossing.sender), own.port, payload_at(crossing, "arrived"))

    def name_by_elimination(self, sockets: Sequence[ObservedSocket]) -> None:
        """Give the one datagram socket of a host whose port nobody saw the one port where packets came for no other.

        The kernel's trace tells a port when it sends. ``sockets`` are all of the host.
        """
        datagrams = [socket for socket in sockets if socket.protocol == "udp"]
        nameless = [
            socket
            for socket in datagrams
            if socket.local is None and any(moves_bytes(call, "in") for call in socket.calls)
        ]
        if len(nameless) != 1:
            return
        host = nameless[0].host
        named = {socket.local.port for socket in datagrams if socket.local is not None}
        free = {port for port, receiver, *_ in self._moved["in"].waiting if receiver == host and port not in named}
        if len(free) == 1:
            nameless[0].local = Endpoint("0.0.0.0", free.pop())  # noqa: S104 - whatever address it is bound to

    def of(self, socket: ObservedSocket, call: Call) -> int | None:
        """Return the flow of one call on a UDP socket; ask for the calls of a socket in their order."""
        info = call.socket
        if info is None:
            return None
        local = plain(info.local) if info.local is not None and info.local.port else socket.local
        if local is None:
            return None
        peer = endpoint_argument(call) if call.direction is not None or call.name == "connect" else None
        if peer is None and info.peer is not None and info.peer.port:
            peer = plain(info.peer)
        if peer is not None:
            named = self._named.get((socket.host, local.port, peer), [])
            own = own_address(call)
            index = _own(named, Endpoint(own, local.port)) if own is not None else None
            if index is not None and call.direction is not None:
                self._moved[call.direction].take(socket, call, local, {index})  # no other call's now
                return index
            if call.direction == "in" and len(named) > 1 and is_wildcard(local):
                return self._moved["in"].take(socket, call, local, {index for _, index in named})
            ours = {index for own, index in named if not is_group(own.address)}
            if call.direction == "out" and len(ours) > 1 and is_wildcard(local):  # the kernel chose the source address
                index = self._moved["out"].take(socket, call, local, ours)
                if index is not None:
                    return index
            return _own([each for each in named if call.direction == "in" or not is_group(each[0].address)], local)
        if call.direction != "in":
            return None
        if len(self._ports.get((socket.host, local.port), ())) == 1:
            return _own(self._ports[socket.host, local.port], local)
        return self._moved["in"].take(socket, call, local)


class _Datagrams:
    """The datagrams that hosts sent, or that came to them, in their order, by what a call on a socket shows of them."""

    def __init__(self) -> None:
        self.waiting: dict[tuple[int, Host, int, bytes | None], deque[tuple[int, int]]] = defaultdict(deque)
        self._taken: set[int] = set()

    def add(self, crossing: Crossing, host: Host, port: int, payload: bytes) -> None:
        """Add one that a host's port sent or took."""
        assert crossing.flow is not None  # noqa: S101 - whoever adds it has looked
        for data in (payload[:DATA_PREFIX], None):  # without content: a socket gives what came first
            self.waiting[port, host, len(payload), data].append((crossing.n, crossing.flow))

    def take(
        self, socket: ObservedSocket, call: Call, local: Endpoint, among: Collection[int] | None = None
    ) -> int | None:
        """Return the flow of the next datagram of such content, ``among`` some flows or all.

        Of a call whose content nobody saw, the next of its length.
        """
        unseen = call.length > 0 and not call.data
        queue = self.waiting.get((local.port, socket.host, call.length, None if unseen else call.data), deque())
        while queue and queue[0][0] in self._taken:  # by its content, or by its length
            queue.popleft()
        for crossing, index in queue:
            if crossing not in self._taken and (among is None or index in among):
                self._taken.add(crossing)
                return index
        return None


def _own(flows: Iterable[tuple[Endpoint, int]], local: Endpoint) -> int | None:
    return next((index for own, index in flows if own == local or is_wildcard(local)), None)
