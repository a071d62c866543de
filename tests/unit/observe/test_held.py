"""What gdb said of the experiment's client, recorded, as calls; and how a call is shown before it is made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import xxhash

from testbed.model import Endpoint
from testbed.observe.gdb.gdb_calls import decode, describe, name_of
from tests.nonempty import nonempty

RECORDED = (Path(__file__).parent / "held" / "client.jsonl").read_text().splitlines()


def entered() -> list[dict[str, Any]]:
    return [event for event in map(json.loads, RECORDED) if event["event"] == "enter"]


def test_a_recorded_client() -> None:
    """Names of the C library, bytes, digests, source lines, backtraces, addresses, one cookie for the socket."""
    seen = decode(RECORDED, "client")
    assert (seen.problems, seen.blind) == ((), False)
    calls = seen.calls
    assert [call.name for call in calls] == ["socket", "connect", "send", "send", "send", "close", "exit"]
    assert [call.n for call in calls] == list(range(len(calls)))
    assert [call.data for call in calls if call.name == "send"] == [b"c", b"c", b"string"]
    assert calls[4].digest == xxhash.xxh3_64_hexdigest(b"string")
    assert [call.source for call in calls[:6]] == [
        "client.c:50",
        "client.c:53",
        "client.c:23",
        "client.c:23",
        "client.c:23",
        "client.c:58",
    ]
    assert [frame.split()[0] for frame in calls[2].args["backtrace"][:2]] == ["send_text", "main"]
    assert len({call.socket.cookie for call in calls if call.socket}) == 1
    connect = calls[1].socket
    assert connect is not None
    assert connect.protocol == "tcp"
    assert connect.peer == Endpoint("127.0.0.1", 18091)
    assert connect.local is not None
    assert calls[-1].end is None


def test_times_are_of_the_kernel_not_of_the_debugger() -> None:
    """A call starts when gdb lets it go, not when it first held it."""
    held = {event["id"]: event["time"] for event in entered()}
    for number, call in zip(nonempty(sorted(held)), decode(RECORDED, "client").calls, strict=True):
        assert call.start > held[number]
        assert call.end is None or call.end > call.start


def test_a_call_that_was_never_let_go_was_not_made() -> None:
    """The program was ended while gdb held it before its next call."""
    last = max(n for n, line in enumerate(RECORDED) if '"enter"' in line)
    assert [call.name for call in decode(RECORDED[: last + 1], "client").calls][-1] == "close"


def test_a_call_is_shown_before_it_is_made() -> None:
    """Source line, name and arguments, as in the program's text."""
    shown = [describe(event) for event in entered()]
    assert shown[0] == "client.c:50 socket(AF_INET, SOCK_STREAM)"
    assert shown[1] == "client.c:53 connect(3, 127.0.0.1:18091)"
    assert shown[2] == "client.c:23 send(3, 'c', 1)"
    assert shown[5] == "client.c:58 close(3)"


@pytest.mark.parametrize(
    ("function", "system", "name"),
    [
        ("__libc_send", "sendto", "send"),
        ("__GI___libc_recv", "recvfrom", "recv"),
        ("__GI___close", "close", "close"),
        (None, "sendto", "send"),
        ("main", "recvfrom", "recv"),
        ("__write", "write", "write"),
    ],
)
def test_names_are_those_of_the_c_library(function: str | None, system: str, name: str) -> None:
    """Whatever the library calls it inside; without symbols the system call gives the name."""
    frames = [{"function": function, "line": None, "pc": 1, "module": None}]
    assert name_of({"name": system, "arguments": [3, 0, 1, 0, 0, 0], "frames": frames}) == name


def test_failures_have_their_names() -> None:
    """-111 is ECONNREFUSED, and the result is -1 as the program sees it."""
    lines = [line.replace('"result": 0, "socket"', '"result": -111, "socket"') for line in RECORDED]
    connect = decode(lines, "client").calls[1]
    assert (connect.result, connect.errno) == (-1, "ECONNREFUSED")


def test_what_gdb_cannot_do_is_said() -> None:
    """An error of the script, and a log without a beginning."""
    seen = decode(['{"event": "error", "what": "gdb.error: no"}'], "client")
    assert seen.blind
    assert seen.problems == ("gdb: gdb.error: no",)


def test_a_child_that_gdb_does_not_follow_is_said() -> None:
    """A fork makes the observation incomplete, with the observers that would see the child."""
    frames = [{"function": "fork", "line": None, "pc": 1, "module": None}]
    enter = {"event": "enter", "id": 1, "time": 1, "pid": 7, "tid": 7, "program": "x", "name": "clone"}
    enter |= {"arguments": [0, 0, 0, 0, 0, 0], "frames": frames}
    events: list[dict[str, Any]] = [
        {"event": "attached"},
        enter,
        {"event": "released", "id": 1, "time": 2},
        {"event": "return", "id": 1, "time": 3, "result": 8},
    ]
    seen = decode([json.dumps(event) for event in events], "client")
    assert seen.problems == ("gdb does not follow process 8, forked by 7; `strace` or `probe` would see its calls",)
