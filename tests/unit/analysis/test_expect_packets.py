"""Patterns, counts, orders, timers, causes and labels: each key of a pattern decides, and each kind can fail."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.report.evidence_text import sentence
from testbed.scenario.expect.packet_patterns import Pattern
from testbed.scenario.language.kernel_names import LABELS
from testbed.wireshark.label_names import Label
from tests.builders.exchange import Exchange

from .test_expectations import checked

OF_THE_KERNEL = {"function", "timer"}
"""Keys that need a kernel trace: ``test_expect_kernel.py``."""
SYN = {"mss": 1460, "sack_permitted": True, "tsval": 1, "tsecr": 0, "wscale": 7}


def busy() -> Exchange:
    """Options, a loss that a timeout repairs, urgent data, a window that closes, an ICMP error made on the way."""
    run = Exchange()
    tcp = run.tcp()
    tcp.server("listen")
    with tcp.client("connect"):
        tcp("client S", options={**SYN, "fast_open": 0})
        tcp("server S.", options={**SYN, "fast_open": 8}, window=65160)
    tcp("client .")
    tcp.server("accept")
    with tcp.client("send", b"hello"):
        tcp("client P.", b"hello", lost=True)
    run.pause(200)
    tcp("client P.", b"hello", seq=1, lost=True)
    run.pause(400)
    tcp("client P.", b"hello", seq=1)
    tcp("server .", window=0)
    with tcp.server("send", b"!", args={"flags": "MSG_OOB"}):
        tcp("server PU.", b"!", options={"urgent": 1})
    tcp("client .")
    with tcp.client("close"):
        tcp("client F.")
    with tcp.server("close"):
        tcp("server F.")
    tcp("client .")
    return run


MET: list[dict[str, Any]] = [
    {"packets": "client S"},
    {"packets": {"from": "client", "flags": "S", "seq": 0, "options": {"mss": 1460, "wscale": 7}, "count": 1}},
    {"packets": {"flags": "S", "options": {"sack_permitted": True, "timestamps": True, "fast_open": 0, "sack": False}}},
    {"packets": {"flags": "S.", "options": {"fast_open": "4-16"}, "ack": 1}},
    {"packets": {"has": "P", "from": "client", "length": 5, "data": "hello", "count": 3}},
    {"packets": {"from": "client", "length": 5, "at": "server", "count": 1}},
    {"packets": {"from": "client", "length": ">=1", "fate": "lost", "count": 2}},
    {"packets": {"from": "client", "length": ">=1", "cause": ["retransmission", "timeout"], "count": 2}},
    {"packets": {"from": "server", "window": 0, "count": 1}},
    {"packets": {"from": "client", "flags": ".", "window": 64000, "count": ">=1"}},
    {"packets": {"flags": "S.", "window": 65160}},
    {"packets": {"has": "U", "urgent": 1, "data": "!", "connection": 1}},
    {"packets": {"protocol": "tcp", "count": "10-20"}},
    {"packets": {"protocol": "udp", "count": 0}},
    {"packets": {"basis": "inferred", "has": "S", "count": 2}},
    {"packets": {"flags": "S.", "answers": {"rule": "connect", "nth": 1}}},
    {"packets": {"from": "client", "label": "retransmission", "count": 2}},
    {"packets": {"from": "client", "label": "retransmission", "at": "server", "count": 0}},
    {"never": {"has": "R"}},
    {"never": {"connection": 2}},
    {"order": ["client S seq 0", "server S. seq 0 ack 1", "client . seq 1 ack 1"]},
    {"order": [{"call": "connect", "moment": "begins"}, "client S", "server S.", {"call": "connect"}, "client F."]},
    {"order": [{"from": "client", "length": 5, "fate": "lost"}, {"from": "client", "length": 5, "at": "server"}]},
    {"order": [{"from": "client", "flags": "P."}] * 3},
    {"timer": {"packets": {"from": "client", "data": "hello"}, "count": 2, "first": ">=200ms", "ratio": "1.5-2.5"}},
    {"timer": {"packets": {"from": "client", "data": "hello"}, "each": "200ms-500ms"}},
    {"timer": {"after": {"call": "send"}, "packets": {"from": "client", "cause": "timeout"}, "first": ">=200ms"}},
    {"timer": {"after": "client S", "packets": "client .", "until": {"call": "close"}, "count": 3, "each": "<=2s"}},
    {"causes": {"unknown": 0, "connect": 1, "syn-ack": 1, "data": 2, "ack": ">=2"}},
    {"labels": {"client": {"retransmission": 2, "zero_window": 1}, "server": {"retransmission": 0}}},
]
NOT_MET: list[dict[str, Any]] = [
    {"packets": "client SE"},
    {"packets": {"flags": "S", "options": {"mss": 1400}}},
    {"packets": {"flags": "S", "options": {"sack_permitted": False}}},
    {"packets": {"flags": "S.", "options": {"fast_open": 0}}},
    {"packets": {"flags": "S", "seq": 1}},
    {"packets": {"flags": ".", "ack": 0}},
    {"packets": {"has": "P", "length": 6}},
    {"packets": {"has": "P", "data": "hellO"}},
    {"packets": {"from": "server", "fate": "lost"}},
    {"packets": {"cause": "keep-alive-probe"}},
    {"packets": {"from": "client", "window": 0}},
    {"packets": {"urgent": 2}},
    {"packets": {"connection": 2}},
    {"packets": {"protocol": "icmp"}},
    {"packets": {"has": "S", "basis": "kernel"}},
    {"packets": {"flags": "S.", "answers": {"rule": "connect", "nth": 2}}},
    {"packets": {"label": "keep_alive"}},
    {"packets": {"from": "client", "label": "retransmission", "at": "server"}},
    {"packets": {"from": "client", "length": 5, "at": "server", "count": 3}},
    {"never": "client F."},
    {"order": ["server S.", "client S"]},
    {"order": ["client S", "client S"]},
    {"order": [{"call": "connect"}, "client S"]},
    {"order": ["client S", {"call": "recv"}]},
    {"timer": {"packets": {"from": "client", "data": "hello"}, "ratio": ">=3"}},
    {"timer": {"packets": {"from": "client", "data": "hello"}, "first": "<=100ms"}},
    {"timer": {"packets": {"from": "client", "data": "hello"}, "each": ">=300ms"}},
    {"timer": {"packets": {"from": "client", "data": "hello"}, "count": 3}},
    {"timer": {"packets": "client S", "each": ">=1us"}},
    {"timer": {"packets": "client S", "ratio": ">=1"}},
    {"timer": {"after": "client R", "packets": "client S", "count": 1}},
    {"timer": {"after": "client S", "packets": "client .", "until": "client R", "count": 3}},
    {"causes": {"unknown": ">=1"}},
    {"causes": {"timeout": 0}},
    {"labels": {"client": {"retransmission": 1}}},
    {"labels": {"server": {"retransmission": 2}}},
]


@pytest.mark.parametrize("expectation", MET, ids=str)
def test_met(expectation: dict[str, Any]) -> None:
    found = checked(busy(), expectation)
    assert found.ok is True, found


@pytest.mark.parametrize("expectation", NOT_MET, ids=str)
def test_not_met(expectation: dict[str, Any]) -> None:
    found = checked(busy(), expectation)
    assert found.ok is False, found
    assert found.expected != sentence(found.actual)


@pytest.mark.parametrize("expectation", [*MET, *NOT_MET], ids=str)
def test_an_incomplete_observation_decides_nothing(expectation: dict[str, Any]) -> None:
    assert checked(busy(), expectation, incomplete=("the client's tap died",)).ok is None


def test_each_key_of_a_pattern_is_in_a_case_that_holds_and_in_one_that_does_not() -> None:
    def keys(cases: list[dict[str, Any]]) -> set[str]:
        return {key for case in cases if isinstance(case.get("packets"), dict) for key in case["packets"]} - {"count"}

    known = {info.alias or name for name, info in Pattern.model_fields.items()} - OF_THE_KERNEL
    assert keys(MET) == known
    assert keys(NOT_MET) == known


def test_what_no_rule_explains_counts_as_unknown_and_is_named() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    tcp("client .", ack=1, seq=1, window=400)
    tcp("client P.", b"?")
    found = checked(run, {"causes": {"unknown": 0}})
    assert (found.ok, found.expected) == (False, "unknown 0")
    assert "#4 client P.: no logged call wrote byte 0" in sentence(found.actual)
    assert checked(run, {"packets": {"cause": "unknown", "has": "P", "count": 1}}).ok is True


def test_a_packet_that_only_appeared_counts_where_it_is_asked_for() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    tcp("server R.", appeared=True)
    assert checked(run, {"packets": {"from": "server", "flags": "R.", "count": 0}}).ok is True
    assert checked(run, {"packets": {"from": "server", "flags": "R.", "fate": "appeared", "count": 1}}).ok is True
    assert checked(run, {"packets": {"from": "server", "flags": "R.", "at": "client", "count": 1}}).ok is True
    assert checked(run, {"packets": {"from": "server", "flags": "R.", "at": "server", "count": 0}}).ok is True


def test_a_fin_may_bear_a_push_anywhere() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("send", b"c")
    with tcp.client("close"):
        tcp("client FP.", b"c")
    assert checked(run, {"packets": {"from": "client", "flags": "F.", "count": 1}}).ok is True
    assert checked(run, {"packets": {"from": "client", "flags": "P.", "count": 0}}).ok is True


def test_without_an_observer_a_moment_is_open() -> None:
    run = busy()
    run.observed["server"] = "none"
    assert checked(run, {"order": ["client S", {"call": "accept", "host": "server"}]}).ok is None
    timer = {"after": {"call": "accept", "host": "server"}, "packets": "client F.", "count": 1}
    assert checked(run, {"timer": timer}).ok is None


def test_expected_and_actual_read_alike() -> None:
    found = checked(busy(), {"order": ["client S", "server R"]})
    assert (found.expected, sentence(found.actual)) == ("client S -> server R", "client S #0, then no server R")
    found = checked(busy(), {"never": {"from": "client", "flags": "F."}})
    assert (found.expected, sentence(found.actual)) == ("0 client F.", "1 client F.: #9")
    found = checked(busy(), {"timer": {"packets": {"from": "client", "data": "hello"}, "ratio": ">=3"}})
    assert found.expected == ">=1 intervals of client packet (data hello), ratio >=3"
    assert sentence(found.actual) == "2 intervals: 200 ms, 400 ms; ratios: 2.00"
    found = checked(busy(), {"labels": {"client": {"retransmission": 1}}})
    assert (found.expected, sentence(found.actual)) == ("client: retransmission 1", "client: retransmission 2")


def test_the_names_of_labels_are_those_of_the_analysis() -> None:
    assert set(LABELS) == {one.name.lower() for one in Label if one.name}
