"""What happened within the same moment, so that one of both is said too surely: as random scenarios showed it."""

from __future__ import annotations

import pytest

from testbed.analysis.calls.endpoint_calls import EndpointCalls
from testbed.analysis.calls.streams import build_streams
from testbed.model import CauseName, Endpoint, SocketInfo
from tests.builders.exchange import ADDRESS, US, Exchange, Tcp

from .caused import evidence, rules

PROBING = {host: {"net.ipv4.tcp_early_retrans": "3"} for host in ("client", "server")}
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
