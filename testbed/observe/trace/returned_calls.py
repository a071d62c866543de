"""What a traced system call did once it has returned: its call, and what became of descriptors and sockets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from testbed.model import Host
from testbed.model.call_table import FORKS, going
from testbed.observe.trace.trace_arguments import arguments, library_name, signed
from testbed.observe.trace.trace_events import Entered, Left, Moved, Routed
from testbed.observe.trace.traced_log import TracedLog
from testbed.observe.trace.traced_sockets import Sockets, TracedProcess, TracedSocket

_PEEKS = 0x2 | 0x2000  # MSG_PEEK, MSG_ERRQUEUE
_CLOEXEC = 0o2000000  # O_CLOEXEC, SOCK_CLOEXEC
_OUT = going("out") | {"pwritev", "pwritev2", "sendfile64"}
_IN = going("in") | {"preadv", "preadv2"}
DATA = _OUT | _IN | {"splice"}
"""System calls that move bytes."""
ON_NONE = frozenset({"exit", "exit_group", "execve", "execveat", "socket", "close_range", *FORKS})
"""System calls that are on no descriptor."""
_FAMILIES, _KINDS = (2, 10), {1: "tcp", 2: "udp"}


@dataclass(slots=True)
class OpenCall:
    """A system call that has begun: what happened within it so far."""

    entered: Entered
    process: TracedProcess
    moved: list[tuple[Moved, Routed | None]] = field(default_factory=list)
    route: Routed | None = None
    child: TracedProcess | int | None = None  # a process, or the task number of a thread
    thread: bool = False
    again: bool = False


class ReturnedCalls:
    """Takes calls as they return. ``closed`` has the socket that a task's last call closed, by task."""

    def __init__(self, sockets: Mapping[Host, Sockets], log: TracedLog) -> None:
        self.closed: dict[int, TracedSocket] = {}
        self._sockets = sockets
        self._log = log

    def finish(self, begun: OpenCall, left: Left) -> None:
        """Add the call, and note what it did to descriptors."""
        name, process = begun.entered.name, begun.process
        if name in FORKS:
            self._forked(begun, left)
        elif name in ("execve", "execveat"):
            if left.result == 0:
                self._executed(begun, left)
        elif name == "socket":
            self._made_socket(begun, left)
        elif name == "close_range":
            self._close_range(begun, left)
        elif name in ("dup2", "dup3"):
            self._duplicated(begun, left, signed(begun.entered.arguments[1]))
        elif name in DATA:
            self._moved(begun, left)
        elif begun.entered.arguments:
            fd = signed(begun.entered.arguments[0])
            if fd in process.table:
                self._on_socket(begun, left, fd)

    def never_returned(self, task: int, begun: OpenCall) -> None:
        """Add a call that its task died in, or that still waits."""
        name, process = begun.entered.name, begun.process
        if not begun.entered.arguments or name in ON_NONE:
            return
        fd = signed(begun.entered.arguments[0])
        entry = process.table.get(fd)
        if entry is not None:
            args = arguments(name, begun.entered.arguments)
            called = library_name(name, begun.entered.arguments)
            times = begun.entered.time, None
            self._log.add(process, task, called, fd, args, times, 0, socket=entry[0], direction=_way(name))

    def _forked(self, begun: OpenCall, left: Left) -> None:
        if left.result <= 0 or begun.child is None:
            return
        if isinstance(begun.child, int):
            self._log.numbers[begun.child] = left.result
            return
        begun.child.pid = left.result
        self._log.numbers[begun.child.number] = left.result
        self._call(begun, left, "fork", -1, {})

    def _executed(self, begun: OpenCall, left: Left) -> None:
        process = begun.process
        process.table = dict(process.table)
        closed = [fd for fd, (_, on_exec) in process.table.items() if on_exec]
        had = bool(process.table)
        for fd in closed:
            del process.table[fd]
        if had:
            self._call(begun, left, "execve", -1, {"program": process.program, "closed": sorted(closed)})

    def _made_socket(self, begun: OpenCall, left: Left) -> None:
        family, kind, _ = (signed(register) for register in begun.entered.arguments[:3])
        protocol = _KINDS.get(kind & 0xF)
        if family not in _FAMILIES or protocol is None:
            return
        args = arguments("socket", begun.entered.arguments)
        if left.result < 0:
            return
        made = self._sockets[begun.process.host].new(protocol)
        begun.process.table[left.result] = made, bool(kind & _CLOEXEC)
        self._call(begun, left, "socket", left.result, args, socket=made)

    def _close_range(self, begun: OpenCall, left: Left) -> None:
        first, last, flags = (register & 0xFFFFFFFF for register in begun.entered.arguments[:3])
        table = begun.process.table
        within = [fd for fd in table if first <= fd <= last]
        if left.result or not within:
            return
        if flags & 0x4:  # CLOSE_RANGE_CLOEXEC
            table.update({fd: (table[fd][0], True) for fd in within})
            return
        self._call(begun, left, "close_range", -1, arguments("close_range", begun.entered.arguments))
        for fd in within:
            del table[fd]

    def _duplicated(self, begun: OpenCall, left: Left, to: int) -> None:
        """Take dup2 and dup3: a descriptor becomes a copy, or stops being a socket."""
        process, fd = begun.process, signed(begun.entered.arguments[0])
        name, table = begun.entered.name, process.table
        if left.result < 0 or fd == to:
            return
        entry, before = table.get(fd), table.pop(to, None)
        if entry is not None:
            flags = begun.entered.arguments[2] if name == "dup3" else 0
            self._call(begun, left, name, fd, {"to": to}, socket=entry[0])
            table[to] = entry[0], bool(flags & _CLOEXEC)
        elif before is not None:
            self._call(begun, left, "close", to, {"by": name}, socket=before[0], result=0)
        if before is not None:
            self.closed[begun.entered.task] = before[0]

    def _on_socket(self, begun: OpenCall, left: Left, fd: int) -> None:
        process, name, registers = begun.process, begun.entered.name, begun.entered.arguments
        table = process.table
        socket, _ = table[fd]
        args = arguments(name, registers)
        accepted = None
        if name == "connect" and begun.route is not None:
            socket.learn(begun.entered.time, begun.route.local, begun.route.peer)
        target = begun.route.peer if begun.route is not None else socket.peer if socket.protocol == "tcp" else None
        if name == "connect" and target is not None:
            args["address"] = str(target)
        if name in ("accept", "accept4") and left.result >= 0:
            accepted = self._sockets[process.host].accept(socket, left.time)
            flags = registers[3] if name == "accept4" else 0
            table[left.result] = accepted, bool(flags & _CLOEXEC)
        elif name == "close":
            del table[fd]
            self.closed[begun.entered.task] = socket
        elif name == "dup" and left.result >= 0:
            table[left.result] = socket, False
        elif name in ("fcntl", "ioctl") and not self._set_flags(begun, left, fd):
            return
        self._call(begun, left, library_name(name, registers), fd, args, socket=socket, accepted=accepted)

    def _set_flags(self, begun: OpenCall, left: Left, fd: int) -> bool:
        """Take fcntl and ioctl: whether an exec closes a descriptor, copies of it; say whether it is one to show."""
        table, (_, command, value) = begun.process.table, begun.entered.arguments[:3]
        socket, _ = table[fd]
        if begun.entered.name == "ioctl":
            if command in (0x5450, 0x5451) and left.result == 0:  # FIONCLEX, FIOCLEX
                table[fd] = socket, command == 0x5451
            return False
        if command == 2 and left.result == 0:  # F_SETFD
            table[fd] = socket, bool(value & 1)
        if command in (0, 1030) and left.result >= 0:  # F_DUPFD, F_DUPFD_CLOEXEC
            table[left.result] = socket, command == 1030
        return command in (0, 4, 1030)

    def _moved(self, begun: OpenCall, left: Left) -> None:
        """Add a call that moves bytes; of several messages in one call make one call each."""
        process, name, registers = begun.process, begun.entered.name, begun.entered.arguments
        fd = signed(registers[0])
        if name == "splice" and fd not in process.table:
            fd = signed(registers[2])
        entry = process.table.get(fd)
        if not begun.moved:
            if entry is None:
                return
            if left.result > 0 and name in _IN:
                del process.table[fd]  # it was closed unseen, and is no socket any more
                return
        args = arguments(name, registers)
        called = library_name(name, registers)
        several = name in ("sendmmsg", "recvmmsg")
        if not begun.moved:
            assert entry is not None  # noqa: S101 - looked at above
            out = name in _OUT or (name == "splice" and fd == signed(registers[2]))
            way: Literal["out", "in"] = "out" if out else "in"
            length = max(left.result, 0) if not several else 0
            self._call(begun, left, called, fd, args, socket=entry[0], direction=way, length=length)
            return
        parts = begun.moved if several else begun.moved[:1]
        total = sum(max(moved.result, 0) for moved, _ in begun.moved)
        for n, (moved, route) in enumerate(parts):
            if several and moved.result < 0 and left.result > 0:
                continue  # the message after the last that moved
            socket = self._socket_of(process, fd, moved)
            more: dict[str, Any] = {"message": n, "messages": left.result} if several else {}
            if route is not None:
                socket.learn(begun.entered.time, route.local, None)
                if moved.out:
                    more["address"] = str(route.peer)
            length = bytes_of(moved) if several or not bytes_of(moved) else total
            way = "out" if moved.out else "in"
            self._call(begun, left, called, fd, args | more, socket=socket, direction=way, length=length)

    def _socket_of(self, process: TracedProcess, fd: int, moved: Moved) -> TracedSocket:
        """Return the socket that bytes went through, which is what the descriptor stands for."""
        sockets = self._sockets[process.host]
        entry = process.table.get(fd)
        if entry is not None and not entry[0].sk:
            sockets.bind(entry[0], moved.sk)
        if entry is not None and (entry[0].sk == moved.sk or not sockets.knows(moved.sk)):
            return entry[0]
        socket = sockets.of(moved.sk, moved.protocol)
        process.table[fd] = socket, False  # given by another process, or made where nobody saw it
        return socket

    def _call(self, begun: OpenCall, left: Left, name: str, fd: int, args: dict[str, Any], **more: Any) -> None:  # noqa: ANN401 - those of TracedLog.add
        """Add a call that has returned."""
        result = more.pop("result", left.result)
        self._log.add(
            begun.process, begun.entered.task, name, fd, args, (begun.entered.time, left.time), result, **more
        )


def bytes_of(moved: Moved) -> int:
    """Return how many bytes of the stream went through; a look at them takes none."""
    return 0 if not moved.out and moved.flags & _PEEKS else max(moved.result, 0)


def _way(name: str) -> Literal["out", "in"] | None:
    return "out" if name in _OUT else "in" if name in _IN else None
