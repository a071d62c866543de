"""What a scenario can expect of findings: one by name, exactly these, or none so bad."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.analysis.analyse import analyse
from testbed.diagnosis.diagnose import diagnose_run
from testbed.model import Check
from tests.builders.exchange import Exchange
from tests.builders.runs import expected


def refused(**observed: str) -> Exchange:
    run = Exchange(**observed)
    tcp = run.tcp()
    with tcp.client("connect", errno="ECONNREFUSED"):
        tcp("client S")
        tcp("server R.", seq=0, raw_seq=0)
    return run


def checked(written: dict[str, Any], run: Exchange) -> Check:
    (check,) = analyse(run.inputs(), (expected(1, "findings", written),), diagnose_run).checks
    return check


@pytest.mark.parametrize(
    ("written", "ok"),
    [
        ({"finding": "connection-refused"}, True),
        ({"finding": {"name": "connection-refused", "severity": "error", "who": "server program", "count": 1}}, True),
        ({"finding": {"name": "connection-refused", "who": "path"}}, False),
        ({"finding": {"name": "connection-refused", "connection": 2}}, False),
        ({"finding": {"name": "filtered", "count": 0}}, True),
        ({"findings": ["connection-refused"]}, True),
        ({"findings": {"exactly": [], "maybe": ["connection-refused"]}}, True),
        ({"findings": []}, False),
        ({"findings": ["connection-refused", "filtered"]}, False),
        ({"findings": {"none": ["warning", "note"]}}, True),
        ({"findings": {"none": ["error"]}}, False),
    ],
)
def test_an_expectation_of_findings(written: dict[str, Any], ok: bool) -> None:
    check = checked(written, refused())
    assert check.ok is ok
    assert check.applies


def test_what_is_named_exactly_is_for_runs_in_which_both_hosts_calls_are_seen() -> None:
    check = checked({"findings": ["filtered"]}, refused(server="none"))
    assert not check.applies
    assert checked({"findings": {"none": ["error"]}}, refused(server="none")).ok is False


def test_what_cannot_be_seen_is_undecided() -> None:
    run = refused(client="none", server="none")
    assert checked({"finding": "unread-data-reset"}, run).ok is None


def test_that_packets_overtook_each_other_is_never_one_too_many() -> None:
    """A machine with several processors does that by itself; who wants it names it."""
    run = Exchange()
    tcp = run.tcp().opened()
    with tcp.client("send", b"abcdef"):
        tcp("client P.", b"abc", delay=5_000_000)
        tcp("client P.", b"def")
    assert checked({"finding": {"name": "reordering", "count": 1}}, run).ok is True
    assert checked({"findings": []}, run).ok is True
    assert checked({"findings": ["reordering"]}, run).ok is True
    assert checked({"findings": ["filtered"]}, run).ok is False


def test_where_nobody_looked_nothing_is_decided() -> None:
    run = refused()
    (check,) = analyse(run.inputs(), (expected(1, "findings", {"findings": []}),)).checks
    assert check.ok is None


@pytest.mark.parametrize("written", [{"findings": {}}, {"findings": {"maybe": ["filtered"]}}, {"finding": "slow"}])
def test_what_says_nothing_is_refused(written: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"exactly one of|not a known finding"):
        expected(1, "findings", written)
