"""Group calls by socket, and follow the descriptors of each socket.

A socket is identified by its cookie; without one by process, descriptor and how often that descriptor was opened
before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from testbed.analysis.calls.call_effects import (
    STARTED,
    accepted_socket,
    disconnects,
    duplicate_of,
    endpoint_argument,
    is_accept,
    is_close,
    is_wildcard,
    plain,
    starts_connection,
    succeeded,
)
from testbed.model import Call, Endpoint, Host

Key = tuple[object, ...]


@dataclass(slots=True)
class OpenDescriptor:
    """One descriptor of a socket in one process. ``ended`` is what gave it up (a close, exit or exec), None if unknown.

    ``used`` says whether the process made a call on it; a forked child may inherit what it never uses. ``held``: a new
    image of the process was seen to begin with it.
    """

    pid: int
    fd: int
    ended: Call | None = None
    used: bool = False
    held: bool = False


@dataclass(slots=True)
class ObservedSocket:
    """One socket of one host with all calls made on it, in order of their start.

    ``flow`` is None for listening and unconnected sockets, and where no packet of the connection was captured.
    """

    host: Host
    protocol: str
    calls: list[Call] = field(default_factory=list)
    descriptors: list[OpenDescriptor] = field(default_factory=list)
    local: Endpoint | None = None
    peer: Endpoint | None = None
    listening: bool = False
    flow: int | None = None

    @property
    def maker(self) -> Call:
        """The call that connected it: connect or accept; else the first call."""
        return next((call for call in self.calls if starts_connection(call) or is_accept(call)), self.calls[0])


def group_sockets(calls: Iterable[Call]) -> list[ObservedSocket]:
    """Group one host's calls (in order of their start) by socket, and follow the descriptors."""
    grouping = _Grouping()
    for call in calls:
        grouping.take(call)
    for socket in grouping.sockets.values():
        socket.calls.sort(key=lambda each: (each.start, each.n))
    return [socket for socket in grouping.sockets.values() if socket.calls]


class _Grouping:
    def __init__(self) -> None:
        self.sockets: dict[Key, ObservedSocket] = {}
        # by process and descriptor
        self.open: dict[int, dict[int, tuple[ObservedSocket, OpenDescriptor]]] = defaultdict(dict)
        self._generation: dict[tuple[int, int], int] = defaultdict(int)
        self._attempt: dict[Key, int] = defaultdict(int)
        self._accepted: dict[tuple[int, int], Call] = {}

    def take(self, call: Call) -> None:
        """Add one call."""
        if call.name == "exit":
            for fd in list(self.open[call.pid]):
                self._close(call.pid, fd, call)
        elif call.name == "fork":
            self._inherit(call.pid, call.result)
        elif call.name == "execve" and succeeded(call):
            self._exec(call)
        elif call.name in ("close_range", "closefrom") and succeeded(call):
            first, last = int(call.args.get("first", 0)), int(call.args.get("last", 1 << 31))
            for fd in [fd for fd in self.open[call.pid] if first <= fd <= last]:
                self._close(call.pid, fd, call, own=True)
        elif call.socket is not None and call.socket.protocol in ("tcp", "udp"):
            self._on_socket(call)
        elif is_close(call) and call.name in ("close", "closesocket", "fclose"):
            self.open[call.pid].pop(call.fd, None)

    def _on_socket(self, call: Call) -> None:
        info = call.socket
        assert info is not None  # noqa: S101 - the caller has looked
        made = succeeded(call) and (call.name == "socket" or is_accept(call))
        if made:
            self._generation[call.pid, call.result] += 1
        child = is_accept(call) and (info.peer is not None and info.peer.port > 0)
        fd = call.result if made and (child or call.name == "socket") else call.fd
        base: Key = ("cookie", info.cookie) if info.cookie else (call.pid, fd, self._generation[call.pid, fd])
        if info.protocol == "tcp" and call.name == "connect":
            before = self.sockets.get((*base, self._attempt[base]))
            if before is not None and _is_new_attempt(before, call):
                self._attempt[base] += 1
        socket = self._socket((*base, self._attempt[base]), call)
        if is_accept(call) and succeeded(call) and not child:
            self._accept(call)
        elif not is_accept(call):
            maker = self._accepted.pop((call.pid, call.fd), None)
            if maker is not None:
                socket.calls.append(maker)
        _add(socket, call)
        if call.name != "socket" and not is_accept(call):
            self._descriptor(call.pid, call.fd, socket).used = True
        elif made and fd == call.result:
            self._descriptor(call.pid, fd, socket)
        copy = duplicate_of(call)
        if copy is not None:
            self._close(call.pid, copy, call, own=True)
            self._descriptor(call.pid, copy, socket)
        elif is_close(call):
            self._close(call.pid, call.fd, call)
            self._generation[call.pid, call.fd] += 1

    def _socket(self, key: Key, call: Call) -> ObservedSocket:
        socket = self.sockets.get(key)
        if socket is None:
            assert call.socket is not None  # noqa: S101 - calls without one are not grouped
            socket = self.sockets[key] = ObservedSocket(call.host, call.socket.protocol)
        return socket

    def _accept(self, call: Call) -> None:
        """Assign an accept that names its listener to the socket it made, now or at that descriptor's first use."""
        cookie, local, peer = accepted_socket(call)
        if not cookie:
            self._accepted[call.pid, call.result] = call
            return
        socket = self._socket(("cookie", cookie, 0), call)
        socket.calls.append(call)
        socket.local, socket.peer = local or socket.local, peer or socket.peer
        self._descriptor(call.pid, call.result, socket)

    def _descriptor(self, pid: int, fd: int, socket: ObservedSocket) -> OpenDescriptor:
        entry = self.open[pid].get(fd)
        if entry is not None and entry[0] is socket:
            return entry[1]
        descriptor = OpenDescriptor(pid, fd)
        socket.descriptors.append(descriptor)
        self.open[pid][fd] = (socket, descriptor)
        return descriptor

    def _inherit(self, parent: int, child: int) -> None:
        if child > 0:
            for fd, (socket, _) in list(self.open[parent].items()):
                self._descriptor(child, fd, socket)

    def _exec(self, call: Call) -> None:
        """Take an exec: what it closed, and what the new image began with, as far as its observer says either."""
        holds = {int(each["fd"]): int(each["cookie"]) for each in call.args.get("holds", ())}
        closed = set(call.args.get("closed", ()))
        if "holds" in call.args:
            closed |= {fd for fd in self.open[call.pid] if fd not in holds}
        for fd in sorted(closed):
            self._close(call.pid, fd, call, own=True)
        for fd, cookie in holds.items():
            base: Key = ("cookie", cookie)
            socket = self.sockets.get((*base, self._attempt[base]))
            if socket is not None:
                self._descriptor(call.pid, fd, socket).held = True

    def _close(self, pid: int, fd: int, call: Call, *, own: bool = False) -> None:
        """Record that a call closed a descriptor; ``own``: it is a call of the socket that was not given it as one."""
        entry = self.open[pid].pop(fd, None)
        if entry is None:
            return
        socket, descriptor = entry
        descriptor.ended = call
        if own:
            socket.calls.append(call)


def _is_new_attempt(socket: ObservedSocket, call: Call) -> bool:
    """Say whether a connect begins another connection on a socket whose last attempt failed, or was taken from it."""
    before = [each for each in socket.calls if each.name == "connect"]
    if before and disconnects(before[-1]):
        return True
    if not before or before[-1].errno is None or disconnects(call):
        return False
    return before[-1].errno not in STARTED or endpoint_argument(before[-1]) != endpoint_argument(call)


def _add(socket: ObservedSocket, call: Call) -> None:
    socket.calls.append(call)
    info = call.socket
    assert info is not None  # noqa: S101 - calls without one are not grouped
    if call.name == "listen" or (is_accept(call) and info.peer is None):
        socket.listening = True
    if info.local is not None and info.local.port and (socket.local is None or is_wildcard(socket.local)):
        socket.local = plain(info.local)
    if socket.peer is None:
        if info.peer is not None and info.peer.port:
            socket.peer = plain(info.peer)
        elif starts_connection(call):
            socket.peer = endpoint_argument(call)
