"""What several timers, a queue or a full buffer leave open: as random scenarios showed it."""

from __future__ import annotations

import pytest

from testbed.analysis.absent.broken_off import broken_off
from testbed.analysis.calls.streams import build_streams
from testbed.model import CauseName
from tests.builders.exchange import Exchange, Tcp

from .caused import rules

RACK = {host: {"net.ipv4.tcp_early_retrans": "3", "net.ipv4.tcp_recovery": "1"} for host in ("client", "server")}


def opened() -> tuple[Exchange, Tcp]:
    run = Exchange()
    return run, run.tcp().opened()


@pytest.mark.parametrize(("since", "alternatives"), [(300, ["timeout"]), (100, [])])
def test_the_wait_for_reordered_ones_ends_as_the_timeout_may_be_due(since: int, alternatives: list[str]) -> None:
    """After another timer the timeout runs from when the segment was sent, not from the last ACK (tcp_rearm_rto)."""
    run, tcp = opened()
    tcp.client("send", b"abcd")
    tcp("client .", b"a")
    tcp("client .", b"b", lost=True)
    run.pause(since)
    tcp("server .", ack=2)
    tcp("client .", b"c")
    tcp("server .", ack=2, options={"sack": [(3, 4)]})
    tcp("client .", b"d", lost=True)
    run.pause(4)
    tcp("client .", b"b", seq=2)
    found = run.analysis(sysctls=RACK, rto_min={"client": 0}).causes[-1]
    assert (found.rule, list(found.alternatives)) == ("reordering-timeout", alternatives)


@pytest.mark.parametrize(("wait", "reported"), [(9, True), (60, True), (60, False)])
def test_a_timeout_after_a_sack_may_be_the_timer_for_reordered_ones(wait: float, reported: bool) -> None:
    """It is set for two ticks at least (TCP_TIMEOUT_MIN), and for as long as the timeout at most."""
    run, tcp = opened()
    tcp.client("send", b"abc")
    tcp("client .", b"a", lost=True)
    tcp("client .", b"b")
    tcp("client .", b"c", lost=True)
    run.pause(300)
    tcp("server .", ack=1, options={"sack": [(2, 3)]} if reported else {})
    run.pause(wait)
    tcp("client .", b"a", seq=1)
    found = run.analysis(sysctls=RACK, rto_min={"client": 0}).causes[-1]
    assert found.rule == "timeout"
    assert (CauseName.REORDERING_TIMEOUT in found.alternatives) is reported


@pytest.mark.parametrize("rate", [1_000_000, None])
def test_behind_a_queue_nobody_knows_what_sent_an_ack(rate: int | None) -> None:
    """A read that is in progress as it leaves may not have been as it was made."""
    run, tcp = opened()
    tcp.client("send", b"abc")
    tcp("client P.", b"abc")
    tcp("server .")
    found = run.analysis(queued={} if rate is None else {"server": rate}).causes[-1]
    assert found.rule == "ack"
    assert (found.sent_by is None) is (rate is not None)


def test_an_ack_of_more_repeats_nothing() -> None:
    """What it covers had seemed refused, as a call used the socket."""
    run, tcp = opened()
    tcp.server("send", b"wxyz")
    with tcp.client("send", b"abc"):
        for seq, letter in ((3, b"y"), (5, b"z"), (1, b"w"), (2, b"x")):
            tcp("server .", letter, seq=seq)
        tcp("client .", b"a", ack=1, options={"sack": [(3, 4)]})
        tcp("client .", ack=1, options={"sack": [(3, 6)]})
        tcp("client .", ack=3, options={"sack": [(5, 6)]})
    assert rules(run.analysis())[-2:] == ["not-taken", "unknown"]


def test_an_ack_that_takes_nothing_may_answer_what_came_after() -> None:
    run, tcp = opened()
    tcp.client("send", b"abcdef")
    tcp("client .", b"ab")
    tcp("server .", window=2)
    tcp("client .", b"cd")
    tcp("client .")
    tcp("server .", ack=3, window=0)
    found = run.analysis().causes[-1]
    assert (found.rule, CauseName.CHALLENGE_ACK in found.alternatives) == ("not-taken", True)


def test_with_urgent_bytes_waiting_an_answer_to_a_probe_may_be_one_itself() -> None:
    run, tcp = opened()
    tcp.client("send", b"ab")
    tcp("client P.", b"ab")
    tcp("server .", window=0)
    tcp.client("send", b"u", args={"flags": "MSG_OOB"})
    tcp.server("send", b"x")
    run.pause(200)
    tcp("server .", seq=0, window=0)
    tcp("client .U")
    found = run.analysis().causes[-1]
    assert (found.rule, found.alternatives) == ("probe-answer", (CauseName.WINDOW_PROBE,))


def test_a_reset_of_an_exit_that_waited_in_a_queue_came_before_the_peers() -> None:
    """What ended the connection is the end of the process, though the other RST arrives before this one leaves."""
    run, tcp = opened()
    tcp.client("send", b"abc")
    tcp("client P.", b"abc")
    tcp("server .")
    tcp.server("send", b"xyz")
    run.call("server", "exit", fd=-1, result=0)
    run.made["server"][-1].fields["end"] = None
    run.pause(2)
    tcp("client R.", ack=1)
    run.pause(20)
    tcp("server R.", seq=4)
    inputs = run.inputs()
    crossings = inputs.joined.crossings
    found = broken_off(crossings, build_streams(inputs.joined, inputs.calls, queued=["server"]))
    assert found[0, "server"].reset is not None
    assert found[0, "server"].reset.sender == "server"


@pytest.mark.parametrize("reported", [True, False])
def test_a_repeat_of_which_nothing_is_sure_may_be_the_timer_for_reordered_ones(reported: bool) -> None:
    """Only where ACKs had reported something."""
    run, tcp = opened()
    tcp.client("send", b"abcd")
    tcp("client .", b"a", lost=True)
    tcp("client .", b"b")
    tcp("client .", b"c", lost=True)
    tcp("client .", b"d", lost=True)
    if reported:
        tcp("server .", ack=1, options={"sack": [(2, 3)]})
    run.pause(300)
    tcp("client .", b"c", seq=3)
    found = run.analysis(sysctls={}).causes[-1]
    assert (CauseName.REORDERING_TIMEOUT in (found.rule, *found.alternatives)) is reported


@pytest.mark.parametrize("rate", [None, 10_000])
def test_an_answer_to_a_probe_that_waited_in_a_queue_may_answer_what_came_later(rate: int | None) -> None:
    run, tcp = opened()
    tcp.server("send", bytes(1400))
    tcp("server .", bytes(1400))
    tcp.client("send", b"ab")
    tcp("client P.", b"ab")
    tcp("server .", window=0)
    run.pause(0.2)
    tcp("client .", seq=2)
    tcp("server .", window=0)
    found = run.analysis(queued={} if rate is None else {"server": rate}).causes[-1]
    assert found.rule == "probe-answer"
    assert (CauseName.CHALLENGE_ACK in found.alternatives, found.packets == ()) == (rate is not None, rate is not None)
