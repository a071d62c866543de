"""The logs of Windows programs as calls: JSON lines that compose/winprobe writes, described in its ``line.h``.

Beside the fields of :class:`~testbed.model.Call`: ``name`` is the function of Winsock, but for those that differ from
an older one in their parameters only (``WSAConnect`` is ``connect``): these have their own name in
``args["function"]``. A message that the program got is a call of the event's name (``FD_READ``) that takes no time.
Errors have the names that POSIX has for them (:mod:`testbed.observe.winsock.winsock_names`), and their own number in
``args["winsock_error"]``. ``pid`` and ``tid`` are Windows' numbers.

Times are counted in 100 ns: a start is rounded down, an end up, so that what happened within a call stays within it.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from testbed.model import Call, Endpoint, Host, SocketInfo
from testbed.model.call_table import CALLS
from testbed.observe.winsock import winsock_names as names

PREFIX = "winsock-"
"""How the name of a log begins."""
UNIX_EPOCH = 116_444_736_000_000_000
"""1970 as a FILETIME: 100 ns since 1601, UTC."""
_TICK = 100
_SAME = {"WSAConnect": "connect", "WSAAccept": "accept", "WSASocket": "socket"}
_BLIND = {
    "overlapped": "it made overlapped calls that completed later: their bytes are not in the log",
    "extension": "it asked for functions that are no exports (AcceptEx, ConnectEx, TransmitFile): their calls are not "
    "in the log",
    "messages": "it had more windows for socket messages than are watched, or windows of another process",
}
"""What a log says that it cannot hold, as a sentence about the program."""


@dataclass(slots=True)
class DecodedLogs:
    """The calls of a host's programs in order of their start; ``problems`` are sentences, ``programs`` their names."""

    calls: tuple[Call, ...] = ()
    problems: list[str] = field(default_factory=list)
    programs: list[str] = field(default_factory=list)


def decode(logs: Mapping[str, bytes], host: Host) -> DecodedLogs:
    """Read the logs of a host by file name; other files are passed over. A line that was cut off is left out."""
    found = DecodedLogs()
    calls: list[Call] = []
    for file in sorted(logs):
        if file.startswith(PREFIX):
            reader = _LogReader(host)
            for line in _lines(logs[file], reader):
                reader.take(line)
            calls += reader.calls.values()
            found.problems += [f"`{reader.program}`: {problem}" for problem in dict.fromkeys(reader.problems)]
            found.programs.append(reader.program)
    calls.sort(key=lambda call: call.start)
    found.calls = tuple(replace(call, n=n) for n, call in enumerate(calls))
    return found


def _lines(log: bytes, reader: _LogReader) -> Iterator[dict[str, Any]]:
    *whole, cut = log.split(b"\n")
    bad = int(bool(cut))
    for text in whole:
        try:
            yield json.loads(text)
        except ValueError:
            bad += 1
    if bad:
        reader.problems.append(f"{bad} lines of its log cannot be read")


class _LogReader:
    """One process's log."""

    def __init__(self, host: Host) -> None:
        self.calls: dict[object, Call] = {}
        self.problems: list[str] = []
        self.program = ""
        self._host = host
        self._pid = 0

    def take(self, line: dict[str, Any]) -> None:
        """Add a line."""
        if "begins" in line:
            self._pid, self.program = int(line["pid"]), str(line["program"])
        elif "blind" in line:
            self.problems.append(_BLIND.get(line["blind"], str(line["blind"])))
        elif "call" in line:
            self.calls[line["k"]] = self._entered(line)
        elif "to" in line:
            self._returned(line)
        elif "message" in line:
            made = self._call(line, names.name(names.EVENTS, int(line["message"])), {})
            self.calls["message", len(self.calls)] = _failed(replace(made, end=made.start), int(line["error"]))
        elif "ends" in line:
            self.calls["exit"] = self._call({"fd": -1, **line}, "exit", {})

    def _call(self, line: dict[str, Any], name: str, args: dict[str, Any]) -> Call:
        return Call(
            n=0,
            host=self._host,
            pid=self._pid,
            tid=int(line["tid"]),
            program=self.program,
            name=name,
            fd=int(line["fd"]),
            args=args,
            start=_time(line["at"]),
            end=None,
            result=0,
            socket=self._socket(line),
        )

    def _socket(self, line: dict[str, Any]) -> SocketInfo | None:
        """Return the socket of a line; its cookie is unlike that of any other process."""
        if "sock" not in line:
            return None
        number, protocol, local, peer = line["sock"]
        return SocketInfo(self._pid << 32 | int(number), str(protocol), _endpoint(local), _endpoint(peer))

    def _entered(self, line: dict[str, Any]) -> Call:
        function = str(line["call"])
        name = _SAME.get(function, function)
        args = _arguments(name, line.get("args", {}))
        if name != function:
            args["function"] = function
        made = self._call(line, name, args)
        direction: Literal["out", "in"] | None = CALLS[name].direction if name in CALLS else None
        return replace(made, direction=direction)

    def _returned(self, line: dict[str, Any]) -> None:
        call = self.calls.get(line["k"])
        if call is None:
            return
        args = {**call.args, **_arguments(call.name, line.get("args", {}), call.args)}
        socket = self._socket(line)
        if call.name == "accept":
            args |= _accepted(int(line["result"]), socket)
            socket = None
        peeked = "MSG_PEEK" in str(args.get("flags", ""))
        moved = 0 if peeked else int(line.get("moved", 0))
        done = replace(
            call,
            end=_time(line["to"]) + _TICK - 1,
            result=int(line["result"]),
            args=args,
            socket=_newer(call.socket, socket),
            length=moved,
            data=bytes.fromhex(line.get("data", "")) if moved else b"",
            digest=line.get("digest") if moved else None,
        )
        self.calls[line["k"]] = _failed(done, int(line["error"]))


def _failed(call: Call, error: int) -> Call:
    if not error:
        return call
    return replace(call, errno=names.error(error), args={**call.args, "winsock_error": error})


def _newer(before: SocketInfo | None, now: SocketInfo | None) -> SocketInfo | None:
    """Return what was known of the socket when the call returned; an address that it had is not forgotten."""
    if before is None or now is None:
        return now or before
    return replace(now, local=now.local or before.local, peer=now.peer or before.peer)


def _accepted(handle: int, socket: SocketInfo | None) -> dict[str, Any]:
    if socket is None:
        return {}
    local, peer = (str(each) if each else None for each in (socket.local, socket.peer))
    return {"accepted": {"fd": handle, "cookie": socket.cookie, "local": local, "peer": peer}}


def _arguments(name: str, given: dict[str, Any], before: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the arguments with numbers as the symbols that a programmer writes; ``before``: those of the entry."""
    args = {key: _symbol(key, value) for key, value in given.items()}
    if name in ("setsockopt", "getsockopt"):
        level = given["level"] if "level" in given else _number(names.LEVEL, str((before or {}).get("level")))
        options = names.OPTION.get(level, {})
        if "option" in given:
            del args["option"]
            args["name"] = names.name(options, given["option"])
        if "value" in given:
            shown = str(args.get("name") or (before or {}).get("name"))
            args["value"] = _option_value(shown, bytes.fromhex(given["value"]))
    return args


_SYMBOLS: dict[str, dict[int, str]] = {
    "domain": names.FAMILY,
    "type": names.TYPE,
    "protocol": names.PROTOCOL,
    "how": names.SHUTDOWN,
    "level": names.LEVEL,
    "request": names.REQUEST,
}


def _symbol(key: str, value: Any) -> Any:  # noqa: ANN401 - JSON value
    if key == "flags":
        return names.flags(names.MESSAGE_FLAGS, value)
    if key == "events":
        return names.flags(names.EVENTS, value)
    return names.name(_SYMBOLS[key], value) if key in _SYMBOLS else value


def _number(table: dict[int, str], name: str) -> int:
    return next((number for number, each in table.items() if each == name), -1)


def _option_value(option: str, value: bytes) -> Any:  # noqa: ANN401 - JSON value
    if option == "SO_LINGER" and len(value) == 4:
        onoff, linger = struct.unpack("<HH", value)
        return {"onoff": onoff, "linger": linger}
    if len(value) in (1, 2, 4, 8):
        number = int.from_bytes(value, "little", signed=True)
        return names.error(number) if option == "SO_ERROR" and number else number
    return value.hex()


def _time(filetime: int) -> int:
    """Return a FILETIME as ns since the Unix epoch."""
    return (int(filetime) - UNIX_EPOCH) * _TICK


def _endpoint(text: str | None) -> Endpoint | None:
    if text is None:
        return None
    address, _, port = text.rpartition(":")
    return Endpoint(_on_the_wire(address.strip("[]")), int(port))


def _on_the_wire(address: str) -> str:
    if ":" not in address:
        return address
    import ipaddress

    found = ipaddress.IPv6Address(address)
    return str(found.ipv4_mapped or found)


def seen(calls: Iterable[Call]) -> bool:
    """Say whether a log holds more than that its program ended."""
    return any(call.name != "exit" for call in calls)
