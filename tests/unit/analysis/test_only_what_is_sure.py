"""What random scenarios showed to be said too surely, or of the wrong packet: each kind in its smallest form."""

from __future__ import annotations

import pytest

from testbed.model import CauseName, Host
from testbed.model.absences import NoPacketReason
from testbed.model.origins import sent_in
from tests.builders.exchange import Exchange, Tcp

from .caused import evidence, rules

PROBING = {host: {"net.ipv4.tcp_early_retrans": "3"} for host in ("client", "server")}
FULL = b"x" * 1448


def opened() -> tuple[Exchange, Tcp]:
    run = Exchange()
    return run, run.tcp().opened()


@pytest.mark.parametrize(("second", "by_close"), [(b"b", True), (FULL, False)])
def test_a_full_segment_is_let_go_by_no_call_for_sure(second: bytes, *, by_close: bool) -> None:
    """What fills a segment waits for room in a window or a queue, small ones also for Nagle's algorithm."""
    run, tcp = opened()
    tcp.client("send", b"a")
    tcp("client P.", b"a")
    tcp.client("send", second)
    run.pause(10)
    with tcp.client("close"):
        run.now -= 90_000
        tcp("client P.", second)
    found = run.analysis(sysctls=PROBING)
    close = found.inputs.calls["client"][-1].n
    assert rules(found)[4] == "data"
    assert found.causes[4].sent_by == (sent_in(close) if by_close else None)
    if not by_close:
        absent = found.no_packet["client", close]
        assert (absent.reason, absent.packet and absent.packet.n) == (NoPacketReason.MAY_HAVE_SENT, 4)


def test_what_just_acknowledged_something_may_have_let_bytes_go() -> None:
    """It may still be in processing on another processor, although a call has begun since."""
    run, tcp = opened()
    tcp.client("send", b"a")
    tcp("client P.", b"a")
    tcp.client("send", b"b")
    tcp("server .", delay=20_000)
    run.now -= 60_000
    with tcp.client("send", b"c"):
        run.now -= 90_000
        tcp("client P.", b"b")
    found = run.analysis(sysctls=PROBING)
    assert found.causes[5].sent_by is None


def test_the_newest_in_the_first_block_is_what_an_ack_answers() -> None:
    """RFC 2018 section 4: the first block holds the segment that has just come."""
    run, tcp = opened()
    tcp.client("send", b"abc")
    tcp("client .", b"a", lost=True)
    tcp("client .", b"b")
    tcp("client .", b"c")
    tcp("server .", ack=1, options={"sack": [(2, 4)]})
    found = run.analysis()
    assert (rules(found)[6], found.causes[6].packets) == ("duplicate-ack", (5,))


def test_data_at_a_window_of_zero_is_not_taken() -> None:
    """tcp_data_queue drops it (TCPZeroWindowDrop), so that it is repeated as new when there is room."""
    run, tcp = opened()
    filling = b"x" * 500
    tcp.client("send", filling + b"ab")
    tcp("client P.", filling)
    tcp("server .", window=0)
    tcp("client P.", b"ab")
    tcp("server .", ack=501, window=0)
    found = run.analysis()
    assert rules(found)[6] == "not-taken"
    assert evidence(found, 6) == "repeats its ACK although #5 came in order: the window was 0"


@pytest.mark.parametrize(("seq", "taken"), [(4, True), (3, False), (1, True)])
def test_a_reset_at_the_end_of_what_sack_reports_is_taken(seq: int, *, taken: bool) -> None:
    """RFC 5961 asks for the next number; Linux takes the right edge of the last SACK block too."""
    run, tcp = opened()
    tcp.client("send", b"abc")
    tcp("client .", b"a", lost=True)
    tcp("client .", b"bc")
    tcp("server .", ack=1, options={"sack": [(2, 4)]})
    tcp("client R.", seq=seq)
    close = tcp.server("close").n
    found = run.analysis()
    absent = found.no_packet.get(("server", close))
    assert (absent is not None and absent.reason is NoPacketReason.RESET_BEFORE) is taken


@pytest.mark.parametrize("flags", ["R", "R."])
def test_a_syn_is_not_refused_by_a_reset_without_ack(flags: str) -> None:
    """tcp_rcv_synsent_state_process: without an acceptable ACK it is not looked at."""
    run = Exchange()
    tcp = run.tcp()
    with tcp.client("connect", errno="ECONNREFUSED"):
        tcp("client S")
        tcp(f"server {flags}", appeared=True, seq=0)
    close = tcp.client("close").n
    found = run.analysis()
    absent = found.no_packet.get(("client", close))
    assert (absent is not None and absent.reset is not None) is (flags == "R.")


def test_a_reset_that_comes_while_a_call_uses_the_socket_is_looked_at_later() -> None:
    """What the call still sends does not show that it was not taken (sk_backlog)."""
    run, tcp = opened()
    with tcp.server("send", b"abcdef"):
        tcp("server .", b"abc")
        tcp("client R.", seq=1)
        tcp("server .", b"def")
    close = tcp.server("close").n
    absent = run.analysis().no_packet["server", close]
    assert (absent.reason, absent.reset and absent.reset.packet.n) == (NoPacketReason.RESET_BEFORE, 4)


def test_the_first_repeat_of_the_last_bytes_may_be_a_probe_as_long_as_that_is_not_excluded() -> None:
    """SACKs of long ago do not show that a loss is still being repaired (tcp_schedule_loss_probe)."""
    run, tcp = opened()
    tcp.client("send", b"abcd")
    tcp("client .", b"a", lost=True)
    tcp("client .", b"b")
    tcp("server .", ack=1, options={"sack": [(2, 3)]})
    tcp("client .", b"a", seq=1)
    tcp("server .", ack=3)
    tcp("client P.", b"cd", lost=True)
    run.pause(220)
    tcp("client P.", b"cd", seq=3)
    cause = run.analysis(sysctls=PROBING).causes[9]
    assert {cause.rule, *cause.alternatives} >= {CauseName.TIMEOUT, CauseName.TAIL_LOSS_PROBE}


@pytest.mark.parametrize(("rate", "packets"), [(10_000, ()), (1_000_000_000, (6,))])
def test_what_a_reset_answers_that_waited_in_a_queue_is_not_known(rate: int, packets: tuple[int, ...]) -> None:
    run, tcp = opened()
    tcp.server("send", bytes(1400))
    tcp("client P.", b"a")
    tcp("server P.", bytes(1400))
    run.pause(10)
    tcp.server("close")
    tcp("client P.", b"b")
    tcp("client P.", b"c")
    tcp("server R", seq=1401, ack=None)
    found = run.analysis(queued={"server": rate})
    assert (rules(found)[7], found.causes[7].packets) == ("reset-answer", packets)


def test_with_a_larger_window_and_a_read_that_began_since_a_repeated_ack_may_be_the_reads() -> None:
    """tcp_cleanup_rbuf tells of the room; the blocks of SACK are in it as in any ACK."""
    run, tcp = opened()
    tcp.client("send", b"abc")
    tcp("client .", b"a")
    tcp("server .", window=100)
    tcp("client .", b"b", lost=True)
    tcp("client .", b"c")
    run.pause(0.2)
    with tcp.server("recv", b"a"):
        tcp("server .", window=200, options={"sack": [(3, 4)]})
    cause = run.analysis().causes[7]
    assert {cause.rule, *cause.alternatives} == {CauseName.DUPLICATE_ACK, CauseName.WINDOW_UPDATE}


def test_an_ack_sent_as_something_came_out_of_order_answers_that() -> None:
    run, tcp = opened()
    tcp.client("send", b"abc")
    tcp("client .", b"a")
    tcp("client .", b"b", lost=True)
    tcp("client .", b"c")
    tcp("server .", window=100, ack=2, options={"sack": [(3, 4)]})
    run.pause(50)
    with tcp.server("recv", b"a"):
        tcp("server .", window=200, ack=2, options={"sack": [(3, 4)]})
    found = run.analysis()
    assert (rules(found)[6], found.causes[6].packets) == ("ack", (3, 5))
    assert (rules(found)[7], found.causes[7].alternatives) == ("window-update", (CauseName.DUPLICATE_ACK,))


def test_data_in_order_for_which_there_is_no_memory_is_not_taken() -> None:
    """The kernel takes its window back (ICSK_ACK_NOMEM), and does not answer what came out of order before."""
    run, tcp = opened()
    tcp.client("send", b"abc")
    tcp("client .", b"a", lost=True)
    tcp("client .", b"b")
    tcp("client .", b"c")
    run.pause(200)
    tcp("client .", b"a", seq=1)
    tcp("server .", ack=1, window=0)
    run.pause(400)
    tcp("client .", b"a", seq=1)
    tcp("server .", ack=1, window=0)
    found = run.analysis()
    assert (rules(found)[7], rules(found)[9]) == ("not-taken", "not-taken")


def test_a_fin_that_ends_both_directions_is_never_acknowledged_by_the_timer() -> None:
    """tcp_fin enters CLOSING or TIME-WAIT and acknowledges; on a busy machine that is milliseconds later."""
    run, tcp = opened()
    tcp.server("close")
    tcp("server F.")
    tcp.client("close")
    tcp("client F.", ack=1)
    run.pause(3)
    tcp("server .")
    assert rules(run.analysis())[5] == "ack"


def test_a_timeout_that_is_due_may_come_before_what_three_repeated_acks_ask_for() -> None:
    run = Exchange()
    tcp = run.tcp()
    with tcp.client("connect"):
        tcp("client S", options={"mss": 1460})
        tcp("server S.", options={"mss": 1460})
        tcp("client .")
    tcp.client("send", b"abcde")
    tcp("client .", b"a", lost=True)
    run.pause(205)
    for each in (b"b", b"c", b"d"):
        tcp("client .", each)
        tcp("server .", ack=1)
    run.pause(0.1)
    tcp("client .", b"a", seq=1)
    cause = run.analysis().causes[10]
    assert {cause.rule, *cause.alternatives} >= {CauseName.FAST_RETRANSMISSION, CauseName.TIMEOUT}


def test_a_close_may_have_sent_what_left_later_through_a_queue() -> None:
    run, tcp = opened()
    tcp.client("send", b"ab")
    close = tcp.client("close").n
    run.pause(5)
    tcp("client P.", b"ab")
    tcp("server R", seq=1, ack=None)
    found = run.analysis(queued={"client": 1_000_000})
    absent = found.no_packet["client", close]
    assert (absent.reason, absent.packet and absent.packet.n) == (NoPacketReason.MAY_HAVE_SENT, 3)


def test_one_urgent_byte_that_was_not_read_may_have_been_passed_over() -> None:
    """tcp_recvmsg_locked counts it as read where a read goes on behind it: then SO_LINGER 0 resets, not the byte."""
    run, tcp = opened()
    tcp("server P.U", b"a", options={"urgent": 1})
    tcp.client("setsockopt", args={"name": "SO_LINGER", "value": {"onoff": 1, "linger": 0}})
    tcp.client("close")
    tcp("client R.")
    cause = run.analysis().causes[4]
    assert (cause.rule, cause.alternatives) == (CauseName.RESET_UNREAD, (CauseName.RESET_LINGER,))


@pytest.mark.parametrize(("ack", "taken"), [(1, True), (12, False)])
def test_only_a_reset_that_acknowledges_the_syn_refuses_it(ack: int, *, taken: bool) -> None:
    """One that answers a forged SYN acknowledges that (RFC 9293 section 3.10.7.3)."""
    run = Exchange()
    tcp = run.tcp()
    with tcp.client("connect", errno="EINPROGRESS"):
        tcp("client S")
    tcp("server R.", ack=ack)
    close = tcp.client("close").n
    absent = run.analysis().no_packet.get(("client", close))
    assert (absent is not None and absent.reset is not None) is taken


@pytest.mark.parametrize(("queued", "packets"), [((), (2,)), (("server",), ())])
def test_which_of_several_datagrams_an_error_is_about_is_not_known_where_it_waited(
    queued: tuple[Host, ...], packets: tuple[int, ...]
) -> None:
    run = Exchange()
    udp = run.udp()
    for data in (b"a", b"abc", b"b"):
        udp.client("send", data)
        udp("client", data)
    about = {"protocol": "udp", "sport": 40000, "dport": 5000}
    udp("server", bytes(29))
    run.packets[-1] |= {"protocol": "icmp", "flow": None, "options": {"type": 3, "code": 3, "about": about}}
    cause = run.analysis(queued=dict.fromkeys(queued, 1_000_000)).causes[3]
    assert (cause.rule, cause.packets) == (CauseName.ICMP_ERROR, packets)
    assert evidence(run.analysis(queued=dict.fromkeys(queued, 1_000_000)), 3).startswith("reports that")


def test_what_pacing_may_hold_as_well_is_not_surely_the_timers_of_msg_more() -> None:
    run, tcp = opened()
    tcp.client("setsockopt", args={"name": "SO_MAX_PACING_RATE", "value": 1000})
    tcp.client("send", b"a", args={"flags": "MSG_MORE"})
    run.pause(300)
    tcp("client P.", b"a")
    cause = run.analysis(sysctls=PROBING).causes[3]
    assert (cause.rule, cause.alternatives) == (CauseName.MORE_TIMEOUT, (CauseName.DATA,))


def test_a_close_that_resets_after_urgent_bytes_left_something_unread() -> None:
    """Which urgent byte a read passed over does not show, but nothing else makes such a close reset."""
    run, tcp = opened()
    tcp("server P.U", b"a", options={"urgent": 1})
    tcp.client("recv", b"a")
    close = tcp.client("close").n
    tcp("client R.")
    found = run.analysis()
    assert (rules(found)[4], found.causes[4].calls) == ("reset-unread", (close,))


def test_an_ack_that_is_older_than_the_widest_window_is_challenged() -> None:
    """RFC 5961 section 5.2, tcp_ack; a SYN that a SYN+ACK had answered is no reason any more."""
    run, tcp = opened()
    data = b"x" * 400
    for _ in range(4):
        tcp.client("send", data)
        tcp("client P.", data)
        tcp("server .")
    tcp("server .", ack=1)
    tcp("client .")
    found = run.analysis()
    assert (rules(found)[12], found.causes[12].packets) == ("challenge-ack", (11,))


def test_a_part_that_is_acknowledged_late_may_be_by_the_timer() -> None:
    run, tcp = opened()
    tcp.client("send", b"abc")
    tcp("client P.", b"abc")
    run.pause(40)
    tcp("server .", ack=2)
    cause = run.analysis().causes[4]
    assert (cause.rule, cause.alternatives) == (CauseName.ACK, (CauseName.DELAYED_ACK,))


def test_a_rst_that_came_to_a_host_that_had_broken_the_connection_off_ended_nothing() -> None:
    run, tcp = opened()
    tcp.server("send", b"abc")
    tcp("server P.", b"abc")
    tcp.server("close")
    tcp("client .")
    answer = tcp("server R", seq=4, ack=None, delay=20_000_000)
    with tcp.client("close"):
        own = tcp("client R.")
    ends = {row.close.reset.packet for row in run.analysis().ledger if row.close is not None and row.close.reset}
    assert (own in ends, answer in ends) == (True, False)


def test_what_left_during_a_close_may_be_the_closes_although_a_rst_came_before_it_returned() -> None:
    run, tcp = opened()
    tcp.client("send", bytes(1460))
    with tcp.client("close") as close:
        left = tcp("client P.", bytes(1460))
        tcp("server R.")
        run.pause(1)
    absent = run.analysis().no_packet["client", close.n]
    assert (absent.reason, absent.packet and absent.packet.n) == (NoPacketReason.MAY_HAVE_SENT, left)
