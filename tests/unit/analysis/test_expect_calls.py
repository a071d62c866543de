"""What can be expected of a call beyond its packets' flags: numbers, causes, reasons, arguments, bytes, time."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.report.evidence_text import sentence
from tests.builders.exchange import Exchange

from .test_expectations import checked, origin


def half_closed() -> Exchange:
    """A client that shuts reading down and waits, then shuts writing down."""
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("shutdown", args={"how": "SHUT_RD"})
    tcp.client("poll", args={"fds": [{"fd": 3, "revents": "POLLIN|POLLHUP"}], "timeout_ns": None}, result=1)
    tcp.client("getsockopt", args={"level": "SOL_SOCKET", "name": "SO_ERROR", "value": "ECONNREFUSED"}, result=0)
    tcp.client("recvmsg", args={"pktinfo": {"address": "198.18.0.2", "interface": 7}}, result=0)
    with tcp.client("recv", b"ab"):
        run.pause(300)
        tcp("server P.", b"ab")
    with tcp.client("shutdown", args={"how": "SHUT_WR"}):
        tcp("client F.")
    tcp("server .")
    return run


MET: list[dict[str, Any]] = [
    {"call": "connect", "packets": ["client S seq 0", "server S. seq 0 ack 1", "client . seq 1 ack 1"]},
    {"call": "connect", "packets": [{"from": "client", "flags": "S", "cause": "connect"}, "server S.", "client ."]},
    {"call": "connect", "count": 1},
    {"call": "shutdown", "why": "SHUT_RD only ends reading here", "packets": []},
    {"call": "shutdown", "nth": 2, "packets": [{"from": "client", "flags": "F.", "cause": "fin", "length": 0}]},
    {"call": "shutdown", "count": 2, "result": 0},
    {"call": "poll", "args": {"revents": "POLLIN|POLLHUP"}, "result": ">=1"},
    {"call": "getsockopt", "args": {"name": "SO_ERROR", "value": "ECONNREFUSED"}},
    {"call": "recvmsg", "args": {"pktinfo": {"address": "client"}}},
    {"call": "recvmsg", "args": {"pktinfo": {"interface": 7, "address": "198.18.0.2"}}},
    {"call": "recv", "data": "ab", "result": "1-4", "took": ">=300ms"},
    {"call": "close", "count": 0},
]
NOT_MET: list[dict[str, Any]] = [
    {"call": "connect", "packets": ["client S seq 1", "server S.", "client ."]},
    {"call": "connect", "packets": [{"from": "client", "flags": "S", "cause": "data"}, "server S."]},
    {"call": "connect", "count": ">=2"},
    {"call": "shutdown", "why": "had ended the direction already"},
    {"call": "shutdown", "nth": 2, "why": "SHUT_RD"},
    {"call": "shutdown", "nth": 3, "result": 0},
    {"call": "poll", "args": {"revents": "POLLIN"}},
    {"call": "getsockopt", "args": {"nothing": 1}},
    {"call": "recvmsg", "args": {"pktinfo": {"address": "server"}}},
    {"call": "recvmsg", "args": {"pktinfo": {"address": "client", "interface": 8}}},
    {"call": "recvmsg", "args": {"pktinfo": "client"}},
    {"call": "recv", "data": "abc"},
    {"call": "recv", "data": "ac"},
    {"call": "recv", "took": "<=100ms"},
    {"call": "recv", "result": ">=3"},
]


@pytest.mark.parametrize("expectation", MET, ids=str)
def test_met(expectation: dict[str, Any]) -> None:
    found = checked(half_closed(), expectation)
    assert found.ok is True, found


@pytest.mark.parametrize("expectation", NOT_MET, ids=str)
def test_not_met(expectation: dict[str, Any]) -> None:
    found = checked(half_closed(), expectation)
    assert found.ok is False, found
    assert found.expected != sentence(found.actual)


def test_expected_and_actual_read_alike() -> None:
    found = checked(half_closed(), {"call": "shutdown", "nth": 2, "why": "SHUT_RD"})
    assert (found.expected, sentence(found.actual)) == ("why: ends-reading-only", "why: it caused #4")
    found = checked(half_closed(), {"call": "connect", "packets": ["client S seq 5"], "result": 1})
    assert found.expected == "packets: client S seq 5; result: 1"
    assert sentence(found.actual) == "packets: client S seq 0, server S., client .; result: 0"


def test_numbers_of_an_ack_that_was_delayed_are_forgiven_with_it() -> None:
    expectation = {"call": "send", "packets": ["client P. seq 1 length 1", "server . ack 2"]}
    assert checked(origin(delayed_ack=True), expectation).ok is True
    assert checked(origin(), expectation).ok is True


def test_of_two_connections_the_ledger_and_patterns_can_mean_one() -> None:
    run = Exchange()
    first = run.tcp(40000).opened()
    with first.client("send", b"abc"):
        first("client P.", b"abc")
    second = run.tcp(40001).opened()
    with second.client("send", b"de"):
        second("client P.", b"de")
    assert checked(run, {"ledger": {"client": {"sent": 5, "lost_at": "acknowledged"}}}).ok is True
    assert checked(run, {"ledger": {"client": {"sent": "1-2"}}, "connection": 2}).ok is True
    assert checked(run, {"ledger": {"client": {"sent": "<=2"}}, "connection": 1}).ok is False
    assert checked(run, {"packets": {"length": ">=1", "connection": 2, "count": 1}}).ok is True


def test_a_call_that_never_returned_took_no_time_and_gave_no_result() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("recv", end=None)
    assert checked(run, {"call": "recv", "took": ">=1us"}).ok is False
    found = checked(run, {"call": "recv", "result": 0})
    assert (found.ok, sentence(found.actual)) == (False, "result: never returned")
