"""What happened within the same moment, so that one of both is said too surely: as random scenarios showed it."""

from __future__ import annotations

import pytest

from testbed.analysis.absent.broken_off import broken_off
from testbed.analysis.calls.endpoint_calls import EndpointCalls
from testbed.analysis.calls.streams import build_streams
from testbed.model import CauseName, Endpoint, SocketInfo
from tests.builders.exchange import ADDRESS, US, Exchange, Tcp

from .caused import evidence, rules

PROBING = {host: {"net.ipv4.tcp_early_retrans": "3"} for host in ("client", "server")}
RACK = {host: {**own, "net.ipv4.tcp_recovery": "1"} for host, own in PROBING.items()}
LISTENER = SocketInfo(900, "tcp", Endpoint(ADDRESS["server"], 10011))
ICMP = {"flow": None, "sender": "server", "protocol": "icmp", "flags": "", "ack": None, "length": 0, "payload": b""}


def opened() -> tuple[Exchange, Tcp]:
    run = Exchange()
    return run, run.tcp().opened()


def test_an_ack_behind_a_reset_may_challenge_that_and_not_repeat_for_data_out_of_order() -> None:
    run, tcp = opened()
    tcp.client("send", b"abc")
    tcp("client .", b"a", lost=True)
    tcp("client .", b"b")
    tcp("client R", appeared=True, seq=40)
    tcp("server .", ack=1, options={"sack": [(2, 3)]})
    found = run.analysis().causes[-1]
    assert (found.rule, found.alternatives) == ("duplicate-ack", (CauseName.CHALLENGE_ACK,))
    assert found.packets == (4, 5)


def test_an_ack_that_does_not_report_what_has_just_come_may_be_the_timers() -> None:
    run, tcp = opened()
    tcp.client("send", b"abc")
    tcp("client .", b"a")
    tcp("client .", b"b", lost=True)
    run.pause(39)
    tcp("client .", b"c")
    run.now -= 40 * US
    tcp("server .", ack=2)
    found = run.analysis().causes[-1]
    assert (found.rule, found.alternatives) == ("ack", (CauseName.DELAYED_ACK,))


@pytest.mark.parametrize(("option", "rule"), [("TCP_QUICKACK", "ack"), ("TCP_NODELAY", "delayed-ack")])
def test_an_option_that_asks_for_acks_at_once_sends_the_one_that_waits(option: str, rule: str) -> None:
    """__tcp_sock_set_quickack calls tcp_cleanup_rbuf."""
    run, tcp = opened()
    tcp.client("send", b"abc")
    tcp("client P.", b"abc")
    run.pause(41)
    with tcp.server("setsockopt", args={"name": option, "value": 1}):
        tcp("server .")
    found = run.analysis()
    assert rules(found)[-1] == rule
    assert ("while setsockopt #2 was in progress" in evidence(found, -1)) is (rule == "ack")


def test_with_urgent_bytes_waiting_an_ack_at_a_window_of_zero_may_be_a_probe() -> None:
    """tcp_write_wakeup asks with the number of the next byte, too, where there are urgent ones."""
    run, tcp = opened()
    tcp.client("send", b"abc")
    tcp("client P.", b"abc")
    tcp("server .", window=0)
    tcp.client("send", b"u", args={"flags": "MSG_OOB"})
    tcp.server("send", b"x")
    tcp("server P.", b"x", window=0)
    tcp("client .U")
    found = run.analysis().causes[-1]
    assert (found.rule, CauseName.WINDOW_PROBE in found.alternatives) == ("ack", True)


def test_the_begin_of_the_last_segment_again_may_be_a_probe() -> None:
    """It is cut where options have become longer since it was sent."""
    run, tcp = opened()
    tcp.client("send", b"x" * 1448)
    tcp("client P.", b"x" * 1448, lost=True)
    tcp.server("send", b"y")
    tcp("server P.", b"y", ack=1)
    tcp("client .")
    run.pause(220)
    tcp("client .", b"x" * 1436, seq=1)
    found = run.analysis(sysctls=PROBING).causes[-1]
    assert CauseName.TAIL_LOSS_PROBE in (found.rule, *found.alternatives)
    assert CauseName.TIMEOUT in (found.rule, *found.alternatives)


def test_a_timer_that_is_due_may_let_go_what_left_as_the_process_ended() -> None:
    run, tcp = opened()
    tcp.client("setsockopt", args={"name": "TCP_CORK", "value": 1})
    tcp.client("send", b"ab")
    run.pause(199)
    with tcp.client("exit"):
        tcp("client P.", b"ab")
    found = run.analysis()
    assert rules(found)[-1] == "data"
    assert found.causes[-1].sent_by is None


def test_what_came_while_a_call_used_the_socket_is_answered_at_its_end() -> None:
    """So that it is late, as what a timer sends."""
    run, tcp = opened()
    tcp("client .", b"a", lost=True)
    for at, byte in enumerate(b"bcdef"):
        tcp("client .", bytes([byte]))
        if at < 3:
            run.now -= 90 * US
            tcp("server .", ack=1, options={"sack": [(2, 3 + at)]})
    with tcp.server("send", b"x" * 20):
        run.pause(0.3)
        tcp("server P.", b"x" * 20, ack=1, options={"sack": [(2, 5)]})
        run.now -= 90 * US
        tcp("server .", ack=1, options={"sack": [(2, 7)]})
    found = run.analysis(sysctls=PROBING).causes[-1]
    assert CauseName.DUPLICATE_ACK in (found.rule, *found.alternatives)


def test_what_left_as_data_came_during_a_close_is_not_surely_the_closes() -> None:
    """The data acknowledges nothing new, but what held the bytes may end with it."""
    run, tcp = opened()
    tcp.client("send", b"a")
    tcp("client P.", b"a")
    tcp.client("send", b"b")
    tcp.server("send", b"z")
    tcp("server P.", b"z", ack=1, delay=20 * US)
    run.now -= 70 * US
    with tcp.client("close"):
        run.now -= 30 * US
        tcp("client P.", b"b")
    assert run.analysis(sysctls=PROBING).causes[-1].sent_by is None


def test_a_pure_ack_that_others_overtook_is_answered_and_not_read() -> None:
    """Its time stamp is too old (RFC 7323 section 5.3), so that a larger window behind it is no read's."""
    run, tcp = opened()
    tcp.server("send", b"z")
    tcp("server P.", b"z", options={"tsval": 90, "tsecr": 1})
    tcp("client .")
    tcp.client("recv", b"z")
    tcp.client("send", b"ab")
    tcp("client .", b"a")
    tcp("client P.", b"b")
    late = tcp("server .", ack=2, options={"tsval": 100, "tsecr": 1})
    tcp("server .", ack=3, options={"tsval": 105, "tsecr": 1})
    run.pause(1)
    run.packets[late]["arrived"] = run.now
    run.now -= 50 * US
    tcp("client .", window=501)
    assert rules(run.analysis())[-1] == "challenge-ack"


def test_a_larger_segment_sent_again_may_be_the_begin_of_what_the_kernel_keeps_as_one() -> None:
    """tcp_send_loss_probe sends the last buffer again, from its begin once it fits in fewer segments."""
    run, tcp = opened()
    tcp.client("send", b"x" * 4308)
    for at in range(3):
        tcp("client .", b"x" * 1436, lost=True, seq=1 + 1436 * at)
    run.pause(250)
    tcp("client .", b"x" * 1448, seq=1)
    found = run.analysis(sysctls=PROBING).causes[-1]
    assert CauseName.TAIL_LOSS_PROBE in (found.rule, *found.alternatives)


@pytest.mark.parametrize(("waited", "sure"), [(180, False), (205, True)])
def test_what_msg_more_held_for_less_than_its_timer_may_be_sent_by_another(waited: int, *, sure: bool) -> None:
    run, tcp = opened()
    tcp.client("send", b"ab", args={"flags": "MSG_MORE"})
    run.pause(waited)
    tcp("client P.", b"ab")
    found = run.analysis().causes[-1]
    assert (found.rule, not found.alternatives, found.sent_by is not None) == ("more-timeout", sure, sure)


def test_the_ack_of_a_part_of_what_a_timer_sent_plans_no_probe() -> None:
    """tcp_write_wakeup plans none, and the ACK of a part leaves the timer as it is (tcp_clean_rtx_queue)."""
    run, tcp = opened()
    tcp.client("send", b"abc", args={"flags": "MSG_MORE"})
    run.pause(205)
    tcp("client P.", b"abc")
    tcp("server .", ack=2)
    run.pause(210)
    tcp("client P.", b"bc", seq=2)
    assert rules(run.analysis(sysctls=PROBING))[-1] == "timeout"


def test_what_leaves_right_behind_a_repeat_is_not_surely_sent_by_a_call() -> None:
    """Both may be sent by a queue below, or as something is looked at."""
    run, tcp = opened()
    tcp.client("send", b"abcd")
    tcp("client .", b"ab", lost=True)
    run.pause(300)
    with tcp.client("send", b"ef"):
        run.now -= 90 * US
        tcp("client .", b"ab", seq=1)
        run.now -= 80 * US
        tcp("client P.", b"cd", seq=3)
    assert run.analysis(sysctls=PROBING).causes[-1].sent_by is None


def test_paced_bytes_that_left_with_the_fin_of_an_exit_were_not_surely_sent_by_a_timer() -> None:
    run, tcp = opened()
    tcp.client("setsockopt", args={"name": "SO_MAX_PACING_RATE", "value": 100_000})
    tcp.client("send", b"a")
    tcp("client P.", b"a")
    tcp.client("send", b"b")
    run.pause(29)
    with tcp.client("exit"):
        tcp("client FP.", b"b")
    assert run.analysis(sysctls=PROBING).causes[-1].sent_by is None


def test_a_fin_is_acknowledged_by_the_timer_while_another_process_holds_the_socket() -> None:
    """The one that closed its descriptor did not close the connection."""
    run, tcp = opened()
    tcp.client("fork", fd=-1, result=101, socket=None)
    tcp.client("close")
    tcp.server("shutdown", args={"how": "SHUT_WR"})
    tcp("server F.")
    run.now += 100 * US
    tcp("client .")
    run.call("client", "exit", fd=-1, pid=101)
    found = run.analysis().causes[-1]
    assert CauseName.DELAYED_ACK in (found.rule, *found.alternatives)


def test_a_read_may_wake_up_late_and_acknowledge() -> None:
    run, tcp = opened()
    with tcp.server("recv", b"abc", args={"flags": "MSG_WAITALL"}):
        run.pause(20)
        tcp.client("send", b"abc")
        tcp("client .", b"a")
        run.pause(31)
        tcp("client P.", b"bc")
        run.pause(6.5)
        tcp("server .")
        run.pause(10)
    found = run.analysis().causes[-1]
    assert (found.rule, found.alternatives) == ("delayed-ack", (CauseName.ACK,))


def test_a_listeners_options_hold_for_a_connection_that_is_dissolved_later() -> None:
    """connect with AF_UNSPEC is not what opened it."""
    run = Exchange()
    tcp = run.tcp()
    tcp.server("listen")
    run.made["server"][0].fields["start"] -= 1_000 * US
    tcp.server("setsockopt", args={"name": "SO_MAX_PACING_RATE", "value": 1}, fd=3, socket=LISTENER)
    run.made["server"][-1].fields["start"] -= 900 * US
    tcp.opened()
    tcp.server("send", b"ab")
    tcp("server P.", b"ab", lost=True)
    run.pause(300)
    tcp.server("connect", args={"address": "AF_UNSPEC"})
    inputs = run.inputs()
    calls = EndpointCalls(0, "server", build_streams(inputs.joined, inputs.calls))
    assert calls.switched_on_by("SO_MAX_PACING_RATE", run.now) is not None


def test_what_was_too_large_to_leave_at_all_is_no_retransmission() -> None:
    """ICMP told another connection of the host what the path takes; what was behind it left."""
    run = Exchange()
    other = run.tcp(port=40001, server_port=10012).opened()
    tcp = run.tcp().opened()
    error = {"type": 3, "code": 4, "about": {"protocol": "tcp", "sport": 40001, "dport": 10012, "raw_seq": 1001}}
    run.packets.append({**run.packets[0], **ICMP, "options": error, "sent": None, "arrived": run.now + 10 * US})
    tcp.client("send", b"x" * 20)
    tcp("client P.", b"x" * 8, seq=13)
    tcp("server .", ack=1, options={"sack": [(13, 21)]})
    tcp("client .", b"x" * 12, seq=1)
    assert other.index == 0
    assert rules(run.analysis())[-1] == "data"


def test_a_pure_ack_outside_the_window_is_not_read() -> None:
    """So that what it reports does not ask for a repeat (tcp_sequence)."""
    run, tcp = opened()
    tcp.server("send", b"zy")
    tcp("server .", b"z", lost=True, window=3)
    tcp("server P.", b"y", window=3)
    tcp.client("send", b"abcdef")
    tcp("client .", b"abc", ack=1)
    tcp("server .", window=0)
    tcp("client .", b"def", lost=True, ack=1)
    run.pause(200)
    tcp("client .", ack=2, options={"sack": [(2, 3)]})
    run.pause(20)
    tcp("server .", b"z", seq=1, window=0)
    assert rules(run.analysis(sysctls=PROBING))[-1] == "timeout"


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


@pytest.mark.parametrize(("wait", "is_open"), [(9, True), (60, False)])
def test_a_timeout_just_after_a_sack_may_be_the_timer_for_reordered_ones(wait: float, is_open: bool) -> None:
    """It is set for two ticks at least, however short the round trip (TCP_TIMEOUT_MIN)."""
    run, tcp = opened()
    tcp.client("send", b"abc")
    tcp("client .", b"a", lost=True)
    tcp("client .", b"b")
    tcp("client .", b"c", lost=True)
    run.pause(300)
    tcp("server .", ack=1, options={"sack": [(2, 3)]})
    run.pause(wait)
    tcp("client .", b"a", seq=1)
    found = run.analysis(sysctls=RACK, rto_min={"client": 0}).causes[-1]
    assert found.rule == "timeout"
    assert (CauseName.REORDERING_TIMEOUT in found.alternatives) is is_open


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
