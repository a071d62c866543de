"""A trace of strace as calls.

Beside the fields of :class:`~testbed.model.Call`: names are those of the C library where the system call has another
one (``sendto`` without an address is ``send``, ``recvfrom`` ``recv``, ``clone`` and its like ``fork``, ``exit_group``
``exit``). ``args`` are named as the probe names them. Bytes are there up to :data:`STRING_LIMIT` a buffer; a call
that moved more has no digest. Calls on anything but Internet sockets are left out; so are waits (poll, epoll).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Literal

import xxhash

from testbed.model import DATA_PREFIX, Call, Endpoint, Host
from testbed.model.call_table import CALLS, FORKS, LIBRARY_NAMES, Parameter, going
from testbed.observe.descriptors import Descriptors, TrackedSocket, with_sockets
from testbed.observe.observation import Observation
from testbed.observe.strace.strace_lines import Lines, SystemCall
from testbed.observe.strace.strace_values import Descriptor, Function, TracedBytes, UnreadableError, Value, arguments

STRING_LIMIT = 65536
_ON_ANY = (name for name, call in CALLS.items() if call.strace and call.any_descriptor)
TRACED = ",".join(("%network", *_ON_ANY, *FORKS, "execve", "execveat", "exit_group", "ioctl"))
"""System calls that are traced; %network are all those that work on sockets alone."""
OPTIONS = (
    *("-f", "-yy", "-xx", "-s", str(STRING_LIMIT)),
    *("--timestamps=unix,ns", "--syscall-times=ns", "-e", f"trace={TRACED}", "-e", "signal=none"),
)
"""What strace must be started with for this reader."""

_FIRST = re.compile(r"(-?\d+)<((?:TCP|UDP)(?:v6)?):\[(.*?)\]>")
_OUT, _IN = going("out"), going("in")
_LEVELS = {"SOL_TCP": "IPPROTO_TCP", "SOL_IP": "IPPROTO_IP", "SOL_IPV6": "IPPROTO_IPV6", "SOL_UDP": "IPPROTO_UDP"}
_MOST_DESCRIPTORS = 1 << 16
_COMMANDS = ("F_DUPFD", "F_DUPFD_CLOEXEC", "F_SETFL")


def decode(trace: Iterable[str], host: Host) -> Observation:
    """Turn the lines of a trace made with :data:`OPTIONS` into calls."""
    reader = _TraceReader(host)
    lines = Lines()
    for call in sorted(lines.read(trace), key=lambda call: call.start):
        try:
            reader.take(call)
        except (UnreadableError, LookupError, ValueError, TypeError) as error:
            lines.bad.append(f"{call.name}: {error}")
    problems = []
    if lines.bad:
        problems.append(f"{len(lines.bad)} lines of strace cannot be read, the first: {lines.bad[0][:120]}")
    return Observation(with_sockets(reader.calls), tuple(problems), blind=not reader.programs)


class _TraceReader:
    def __init__(self, host: Host) -> None:
        self.host = host
        self.calls: list[tuple[Call, TrackedSocket | None]] = []
        self.programs: dict[int, str] = {}
        self._processes: dict[int, int] = {}
        self._sockets = Descriptors()

    def take(self, call: SystemCall) -> None:
        """Add one system call, in order of their start."""
        pid = self._processes.setdefault(call.tid, call.tid)
        if call.name in ("execve", "execveat"):
            self._exec(call, pid)
        elif call.name in FORKS:
            self._fork(call, pid)
        elif call.name == "exit_group":
            self._add(call, pid, -1, {"status": int(call.arguments) & 0xFF}, None)
        elif call.name == "close_range":
            self._close_range(call, pid)
        elif call.name == "socket":
            self._socket(call, pid)
        else:
            self._on_descriptor(call, pid)

    def _add(
        self,
        call: SystemCall,
        pid: int,
        fd: int,
        args: Mapping[str, Any],
        socket: TrackedSocket | None,
        name: str = "",
    ) -> None:
        made = Call(
            n=0,
            host=self.host,
            pid=pid,
            tid=call.tid,
            program=self.programs.get(pid, ""),
            name=name or LIBRARY_NAMES.get(call.name, call.name),
            fd=fd,
            args=dict(args),
            start=call.start,
            end=call.end,
            result=call.result,
            errno=call.errno,
        )
        self.calls.append((made, socket))

    def _fork(self, call: SystemCall, pid: int) -> None:
        if call.result <= 0:
            return
        if "CLONE_THREAD" in call.arguments:
            self._processes[call.result] = pid
            return
        self._sockets.fork(pid, call.result)
        self.programs[call.result] = self.programs.get(pid, "")
        self._add(call, pid, -1, {}, None, "fork")

    def _exec(self, call: SystemCall, pid: int) -> None:
        """Take an exec that worked; it is a call of the host only where it closes sockets (FD_CLOEXEC)."""
        if call.end is None or call.result != 0:
            return
        path = next((each for each in arguments(call.arguments) if isinstance(each, TracedBytes)), None)
        name = path.data.decode(errors="replace") if path is not None else ""
        self.programs[pid] = name.rpartition("/")[2]
        closed = self._sockets.exec(pid)
        if closed:
            self._add(call, pid, -1, {"program": name, "closed": closed}, None, "execve")

    def _close_range(self, call: SystemCall, pid: int) -> None:
        values = [str(value) for value in arguments(call.arguments)]
        first, last = int(values[0], 0), int(values[1], 0)
        if "CLOEXEC" in values[-1]:
            self._sockets.close_on_exec(pid, range(first, min(last, _MOST_DESCRIPTORS) + 1))
            return
        self._add(call, pid, -1, {"first": first, "last": last}, None)

    def _socket(self, call: SystemCall, pid: int) -> None:
        label = _FIRST.match(f"{call.result}<{call.label}>")
        if label is None:
            return
        domain, kind, protocol = (str(value) for value in arguments(call.arguments))
        socket = self._sockets.new(_protocol(label[2]))
        self._sockets.name(label[3], socket)
        self._sockets.put(pid, call.result, socket, on_exec="SOCK_CLOEXEC" in kind)
        self._add(call, pid, call.result, {"domain": domain, "type": kind, "protocol": protocol}, socket)

    def _on_descriptor(self, call: SystemCall, pid: int) -> None:
        text = call.arguments
        if call.name in ("splice", "sendfile") and not _FIRST.match(text):
            text = text.partition(", NULL, " if call.name == "splice" else "\0")[2]
        label = _FIRST.match(text)
        if label is None:
            return
        fd = int(label[1])
        socket = self._known(pid, fd, label)
        values = arguments(call.arguments)
        if call.result == 0 and call.end is not None:
            self._mark(call, values, pid, fd)
        args = self._args(call, values, socket)
        if args is None:
            return
        name = ""
        if call.name in ("sendto", "recvfrom") and "address" in args:
            name = call.name
        self._add(call, pid, fd, args, socket, name)
        if call.name in _OUT | _IN | {"splice"}:
            self._data(call, values, label)
        self._after(call, pid, fd, args, socket)

    def _mark(self, call: SystemCall, values: list[Value], pid: int, fd: int) -> None:
        """Note what fcntl or ioctl says of closing a descriptor on exec (ioctl is of no other use here)."""
        if call.name == "fcntl" and str(values[1]) == "F_SETFD":
            self._sockets.close_on_exec(pid, (fd,), on="FD_CLOEXEC" in str(values[2]))
        elif call.name == "ioctl" and str(values[1]) in ("FIOCLEX", "FIONCLEX"):
            self._sockets.close_on_exec(pid, (fd,), on=str(values[1]) == "FIOCLEX")

    def _known(self, pid: int, fd: int, label: re.Match[str]) -> TrackedSocket:
        """Return the socket that a labelled descriptor is; its label tells its addresses, once it has some."""
        local, peer = _addresses(label[3])
        socket = self._sockets.get(pid, fd)
        if socket is None:
            socket = self._sockets.named(label[3], _protocol(label[2]))
            self._sockets.put(pid, fd, socket)
        if peer is not None:
            self._sockets.name(label[3], socket)
        socket.learn(len(self.calls), local, peer)
        return socket

    def _args(self, call: SystemCall, values: list[Value], socket: TrackedSocket) -> dict[str, Any] | None:
        """Return the arguments as the probe names them; None for a call that the probe leaves out."""
        known = CALLS.get(call.name)
        if known is None or not known.strace or (call.name == "fcntl" and str(values[1]) not in _COMMANDS):
            return None
        at = len(self.calls)
        if call.name in ("bind", "getsockname"):
            socket.learn(at, _endpoint(values[1]), None)
        elif call.name == "connect" and call.errno in (None, "EINPROGRESS"):
            socket.learn(at, None, _endpoint(values[1]))
        args: dict[str, Any] = {}
        for place, parameter in enumerate(known.parameters):
            if parameter == "option":
                args |= _option(values)
            elif parameter in _READ and (place < len(values) or call.end is not None):  # some are shown as it returns
                args |= _READ[parameter](values[place])
        return args

    def _data(self, call: SystemCall, values: list[Value], label: re.Match[str]) -> None:
        """Fill in what the last call moved; of several messages in one call make one call each."""
        made, socket = self.calls.pop()
        first = label.string == call.arguments
        direction: Literal["out", "in"] = "out" if call.name in _OUT or (call.name == "splice" and not first) else "in"
        flags = str(made.args.get("flags", ""))
        peeked = direction == "in" and ("MSG_PEEK" in flags or "MSG_ERRQUEUE" in flags)
        moved = call.end is not None and call.errno is None and call.result > 0 and not peeked
        if call.name in ("sendmmsg", "recvmmsg") and moved:
            messages = values[1] if isinstance(values[1], list) else []
            for n, message in enumerate(messages[: call.result]):
                if not isinstance(message, dict):
                    raise UnreadableError(call.name)
                length = int(str(message["msg_len"]))
                args = _message(message["msg_hdr"]) | made.args | {"message": n}
                data = _buffers(message["msg_hdr"])
                self.calls.append((_moved(replace(made, args=args), direction, length, data), socket))
            return
        length = call.result if moved else 0
        data = _buffers(values[1]) if length and call.name not in ("sendfile", "splice") else None
        self.calls.append((_moved(made, direction, length, data), socket))

    def _after(self, call: SystemCall, pid: int, fd: int, args: dict[str, Any], socket: TrackedSocket) -> None:
        """Note what the call did to descriptors."""
        if call.end is None or call.errno is not None:
            return
        copies = call.name in ("dup", "dup2", "dup3") or str(args.get("command", "")).startswith("F_DUPFD")
        if call.name == "close":
            self._sockets.drop(pid, fd)
        elif copies:
            self._sockets.put(pid, call.result, socket, on_exec="CLOEXEC" in call.arguments.rpartition(">")[2])
        elif call.name in ("accept", "accept4"):
            label = _FIRST.match(f"{call.result}<{call.label}>")
            if label is None:
                return
            local, peer = _addresses(label[3])
            accepted = self._sockets.new(_protocol(label[2]))
            self._sockets.name(label[3], accepted)
            self._sockets.put(pid, call.result, accepted, on_exec="SOCK_CLOEXEC" in str(args.get("flags", "")))
            accepted.learn(len(self.calls) - 1, local, peer)
            self.calls[-1][0].args["accepted"] = {
                "fd": call.result,
                "cookie": accepted.cookie,
                "local": str(local) if local else None,
                "peer": str(peer) if peer else None,
            }


def _protocol(kind: str) -> str:
    return kind[:3].lower()


def _addresses(label: str) -> tuple[Endpoint | None, Endpoint | None]:
    """Read ``127.0.0.1:4->127.0.0.1:80``; an inode (no address yet) gives nothing."""
    local, _, peer = label.partition("->")
    return _plain(local), _plain(peer)


def _plain(text: str) -> Endpoint | None:
    address, _, port = text.rpartition(":")
    return _on_the_wire(address.strip("[]"), int(port)) if address and port.isdigit() else None


def _on_the_wire(address: str, port: int) -> Endpoint:
    found = ipaddress.ip_address(address.partition("%")[0])
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return Endpoint(str(mapped or found), port)


def _endpoint(value: Value) -> Endpoint | None:
    """Read a ``sockaddr``; None for no address and for other families."""
    if not isinstance(value, dict):
        return None
    port = value.get("sin_port") or value.get("sin6_port")
    address = value.get("sin_addr") or value.get("inet_pton")
    if not isinstance(port, Function) or not isinstance(address, Function):
        return None
    text = next(argument for argument in address.arguments if isinstance(argument, TracedBytes))
    return _on_the_wire(text.data.decode(), int(str(port.arguments[0])))


def _option(values: list[Value]) -> dict[str, Any]:
    level = str(values[1])
    args: dict[str, Any] = {"level": _LEVELS.get(level, level), "name": str(values[2])}
    value = values[3]
    if isinstance(value, list) and len(value) == 1 and str(value[0]).lstrip("-").isdigit():
        args["value"] = int(str(value[0]))
    elif isinstance(value, dict) and "l_onoff" in value:
        args["value"] = {"onoff": int(str(value["l_onoff"])), "linger": int(str(value["l_linger"]))}
    elif isinstance(value, TracedBytes):
        args["value"] = value.data.split(b"\0", 1)[0].decode(errors="replace")
    elif isinstance(value, list) and value:
        args["value"] = str(value[0])
    return args


def _address(value: Value) -> dict[str, Any]:
    found = _endpoint(value)
    return {"address": str(found)} if found else {}


def _message(header: Value) -> dict[str, Any]:
    if not isinstance(header, dict):
        return {}
    args: dict[str, Any] = {"parts": int(str(header.get("msg_iovlen", 0)))}
    address = _endpoint(header.get("msg_name", ""))
    return args | ({"address": str(address)} if address else {})


_READ: dict[Parameter, Callable[[Value], dict[str, Any]]] = {
    "address": _address,
    "backlog": lambda value: {"backlog": int(str(value))},
    "command": lambda value: {"command": str(value)},
    "command_value": lambda value: {"value": str(value)},
    "flags": lambda value: {"flags": str(value)},
    "how": lambda value: {"how": str(value)},
    "message": _message,
    "messages": lambda value: {"messages": int(str(value))},
    "parts": lambda value: {"parts": int(str(value))},
    "size": lambda value: {"size": int(str(value))},
    "to": lambda value: {"to": value.number if isinstance(value, Descriptor) else int(str(value))},
    "type_flags": lambda value: {"flags": str(value)},
}
"""How what strace writes for a parameter is read, named as the probe names it."""


def _buffers(value: Value) -> TracedBytes | None:
    """Return the bytes in a buffer, an iovec or a message; None where there is none to see."""
    if isinstance(value, TracedBytes):
        return value
    if isinstance(value, dict):
        return _buffers(value.get("msg_iov", value.get("iov_base", "")))
    if isinstance(value, list):
        parts = [part for part in map(_buffers, value) if part is not None]
        return TracedBytes(b"".join(part.data for part in parts), any(part.cut for part in parts))
    return None


def _moved(call: Call, direction: Literal["out", "in"], length: int, data: TracedBytes | None) -> Call:
    """Give a call its bytes: what strace prints of a buffer may be more than was taken of it."""
    if not length or data is None:
        return replace(call, direction=direction, length=length)
    shown = data.data[:length]
    digest = xxhash.xxh3_64_hexdigest(shown) if len(shown) == length else None
    return replace(call, direction=direction, length=length, data=shown[:DATA_PREFIX], digest=digest)
