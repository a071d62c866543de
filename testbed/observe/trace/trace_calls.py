"""The calls of traced programs, from the events of a recording.

Beside the fields of :class:`~testbed.model.Call`: names are those of the C library, as strace's (``sendto`` without an
address is ``send``, ``clone`` and its like ``fork``). ``pid`` and ``tid`` are the program's own, as it sees them.
``cookie`` is a number of ours. Only calls on Internet sockets are there, beside those that make and end processes;
``execve`` has in ``closed`` the sockets' descriptors that it closed. No content was seen: calls have a length and no
digest. What io_uring moved is a call of its own, ``io_uring_send`` or ``io_uring_recv``; what moved without a traced
system call is ``unknown_send`` or ``unknown_recv``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from testbed.model import Call, Host
from testbed.model.call_table import FORKS, going
from testbed.observe import linux_names as names
from testbed.observe.trace.trace_arguments import arguments, library_name, signed
from testbed.observe.trace.trace_events import (
    Became,
    Changed,
    Completed,
    Deferred,
    Ended,
    Entered,
    Event,
    Left,
    Made,
    Moved,
    Routed,
    Submitted,
)
from testbed.observe.trace.traced_sockets import LISTEN, Process, Sockets, TracedSocket

_AGAIN = frozenset({-512, -513, -514, -516})  # ERESTARTSYS and its like: a signal came, and the kernel begins again
_THREAD, _FILES = 0x10000, 0x400  # CLONE_THREAD, CLONE_FILES
_PEEKS = 0x2 | 0x2000  # MSG_PEEK, MSG_ERRQUEUE
_CLOEXEC = 0o2000000  # O_CLOEXEC, SOCK_CLOEXEC
_UDP = 17
_OUT = going("out") | {"pwritev", "pwritev2", "sendfile64"}
_IN = going("in") | {"preadv", "preadv2"}
_DATA = _OUT | _IN | {"splice"}
_FAMILIES, _KINDS = (2, 10), {1: "tcp", 2: "udp"}


@dataclass(frozen=True, slots=True)
class TracedCalls:
    """The calls of one host. ``deferred``: io_uring gave this many requests to workers, which are not traced."""

    calls: tuple[Call, ...]
    deferred: int = 0


@dataclass(slots=True)
class _Open:
    """A system call that has begun: what happened within it so far."""

    entered: Entered
    process: Process
    moved: list[tuple[Moved, Routed | None]] = field(default_factory=list)
    route: Routed | None = None
    child: Process | int | None = None  # a process, or the task number of a thread
    thread: bool = False
    again: bool = False


@dataclass(slots=True)
class _Raw:
    """A call that is not numbered yet; ``at`` is when its socket is described."""

    call: Call
    process: Process
    task: int
    socket: TracedSocket | None
    at: int | None
    accepted: TracedSocket | None = None


def calls_of(
    events: Iterable[Event], roots: Mapping[int, tuple[Host, int]], addresses: Mapping[Host, str]
) -> dict[Host, TracedCalls]:
    """Turn events, in order of time, into the calls of each host.

    ``roots`` are the programs that were held, by task number: host, and their number in their own PID namespace.
    ``addresses`` are the hosts' own.
    """
    tracer = _CallTracer(roots)
    for event in events:
        tracer.take(event)
    return tracer.finish(addresses)


class _CallTracer:
    def __init__(self, roots: Mapping[int, tuple[Host, int]]) -> None:
        hosts = {host for host, _ in roots.values()}
        self._sockets = {host: Sockets() for host in hosts}
        self._processes: dict[int, Process] = {}  # by task
        self._numbers: dict[int, int] = {}  # own number of each task
        self._open: dict[int, _Open] = {}
        self._last: dict[int, tuple[str, TracedSocket]] = {}  # by task: a close that has returned
        self._raw: dict[Host, list[_Raw]] = {host: [] for host in hosts}
        self._submitted: dict[int, Submitted] = {}  # by request
        self._rings: set[int] = set()  # tasks that gave a ring work
        self._deferred = dict.fromkeys(hosts, 0)
        for task, (host, pid) in roots.items():
            self._processes[task] = Process(task, host, "", pid, tasks={task})
            self._numbers[task] = pid
        self._take = {
            Entered: self._enter,
            Left: self._leave,
            Moved: self._move,
            Changed: self._change,
            Routed: self._route,
            Made: self._make,
            Became: self._become,
            Ended: self._end,
            Submitted: self._submit,
            Completed: self._complete,
            Deferred: self._defer,
        }

    def take(self, event: Event) -> None:
        """Take the next event."""
        self._take[type(event)](event)  # type: ignore[operator]

    def finish(self, addresses: Mapping[Host, str]) -> dict[Host, TracedCalls]:
        """Return all calls, those that never returned among them."""
        for task, begun in list(self._open.items()):
            self._never_returned(task, begun)
        found = {}
        for host, raw in self._raw.items():
            self._sockets[host].settle(frozenset(filter(None, [addresses.get(host)])))
            raw.sort(key=lambda each: each.call.start)
            calls = tuple(self._numbered(n, each) for n, each in enumerate(raw))
            found[host] = TracedCalls(calls, self._deferred[host])
        return found

    def _numbered(self, n: int, raw: _Raw) -> Call:
        own = raw.process.pid if raw.process.pid is not None else raw.process.number
        args = raw.call.args
        if raw.accepted is not None:
            info = raw.accepted.info(raw.at)
            ends = {name: str(end) if end else None for name, end in (("local", info.local), ("peer", info.peer))}
            args = {**args, "accepted": {"fd": raw.call.result, "cookie": info.cookie, **ends}}
        return replace(
            raw.call,
            n=n,
            pid=own,
            tid=self._numbers.get(raw.task, own if raw.task == raw.process.number else raw.task),
            args=args,
            socket=raw.socket.info(raw.at) if raw.socket is not None else None,
        )

    # What happens in a task.

    def _enter(self, event: Entered) -> None:
        process = self._processes.get(event.task)
        if process is None:
            return
        self._last.pop(event.task, None)
        before = self._open.get(event.task)
        if before is not None and before.again:
            if event.name == "restart_syscall" or event[2:] == before.entered[2:]:
                before.again = False
                return
            self._finish(before, Left(event.time, event.task, before.entered.name, -4))  # EINTR
        self._open[event.task] = _Open(event, process)
        if event.name == "exit_group":
            self._exit(process, event.task, event.time, {"status": event.arguments[0] & 0xFF})

    def _leave(self, event: Left) -> None:
        begun = self._open.get(event.task)
        if begun is None or begun.entered.name != event.name:
            return  # begun before the trace
        if event.result in _AGAIN:
            begun.again = True
            return
        del self._open[event.task]
        self._finish(begun, event)

    def _move(self, event: Moved) -> None:
        process = self._processes.get(event.task)
        if process is None:
            return
        begun = self._open.get(event.task)
        if begun is not None and begun.entered.name in _DATA:
            begun.moved.append((event, begun.route))
            begun.route = None
            return
        self._beside(process, event, begun)

    def _change(self, event: Changed) -> None:
        process = None if event.aside else self._processes.get(event.task)
        for host, sockets in self._sockets.items():
            socket = self._handled(event.task) if process is not None and process.host == host else None
            if socket is not None and not socket.sk and event.before != LISTEN:
                sockets.bind(socket, event.sk)
            if socket is not None and event.after == LISTEN and socket.sk == event.sk:
                socket.learn(event.time, event.local, None)
            sockets.change(event)

    def _handled(self, task: int) -> TracedSocket | None:
        """Return the socket that a task's call is on, or that a call that has just returned closed."""
        begun = self._open.get(task)
        if begun is None:
            return self._last[task][1] if task in self._last else None
        name, registers = begun.entered.name, begun.entered.arguments
        if not registers or name in ("accept", "accept4", "socket") or name in FORKS:
            return None
        entry = begun.process.table.get(signed(registers[1 if name == "dup2" else 0]))
        return entry[0] if entry else None

    def _route(self, event: Routed) -> None:
        begun = self._open.get(event.task)
        if begun is not None and event.protocol == _UDP:
            begun.route = event

    def _make(self, event: Made) -> None:
        parent = self._processes.get(event.task)
        if parent is None:
            return
        begun = self._open.get(event.task)
        if event.flags & _THREAD:
            parent.tasks.add(event.child)
            self._processes[event.child] = parent
            child: Process | int = event.child
        else:
            child = Process(event.child, parent.host, parent.program, tasks={event.child})
            child.table = parent.table if event.flags & _FILES else dict(parent.table)
            self._processes[event.child] = child
        if begun is not None and begun.entered.name in FORKS:
            begun.child = child

    def _become(self, event: Became) -> None:
        process = self._processes.get(event.before)
        if process is None:
            return
        process.program = event.program
        if event.before != event.task:  # another thread asked for it, and now is the first
            begun = self._open.pop(event.before, None)
            if begun is not None:
                self._open[event.task] = begun
        for task in process.tasks - {event.task}:
            self._processes.pop(task, None)
            self._open.pop(task, None)
        process.tasks = {event.task}
        self._processes[event.task] = process

    def _end(self, event: Ended) -> None:
        process = self._processes.get(event.task)
        if process is None:
            return
        begun = self._open.pop(event.task, None)
        status = None
        if begun is not None:
            if begun.entered.name == "exit":
                status = begun.entered.arguments[0] & 0xFF
            self._never_returned(event.task, begun)
        process.tasks.discard(event.task)
        if not process.tasks:
            self._exit(process, event.task, event.time, {} if status is None else {"status": status})

    def _exit(self, process: Process, task: int, time: int, args: dict[str, Any]) -> None:
        """Note the end of a process; one without a status was killed."""
        if not process.ended:
            process.ended = True
            self._add(process, task, "exit", -1, args, (time, None), 0)

    # io_uring.

    def _submit(self, event: Submitted) -> None:
        if event.task in self._processes:
            self._rings.add(event.task)
            self._submitted[event.request] = event

    def _complete(self, event: Completed) -> None:
        self._submitted.pop(event.request, None)

    def _defer(self, event: Deferred) -> None:
        process = self._processes.get(event.task)
        if process is not None:
            self._deferred[process.host] += 1

    def _beside(self, process: Process, event: Moved, begun: _Open | None) -> None:
        """Add what moved without a system call of its own."""
        ring = event.task in self._rings or (begun is not None and begun.entered.name == "io_uring_enter")
        start = begun.entered.time if begun is not None else event.time
        name = f"{'io_uring' if ring else 'unknown'}_{'send' if event.out else 'recv'}"
        socket = self._sockets[process.host].of(event.sk, event.protocol)
        fd = next((fd for fd, (open_socket, _) in process.table.items() if open_socket is socket), -1)
        result = max(event.result, -1)
        self._add(
            process,
            event.task,
            name,
            fd,
            {"flags": names.flags(names.MSG_FLAGS, event.flags & 0xFFFFFFFF)},
            (start, event.time),
            result,
            errno=_errno(event.result),
            socket=socket,
            moved=event,
        )

    # What a call that has returned did.

    def _finish(self, begun: _Open, left: Left) -> None:
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
        elif name in _DATA:
            self._moved(begun, left)
        elif begun.entered.arguments:
            fd = signed(begun.entered.arguments[0])
            if fd in process.table:
                self._on_socket(begun, left, fd)

    def _never_returned(self, task: int, begun: _Open) -> None:
        name, process = begun.entered.name, begun.process
        if not begun.entered.arguments or name in ("exit", "exit_group", "execve", "execveat", "socket") + FORKS:
            return
        fd = signed(begun.entered.arguments[0])
        entry = process.table.get(fd)
        if entry is not None and name != "close_range":
            args = arguments(name, begun.entered.arguments)
            called = library_name(name, begun.entered.arguments)
            self._add(
                process, task, called, fd, args, (begun.entered.time, None), 0, socket=entry[0], direction=_way(name)
            )

    def _forked(self, begun: _Open, left: Left) -> None:
        if left.result <= 0 or begun.child is None:
            return
        if isinstance(begun.child, int):
            self._numbers[begun.child] = left.result
            return
        begun.child.pid = left.result
        self._numbers[begun.child.number] = left.result
        self._call(begun, left, "fork", -1, {})

    def _executed(self, begun: _Open, left: Left) -> None:
        process = begun.process
        process.table = dict(process.table)
        closed = [fd for fd, (_, on_exec) in process.table.items() if on_exec]
        had = bool(process.table)
        for fd in closed:
            del process.table[fd]
        if had:
            self._call(begun, left, "execve", -1, {"program": process.program, "closed": sorted(closed)})

    def _made_socket(self, begun: _Open, left: Left) -> None:
        family, kind, _ = (signed(register) for register in begun.entered.arguments[:3])
        protocol = _KINDS.get(kind & 0xF)
        if family not in _FAMILIES or protocol is None:
            return
        args = arguments("socket", begun.entered.arguments)
        if left.result < 0:
            return
        made = self._sockets[begun.process.host].new(protocol)
        begun.process.table[left.result] = made, bool(kind & _CLOEXEC)
        self._call(begun, left, "socket", left.result, args, made)

    def _close_range(self, begun: _Open, left: Left) -> None:
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

    def _duplicated(self, begun: _Open, left: Left, to: int) -> None:
        """Take dup2 and dup3: a descriptor becomes a copy, or stops being a socket."""
        process, fd = begun.process, signed(begun.entered.arguments[0])
        name, table = begun.entered.name, process.table
        if left.result < 0 or fd == to:
            return
        entry, before = table.get(fd), table.pop(to, None)
        if entry is not None:
            flags = begun.entered.arguments[2] if name == "dup3" else 0
            self._call(begun, left, name, fd, {"to": to}, entry[0])
            table[to] = entry[0], bool(flags & _CLOEXEC)
        elif before is not None:
            self._call(begun, left, "close", to, {"by": name}, before[0], result=0)
        if before is not None:
            self._last[begun.entered.task] = "close", before[0]

    def _on_socket(self, begun: _Open, left: Left, fd: int) -> None:
        process, name, registers = begun.process, begun.entered.name, begun.entered.arguments
        table = process.table
        socket, _ = table[fd]
        args = arguments(name, registers)
        accepted = None
        if name == "connect" and begun.route is not None and left.result == 0:
            socket.learn(begun.entered.time, begun.route.local, begun.route.peer)
        if name in ("connect", "bind") and socket.protocol == "tcp" and name == "connect" and socket.peer is not None:
            args["address"] = str(socket.peer)
        elif name == "connect" and begun.route is not None:
            args["address"] = str(begun.route.peer)
        if name in ("accept", "accept4") and left.result >= 0:
            accepted = self._sockets[process.host].accept(socket, left.time)
            flags = registers[3] if name == "accept4" else 0
            table[left.result] = accepted, bool(flags & _CLOEXEC)
        elif name == "close":
            del table[fd]
            self._last[begun.entered.task] = "close", socket
        elif name == "dup" and left.result >= 0:
            table[left.result] = socket, False
        elif name in ("fcntl", "ioctl") and not self._set_flags(begun, left, fd):
            return
        self._call(begun, left, library_name(name, registers), fd, args, socket, accepted=accepted)

    def _set_flags(self, begun: _Open, left: Left, fd: int) -> bool:
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

    def _moved(self, begun: _Open, left: Left) -> None:
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
            self._call(begun, left, called, fd, args, entry[0], direction=way, length=length)
            return
        parts = begun.moved if several else begun.moved[:1]
        total = sum(max(moved.result, 0) for moved, _ in begun.moved)
        for n, (moved, route) in enumerate(parts):
            if several and moved.result < 0 and left.result > 0:
                continue  # the message after the last that moved
            socket = self._socket_of(process, fd, moved)
            more = {"message": n, "messages": left.result} if several else {}
            if route is not None:
                socket.learn(begun.entered.time, route.local, None)
                if moved.out:
                    more["address"] = str(route.peer)
            peeked = not moved.out and moved.flags & _PEEKS
            length = 0 if peeked else max(moved.result, 0) if several else total
            self._call(
                begun, left, called, fd, args | more, socket, direction="out" if moved.out else "in", length=length
            )

    def _socket_of(self, process: Process, fd: int, moved: Moved) -> TracedSocket:
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

    def _call(
        self,
        begun: _Open,
        left: Left,
        name: str,
        fd: int,
        args: dict[str, Any],
        socket: TracedSocket | None = None,
        *,
        result: int | None = None,
        accepted: TracedSocket | None = None,
        direction: Literal["out", "in"] | None = None,
        length: int = 0,
    ) -> None:
        times = begun.entered.time, left.time
        number = left.result if result is None else result
        self._add(
            begun.process,
            begun.entered.task,
            name,
            fd,
            args,
            times,
            max(number, -1),
            errno=_errno(number),
            socket=socket,
            accepted=accepted,
            direction=direction,
            length=length,
        )

    def _add(
        self,
        process: Process,
        task: int,
        name: str,
        fd: int,
        args: dict[str, Any],
        times: tuple[int, int | None],
        result: int,
        *,
        errno: str | None = None,
        socket: TracedSocket | None = None,
        accepted: TracedSocket | None = None,
        moved: Moved | None = None,
        direction: Literal["out", "in"] | None = None,
        length: int = 0,
    ) -> None:
        if moved is not None:
            direction = "out" if moved.out else "in"
            length = 0 if not moved.out and moved.flags & _PEEKS else max(moved.result, 0)
        call = Call(
            n=0,
            host=process.host,
            pid=0,
            tid=0,
            program=process.program,
            name=name,
            fd=fd,
            args=args,
            start=times[0],
            end=times[1],
            result=result,
            errno=errno,
            direction=direction,
            length=length,
        )
        self._raw[process.host].append(_Raw(call, process, task, socket, times[1], accepted))


def _errno(result: int) -> str | None:
    return names.name(names.ERRNO, -result) if -4096 < result < 0 else None


def _way(name: str) -> Literal["out", "in"] | None:
    return "out" if name in _OUT else "in" if name in _IN else None
