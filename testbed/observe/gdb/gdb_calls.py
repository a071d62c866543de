"""Calls from what gdb reported of those that it held (compose/debugger/held.py).

Beside the fields of :class:`~testbed.model.Call`: ``cookie`` is the socket's inode; ``start`` is when a call was given
to the kernel, ``end`` when gdb had it again; ``args`` has the caller's ``backtrace``, innermost first. Names are the C
library's where gdb knows the function, else as in ``strace_log.py``; as there, only calls on
Internet sockets are recorded.
"""

from __future__ import annotations

import ipaddress
import json
import posixpath
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Literal

import xxhash

from testbed.model import DATA_PREFIX, Call, Endpoint, Host, SocketInfo
from testbed.model.call_table import CALLS, FORKS, LIBRARY_NAMES, Parameter, going
from testbed.observe import linux_names as names
from testbed.observe.observation import Observation
from testbed.observe.probe.probe_arguments import address_text, option_value

Event = dict[str, Any]

_OUT, _IN = going("out"), going("in")
_FUNCTIONS = frozenset(name for name, call in CALLS.items() if call.gdb and name != "fcntl")
"""Functions of the C library by which a backtrace names a call; fcntl() is too general."""
_PEEKS = 0x2 | 0x2000  # MSG_PEEK, MSG_ERRQUEUE


def decode(lines: Iterable[str], host: Host) -> Observation:
    """Turn the events of one program into calls, in order of their start."""
    entered: dict[int, Event] = {}
    problems: list[str] = []
    attached = False
    for line in lines:
        try:
            event: Event = json.loads(line)
        except ValueError:
            if line.strip():
                problems.append(f"gdb reported what cannot be read: {line[:80]}")
            continue
        match event["event"]:
            case "attached":
                attached = True
            case "enter":
                entered[event["id"]] = event
            case "released":
                entered[event["id"]]["start"] = event["time"]
            case "return":
                entered[event["id"]]["returned"] = event
            case _:
                problems.append(f"gdb: {event.get('what', line)}")
    maker = _CallMaker(host)
    # What was never given to the kernel was not called.
    begun = sorted((event for event in entered.values() if "start" in event), key=lambda event: int(event["start"]))
    made = [maker.call(event) for event in begun]
    ours = [call for call in made if call.socket is None or call.socket.protocol != "other"]
    calls = tuple(replace(call, n=n) for n, call in enumerate(ours))
    problems += [
        f"gdb does not follow process {call.result}, forked by {call.pid}; `strace` or `probe` would see its calls"
        for call in calls
        if call.name == "fork" and call.result > 0
    ]
    return Observation(calls, tuple(problems), blind=not attached)


def describe(event: Event) -> str:
    """Describe a call that is about to be made: ``client.c:23 send(3, "c", 1)``."""
    call = _CallMaker("client").call({**event, "start": event["time"]})
    values = [str(call.fd)] if call.fd >= 0 else []
    if event.get("data"):
        values.append(repr(bytes.fromhex(event["data"]))[1:])
    values += [str(value) for key, value in call.args.items() if key != "backtrace" and value != "0"]
    source = f"{call.source} " if call.source else ""
    return f"{source}{call.name}({', '.join(values)})"


def name_of(event: Event) -> str:
    """Return the name that a call gets: the C library's function, where one is in the backtrace."""
    system = str(event["name"])
    name = LIBRARY_NAMES.get(system, system)
    for frame in event["frames"][:4]:
        function = _plain(frame["function"])
        if function in _FUNCTIONS and LIBRARY_NAMES.get(function, function) == name:
            return function
    return system if system in ("sendto", "recvfrom") and event["arguments"][4] else name


class _CallMaker:
    def __init__(self, host: Host) -> None:
        self._host = host
        self._sockets: dict[int, SocketInfo] = {}

    def call(self, event: Event) -> Call:
        """Make the call of an event; ask in order of their start. It is not numbered yet."""
        system, returned = event["name"], event.get("returned")
        result = int(returned["result"]) if returned else 0
        failed = -4096 < result < 0
        name = name_of(event)
        args = _args(event) | {"backtrace": _backtrace(event["frames"])}
        data = bytes.fromhex(returned.get("data", "")) if returned else b""
        direction: Literal["out", "in"] | None = "out" if system in _OUT else "in" if system in _IN else None
        peeked = system in ("recvfrom", "recvmsg") and event["arguments"][3 if system == "recvfrom" else 2] & _PEEKS
        length = result if direction and returned and result > 0 and not peeked else 0
        info = self._socket(event, returned, args)
        on_socket = system not in {*FORKS, "exit_group"}
        fd = (
            (result if returned else -1)
            if system == "socket"
            else _descriptor(event["arguments"][0])
            if on_socket
            else -1
        )
        return Call(
            n=0,
            host=self._host,
            pid=event["pid"],
            tid=event["tid"],
            program=event["program"],
            name=name,
            fd=fd,
            args=args,
            start=int(event["start"]),
            end=int(returned["time"]) if returned else None,
            result=-1 if failed else result,
            errno=names.name(names.ERRNO, -result) if failed else None,
            socket=info,
            direction=direction,
            length=length,
            data=data[: min(length, DATA_PREFIX)],
            digest=xxhash.xxh3_64_hexdigest(data[:length]) if length and len(data) >= length else None,
            source=_source(event["frames"]),
        )

    def _socket(self, event: Event, returned: Event | None, args: dict[str, Any]) -> SocketInfo | None:
        """Return what is known of the call's socket after it; remember it, and what an accept made."""
        if returned and returned.get("accepted"):
            made = self._learn(returned["accepted"], "tcp")
            if made:
                args["accepted"] = {
                    "fd": returned["result"],
                    "cookie": made.cookie,
                    "local": str(made.local) if made.local else None,
                    "peer": str(made.peer) if made.peer else None,
                }
        kind = "other"
        if event["name"] == "socket" and event["arguments"][0] in (2, 10):
            kind = {1: "tcp", 2: "udp"}.get(event["arguments"][1] & 0xF, "other")
        info = self._learn(event.get("socket"), kind)
        return self._learn(returned.get("socket") if returned else None, kind) or info

    def _learn(self, seen: Event | None, kind: str) -> SocketInfo | None:
        if not seen:
            return None
        cookie = int(seen["inode"])
        before = self._sockets.get(cookie) or SocketInfo(cookie, kind)
        local, peer = (_address(seen[side]) if side in seen else None for side in ("local", "peer"))
        now = SocketInfo(cookie, seen.get("protocol", before.protocol), local or before.local, peer or before.peer)
        self._sockets[cookie] = now
        return now


def _descriptor(register: int) -> int:
    number = register & 0xFFFFFFFF
    return number - (1 << 32) if number >> 31 else number


def _args(event: Event) -> dict[str, Any]:
    """Return the arguments as the probe names them."""
    given = event["arguments"]
    address = bytes.fromhex(event.get("address", ""))
    args: dict[str, Any] = {"address": address_text(address)} if len(address) >= 2 else {}
    known = CALLS.get(LIBRARY_NAMES[event["name"]] if event["name"] == "exit_group" else event["name"])
    for place, parameter in enumerate(known.parameters if known else ()):
        if parameter in _READ:
            args |= _READ[parameter](event, given[place])
    return args


def _socket_type(_: Event, number: int) -> dict[str, Any]:
    kind, rest = names.name(names.TYPE, number & 0xF), number & ~0xF
    return {"type": f"{kind}|{names.flags(names.TYPE_FLAGS, rest)}" if rest else kind}


def _option(event: Event, level: int) -> dict[str, Any]:
    option, value = event["arguments"][2], bytes.fromhex(event["value"])
    return {
        "level": names.name(names.LEVEL, level),
        "name": names.name(names.OPTION.get(level, {}), option),
        "value": option_value(level, option, value, len(value)),
    }


_READ: dict[Parameter, Callable[[Event, int], dict[str, Any]]] = {
    "backlog": lambda _, number: {"backlog": number & 0xFFFFFFFF},
    "command": lambda _, number: {"command": names.name(names.FCNTL, number)},
    "command_value": lambda _, number: {"value": number},
    "domain": lambda _, number: {"domain": names.name(names.FAMILY, number)},
    "flags": lambda _, number: {"flags": names.flags(names.MSG_FLAGS, number & 0xFFFFFFFF)},
    "how": lambda _, number: {"how": names.name(names.SHUTDOWN, number)},
    "message": lambda event, _: {"size": event.get("size", 0), "parts": event.get("parts", 0)},
    "option": _option,
    "protocol": lambda _, number: {"protocol": names.name(names.PROTOCOL, number)},
    "size": lambda _, number: {"size": number},
    "status": lambda _, number: {"status": number & 0xFF},
    "to": lambda _, number: {"to": _descriptor(number)},
    "type": _socket_type,
    "vector": lambda event, _: {"size": event["size"], "parts": event["parts"]},
}
"""How a parameter's register is read (with what gdb read of memory for the event), named as the probe names it."""


def _address(text: str) -> Endpoint | None:
    """Read an address of /proc/net/tcp: words of 32 bits in the machine's order, a colon, the port in hex."""
    words, _, port = text.partition(":")
    number = int(port, 16)
    if not number:
        return None
    raw = b"".join(bytes.fromhex(words[at : at + 8])[::-1] for at in range(0, len(words), 8))
    found = ipaddress.ip_address(raw)
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return Endpoint(str(mapped or found), number)


def _plain(function: str | None) -> str:
    """Return a function's name without the C library's prefixes: ``__GI___libc_send`` is ``send``."""
    return (function or "").replace("__GI_", "").replace("__libc_", "").lstrip("_")


def _callers(frames: Sequence[Event]) -> Sequence[Event]:
    """Leave out the frames within the C library: those up to the last that is a call's own function."""
    own = [at for at, frame in enumerate(frames[:4]) if _plain(frame["function"]) in _FUNCTIONS]
    return frames[own[-1] + 1 :] if own else frames


def _source(frames: Sequence[Event]) -> str | None:
    for frame in _callers(frames):
        if frame["line"]:
            return _line(frame)
    return None


def _line(frame: Event) -> str:
    return f"{posixpath.basename(frame['line'][0])}:{frame['line'][1]}"


def _backtrace(frames: Sequence[Event]) -> list[str]:
    return [
        f"{frame['function'] or hex(frame['pc'])}{' ' + _line(frame) if frame['line'] else ''}"
        for frame in _callers(frames)
    ]
