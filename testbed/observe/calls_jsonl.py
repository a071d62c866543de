"""Calls as JSON lines: the files ``client.calls.jsonl`` and ``server.calls.jsonl`` of a run directory.

Each line is one JSON object for one call, in order of ``n``:

=========== ====================================================================================================
field       meaning
=========== ====================================================================================================
n           number of the call on its host, from 0, in order of start
host        ``client`` or ``server``
pid, tid    process and thread
program     name of the executable
name        the function, ``send``
fd          descriptor that the call was made on (the new one for ``socket``), -1 for none
args        arguments by name, symbolic: ``{"size": 8, "flags": "MSG_MORE"}``
start, end  ns since the Unix epoch; ``end`` is null for a call that never returned
result      what the call returned
errno       ``"ECONNREFUSED"`` or null
socket      null, or ``{"cookie", "protocol", "local", "peer"}``; addresses as ``"192.0.2.1:80"`` or
            ``"[2001:db8::1]:80"``, or null
direction   ``"out"``: bytes given to the kernel, ``"in"``: taken from it, or null
length      bytes that moved (0 for a peek, 0 for a call that never returned)
data        the first of them (at most 64) in hex
digest      XXH3-64 of all of them, 16 hex digits; null where nothing moved or the bytes were not visible
            (``sendfile``, ``splice``), and where more than 4096 moved on a stream within the host (127.0.0.1, ::1,
            Unix domain), which no capture sees
caller      return address as ``/path/of/module+0xoffset``, or null
source      ``"client.c:12"``, or null
kernel_only true where the observer missed the call and the kernel's trace has it; absent in older logs: false
=========== ====================================================================================================
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, TextIO

from testbed.model import Call, Endpoint, SocketInfo
from testbed.model.errors import CaptureError

_LARGEST = 1 << 63
_TEXT = (str, type(None))
_KINDS: dict[str, Any] = {
    **dict.fromkeys(("n", "pid", "tid", "fd", "start", "result", "length"), int),
    **dict.fromkeys(("host", "program", "name", "data"), str),
    **dict.fromkeys(("errno", "direction", "digest", "caller", "source"), _TEXT),
    "args": dict,
    "end": (int, type(None)),
}


def to_json(call: Call) -> dict[str, Any]:
    """Return the call as a JSON object."""
    info = call.socket
    return {
        "n": call.n,
        "host": call.host,
        "pid": call.pid,
        "tid": call.tid,
        "program": call.program,
        "name": call.name,
        "fd": call.fd,
        "args": call.args,
        "start": call.start,
        "end": call.end,
        "result": call.result,
        "errno": call.errno,
        "socket": None
        if info is None
        else {
            "cookie": info.cookie,
            "protocol": info.protocol,
            "local": None if info.local is None else str(info.local),
            "peer": None if info.peer is None else str(info.peer),
        },
        "direction": call.direction,
        "length": call.length,
        "data": call.data.hex(),
        "digest": call.digest,
        "caller": call.caller,
        "source": call.source,
        "kernel_only": call.kernel_only,
    }


def from_json(line: dict[str, Any]) -> Call:
    """Return the call of a JSON object; KeyError, TypeError or ValueError if it is none."""
    for name, kinds in _KINDS.items():
        if not isinstance(line[name], kinds) or (kinds is int and not -_LARGEST <= line[name] < _LARGEST):
            raise TypeError(f"`{name}` is {line[name]!r:.80}")
    info = line["socket"]
    socket = info and SocketInfo(
        cookie=info["cookie"],
        protocol=info["protocol"],
        local=_endpoint(info["local"]),
        peer=_endpoint(info["peer"]),
    )
    return Call(**(line | {"socket": socket, "data": bytes.fromhex(line["data"])}))


def _endpoint(text: str | None) -> Endpoint | None:
    if text is None:
        return None
    address, _, port = text.rpartition(":")
    return Endpoint(address.removeprefix("[").removesuffix("]"), int(port))


def write_jsonl(calls: Iterable[Call], stream: TextIO) -> None:
    """Write one line for each call."""
    stream.writelines(json.dumps(to_json(call), separators=(",", ":")) + "\n" for call in calls)


def read_jsonl(stream: TextIO) -> tuple[Call, ...]:
    """Read what :func:`write_jsonl` wrote; CaptureError with the line's number where a line is no call."""
    calls: list[Call] = []
    try:
        for line in stream:
            calls.append(from_json(json.loads(line)))  # noqa: PERF401 - how many there are is told
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        name = getattr(stream, "name", "call log")
        raise CaptureError(f"{name}, line {len(calls) + 1}: not a call ({error})") from error
    return tuple(calls)
