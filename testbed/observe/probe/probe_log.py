"""Decode the logs of ``compose/probe/probe.c`` into calls. Pure: bytes in, values out.

Beside the fields of :class:`~testbed.model.Call`:

- ``args`` are those of the C call, symbolic, without pointers (see ``probe_arguments.py``). A successful ``accept`` has
  the new socket as ``accepted: {fd, cookie, local, peer}``. ``dup2`` over a socket has its cookie as ``closed``.
- ``fd`` of a successful ``socket`` is the new descriptor, so that ``socket`` describes the new socket; of ``poll`` and
  ``select`` the only descriptor asked for, else -1; of ``fork`` and ``exit`` -1.
- ``sendmmsg`` and ``recvmmsg`` give one call for each message moved, with the same times and ``result`` (the number
  of messages); ``args`` count them (``message`` of ``messages``).
- A message that says to which address of its host it came, or from which it leaves (IP_PKTINFO, IPV6_PKTINFO), has
  ``pktinfo``: ``{address, interface}``, the latter an index, 0 for none.
- ``execve`` stands for all calls of its family. Of one that worked ``args`` have the new ``program`` and ``holds``,
  the Internet sockets that it began with (``fd``, ``cookie``): those without close-on-exec. Of a child of vfork or
  posix_spawn, which logs nothing before, there is one at its image's start where it began with such sockets. A ``fork``
  that the C library made by itself is at the start of the child's log.
- ``exit`` (normal end, ``_exit``) never returns: its ``end`` is None.
- ``socket`` is what was known of the socket when the call returned. Addresses are as on the wire (an IPv4-mapped
  one as IPv4). A connect that failed has its ``peer`` but a local port only if the kernel kept one.
"""

from __future__ import annotations

import posixpath
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from testbed.model import Call, Endpoint, Host, SocketInfo
from testbed.observe import linux_names as names
from testbed.observe.probe.probe_arguments import DECODERS, on_the_wire
from testbed.observe.probe.probe_format import (
    DIGEST,
    ENTERED,
    IN,
    LOCAL,
    OUT,
    BadLogError,
    Header,
    Module,
    Record,
    read_header,
    read_records,
    records_held,
)


@dataclass(frozen=True, slots=True)
class Process:
    """One process image with the probe in it: from ``start`` (ns) until it ended, or exec made it another one.

    ``ended`` is ``exit`` (by itself, with ``status`` at time ``end``), ``exec`` (a later image of the same pid
    follows) or ``unknown``: no record of an end. Then it was killed, still runs, or made an image that the probe
    cannot enter.
    """

    pid: int
    parent: int
    program: str
    start: int
    ended: Literal["exit", "exec", "unknown"]
    end: int | None = None
    status: int | None = None


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """All logs of one host.

    ``calls`` are in order of their start; ``lost`` counts records that found no room in a full log; ``problems``
    are what else makes the observation incomplete, one sentence each.
    """

    calls: tuple[Call, ...]
    lost: int
    processes: tuple[Process, ...]
    problems: tuple[str, ...]


@dataclass(slots=True)
class _Log:
    name: str
    header: Header
    records: list[Record] = field(default_factory=list)
    modules: list[Module] = field(default_factory=list)


class _SocketInfos:
    """What became known of each socket, by cookie, in order of time."""

    def __init__(self, logs: list[_Log]) -> None:
        known: dict[int, list[tuple[int, SocketInfo]]] = {}
        for log in logs:
            for record in log.records:
                if record.name.startswith(b"#socket") and record.cookie:
                    known.setdefault(record.cookie, []).append((record.start, _socket_info(record)))
        for entries in known.values():
            entries.sort(key=lambda entry: entry[0])
        self._known = {
            cookie: ([time for time, _ in entries], [info for _, info in entries]) for cookie, entries in known.items()
        }

    def at(self, cookie: int, time: int) -> SocketInfo | None:
        """Return the knowledge that a call begun at ``time`` had or brought."""
        entries = self._known.get(cookie)
        if entries is None:
            return None
        times, infos = entries
        return infos[max(0, bisect_right(times, time) - 1)]


class _PacketInfos:
    """What messages say of addresses of their own host, by the thread, start and place of the message in its call."""

    def __init__(self, logs: list[_Log]) -> None:
        self._known: dict[tuple[int, int, int], dict[str, Any]] = {}
        for log in logs:
            for record in log.records:
                if record.name.startswith(b"#pktinfo") and (found := on_the_wire(record.address)):
                    about = {"address": found.address, "interface": record.a1}
                    self._known[record.tid, record.start, record.a0] = about

    def of(self, record: Record) -> dict[str, Any]:
        """Return it as an argument of the call, nothing where the message says nothing."""
        known = self._known and self._known.get((record.tid, record.start, record.a4))
        return {"pktinfo": known} if known else {}


def decode(logs: Mapping[str, bytes], host: Host) -> ProbeResult:
    """Decode a host's logs: file name -> content, which may end in zeros. Bad files become ``problems``."""
    problems: list[str] = []
    read: list[_Log] = []
    for name, content in sorted(logs.items()):
        try:
            log = _Log(name, read_header(content))
        except BadLogError as error:
            problems.append(f"{name}: {error}")
            continue
        for item in read_records(content, log.header):
            if isinstance(item, Module):
                log.modules.append(item)
            else:
                log.records.append(item)
        held = records_held(content)
        if log.header.used > held and not log.header.lost:
            problems.append(f"{name}: cut off: it holds {held} of {log.header.used} records")
        read.append(log)
    read.sort(key=lambda log: (log.header.start, log.header.pid))

    sockets, infos = _SocketInfos(read), _PacketInfos(read)
    found: list[tuple[int, Record, _Log]] = [
        (record.start, record, log) for log in read for record in log.records if not record.name.startswith(b"#")
    ]
    found.sort(key=lambda entry: entry[0])  # stable: calls of one instant stay in the order of their log
    callers = {log.name: _Callers(_modules_of(log, read)) for log in read}
    program = {log.name: posixpath.basename(log.header.program) for log in read}
    made = [
        _call(host, record, log.header.pid, program[log.name], sockets, infos, callers[log.name])
        for _, record, log in found
    ]
    calls = _numbered([*_unlogged_forks(made, read, host), *_became(made, read, host)])
    processes = tuple(_process(log, read) for log in read)
    problems.extend(_unlogged_children(calls, processes))
    return ProbeResult(calls, sum(log.header.lost for log in read), processes, tuple(problems))


def _call(
    host: Host,
    r: Record,
    pid: int,
    program: str,
    sockets: _SocketInfos,
    infos: _PacketInfos,
    callers: _Callers,
) -> Call:
    name = r.name.rstrip(b"\0").decode("ascii", errors="replace")
    returned = r.state != ENTERED
    decoder = DECODERS.get(name)
    args: dict[str, Any] = decoder(r) if decoder else {}
    if name in _MESSAGES:
        args |= infos.of(r)
    if name in ("accept", "accept4") and returned and r.result >= 0:
        args["accepted"] = _accepted(r, sockets)
    digest = r.marks & DIGEST
    return Call(
        n=0,
        host=host,
        pid=pid,
        tid=r.tid,
        program=program,
        name=name,
        fd=r.fd,
        args=args,
        start=r.start,
        end=r.end if returned else None,
        result=r.result,
        errno=names.name(names.ERRNO, r.error) if returned and r.result < 0 else None,
        socket=sockets.at(r.cookie, r.start) if r.cookie else None,
        direction="out" if r.marks & OUT else "in" if r.marks & IN else None,
        length=r.length,
        data=r.blob if r.marks & (DIGEST | LOCAL) and r.length else b"",
        digest=f"{r.digest:016x}" if digest else None,
        caller=callers.name(r.caller) if r.caller else None,
    )


_MESSAGES = frozenset({"sendmsg", "sendmmsg", "recvmsg", "recvmmsg"})
_INTERNET = (2, 10)  # AF_INET, AF_INET6


def _numbered(calls: list[Call]) -> tuple[Call, ...]:
    calls.sort(key=lambda call: call.start)  # stable: calls of one instant stay in the order of their log
    return tuple(replace(call, n=n) for n, call in enumerate(calls))


def _became(calls: list[Call], logs: list[_Log], host: Host) -> list[Call]:
    """Return the calls, each exec that worked with its end and with the sockets that the new image began with.

    A child of vfork, posix_spawn, system or popen logs no exec of its own: where its image began with sockets, an exec
    at the image's start stands for it.
    """
    begun = {(call.pid, call.start): at for at, call in enumerate(calls) if call.name == "execve" and call.end is None}
    found = list(calls)
    for log in logs:
        header = log.header
        if header.forked_from:
            continue
        holds = [
            {"fd": record.fd, "cookie": record.cookie}
            for record in log.records
            if record.name.startswith(b"#socket")
            and record.start == header.start
            and record.cookie
            and record.a0 in _INTERNET
        ]
        args = {"program": header.program, "holds": holds}
        before = [start for pid, start in begun if pid == header.pid and start < header.start]
        if before:
            at = begun.pop((header.pid, max(before)))
            found[at] = replace(found[at], args=args, end=header.start, result=0)
        elif holds:
            found.append(_at_start(log, host, header.pid, "execve", 0, args))
    return found


def _unlogged_forks(calls: list[Call], logs: list[_Log], host: Host) -> list[Call]:
    """Return a fork for each child that the C library forked by itself (daemon, forkpty)."""
    known = {call.result for call in calls if call.name == "fork"}
    return [
        _at_start(log, host, log.header.parent, "fork", log.header.pid, {})
        for log in logs
        if log.header.forked_from and log.header.pid not in known
    ]


def _at_start(log: _Log, host: Host, pid: int, name: str, result: int, args: dict[str, Any]) -> Call:
    """Return a call that nobody logged, at the start of the log that shows it."""
    header = log.header
    return Call(
        n=0,
        host=host,
        pid=pid,
        tid=pid,
        program=posixpath.basename(header.program),
        name=name,
        fd=-1,
        args=args,
        start=header.start,
        end=header.start,
        result=result,
    )


def _accepted(r: Record, sockets: _SocketInfos) -> dict[str, Any]:
    info = sockets.at(r.a1, r.start)
    return {
        "fd": r.result,
        "cookie": r.a1,
        "local": str(info.local) if info and info.local else None,
        "peer": str(info.peer) if info and info.peer else None,
    }


def _socket_info(r: Record) -> SocketInfo:
    protocol = "other"
    if r.a0 in (2, 10):
        # Multipath TCP (262) is TCP on the wire.
        protocol = {6: "tcp", 262: "tcp", 17: "udp"}.get(r.a2, "other")
    return SocketInfo(r.cookie, protocol, _with_port(r.address), _with_port(r.blob))


def _with_port(address: bytes) -> Endpoint | None:
    found = on_the_wire(address)
    return found if found and found.port else None


class _Callers:
    """Return addresses of one process as ``module+0xoffset``, the offset as ``addr2line`` takes it."""

    def __init__(self, modules: list[Module]) -> None:
        self._modules = modules
        self._names: dict[int, str] = {}

    def name(self, address: int) -> str:
        known = self._names.get(address)
        if known is None:
            # The latest mapping of an address is the one that counts.
            module = next((m for m in reversed(self._modules) if m.start <= address < m.end), None)
            known = f"{module.path}+{address - module.base:#x}" if module else f"{address:#x}"
            self._names[address] = known
        return known


def _modules_of(log: _Log, logs: list[_Log]) -> list[Module]:
    """Return the modules of a process: a forked child does not log those of its parent again."""
    by_start = {other.header.start: other for other in logs}
    chain = [log.modules]
    parent = by_start.get(log.header.forked_from)
    while parent is not None and len(chain) <= len(logs):
        chain.append(parent.modules)
        parent = by_start.get(parent.header.forked_from)
    return [module for modules in reversed(chain) for module in modules]


def _process(log: _Log, logs: list[_Log]) -> Process:
    header = log.header
    ended: Literal["exit", "exec", "unknown"] = "unknown"
    end = status = None
    for record in log.records:
        if record.name.startswith(b"exit"):
            ended, end, status = "exit", record.start, record.a0 & 0xFF
    if ended == "unknown":
        later = [o.header.start for o in logs if o.header.pid == header.pid and o.header.start > header.start]
        if later:
            ended, end = "exec", min(later)
    return Process(header.pid, header.parent, header.program, header.start, ended, end, status)


def _unlogged_children(calls: tuple[Call, ...], processes: tuple[Process, ...]) -> list[str]:
    pids = {process.pid for process in processes}
    return [
        f"process {call.result}, forked by {call.pid} ({call.program}), left no log"
        for call in calls
        if call.name == "fork" and call.result > 0 and call.result not in pids
    ]
