"""Expectations about what a cause rests on and answers, calls by connection and socket, and the verdict's facts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydantic import TypeAdapter

from testbed.analysis.analyse import analyse
from testbed.analysis.calls.streams import build_streams
from testbed.analysis.expect.check_expectations import check
from testbed.analysis.expect.run_facts import RunFacts
from testbed.model import Cause, CauseName
from testbed.model.causes import Basis
from testbed.model.origins import Mechanism, PacketOrigin
from testbed.scenario.expect.all_expectations import AnyExpectation
from tests.builders.exchange import Exchange

READ: TypeAdapter[Any] = TypeAdapter(AnyExpectation)


def two_connections() -> Exchange:
    """The second one is reset by the server."""
    run = Exchange()
    for number in (0, 1):
        tcp = run.tcp(port=40000 + number) if number else run.tcp()
        tcp.server("listen")
        with tcp.client("connect"):
            tcp("client S")
            tcp("server S.")
        tcp("client .")
        tcp.server("accept")
        with tcp.client("send", b"hello"):
            tcp("client P.", b"hello")
        tcp("server .")
        tcp.server("recv", b"hello")
        if number:
            with tcp.server("close"):
                tcp("server R.")
        else:
            with tcp.client("close"):
                tcp("client F.")
            with tcp.server("close"):
                tcp("server F.")
            tcp("client .")
    return run


def judged(written: dict[str, Any], causes: dict[int, Cause] | None = None) -> bool | None:
    """How a check ends; ``causes`` are those of some packets that the kernel proves."""
    inputs = two_connections().inputs()
    found = analyse(inputs)
    streams = build_streams(found.inputs.joined, found.inputs.calls, found.inputs.observed)
    changed = tuple((causes or {}).get(n, cause) for n, cause in enumerate(found.causes))
    facts = RunFacts(found.inputs, streams, changed, found.ledger, found.no_packet, found.verdict)
    (result,) = check([READ.validate_python(written).compiled()], facts)
    return result.ok


PROVEN = {
    0: Cause(
        CauseName.CONNECT,
        (),
        basis=Basis.KERNEL,
        origin=PacketOrigin(
            Mechanism.CALL, "in connect", stack=("tcp_connect", "__sys_connect+0x4"), syscall="connect"
        ),
    ),
    3: Cause(
        CauseName.TAIL_LOSS_PROBE,
        (),
        basis=Basis.KERNEL,
        origin=PacketOrigin(Mechanism.TIMER, "a timer", stack=("tcp_send_loss_probe",), timer="tcp_write_timer"),
    ),
}


@pytest.mark.parametrize(
    ("packets", "ok"),
    [
        ({"basis": "kernel", "count": 2}, True),
        ({"basis": "kernel", "from": "server", "count": 0}, True),
        ({"from": "client", "basis": "inferred", "flags": "S", "count": 1}, True),
        ({"function": "tcp_connect", "count": 1}, True),
        ({"function": "__sys_connect", "count": 1}, True),
        ({"function": "tcp_retransmit_timer"}, False),
        ({"timer": "tcp_write_timer", "cause": "tail-loss-probe", "count": 1}, True),
        ({"timer": "tcp_delack_timer"}, False),
    ],
)
def test_what_the_kernel_proves(packets: dict[str, Any], ok: bool) -> None:
    assert judged({"packets": packets}, PROVEN) is ok


@pytest.mark.parametrize("key", ["function", "timer"])
def test_without_a_trace_nothing_is_known_of_the_kernel(key: str) -> None:
    """Neither true nor false, also where none is expected."""
    assert judged({"packets": {key: "tcp_write_timer", "count": 0}}) is None


@pytest.mark.parametrize(
    ("answers", "ok"),
    [("connect", True), ({"rule": "connect", "nth": 2}, True), ({"rule": "connect", "nth": 3}, False), ("fin", False)],
)
def test_the_packet_that_another_one_answers(answers: object, ok: bool) -> None:
    """Which of those that the rule explains decides."""
    assert judged({"packets": {"flags": "S.", "answers": answers, "count": 1}}) is ok


@pytest.mark.parametrize(
    ("call", "ok"),
    [
        ({"call": "send", "connection": 1, "count": 1}, True),
        ({"call": "send", "connection": 2, "packets": ["client P.", "server ."], "data": "hello"}, True),
        ({"call": "recv", "host": "server", "connection": 2, "count": 2}, False),
        ({"call": "recv", "host": "server", "connection": 1, "result": 5}, True),
        ({"call": "send", "connection": 3, "count": 1}, False),
        ({"call": "send", "socket": 2, "count": 1}, True),
        ({"call": "close", "socket": 1, "count": 1}, True),
        ({"call": "close", "socket": 2, "count": 1}, False),
    ],
)
def test_calls_of_one_connection_or_socket(call: dict[str, Any], ok: bool) -> None:
    assert judged(call) is ok


@pytest.mark.parametrize(
    ("verdict", "ok"),
    [
        ("transfer", True),
        ({"fact": "transfer", "host": "client", "count": 2}, True),
        ({"fact": "broken-off", "host": "server", "connection": 2, "count": 1}, True),
        ({"fact": "broken-off", "host": "client"}, False),
        ({"fact": "broken-off", "connection": 1}, False),
        ({"fact": "never-opened", "count": 0}, True),
        ({"fact": "never-opened", "reason": "syns-lost"}, False),
    ],
)
def test_facts_of_the_verdict(verdict: object, ok: bool) -> None:
    assert judged({"verdict": verdict}) is ok


def test_an_incomplete_run_proves_no_fact() -> None:
    inputs = replace(two_connections().inputs(), incomplete=("a tap lost packets",))
    (result,) = analyse(inputs, [READ.validate_python({"verdict": "transfer"}).compiled()]).checks
    assert result.ok is None
