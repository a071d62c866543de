"""Processes that ran already when a trace of their calls began, with the sockets that they had. Pure values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from testbed.model import Endpoint, Host
from testbed.observe.trace.traced_sockets import Sockets, TracedProcess, TracedSocket


@dataclass(frozen=True, slots=True)
class HeldSocket:
    """A socket that was open. ``inode`` names it among all of its machine; a listening one has no ``peer``."""

    inode: int
    protocol: str
    local: Endpoint | None = None
    peer: Endpoint | None = None


@dataclass(frozen=True, slots=True)
class RunningProcess:
    """A process: its ``number`` in the machine's PID namespace, and ``pid`` in its own.

    ``tasks`` are its threads, by number in the machine's and with that in its own; ``sockets`` its descriptors, each
    with whether an exec closes it.
    """

    number: int
    pid: int
    program: str
    tasks: Mapping[int, int]
    sockets: Mapping[int, tuple[HeldSocket, bool]] = field(default_factory=dict)


class RunningHost:
    """The processes of one host as a trace begins with them."""

    def __init__(self, host: Host, sockets: Sockets) -> None:
        self._host = host
        self._sockets = sockets
        self._known: dict[int, TracedSocket] = {}

    def process(self, running: RunningProcess) -> TracedProcess:
        """Return a process with its descriptors; several may have one socket."""
        process = TracedProcess(running.number, self._host, running.program, running.pid, tasks=set(running.tasks))
        for fd, (socket, closes) in running.sockets.items():
            process.table[fd] = self._socket(socket), closes
        return process

    def _socket(self, socket: HeldSocket) -> TracedSocket:
        found = self._known.get(socket.inode)
        if found is None:
            found = self._known[socket.inode] = self._sockets.new(socket.protocol)
            found.learn(0, socket.local, socket.peer)
        return found
