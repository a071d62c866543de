"""The socket of each descriptor, tracked through a tracer's calls: for observers that cannot ask the kernel.

A socket gets a number of our own as ``cookie``, the same in every process that shares it and never used twice.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from testbed.model import Call, Endpoint, SocketInfo


@dataclass(slots=True)
class TrackedSocket:
    """One socket; ``known`` are its addresses over time, each with the number of the call that showed them."""

    cookie: int
    protocol: str
    known: list[tuple[int, Endpoint | None, Endpoint | None]] = field(default_factory=list)

    def learn(self, at: int, local: Endpoint | None, peer: Endpoint | None) -> None:
        """Note addresses; None and port 0 add nothing."""
        before = self.known[-1][1:] if self.known else (None, None)
        now = (_better(before[0], local), _better(before[1], peer))
        if now != before:
            self.known.append((at, *now))

    def info(self, at: int, *, later: bool) -> SocketInfo:
        """Return the addresses known at call number ``at``; with ``later`` those that the next call showed."""
        local = peer = None
        for number, own, other in self.known:
            if number > at and not (later and local is None):
                break
            local, peer = own, other
        return SocketInfo(self.cookie, self.protocol, local, peer)


class Descriptors:
    """The descriptor tables of all processes of one host."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._tables: dict[int, dict[int, TrackedSocket]] = {}
        self._named: dict[object, TrackedSocket] = {}
        self._on_exec: dict[int, set[int]] = {}

    def new(self, protocol: str) -> TrackedSocket:
        """Return a socket that nobody has seen before."""
        return TrackedSocket(next(self._numbers), protocol)

    def named(self, name: object, protocol: str) -> TrackedSocket:
        """Return the socket that the tracer calls by this name (an inode, two addresses)."""
        found = self._named.get(name)
        if found is None or found.protocol != protocol:
            found = self._named[name] = self.new(protocol)
        return found

    def name(self, name: object, socket: TrackedSocket) -> None:
        """From now on this name is this socket's."""
        self._named[name] = socket

    def get(self, pid: int, fd: int) -> TrackedSocket | None:
        """Return the socket that a descriptor is, None if it is none or was never seen."""
        return self._tables.get(pid, {}).get(fd)

    def put(self, pid: int, fd: int, socket: TrackedSocket, *, on_exec: bool = False) -> None:
        """Note that a descriptor is this socket; ``on_exec``: an exec closes it."""
        self._tables.setdefault(pid, {})[fd] = socket
        self.close_on_exec(pid, (fd,), on=on_exec)

    def close_on_exec(self, pid: int, fds: Iterable[int], *, on: bool = True) -> None:
        """Note whether an exec closes descriptors (FD_CLOEXEC)."""
        marked = self._on_exec.setdefault(pid, set())
        chosen = {fd for fd in fds if fd in self._tables.get(pid, {})}
        self._on_exec[pid] = marked | chosen if on else marked - chosen

    def exec(self, pid: int) -> list[int]:
        """Close what an exec closes, and return it."""
        table = self._tables.get(pid, {})
        return sorted(fd for fd in self._on_exec.pop(pid, set()) if table.pop(fd, None) is not None)

    def drop(self, pid: int, fd: int) -> None:
        """Note that a descriptor was closed."""
        self._tables.get(pid, {}).pop(fd, None)

    def fork(self, parent: int, child: int) -> None:
        """Give a child its parent's descriptors."""
        self._tables[child] = dict(self._tables.get(parent, {}))
        self._on_exec[child] = set(self._on_exec.get(parent, ()))


def with_sockets(calls: list[tuple[Call, TrackedSocket | None]]) -> tuple[Call, ...]:
    """Put the calls in order of their start, and give each what was known of its socket when it returned.

    ``TrackedSocket.known`` must count calls by their place in this list.
    """
    order = sorted(range(len(calls)), key=lambda at: calls[at][0].start)
    numbered = []
    for n, at in enumerate(order):
        call, socket = calls[at]
        # A connect gives the socket its own address, which a tracer sees at the next call only.
        later = (call.name in ("connect", "sendto", "sendmsg") and call.result >= 0) or call.errno == "EINPROGRESS"
        numbered.append(replace(call, n=n, socket=socket.info(at, later=later) if socket else None))
    return tuple(numbered)


def _better(before: Endpoint | None, now: Endpoint | None) -> Endpoint | None:
    return now if now is not None and now.port else before
