"""The decoder of the probe's logs, on logs made here byte by byte (layout: compose/probe/format.h)."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from testbed.model import Endpoint
from testbed.observe.probe.probe_format import DIGEST, ENTERED, HEADER_SIZE, IN, OUT, RECORD_SIZE, RETURNED
from testbed.observe.probe.probe_log import decode

NS = 10**9


def header(pid: int = 7, start: int = NS, used: int = 99, **changed: Any) -> bytes:
    f = {
        "magic": b"BOTHENDS",
        "version": 1,
        "parent": 1,
        "forked_from": 0,
        "lost": 0,
        "program": b"/bin/prog",
    } | changed
    return struct.pack(
        "<8sIIIiiIQQQQ4032s",
        *(f["magic"], f["version"], 4096, 256, pid, f["parent"], 0),
        *(start, f["forked_from"], used, f["lost"], f["program"]),
    )


def record(name: str, start: int, args: tuple[int, ...] = (), **given: Any) -> bytes:
    f: dict[str, Any] = {"state": RETURNED, "fd": 3, "error": 0, "end": start + 5, "result": 0, "cookie": 0}
    f |= {"caller": 0, "length": 0, "digest": 0, "marks": 0, "address": b"", "blob": b""} | given
    return struct.pack(
        "<Iiii16sQQqQQQQ7qHHHH32s72s",
        *(f["state"], 70, f["fd"], f["error"], name.encode(), start, f["end"], f["result"], f["cookie"]),
        *(f["caller"], f["length"], f["digest"], *(args + (0,) * 7)[:7]),
        *(f["marks"], len(f["address"]), len(f["blob"]), 0, f["address"], f["blob"]),
    )


def module(start: int, end: int, base: int, path: str) -> bytes:
    slot = record("#module", 1, (start, end, base, len(path)))[:152] + path.encode()
    return slot + bytes(-len(slot) % RECORD_SIZE)


def inet(address: str, port: int) -> bytes:
    return struct.pack("<H", 2) + struct.pack(">H", port) + bytes(int(part) for part in address.split(".")) + bytes(8)


def inet6(address: bytes, port: int) -> bytes:
    return struct.pack("<H", 10) + struct.pack(">H", port) + bytes(4) + address + bytes(4)


def log(*records: bytes, **fields: Any) -> bytes:
    body = b"".join(records)
    fields = {"used": len(body) // RECORD_SIZE} | fields
    return header(**fields) + body


def test_the_layout_has_the_sizes_of_the_c_structures() -> None:
    assert (HEADER_SIZE, RECORD_SIZE) == (4096, 256) == (len(header()), len(record("send", 1)))


def test_calls_of_all_processes_are_numbered_in_order_of_start() -> None:
    one = log(record("close", 30), record("close", 10), pid=1, start=5)
    two = log(record("shutdown", 20, (1,)), pid=2, start=6)
    result = decode({"2-6.calls": two, "1-5.calls": one}, "server")
    assert [(c.n, c.pid, c.name, c.start) for c in result.calls] == [
        (0, 1, "close", 10),
        (1, 2, "shutdown", 20),
        (2, 1, "close", 30),
    ]
    assert result.calls[1].args == {"how": "SHUT_WR"}
    assert {(c.host, c.program, c.tid) for c in result.calls} == {("server", "prog", 70)}
    assert (result.lost, result.problems) == (0, ())


def test_zeros_after_the_records_and_slots_never_filled_are_no_calls() -> None:
    content = log(record("close", 10), bytes(RECORD_SIZE), record("close", 11)) + bytes(8192)
    result = decode({"a": content}, "client")
    assert [c.start for c in result.calls] == [10, 11]
    assert result.problems == ()


def test_a_call_that_never_returned_has_no_end_and_no_error() -> None:
    content = log(record("recv", 10, (5, 0), state=ENTERED, end=0, marks=IN))
    (call,) = decode({"a": content}, "client").calls
    assert (call.end, call.result, call.errno, call.direction) == (None, 0, None, "in")


def test_an_error_has_its_name() -> None:
    content = log(record("connect", 10, result=-1, error=111, address=inet("192.0.2.1", 80)))
    (call,) = decode({"a": content}, "client").calls
    assert (call.result, call.errno, call.args) == (-1, "ECONNREFUSED", {"address": "192.0.2.1:80"})


def test_moved_bytes_have_prefix_and_digest() -> None:
    content = log(record("send", 10, (9, 0x8040), result=9, length=9, marks=OUT | DIGEST, digest=0xAB, blob=b"prefix"))
    (call,) = decode({"a": content}, "client").calls
    assert (call.length, call.data, call.digest, call.direction) == (9, b"prefix", "00000000000000ab", "out")
    assert call.args == {"size": 9, "flags": "MSG_DONTWAIT|MSG_MORE"}


def test_a_socket_is_known_by_its_cookie_as_of_the_call_in_every_process() -> None:
    mapped = inet6(bytes(10) + b"\xff\xff\xc0\x00\x02\x01", 80)
    parent = log(
        record("#socket", 10, (10, 1, 6), cookie=4),
        record("socket", 10, (10, 1, 0), cookie=4, result=3),
        record("#socket", 20, (10, 1, 6), cookie=4, address=mapped, blob=inet6(bytes(15) + b"\x01", 9)),
        record("connect", 20, cookie=4, address=mapped),
        pid=1,
        start=1,
    )
    child = log(record("close", 30, cookie=4), pid=2, start=2, forked_from=1)
    _, create, connect, close = decode({"1": parent, "2": child}, "client").calls
    assert create.socket
    assert (create.socket.protocol, create.socket.local) == ("tcp", None)
    assert connect.socket
    assert connect.socket.local == Endpoint("192.0.2.1", 80)
    assert connect.socket.peer == Endpoint("::1", 9)
    assert connect.args == {"address": "[::ffff:192.0.2.1]:80"}
    assert close.socket == connect.socket


@pytest.mark.parametrize(
    ("level", "option", "value", "expected"),
    [
        (1, 13, struct.pack("<ii", 1, 0), ("SOL_SOCKET", "SO_LINGER", {"onoff": 1, "linger": 0})),
        (1, 20, struct.pack("<qq", 2, 500), ("SOL_SOCKET", "SO_RCVTIMEO", {"seconds": 2, "microseconds": 500})),
        (1, 4, struct.pack("<i", 104), ("SOL_SOCKET", "SO_ERROR", "ECONNRESET")),
        (1, 4, struct.pack("<i", 0), ("SOL_SOCKET", "SO_ERROR", 0)),
        (6, 1, struct.pack("<i", 1), ("IPPROTO_TCP", "TCP_NODELAY", 1)),
        (6, 13, b"cubic\0\0\0", ("IPPROTO_TCP", "TCP_CONGESTION", "cubic")),
        (41, 26, struct.pack("<i", -1), ("IPPROTO_IPV6", "IPV6_V6ONLY", -1)),
        (999, 888, b"abc", ("999", "888", "616263")),
    ],
)
def test_options_are_said_symbolically(level: int, option: int, value: bytes, expected: tuple[Any, ...]) -> None:
    content = log(record("setsockopt", 10, (level, option, len(value)), blob=value))
    (call,) = decode({"a": content}, "client").calls
    assert (call.args["level"], call.args["name"], call.args["value"]) == expected


def test_flags_without_a_name_stay_as_a_number() -> None:
    content = log(record("send", 10, (1, 0x10000001)))
    (call,) = decode({"a": content}, "client").calls
    assert call.args["flags"] == "MSG_OOB|0x10000000"


def test_poll_tells_what_was_asked_and_found() -> None:
    fds = struct.pack("<iHHiHH", 3, 1, 1 | 0x2000, 4, 4, 0)
    content = log(record("poll", 10, (2, -1), fd=-1, result=1, blob=fds))
    (call,) = decode({"a": content}, "client").calls
    assert call.args == {
        "count": 2,
        "timeout_ns": None,
        "fds": [
            {"fd": 3, "events": "POLLIN", "revents": "POLLIN|POLLRDHUP"},
            {"fd": 4, "events": "POLLOUT", "revents": "0"},
        ],
    }


@pytest.mark.parametrize("length", [1, 104, 105, 359, 360, 361, 1000])
def test_a_caller_is_an_offset_in_a_module_whatever_the_length_of_its_path(length: int) -> None:
    path = "/" + "x" * (length - 1)
    content = log(
        module(0x1000, 0x2000, 0x400, path), record("close", 10, caller=0x1234), record("close", 11, caller=8)
    )
    known, unknown = decode({"a": content}, "client").calls
    assert known.caller == f"{path}+0xe34"
    assert unknown.caller == "0x8"


def test_a_forked_child_has_the_modules_of_its_parent() -> None:
    parent = log(module(0x1000, 0x2000, 0, "/bin/prog"), pid=1, start=1)
    child = log(record("close", 10, caller=0x1004), pid=2, start=2, forked_from=1)
    grandchild = log(record("close", 11, caller=0x1005), pid=3, start=3, forked_from=2)
    result = decode({"1": parent, "2": child, "3": grandchild}, "client")
    callers = [c.caller for c in result.calls if c.name == "close"]
    assert callers == ["/bin/prog+0x1004", "/bin/prog+0x1005"]


def test_processes_end_by_exit_by_exec_or_in_a_way_nobody_saw() -> None:
    first = log(pid=1, start=1, program=b"/bin/sh")
    second = log(record("exit", 50, (3,), state=ENTERED, end=0), pid=1, start=9)
    third = log(pid=2, start=5)
    ended = [
        (p.pid, p.program, p.ended, p.end, p.status)
        for p in decode({"1": first, "9": second, "5": third}, "client").processes
    ]
    assert ended == [
        (1, "/bin/sh", "exec", 9, None),
        (2, "/bin/prog", "unknown", None, None),
        (1, "/bin/prog", "exit", 50, 3),
    ]


def test_a_forked_child_without_a_log_is_a_problem() -> None:
    result = decode({"1": log(record("fork", 10, fd=-1, result=42), pid=1)}, "client")
    assert result.problems == ("process 42, forked by 1 (prog), left no log",)


def test_records_that_found_no_room_are_counted() -> None:
    result = decode({"a": log(record("close", 1), lost=3, used=4), "b": log(pid=8, lost=2)}, "client")
    assert (result.lost, len(result.calls), result.problems) == (5, 1, ())


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "no header"),
        (bytes(65536), "no header"),
        (b"\x7fELF" + bytes(5000), "not a probe log"),
        (header()[:100], "cut off within its header"),
        (header(version=2), "log version 2"),
        (log(record("close", 1), used=5), "holds 1 of 5 records"),
        (log(record("close", 1))[:-1], "holds 0 of 1 records"),
    ],
)
def test_a_file_that_cannot_be_used_is_a_problem_by_name_and_the_others_count(content: bytes, problem: str) -> None:
    result = decode({"bad": content, "good": log(record("shutdown", 2), pid=9)}, "client")
    (said,) = result.problems
    assert said.startswith("bad: ")
    assert problem in said
    assert "shutdown" in [call.name for call in result.calls]


def begins_with(fd: int, cookie: int, start: int, family: int = 2) -> bytes:
    return record("#socket", start, (family, 1, 6), fd=fd, cookie=cookie)


def test_an_exec_tells_the_sockets_that_the_new_image_began_with() -> None:
    """The record of a call that worked never returned; the image's log ends it. Unix sockets are nobody's business."""
    old = log(record("fork", 10, fd=-1, result=2), pid=1, start=1)
    child = log(record("execve", 30, fd=-1, state=1), pid=2, start=20, forked_from=1)
    image = log(
        begins_with(3, 77, 40), begins_with(5, 78, 40, family=1), record("close", 50, cookie=77), pid=2, start=40
    )
    calls = decode({"1": old, "2": child, "3": image}, "client").calls
    assert [(call.name, call.pid) for call in calls] == [("fork", 1), ("execve", 2), ("close", 2)]
    assert (calls[1].start, calls[1].end, calls[1].args["holds"]) == (30, 40, [{"fd": 3, "cookie": 77}])


def test_a_child_of_vfork_or_posix_spawn_is_known_by_what_its_image_began_with() -> None:
    """It logs no exec; without sockets nobody needs to know of it."""
    parent = log(record("close", 10, cookie=77), pid=1, start=1)
    child = log(begins_with(3, 77, 20), record("exit", 30, fd=-1), pid=2, start=20)
    other = log(record("exit", 30, fd=-1), pid=3, start=20)
    calls = decode({"1": parent, "2": child, "3": other}, "client").calls
    assert [(call.name, call.pid) for call in calls] == [("close", 1), ("execve", 2), ("exit", 2), ("exit", 3)]


def test_a_fork_of_the_c_library_is_seen_by_the_childs_log() -> None:
    parent = log(record("close", 10), pid=1, start=1)
    child = log(record("close", 30), pid=2, parent=1, start=20, forked_from=1)
    calls = decode({"1": parent, "2": child}, "client").calls
    assert [(call.name, call.pid, call.result) for call in calls][1] == ("fork", 1, 2)
