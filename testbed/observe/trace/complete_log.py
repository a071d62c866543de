"""An observer's log beside the kernel's trace of the same calls: what the log lacks is added, what it invents is said.

Calls are the same where thread, function and descriptor are, and the kernel's time lies within the log's: a thread
makes one call after the other. The log's are kept, since it saw the bytes. A trace that lost nothing has every call
that went through the kernel, so a log that has more, or other numbers of bytes, is wrong: then the kernel's count.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from testbed.model import Call, SocketInfo

SLACK = 1_000
"""ns by which the two clocks may differ besides what is known of their error: both are read in the midst of things."""
_SAME = {
    "sendto": "send",
    "recvfrom": "recv",
    "accept4": "accept",
    "dup3": "dup2",
    "fclose": "close",
    "closefrom": "close_range",
}
"""Names that one of the two may have for the other's."""
_PROCESS = frozenset({"fork", "execve", "exit"})
"""Calls that make, change and end processes: the kernel's are all there, an observer may have put some together."""
_CHANGED_LENGTH = ("MSG_TRUNC",)
"""Flags with which the kernel's length is the datagram's, not that of the bytes that were taken."""


@dataclass(frozen=True, slots=True)
class CompletedLog:
    """The calls of both. ``added``: how many on sockets the log lacked, with ``read`` and ``written`` bytes.

    ``contradictions``: what the log has that the kernel did not do, one sentence each.
    """

    calls: tuple[Call, ...]
    added: int = 0
    written: int = 0
    read: int = 0
    contradictions: tuple[str, ...] = ()


def complete_log(logged: Sequence[Call], traced: Sequence[Call], clock_error: int) -> CompletedLog:
    """Put a host's logged calls and all of its traced ones together; ``clock_error`` (ns) is the trace's."""
    pairs = _Pairing(logged, traced, clock_error + SLACK)
    sockets = _LoggedSockets(logged, [(logged[one], traced[other]) for one, other in pairs.other.items()])
    calls: list[Call] = []
    contradictions: list[str] = []
    for at, call in enumerate(logged):
        if at in pairs.other:
            same = traced[pairs.other[at]]
            wrong = tuple(_differences(call, same))
            contradictions += wrong
            calls.append(_as_traced(call, same) if wrong else _with_end(call, same))
        elif call.name not in _PROCESS:
            wrong = tuple(_invented(call))
            contradictions += wrong
            calls += [] if wrong else [call]
    taken = set(pairs.other.values())
    missed = [sockets.as_logged(call) for at, call in enumerate(traced) if at not in taken]
    calls += missed
    calls.sort(key=lambda call: call.start)
    on_sockets = [call for call in missed if call.name not in _PROCESS]
    return CompletedLog(
        tuple(replace(call, n=n) for n, call in enumerate(calls)),
        len(on_sockets),
        sum(call.length for call in on_sockets if call.direction == "out"),
        sum(call.length for call in on_sockets if call.direction == "in"),
        tuple(contradictions),
    )


class _Pairing:
    """Which logged call is which traced one: ``other``, by place."""

    def __init__(self, logged: Sequence[Call], traced: Sequence[Call], slack: int) -> None:
        self.other: dict[int, int] = {}
        self._slack = slack
        waiting: dict[tuple[object, ...], list[int]] = defaultdict(list)
        for at, call in enumerate(traced):
            waiting[_key(call)].append(at)
        for at, call in enumerate(logged):
            places = waiting.get(_key(call), [])
            found = next((place for place in places if self._fits(call, traced[place])), None)
            if found is not None:
                places.remove(found)
                self.other[at] = found
            while places and self._is_over(call, traced[places[0]]):
                del places[0]

    def _fits(self, logged: Call, traced: Call) -> bool:
        if logged.name == "fork":
            return True  # its key has the child
        if traced.start < logged.start - self._slack:
            return False
        return logged.end is None or logged.name == "exit" or _end(traced) <= logged.end + self._slack

    def _is_over(self, logged: Call, traced: Call) -> bool:
        """Say whether a traced call is before all that the log still has of its thread."""
        return logged.name != "fork" and _end(traced) < logged.start - self._slack


def _end(call: Call) -> int:
    return call.start if call.end is None else call.end


def _key(call: Call) -> tuple[object, ...]:
    if call.name == "fork":
        return "fork", call.pid, call.result
    if call.name == "exit":
        return "exit", call.pid
    return call.tid, _SAME.get(call.name, call.name), call.fd, call.args.get("message", 0)


def _with_end(logged: Call, traced: Call) -> Call:
    """Return the logged call; with what became of it where its process ended before it could log that."""
    call = logged
    if logged.end is None and traced.end is not None and logged.name not in _PROCESS:
        call = _as_traced(logged, traced)
    if logged.name == "execve":
        call = replace(call, args={**logged.args, **traced.args}, end=traced.end, result=traced.result)
    return call


def _as_traced(logged: Call, traced: Call) -> Call:
    """Return the logged call with what the kernel did: nobody saw which bytes that were."""
    done = {name: getattr(traced, name) for name in ("end", "result", "errno", "length")}
    return replace(logged, **done, data=b"", digest=None)


def _differences(logged: Call, traced: Call) -> Iterable[str]:
    flags = str(logged.args.get("flags", ""))
    if logged.end is None or logged.direction is None or any(flag in flags for flag in _CHANGED_LENGTH):
        return
    if logged.length != traced.length:
        yield (
            f"the log of process {logged.pid} ({logged.program}) says that {logged.name} on descriptor {logged.fd} "
            f"moved {logged.length} bytes, the kernel says {traced.length}"
        )


def _invented(call: Call) -> Iterable[str]:
    on_internet = call.socket is not None and call.socket.protocol in ("tcp", "udp")
    if on_internet and call.direction is not None and call.length and call.end is not None:
        yield (
            f"the log of process {call.pid} ({call.program}) has {call.name} on descriptor {call.fd} "
            f"with {call.length} bytes, which the kernel did not do"
        )


class _LoggedSockets:
    """The log's names of the kernel's sockets, and what it knew of each over time."""

    def __init__(self, logged: Iterable[Call], pairs: Iterable[tuple[Call, Call]]) -> None:
        self._cookies: dict[int, int] = {}
        self._infos: dict[int, list[tuple[int, SocketInfo]]] = defaultdict(list)
        for call in logged:
            if call.socket is not None and call.socket.cookie:
                self._infos[call.socket.cookie].append((call.start, call.socket))
        for one, other in pairs:
            if one.socket is not None and other.socket is not None and one.socket.cookie:
                self._cookies.setdefault(other.socket.cookie, one.socket.cookie)
            accepted, same = one.args.get("accepted"), other.args.get("accepted")
            if isinstance(accepted, dict) and isinstance(same, dict) and accepted.get("cookie"):
                self._cookies.setdefault(int(same["cookie"]), int(accepted["cookie"]))

    def as_logged(self, call: Call) -> Call:
        """Return a traced call, marked as such, with the names that the log has for its sockets."""
        accepted = call.args.get("accepted")
        args = call.args
        if isinstance(accepted, Mapping):
            args = {**args, "accepted": {**accepted, "cookie": self._name(int(accepted["cookie"]))}}
        info = call.socket
        if info is not None:
            known = self._known(info, call.start)
            info = SocketInfo(
                self._name(info.cookie), info.protocol, info.local or known.local, info.peer or known.peer
            )
        return replace(call, args=args, socket=info, kernel_only=True)

    def _name(self, cookie: int) -> int:
        return self._cookies.get(cookie, -cookie)  # the kernel's own names are positive

    def _known(self, info: SocketInfo, time: int) -> SocketInfo:
        infos = self._infos.get(self._name(info.cookie), [])
        before = [known for start, known in infos if start <= time]
        return before[-1] if before else infos[0][1] if infos else info
