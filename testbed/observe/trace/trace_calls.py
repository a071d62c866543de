"""The calls of traced programs, from the events of a recording.

Beside the fields of :class:`~testbed.model.Call`: names are those of the C library, as strace's (``sendto`` without an
address is ``send``, ``clone`` and its like ``fork``). ``pid`` and ``tid`` are the program's own, as it sees them.
``cookie`` is a number of ours. Only calls on Internet sockets are there, beside those that make and end processes;
``execve`` has in ``closed`` the sockets' descriptors that it closed. No content was seen: calls have a length and no
digest. What io_uring moved is a call of its own, ``io_uring_send`` or ``io_uring_recv``; what moved without a traced
system call is ``unknown_send`` or ``unknown_recv``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from testbed.model import Call, Host
from testbed.model.call_table import FORKS
from testbed.observe import linux_names as names
from testbed.observe.trace.returned_calls import DATA, ON_NONE, OpenCall, ReturnedCalls, bytes_of
from testbed.observe.trace.running_process import RunningHost, RunningProcess
from testbed.observe.trace.trace_arguments import signed
from testbed.observe.trace.trace_events import (
    Became,
    Changed,
    Completed,
    Deferred,
    Ended,
    Entered,
    Event,
    Left,
    Moved,
    Routed,
    Submitted,
    TaskMade,
)
from testbed.observe.trace.traced_log import TracedLog
from testbed.observe.trace.traced_sockets import LISTEN, SYN_SENT, Sockets, TracedProcess, TracedSocket

_AGAIN = frozenset({-512, -513, -514, -516})  # ERESTARTSYS and its like: a signal came, and the kernel begins again
_AGAIN_LATER = -11  # EAGAIN
_THREAD, _FILES = 0x10000, 0x400  # CLONE_THREAD, CLONE_FILES
_UDP = 17


@dataclass(frozen=True, slots=True)
class TracedCalls:
    """The calls of one host. ``deferred``: io_uring gave this many requests to workers, which are not traced."""

    calls: tuple[Call, ...]
    deferred: int = 0


def calls_of(
    events: Iterable[Event],
    roots: Mapping[int, tuple[Host, int]],
    addresses: Mapping[Host, Collection[str]],
    running: Mapping[Host, Collection[RunningProcess]] = MappingProxyType({}),
) -> dict[Host, TracedCalls]:
    """Turn events, in order of time, into the calls of each host.

    ``roots`` are the programs that were held, by task number: host, and their number in their own PID namespace.
    ``running`` are those that ran already before the first event. ``addresses`` are the hosts' own.
    """
    tracer = _CallTracer(roots, running)
    for event in events:
        tracer.take(event)
    return tracer.finish(addresses)


class _CallTracer:
    def __init__(
        self, roots: Mapping[int, tuple[Host, int]], running: Mapping[Host, Collection[RunningProcess]]
    ) -> None:
        hosts = {host for host, _ in roots.values()} | set(running)
        self._sockets = {host: Sockets() for host in hosts}
        self._processes: dict[int, TracedProcess] = {}  # by task
        self._log = TracedLog(hosts)
        self._returned = ReturnedCalls(self._sockets, self._log)
        self._open: dict[int, OpenCall] = {}
        self._submitted: dict[int, Submitted] = {}  # by request
        self._rings: set[int] = set()  # tasks that gave a ring work
        self._deferred = dict.fromkeys(hosts, 0)
        for task, (host, pid) in roots.items():
            self._processes[task] = TracedProcess(task, host, "", pid, tasks={task})
            self._log.numbers[task] = pid
        for host, processes in running.items():
            known = RunningHost(host, self._sockets[host])
            for each in processes:
                self._processes.update(dict.fromkeys(each.tasks, known.process(each)))
                self._log.numbers.update(each.tasks)
        self._take = {
            Entered: self._enter,
            Left: self._leave,
            Moved: self._move,
            Changed: self._change,
            Routed: self._route,
            TaskMade: self._make,
            Became: self._become,
            Ended: self._end,
            Submitted: self._submit,
            Completed: self._complete,
            Deferred: self._defer,
        }

    def take(self, event: Event) -> None:
        """Take the next event."""
        self._take[type(event)](event)  # type: ignore[operator]

    def finish(self, addresses: Mapping[Host, Collection[str]]) -> dict[Host, TracedCalls]:
        """Return all calls, those that never returned among them."""
        for task, begun in list(self._open.items()):
            self._returned.never_returned(task, begun)
        for host, sockets in self._sockets.items():
            sockets.settle(frozenset(addresses.get(host, ())))
        return {host: TracedCalls(self._log.calls(host), self._deferred[host]) for host in self._sockets}

    # What happens in a task.

    def _enter(self, event: Entered) -> None:
        process = self._processes.get(event.task)
        if process is None:
            return
        self._returned.closed.pop(event.task, None)
        before = self._open.get(event.task)
        if before is not None and before.again:
            if event.name == "restart_syscall" or event[2:] == before.entered[2:]:
                before.again = False
                return
            self._returned.finish(before, Left(event.time, event.task, before.entered.name, -4))  # EINTR
        self._open[event.task] = OpenCall(event, process)
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
        self._returned.finish(begun, event)

    def _move(self, event: Moved) -> None:
        process = self._processes.get(event.task)
        if process is None:
            return
        begun = self._open.get(event.task)
        if begun is not None and begun.entered.name in DATA:
            begun.moved.append((event, begun.route))
            begun.route = None
            return
        self._beside(process, event, begun)

    def _change(self, event: Changed) -> None:
        process = None if event.aside else self._processes.get(event.task)
        for host, sockets in self._sockets.items():
            socket = self._handled(event.task) if process is not None and process.host == host else None
            if event.after == SYN_SENT:
                sockets.opens(event.sk)
            if socket is not None and not socket.sk and event.before != LISTEN:
                sockets.bind(socket, event.sk)
            if socket is not None and event.after == LISTEN and socket.sk == event.sk:
                socket.learn(event.time, event.local, None)
            sockets.change(event)

    def _handled(self, task: int) -> TracedSocket | None:
        """Return the socket that a task's call is on, or that a call that has just returned closed."""
        begun = self._open.get(task)
        if begun is None:
            return self._returned.closed.get(task)
        name, registers = begun.entered.name, begun.entered.arguments
        if not registers or name in ("accept", "accept4") or name in ON_NONE:
            return None
        entry = begun.process.table.get(signed(registers[1 if name in ("dup2", "dup3") else 0]))
        return entry[0] if entry else None

    def _route(self, event: Routed) -> None:
        begun = self._open.get(event.task)
        if begun is not None and event.protocol == _UDP:
            begun.route = event

    def _make(self, event: TaskMade) -> None:
        parent = self._processes.get(event.task)
        if parent is None:
            return
        begun = self._open.get(event.task)
        if event.flags & _THREAD:
            parent.tasks.add(event.child)
            self._processes[event.child] = parent
            child: TracedProcess | int = event.child
        else:
            child = TracedProcess(event.child, parent.host, parent.program, tasks={event.child})
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
            self._returned.never_returned(event.task, begun)
        process.tasks.discard(event.task)
        if not process.tasks:
            self._exit(process, event.task, event.time, {"killed": True} if status is None else {"status": status})

    def _exit(self, process: TracedProcess, task: int, time: int, args: dict[str, Any]) -> None:
        """Note the end of a process; one without a status was killed."""
        if not process.ended:
            process.ended = True
            self._log.add(process, task, "exit", -1, args, (time, None), 0)

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

    def _beside(self, process: TracedProcess, event: Moved, begun: OpenCall | None) -> None:
        """Add what moved without a system call of its own; a ring that found nothing yet tries again by itself."""
        ring = event.task in self._rings or (begun is not None and begun.entered.name == "io_uring_enter")
        if ring and event.result == _AGAIN_LATER:
            return
        start = begun.entered.time if begun is not None else event.time
        name = f"{'io_uring' if ring else 'unknown'}_{'send' if event.out else 'recv'}"
        socket = self._sockets[process.host].of(event.sk, event.protocol)
        fd = next((fd for fd, (open_socket, _) in process.table.items() if open_socket is socket), -1)
        args = {"flags": names.flags(names.MSG_FLAGS, event.flags & 0xFFFFFFFF)}
        way: Literal["out", "in"] = "out" if event.out else "in"
        times, moved = (start, event.time), bytes_of(event)
        self._log.add(
            process, event.task, name, fd, args, times, event.result, socket=socket, direction=way, length=moved
        )
