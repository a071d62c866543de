"""What several timers, a queue, a busy machine or a full buffer leave open: as random scenarios showed it."""

from __future__ import annotations

import pytest

from testbed.analysis.absent.broken_off import broken_off
from testbed.analysis.calls.streams import build_streams
from testbed.model import CauseName
from testbed.model.verdicts import NeverOpened
from tests.builders.exchange import Exchange, Tcp

from .caused import rules

RACK = {host: {"net.ipv4.tcp_early_retrans": "3", "net.ipv4.tcp_recovery": "1"} for host in ("client", "server")}

SLOW = 10_000  # bits a second


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


@pytest.mark.parametrize(("since", "is_open"), [(2, True), (5, False)])
def test_what_an_ack_asks_for_leaves_later_on_a_busy_machine(since: float, is_open: bool) -> None:
    """The timer for reordered ones runs out after two ticks, of which the shortest has 1 ms."""
    run, tcp = opened()
    tcp.client("send", b"abc")
    tcp("client .", b"a", lost=True)
    tcp("client .", b"b")
    tcp("server .", ack=1, options={"sack": [(2, 3)]})
    tcp("client .", b"c", lost=True)
    run.pause(since)
    tcp("client .", b"a", seq=1)
    found = run.analysis(sysctls=RACK, rto_min={"client": 0}).causes[-1]
    assert found.rule == "reordering-timeout"
    assert (CauseName.FAST_RETRANSMISSION in found.alternatives) is is_open


@pytest.mark.parametrize("rate", [None, SLOW])
def test_a_repeat_that_waited_in_a_queue_may_be_any(rate: int | None) -> None:
    run, tcp = opened()
    tcp.client("send", bytes(2001))
    tcp("client .", bytes(1000), lost=True)
    tcp("client .", bytes(1000))
    tcp("server .", ack=1, options={"sack": [(1001, 2001)]})
    tcp("client .", bytes(1000), seq=1)
    found = run.analysis(sysctls=RACK, queued={} if rate is None else {"client": rate}).causes[-1]
    assert found.rule == "fast-retransmission"
    any_other = {CauseName.TIMEOUT, CauseName.TAIL_LOSS_PROBE, CauseName.RECOVERY, CauseName.REORDERING_TIMEOUT}
    assert (any_other <= set(found.alternatives)) is (rate is not None)


@pytest.mark.parametrize("rate", [None, SLOW])
def test_a_challenge_ack_that_waited_in_a_queue_answers_nobody_knows_what(rate: int | None) -> None:
    run, tcp = opened()
    tcp.server("send", bytes(1400))
    tcp("server .", bytes(1400))
    tcp.client("send", b"abc")
    tcp("client P.", b"abc")
    tcp("server .")
    tcp("client .", seq=-100_000)
    tcp("server .")
    found = run.analysis(queued={} if rate is None else {"server": rate}).causes[-1]
    assert found.rule == "challenge-ack"
    assert (found.packets == (), CauseName.D_SACK in found.alternatives) == (rate is not None, rate is not None)


@pytest.mark.parametrize(("wait", "is_open"), [(14, True), (0, False)])
def test_new_bytes_that_left_long_after_their_call_may_have_been_a_probe(wait: float, is_open: bool) -> None:
    """Of two timers in a row only the first is a tail-loss probe (tcp_sock.tlp_high_seq)."""
    run, tcp = opened()
    tcp.client("send", bytes(1450))
    tcp("client P.", bytes(2), lost=True)
    run.pause(wait)
    tcp("client P.", bytes(1448), lost=True)
    run.pause(15)
    tcp("client P.", bytes(1450), seq=1)
    found = run.analysis(sysctls=RACK).causes[-1]
    assert found.rule == "tail-loss-probe"
    assert (CauseName.TIMEOUT in found.alternatives) is is_open


def test_a_timer_sends_one_segment_not_one_right_behind_others() -> None:
    """After ICMP said what the path takes, a full segment is smaller than the peer's SYN allows."""
    run, tcp = opened()
    tcp.client("send", bytes(1000), args={"flags": "MSG_MORE"})
    tcp("client .", bytes(600), lost=True)
    run.pause(20)
    tcp("client .", bytes(500), seq=1, lost=True)
    tcp("client .", bytes(400))
    found = run.analysis(sysctls=RACK).causes[-1]
    assert (found.rule, found.sent_by) == ("data", None)


@pytest.mark.parametrize("first_answered", [True, False])
def test_a_client_had_given_up_if_it_answers_the_first_syn_ack_by_a_reset(first_answered: bool) -> None:
    """What answers a later one may follow what ended the connection since it was open."""
    run = Exchange()
    tcp = run.tcp()
    tcp.server("listen")
    with tcp.client("connect", errno="ECONNRESET"):
        tcp("client S")
        if first_answered:
            run.pause(100)
    if not first_answered:
        tcp("server S.", seq=0)
        tcp("server R", appeared=True)
        tcp.client("close")
        run.pause(1000)
    else:
        tcp.client("close")
    tcp("server S.", seq=0)
    tcp("client R", seq=1)
    verdict = run.analysis().verdict
    assert any(isinstance(fact, NeverOpened) for fact in verdict) is first_answered


@pytest.mark.parametrize(("wait", "is_open"), [(0.15, True), (0.02, False)])
def test_the_timer_of_a_fin_may_run_out_as_early_as_an_answer_leaves(wait: float, is_open: bool) -> None:
    run, tcp = opened()
    tcp.client("close")
    tcp.server("close")
    tcp("server F.")
    run.pause(wait)
    tcp("client .")
    found = run.analysis().causes[-1]
    assert found.rule == "ack"
    assert (CauseName.DELAYED_ACK in found.alternatives) is is_open


@pytest.mark.parametrize(("wait", "by_exit"), [(30, False), (0, True)])
def test_as_a_process_ends_a_probe_may_send_what_was_held(wait: float, by_exit: bool) -> None:
    run, tcp = opened()
    tcp.client("send", bytes(1449))
    tcp("client .", bytes(1448))
    run.pause(wait)
    run.call("client", "exit", fd=-1, result=0)
    run.made["client"][-1].fields["end"] = None
    tcp("client P.", bytes(1))
    found = run.analysis(sysctls=RACK).causes[-1]
    assert found.rule == "data"
    assert (found.sent_by is not None) is by_exit


@pytest.mark.parametrize(("size", "by_ack"), [(487, True), (488, False)])
def test_nagle_holds_no_segment_that_is_as_large_as_the_one_before(size: int, by_ack: bool) -> None:
    """By an option or a route segments may be smaller than the peer's SYN allows."""
    run, tcp = opened()
    tcp.client("send", bytes(488 + size))
    tcp("client .", bytes(488))
    run.pause(40)
    tcp("server .")
    tcp("client .", bytes(size))
    found = run.analysis(sysctls=RACK).causes[-1]
    assert found.rule == "data"
    assert (found.sent_by is not None) is by_ack


@pytest.mark.parametrize(("goes_on", "is_open"), [(0, True), (20, False)])
def test_a_read_that_ends_as_an_ack_leaves_may_tell_of_its_room(goes_on: float, is_open: bool) -> None:
    """What was old when it came was answered by the ACK before, which covers more."""
    run, tcp = opened()
    tcp.server("send", b"ab")
    with tcp.client("recv", b"ab"):
        tcp("server .", b"ab")
        tcp("client .", window=400)
        tcp("server .", b"ab", seq=1)
        run.pause(0.1)
        tcp("client .", window=500)
        run.pause(goes_on)
    found = run.analysis().causes[-1]
    assert found.rule == "duplicate-ack"
    assert (CauseName.WINDOW_UPDATE in found.alternatives) is is_open


def test_a_reset_without_a_socket_answers_whatever_came_last_with_that_number() -> None:
    """One that would be outside the window is answered as well once there is no connection."""
    run, tcp = opened()
    tcp.client("send", b"abc")
    tcp("client P.", b"abc")
    tcp("server .")
    tcp.client("close")
    tcp("server .", seq=1_000_000)
    tcp("client R", seq=4)
    found = run.analysis().causes[-1]
    assert (found.rule, found.packets) == ("reset-answer", (5,))
