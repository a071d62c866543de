"""Processes of this machine as /proc has them: who belongs to a target, their threads, sockets and calls in progress.

Reading is all that is done; it takes root (or CAP_SYS_PTRACE), and this machine's own PID namespace.
"""

from __future__ import annotations

import ipaddress
import os
import platform
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed.lab.identity import numbers_tasks_as_the_kernel
from testbed.lab.tcp_table import TCP_FILES, UDP_FILES
from testbed.model import Endpoint
from testbed.observe.trace.running_process import HeldSocket, RunningProcess
from testbed.observe.trace.trace_events import Entered

_OURS = frozenset({"agent", "nsenter"})
_SOCKET = re.compile(r"socket:\[(\d+)\]")
_CLOEXEC = 0o2000000
_LISTEN, _TIME_WAIT = 10, 6
_OPEN = (1, 8)  # ESTABLISHED, CLOSE_WAIT
_NUMBERS: Mapping[str, Mapping[int, str]] = {
    "x86_64": {
        0: "read",
        1: "write",
        19: "readv",
        20: "writev",
        40: "sendfile64",
        42: "connect",
        43: "accept",
        44: "sendto",
        45: "recvfrom",
        46: "sendmsg",
        47: "recvmsg",
        275: "splice",
        288: "accept4",
        299: "recvmmsg",
        307: "sendmmsg",
    },
    "aarch64": {
        63: "read",
        64: "write",
        65: "readv",
        66: "writev",
        71: "sendfile64",
        76: "splice",
        202: "accept",
        203: "connect",
        206: "sendto",
        207: "recvfrom",
        211: "sendmsg",
        212: "recvmsg",
        242: "accept4",
        243: "recvmmsg",
        269: "sendmmsg",
    },
}
"""System calls that may wait at a socket, by number (asm/unistd.h), as the tracepoints call them."""


@dataclass(frozen=True, slots=True)
class TargetState:
    """A target at one moment, ``since`` (ns).

    ``calls`` are those in progress then. ``quiet`` are connections, own end first, whose every byte was acknowledged
    and read at a moment between ``since`` and ``until``.
    """

    since: int
    until: int
    processes: tuple[RunningProcess, ...]
    calls: tuple[Entered, ...]
    quiet: frozenset[tuple[Endpoint, Endpoint]]
    open: frozenset[tuple[Endpoint, Endpoint]]


def why_not_here() -> str:
    """Say why processes cannot be read here as the kernel's trace numbers them; empty if they can."""
    if os.geteuid() != 0:
        return "it takes root on the engine's machine"
    if not numbers_tasks_as_the_kernel():
        return "this program runs in a PID namespace of its own (a container?)"
    return ""


def network_of(pid: int) -> int:
    """Return the number of a process's network namespace, 0 if it is gone."""
    return _namespace(pid, "net")


def first_process_in(network: int) -> int:
    """Return the first process of the one container in a network namespace (its number), 0 where not one is there.

    It is the first of a PID namespace; the agents that we started there are left out.
    """
    found = [pid for pid in _all_processes() if _namespace(pid, "net") == network and _program(pid) not in _OURS]
    first = [pid for pid in found if _own_number(Path(f"/proc/{pid}/status"), pid) == 1]
    return first[0] if len(first) == 1 else 0


def members(first: int, *, whole: bool) -> list[int]:
    """Return a target's processes: with ``whole`` all in the namespaces of ``first``, else it and its descendants."""
    parents = {pid: _parent(pid) for pid in _all_processes()}
    if whole:
        place = _namespace(first, "net"), _namespace(first, "pid")
        return [pid for pid in parents if (_namespace(pid, "net"), _namespace(pid, "pid")) == place]
    return [pid for pid in parents if pid == first or first in _ancestors(pid, parents)]


def everyone_in(namespace: Path) -> list[int]:
    """Return the processes in a network namespace, the agents that we started there left out with what they run."""
    try:
        inode = namespace.stat().st_ino
    except OSError:
        return []
    parents = {pid: _parent(pid) for pid in _all_processes()}
    agents = {pid for pid, parent in parents.items() if parent == os.getpid() and _program(pid) in _OURS}
    found = [pid for pid in parents if _namespace(pid, "net") == inode]
    return [pid for pid in found if not agents & {pid, *_ancestors(pid, parents)}]


def tasks_of(pids: Iterable[int]) -> set[int]:
    """Return all threads of processes."""
    return {task for pid in pids for task in _numbers(Path(f"/proc/{pid}/task"))}


def read_states(targets: Mapping[str, Sequence[int]]) -> dict[str, TargetState]:
    """Read targets' processes with what they have open.

    Descriptors and calls in progress are read twice: what is the same in both was so at the moment between them, in
    which the kernel is asked for the sockets of all targets, as soon after each other as it goes.
    """
    first = {name: {pid: (_sockets(pid), _waiting(pid)) for pid in pids} for name, pids in targets.items()}
    tables = {name: _SocketTable(pids) for name, pids in targets.items()}
    since = time.time_ns()
    for table in tables.values():
        table.read("tcp", TCP_FILES)
    until = time.time_ns()
    for table in tables.values():
        table.read("udp", UDP_FILES)
    return {name: _state(first[name], tables[name], since, until) for name in targets}


def _state(
    first: Mapping[int, tuple[dict[int, tuple[int, bool]], dict[int, tuple[str, tuple[int, ...]]]]],
    table: _SocketTable,
    since: int,
    until: int,
) -> TargetState:
    processes, calls = [], []
    for pid, (sockets, waiting) in first.items():
        running = _process(pid, table, sockets, _sockets(pid))
        if running is None:
            continue
        processes.append(running)
        again = _waiting(pid)
        calls += [Entered(since, task, *call) for task, call in waiting.items() if again.get(task) == call]
    return TargetState(since, until, tuple(processes), tuple(calls), frozenset(table.quiet), frozenset(table.open))


class _SocketTable:
    """What the kernel says of the sockets of processes' network namespaces, by inode."""

    def __init__(self, pids: Iterable[int]) -> None:
        self.sockets: dict[int, HeldSocket] = {}
        self.quiet: set[tuple[Endpoint, Endpoint]] = set()
        self.open: set[tuple[Endpoint, Endpoint]] = set()
        self._one_of_each = {network_of(pid): pid for pid in pids}.values()

    def read(self, protocol: str, files: Iterable[str]) -> None:
        """Take what there is now, of one protocol."""
        for pid in self._one_of_each:
            for file in files:
                self._take(protocol, _text(Path(f"/proc/{pid}/{file.removeprefix('/proc/')}")))

    def _take(self, protocol: str, listing: str) -> None:
        for line in listing.splitlines()[1:]:
            words = line.split()
            local, peer, state, inode = _end(words[1]), _end(words[2]), int(words[3], 16), int(words[9])
            connected = peer.port != 0 and state != _TIME_WAIT
            if protocol == "tcp" and connected:
                self.open.add((local, peer))
                if state in _OPEN and not any(int(number, 16) for number in words[4].split(":")):
                    self.quiet.add((local, peer))
            if inode:
                self.sockets[inode] = HeldSocket(inode, protocol, local, peer if connected else None)


def _process(
    pid: int, table: _SocketTable, before: Mapping[int, tuple[int, bool]], after: Mapping[int, tuple[int, bool]]
) -> RunningProcess | None:
    tasks = {task: _own_number(Path(f"/proc/{pid}/task/{task}/status"), task) for task in _numbers(_tasks(pid))}
    if not tasks:
        return None
    sockets = {
        fd: (table.sockets[inode], closes)
        for fd, (inode, closes) in before.items()
        if after.get(fd) == (inode, closes) and inode in table.sockets
    }
    return RunningProcess(pid, tasks.get(pid, pid), _program(pid), tasks, sockets)


def _tasks(pid: int) -> Path:
    return Path(f"/proc/{pid}/task")


def _sockets(pid: int) -> dict[int, tuple[int, bool]]:
    """Return the inode of each descriptor that is a socket, and whether an exec closes it."""
    found = {}
    for fd in _numbers(Path(f"/proc/{pid}/fd")):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{fd}")  # noqa: PTH115 - thousands of them
        except OSError:
            continue
        if (socket := _SOCKET.fullmatch(target)) is not None:
            flags = re.search(r"^flags:\s*([0-7]+)", _text(Path(f"/proc/{pid}/fdinfo/{fd}")), re.MULTILINE)
            found[fd] = int(socket[1]), bool(flags and int(flags[1], 8) & _CLOEXEC)
    return found


def _waiting(pid: int) -> dict[int, tuple[str, tuple[int, ...]]]:
    """Return the call on a descriptor in which each thread waits: name and registers (proc(5), /proc/PID/syscall)."""
    found = {}
    numbers = _NUMBERS.get(platform.machine(), {})
    for task in _numbers(_tasks(pid)):
        words = _text(_tasks(pid) / str(task) / "syscall").split()
        if len(words) > 6 and int(words[0]) in numbers:
            found[task] = numbers[int(words[0])], tuple(int(word, 16) for word in words[1:7])
    return found


def _end(text: str) -> Endpoint:
    """Read ``0100007F:1F90``: words of four bytes in the machine's order, and the port."""
    address, _, port = text.partition(":")
    data = b"".join(bytes.fromhex(address[at : at + 8])[::-1] for at in range(0, len(address), 8))
    found = ipaddress.ip_address(data)
    mapped = getattr(found, "ipv4_mapped", None)
    return Endpoint(str(mapped or found), int(port, 16))


def _ancestors(pid: int, parents: Mapping[int, int]) -> set[int]:
    found: set[int] = set()
    while (pid := parents.get(pid, 0)) and pid not in found:
        found.add(pid)
    return found


def _all_processes() -> list[int]:
    return _numbers(Path("/proc"))


def _numbers(directory: Path) -> list[int]:
    try:
        return [int(name) for name in os.listdir(directory) if name.isdecimal()]  # noqa: PTH208 - thousands of them
    except OSError:
        return []


def _parent(pid: int) -> int:
    said = re.search(r"^PPid:\s*(\d+)", _text(Path(f"/proc/{pid}/status")), re.MULTILINE)
    return int(said[1]) if said else 0


def _own_number(status: Path, task: int) -> int:
    """Return a task's number in its own PID namespace, the last of those that it has."""
    said = re.search(r"^NSpid:.*?(\d+)$", _text(status), re.MULTILINE)
    return int(said[1]) if said else task


def _program(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/exe").readlink().name.removesuffix(" (deleted)")
    except OSError:
        return _text(Path(f"/proc/{pid}/comm")).strip()


def _namespace(pid: int, kind: str) -> int:
    try:
        return Path(f"/proc/{pid}/ns/{kind}").stat().st_ino
    except OSError:
        return 0


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
