"""Sockets and processes as a trace shows them: which descriptor is which socket, through dup, fork, exec and close.

The kernel's own name of a socket (``sk``, an address) is known once a call on one of its descriptors moves bytes or
changes its state; what it stands for may be another socket once this one is gone.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from dataclasses import dataclass, field

from testbed.model import Endpoint, Host, SocketInfo
from testbed.observe.trace.trace_events import Changed

CLOSE, LISTEN, SYN_RECV, SYN_SENT, ESTABLISHED = 7, 10, 3, 2, 1
"""TCP's states by number (include/net/tcp_states.h)."""


@dataclass(slots=True, eq=False)
class TracedSocket:
    """One socket. ``known`` are its addresses over time; ``accepted``: when its ``listener`` gave it, if one did."""

    cookie: int
    protocol: str
    sk: int = 0
    known: list[tuple[int, Endpoint | None, Endpoint | None]] = field(default_factory=list)
    accepted: int | None = None
    listener: TracedSocket | None = None

    def learn(self, time: int, local: Endpoint | None, peer: Endpoint | None) -> None:
        """Note addresses; None and port 0 add nothing."""
        before = self.known[-1][1:] if self.known else (None, None)
        now = (_better(before[0], local), _better(before[1], peer))
        if now != before:
            self.known.append((time, *now))

    def info(self, time: int | None) -> SocketInfo:
        """Return what was known at a time (None: at the end); of TCP also an own address that showed later only."""
        at = len(self.known) if time is None else bisect_right(self.known, time, key=lambda each: each[0])
        _, local, peer = self.known[at - 1] if at else (0, None, None)
        if self.protocol == "tcp" and local is None:
            local = next((own for _, own, _ in self.known if own is not None), None)
        return SocketInfo(self.cookie, self.protocol, local, peer)

    @property
    def local(self) -> Endpoint | None:
        """Its own address as it is known now."""
        return self.known[-1][1] if self.known else None

    @property
    def peer(self) -> Endpoint | None:
        """The other end as it is known now."""
        return self.known[-1][2] if self.known else None


@dataclass(slots=True)
class TracedProcess:
    """One process. ``pid`` is its number in its own PID namespace, None until the call that made it returned.

    ``table``: its sockets by descriptor, and whether an exec closes each.
    """

    number: int
    host: Host
    program: str
    pid: int | None = None
    table: dict[int, tuple[TracedSocket, bool]] = field(default_factory=dict)
    tasks: set[int] = field(default_factory=set)
    ended: bool = False


@dataclass(slots=True)
class Child:
    """A connection that the kernel made for a listener: its addresses, and when it was there to be accepted."""

    sk: int
    local: Endpoint
    peer: Endpoint
    since: int | None = None


class Sockets:
    """The sockets of one host."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._by_sk: dict[int, TracedSocket] = {}
        self._children: dict[int, Child] = {}
        self._gone: list[Child] = []
        self._accepted: list[TracedSocket] = []

    def new(self, protocol: str) -> TracedSocket:
        """Return a socket that nobody has seen before."""
        return TracedSocket(next(self._numbers), protocol)

    def accept(self, listener: TracedSocket, time: int) -> TracedSocket:
        """Return the socket that a listener gave at ``time``; which it is shows when it is first used."""
        made = TracedSocket(next(self._numbers), "tcp", accepted=time, listener=listener)
        self._accepted.append(made)
        return made

    def of(self, sk: int, protocol: str) -> TracedSocket:
        """Return the socket that the kernel calls ``sk``; one that nobody has seen before if it is unknown."""
        found = self._by_sk.get(sk)
        if found is None:
            found = self.new(protocol)
            self.bind(found, sk)
        return found

    def knows(self, sk: int) -> bool:
        """Say whether a socket of the host is called ``sk``."""
        return sk in self._by_sk

    def bind(self, socket: TracedSocket, sk: int) -> None:
        """Note that the kernel calls this socket ``sk``."""
        if socket.sk == sk and self._by_sk.get(sk) is socket:
            return
        socket.sk = sk
        self._by_sk[sk] = socket
        child = self._children.pop(sk, None)
        if child is not None:
            socket.learn(socket.accepted or 0, child.local, child.peer)

    def opens(self, sk: int) -> None:
        """Note that ``sk`` is a socket that connects, and its memory no longer a connection made for a listener."""
        self._retire(sk)

    def change(self, event: Changed) -> None:
        """Note the addresses that a change of state shows, of a socket or of one that waits to be accepted."""
        if event.after == SYN_RECV and event.before in (LISTEN, CLOSE):
            self._by_sk.pop(event.sk, None)
            self._retire(event.sk)
            self._children[event.sk] = Child(event.sk, event.local, event.peer)
            return
        child = self._children.get(event.sk)
        if child is not None:
            if event.after == ESTABLISHED:
                child.since = event.time
            return
        socket = self._by_sk.get(event.sk)
        if socket is not None and event.after not in (CLOSE, LISTEN):
            socket.learn(event.time, event.local, event.peer)

    def settle(self, addresses: frozenset[str]) -> None:
        """Give accepted sockets that no call told apart what is left, in order: accept(2) takes the first that came.

        Only connections to ``addresses``, which are no other host's, can be told from those of the machine's others.
        """
        for sk in list(self._children):
            self._retire(sk)
        waiting = sorted(
            (child for child in self._gone if child.since is not None and child.local.address in addresses),
            key=lambda child: child.since or 0,
        )
        for socket in self._accepted:
            if socket.known or socket.listener is None or socket.listener.local is None:
                continue
            port = socket.listener.local.port
            first = next((child for child in waiting if child.local.port == port), None)
            if first is not None and (first.since or 0) <= (socket.accepted or 0):
                waiting.remove(first)
                socket.learn(socket.accepted or 0, first.local, first.peer)

    def _retire(self, sk: int) -> None:
        child = self._children.pop(sk, None)
        if child is not None:
            self._gone.append(child)


def _better(before: Endpoint | None, now: Endpoint | None) -> Endpoint | None:
    return now if now is not None and now.port else before
