"""Calls survive their journey through JSON lines."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.model import Call, Endpoint, SocketInfo
from testbed.model.errors import CaptureError
from testbed.observe.calls_jsonl import from_json, read_jsonl, to_json, write_jsonl

counts = st.integers(0, 2**63 - 1)
endpoints = st.builds(Endpoint, st.ip_addresses().map(str), st.integers(0, 65535))
sockets = st.builds(
    SocketInfo,
    cookie=st.integers(0, 2**64 - 1),
    protocol=st.sampled_from(["tcp", "udp", "other"]),
    local=st.none() | endpoints,
    peer=st.none() | endpoints,
)
# Small values, so that making them takes no time on a busy machine either.
text = st.text(max_size=8)
scalars: st.SearchStrategy[Any] = st.none() | st.booleans() | st.integers() | text
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3), max_leaves=4
)
calls = st.builds(
    Call,
    n=counts,
    host=st.sampled_from(["client", "server"]),
    pid=counts,
    tid=counts,
    program=text,
    name=text,
    fd=st.integers(-1, 2**31),
    args=st.dictionaries(text, values, max_size=4),
    start=counts,
    end=st.none() | counts,
    result=st.integers(-1, 2**63 - 1),
    errno=st.none() | text,
    socket=st.none() | sockets,
    direction=st.sampled_from(["out", "in", None]),
    length=counts,
    data=st.binary(max_size=64),
    digest=st.none() | st.integers(0, 2**64 - 1).map(lambda n: f"{n:016x}"),
    caller=st.none() | text,
    source=st.none() | text,
    kernel_only=st.booleans(),
)

CALL = Call(0, "client", 7, 7, "c", "send", 3, {"size": 1}, 10, 20, 1, direction="out", length=1, data=b"\xff\n")


@given(st.lists(calls, max_size=4))
def test_what_is_written_is_read_again(given_calls: list[Call]) -> None:
    stream = io.StringIO()
    write_jsonl(given_calls, stream)
    stream.seek(0)
    assert read_jsonl(stream) == tuple(given_calls)


@given(calls)
def test_a_line_is_plain_ascii_json_of_one_line(call: Call) -> None:
    stream = io.StringIO()
    write_jsonl([call], stream)
    assert stream.getvalue().isascii()
    assert stream.getvalue().count("\n") == 1
    assert from_json(json.loads(stream.getvalue())) == call


def test_bytes_are_hex_and_the_fields_are_those_of_a_call() -> None:
    line = to_json(CALL)
    assert line["data"] == "ff0a"
    assert list(line) == list(Call.__slots__)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "[]",
        "{",
        '{"n": 1}',
        json.dumps(to_json(CALL) | {"surprise": 1}),
        json.dumps(to_json(CALL) | {"data": "f"}),
        json.dumps(to_json(CALL) | {"socket": {"cookie": 1}}),
        json.dumps(to_json(CALL) | {"socket": {"cookie": 1, "protocol": "tcp", "local": "nonsense", "peer": None}}),
    ],
)
def test_a_line_that_is_no_call_is_named_by_its_number(line: str) -> None:
    stream = io.StringIO(json.dumps(to_json(CALL)) + "\n" + line + "\n")
    with pytest.raises(CaptureError, match="line 2: not a call"):
        read_jsonl(stream)
