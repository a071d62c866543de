"""Which logged call the system call of a call stack is: the one of that name that was in progress then. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping

from testbed.analysis.calls.call_effects import by_wine
from testbed.analysis.calls.streams import Streams
from testbed.model import HOSTS, Call, Host

_SYSCALLS: Mapping[str, tuple[str, ...]] = {
    "send": ("sendto",),
    "recv": ("recvfrom",),
    "accept": ("accept", "accept4"),
    "sendfile": ("sendfile", "sendfile64"),
    "poll": ("poll", "ppoll"),
    "dup2": ("dup2", "dup3", "close"),
    "dup3": ("dup3", "close"),
    "execve": ("execve", "execveat", "close"),
    "recvmsg": ("recvmsg", "close"),
    "pwritev2": ("pwritev2", "pwritev"),
    "exit": ("exit", "exit_group"),
}
"""System calls of functions of the C library that make one of another name."""
_WINE: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("send", "sendto", "WSASend", "WSASendTo"), ("sendmsg",)),
    **dict.fromkeys(("recv", "recvfrom", "WSARecv", "WSARecvFrom"), ("recvmsg",)),
    "closesocket": ("close",),
}
"""System calls by which Wine makes those of a Windows program: of its own process, or of its server meanwhile."""
_LONGEST = 64
"""Calls of a host that are looked at, backwards from a time."""
SLACK = 2000
"""ns by which a call may have begun later, or ended earlier, in the log than in the kernel."""


class CallsInProgress:
    """The logged calls of each host, by time."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self._calls: dict[Host, list[Call]] = {}
        self._threads: dict[tuple[Host, int], tuple[int, int]] = {}  # a thread's number outside -> inside
        for host in HOSTS:
            calls = {call.n: call for socket in streams.sockets[host] for call in socket.calls}
            self._calls[host] = sorted(calls.values(), key=lambda call: call.start)
        self._starts = {host: [call.start for call in own] for host, own in self._calls.items()}
        self._open = {host: self._still_open(own) for host, own in self._calls.items()}

    @staticmethod
    def _still_open(calls: Iterable[Call]) -> list[Call]:
        """Return what lasts long enough that many others begin meanwhile, or never ends."""
        recent: dict[int, list[Call]] = defaultdict(list)
        for call in calls:
            if call.end is None or call.end - call.start > 1_000_000:
                recent[call.tid].append(call)
        return [call for own in recent.values() for call in own]

    def at(self, host: Host, time: int, syscall: str, flow: int | None, thread: int) -> Call | None:
        """Return the call of this name that was in progress, None where none was or several may be it.

        Of several, those of the packet's own connection are it, then those of the thread, where it was met before.
        """
        at = bisect_right(self._starts[host], time + SLACK)
        near = self._calls[host][max(at - _LONGEST, 0) : at]
        found = {
            call.n: call
            for call in (*self._open[host], *near)
            if call.start <= time + SLACK
            and (call.end is None or time <= call.end + SLACK)
            and syscall in _system_calls(call)
        }
        candidates = list(found.values())
        if len(candidates) > 1 and flow is not None:
            own = [call for call in candidates if self._streams.flow_of.get((host, call.n)) == flow]
            candidates = own or candidates
        known = self._threads.get((host, thread))
        if len(candidates) > 1 and known is not None:
            candidates = [call for call in candidates if (call.pid, call.tid) == known]
        if len(candidates) != 1:
            return None
        self._threads[host, thread] = candidates[0].pid, candidates[0].tid
        return candidates[0]


def _system_calls(call: Call) -> tuple[str, ...]:
    """Return the system calls by which a call of this name is made."""
    if by_wine(call) and call.name in _WINE:
        return _WINE[call.name]
    return _SYSCALLS.get(call.name, (call.name,))
