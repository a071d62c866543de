"""Calls as they are put together from a trace, until it is known which sockets and processes they are of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from testbed.model import Call, Host
from testbed.observe import linux_names as names
from testbed.observe.trace.traced_sockets import TracedProcess, TracedSocket


@dataclass(slots=True)
class _Raw:
    call: Call
    process: TracedProcess
    task: int
    socket: TracedSocket | None
    accepted: TracedSocket | None


class TracedLog:
    """The calls of all hosts. ``numbers`` are those of tasks in their own PID namespace, by the machine's."""

    def __init__(self, hosts: Iterable[Host]) -> None:
        self.numbers: dict[int, int] = {}
        self._raw: dict[Host, list[_Raw]] = {host: [] for host in hosts}

    def add(
        self,
        process: TracedProcess,
        task: int,
        name: str,
        fd: int,
        args: Mapping[str, Any],
        times: tuple[int, int | None],
        result: int,
        *,
        socket: TracedSocket | None = None,
        accepted: TracedSocket | None = None,
        direction: Literal["out", "in"] | None = None,
        length: int = 0,
    ) -> None:
        """Add a call; ``result`` is the kernel's: minus the error, where it is one."""
        call = Call(
            n=0,
            host=process.host,
            pid=0,
            tid=0,
            program=process.program,
            name=name,
            fd=fd,
            args=dict(args),
            start=times[0],
            end=times[1],
            result=max(result, -1),
            errno=names.name(names.ERRNO, -result) if -4096 < result < 0 else None,
            direction=direction,
            length=length,
        )
        self._raw[process.host].append(_Raw(call, process, task, socket, accepted))

    def calls(self, host: Host) -> tuple[Call, ...]:
        """Return a host's calls in order of their start, once nothing more becomes known of their sockets."""
        raw = sorted(self._raw[host], key=lambda each: each.call.start)
        return tuple(self._numbered(n, each) for n, each in enumerate(raw))

    def _numbered(self, n: int, raw: _Raw) -> Call:
        own = raw.process.pid if raw.process.pid is not None else raw.process.number
        args = raw.call.args
        if raw.accepted is not None:
            info = raw.accepted.info(raw.call.end)
            ends = {name: str(end) if end else None for name, end in (("local", info.local), ("peer", info.peer))}
            args = {**args, "accepted": {"fd": raw.call.result, "cookie": info.cookie, **ends}}
        known = raw.socket.info(raw.call.end) if raw.socket is not None else None
        if raw.call.name == "bind" and known is not None and known.local is not None:
            args = {**args, "address": str(known.local)}
        return replace(
            raw.call,
            n=n,
            pid=own,
            tid=self.numbers.get(raw.task, own if raw.task == raw.process.number else raw.task),
            args=args,
            socket=known,
        )
