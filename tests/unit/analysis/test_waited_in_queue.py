"""What a queue, a busy machine or an unseen timer leaves open: as random scenarios showed it."""

from __future__ import annotations

import pytest

from testbed.model import CauseName
from testbed.model.verdicts import NeverOpened
from tests.builders.exchange import Exchange, Tcp

RACK = {host: {"net.ipv4.tcp_early_retrans": "3", "net.ipv4.tcp_recovery": "1"} for host in ("client", "server")}
SLOW = 10_000  # bits a second


def opened() -> tuple[Exchange, Tcp]:
    run = Exchange()
    return run, run.tcp().opened()


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
