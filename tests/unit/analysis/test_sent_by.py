"""What let a packet go is said only as far as captures and calls show it; and what the kernel says of that."""

from __future__ import annotations

from dataclasses import replace

from testbed.analysis.kernel.classify_stack import classify
from testbed.model import CauseName
from testbed.model.absences import NoPacketReason
from testbed.model.origins import Mechanism, SentBy, sent_as_came, sent_in
from testbed.model.verdicts import BrokenOff
from tests.builders.exchange import Exchange, Tcp

from .caused import evidence, rules
from .test_kernel_causes import BY_SEND, DELAYED, RECEIVING, analysed

PROBING = {"client": {"net.ipv4.tcp_early_retrans": "3"}}


def opened() -> tuple[Exchange, Tcp]:
    run = Exchange()
    return run, run.tcp().opened()


def test_an_ack_while_a_read_waits_may_be_of_either() -> None:
    """The segment may be acknowledged before it wakes the read up (__tcp_ack_snd_check)."""
    run, tcp = opened()
    tcp.client("send", b"ab")
    with tcp.server("recv", b"ab"):
        tcp("client P.", b"ab")
        tcp("server .")
    found = run.analysis()
    assert found.causes[4].sent_by is None
    assert "as it came or as recv #" in evidence(found, 4)


def test_an_ack_in_a_read_that_began_well_after_the_bytes_came_is_the_reads() -> None:
    run, tcp = opened()
    tcp.client("send", b"ab")
    tcp("client P.", b"ab")
    run.pause(20)
    with tcp.server("recv", b"ab") as reader:
        tcp("server .")
    found = run.analysis()
    assert found.causes[4].sent_by == sent_in(reader.n)


def test_bytes_that_waited_for_room_are_not_said_to_be_let_go_by_what_came_last() -> None:
    """A queue below, or the pacing, lets full segments go as well."""
    run, tcp = opened()
    tcp.client("send", bytes(2920))
    tcp("client .", bytes(1460))
    tcp("server .")
    tcp("client P.", bytes(1460))
    cause = run.analysis().causes[5]
    assert (cause.rule, cause.packets, cause.sent_by) == (CauseName.DATA, (), None)


def test_what_nagle_held_is_let_go_by_the_ack_for_which_it_waited() -> None:
    run, tcp = opened()
    tcp.client("send", b"a")
    tcp("client P.", b"a")
    tcp.client("send", b"b")
    run.pause(10)
    ack = tcp("server .")
    tcp("client P.", b"b")
    cause = run.analysis().causes[5]
    assert (cause.packets, cause.sent_by) == ((ack,), sent_as_came(ack))


def test_bytes_that_left_during_a_write_that_may_sleep_are_not_said_to_be_let_go_by_it() -> None:
    run, tcp = opened()
    tcp.client("send", bytes(2920))
    tcp("client .", bytes(1460))
    with tcp.client("send", b"more"):
        tcp("server .")
        tcp("client .", bytes(1460))
    assert run.analysis().causes[5].sent_by is None


def test_behind_a_queue_of_the_interface_nothing_is_said() -> None:
    run, tcp = opened()
    tcp.client("send", bytes(1400))
    tcp("client P.", bytes(1400))
    tcp.client("send", b"b")
    run.pause(10)
    tcp("server .")
    tcp("client P.", b"b")
    found = run.analysis(queued={"client": 10_000})
    assert found.causes[5].sent_by is None
    assert "through the queue of the interface" in evidence(found, 5)


def test_no_tail_loss_probe_follows_what_a_timer_sent() -> None:
    """tcp_write_wakeup starts the retransmission timeout, and plans no probe."""
    run, tcp = opened()
    tcp.client("send", b"ab", args={"flags": "MSG_MORE"})
    run.pause(210)
    tcp("client P.", b"ab", lost=True)
    run.pause(210)
    tcp("client P.", b"ab", seq=1)
    assert rules(run.analysis(sysctls=PROBING))[3:] == ["more-timeout", "timeout"]


def test_a_negative_linger2_resets_at_close_after_the_fin() -> None:
    run, tcp = opened()
    tcp.server("setsockopt", args={"name": "TCP_LINGER2", "value": -1}, result=0)
    with tcp.server("shutdown", args={"how": "SHUT_WR"}, result=0):
        tcp("server F.")
    tcp("client .")
    with tcp.server("close"):
        tcp("server R.")
    found = run.analysis()
    assert rules(found)[-1] == "reset-linger"
    assert "with a negative TCP_LINGER2 (setsockopt #" in evidence(found, 5)


def test_a_connect_to_nowhere_ends_the_connection_that_a_nonblocking_connect_began() -> None:
    run = Exchange()
    tcp = run.tcp()
    tcp.server("listen")
    tcp.client("connect", result=-1, errno="EINPROGRESS", args={"address": str(tcp.ends["server"])})
    tcp("client S")
    tcp("server S.")
    tcp("client .")
    with tcp.client("connect", args={"address": "AF_UNSPEC"}, result=0):
        tcp("client R.")
    assert rules(run.analysis())[-1] == "reset-linger"


def test_of_two_resets_that_came_the_one_whose_number_fits_ended_the_connection() -> None:
    run, tcp = opened()
    tcp("server R", seq=100, ack=None)
    fits = tcp("server R", seq=1, ack=None)
    tcp.client("send", errno="ECONNRESET", result=-1)
    found = run.analysis()
    [absence] = (each for each in found.no_packet.values() if each.reason is NoPacketReason.FAILED)
    assert absence.reset is not None
    assert absence.reset.packet.n == fits


def test_a_reset_that_answers_after_both_fins_were_acknowledged_breaks_nothing_off() -> None:
    run, tcp = opened()
    with tcp.client("close"):
        tcp("client F.")
    tcp("server .")
    with tcp.server("close"):
        tcp("server F.")
    tcp("client .")
    tcp("server F.", seq=1)
    tcp("client R", seq=2, ack=None)
    assert not any(isinstance(fact, BrokenOff) for fact in run.analysis().verdict)


def test_a_packet_that_waited_in_a_queue_belongs_to_the_call_that_gave_it() -> None:
    run, tcp = opened()
    with tcp.client("send", b"ab") as call:
        run.pause(1)
    run.pause(5)
    tcp("client P.", b"ab")
    kernel = analysed(run, {3: BY_SEND}).inputs.kernel
    assert kernel is not None
    given = run.calls()["client"][call.n].start + 1000
    departures = {host: tuple(replace(each, given=given) for each in own) for host, own in kernel.departures.items()}
    cause = run.analysis(kernel=replace(kernel, departures=departures)).causes[3]
    assert cause.calls == (call.n,)
    assert cause.origin is not None
    assert cause.origin.waited == kernel.departures["client"][0].time - given
    assert "then it waited" in evidence(run.analysis(kernel=replace(kernel, departures=departures)), 3)


def test_an_ack_that_no_socket_sends_is_no_refused_port() -> None:
    """Where the compiler has put its callers into tcp_v6_rcv, one stack is that of a RST and of an ACK."""
    run, tcp = opened()
    with tcp.client("send", b"ab"):
        tcp("client P.", b"ab")
    tcp("server .")
    found = analysed(run, {4: ("ip6_xmit", "tcp_v6_send_response", "tcp_v6_rcv", *RECEIVING)}, {4: 3})
    assert found.causes[4].rule is CauseName.ACK


def test_what_an_inferred_ack_says_of_its_sending_is_held_against_the_kernel() -> None:
    """What it covers its number says; only where it is said to answer another packet at once does the kernel differ."""
    run, tcp = opened()
    tcp.client("send", b"ab")
    tcp("client P.", b"ab")
    tcp("server .")
    cause = analysed(run, {4: DELAYED}).causes[4]
    assert cause.inferred is not None
    assert cause.inferred.sent_by == sent_as_came(3)
    assert cause.differs
    assert SentBy((Mechanism.CALL,), (1,)) == sent_in(1)


def test_what_an_ack_asked_for_and_the_pacing_put_off_is_a_repeat() -> None:
    """tcp_tsq_write sends again what counts as lost, before it sends anything new."""
    paced = ("tcp_retransmit_skb", "tcp_xmit_retransmit_queue", "tcp_tsq_write", "tcp_tsq_handler", "tcp_pace_kick")
    found = classify(("__tcp_transmit_skb", "__tcp_retransmit_skb", *paced, "__hrtimer_run_queues"))
    assert found.row is not None
    assert CauseName.FAST_RETRANSMISSION in found.row.causes


def test_an_ack_during_a_read_that_only_looks_is_not_surely_the_timers() -> None:
    """A recv with MSG_PEEK moves no bytes, and acknowledges what came (tcp_cleanup_rbuf)."""
    run, tcp = opened()
    tcp.client("send", b"ab")
    tcp("client P.", b"ab")
    run.pause(4)
    with tcp.server("recv", args={"flags": "MSG_PEEK"}, result=2):
        tcp("server .")
    cause = run.analysis().causes[4]
    assert (cause.rule, cause.alternatives) == (CauseName.DELAYED_ACK, (CauseName.ACK,))


def test_the_reset_that_refused_a_syn_is_the_one_that_came() -> None:
    run = Exchange()
    tcp = run.tcp()
    with tcp.client("connect", result=-1, errno="ECONNREFUSED"):
        tcp("client S")
        tcp("server R.", seq=0, raw_seq=0, ack=1, lost=True)
        run.pause(1000)
        tcp("client S", seq=0)
        came = tcp("server R.", seq=0, raw_seq=0, ack=1)
    close = run.analysis().ledger[0].close
    assert close is not None
    assert close.reset is not None
    assert close.reset.packet == came


def test_a_read_that_sleeps_since_before_the_bytes_came_leaves_no_doubt_about_the_timer() -> None:
    """SO_RCVLOWAT, or MSG_WAITALL, lets it sleep on; it acknowledges nothing."""
    run, tcp = opened()
    with tcp.server("recv", b"abcd"):
        tcp.client("send", b"ab")
        tcp("client P.", b"ab")
        run.pause(45)
        tcp("server .")
        run.pause(45)
        tcp.client("send", b"cd")
        tcp("client P.", b"cd")
    cause = run.analysis().causes[4]
    assert (cause.rule, cause.alternatives) == (CauseName.DELAYED_ACK, ())


def test_paced_bytes_are_not_said_to_be_let_go_by_a_write_in_progress() -> None:
    run, tcp = opened()
    tcp.client("setsockopt", args={"name": "SO_MAX_PACING_RATE", "value": 100_000}, result=0)
    tcp.client("send", bytes(2920))
    tcp("client .", bytes(1460))
    with tcp.client("send", b"more"):
        tcp("client .", bytes(1460))
    assert run.analysis().causes[4].sent_by is None


def test_a_close_that_lingers_lets_nothing_go_by_itself() -> None:
    run, tcp = opened()
    tcp.client("send", bytes(2920))
    tcp("client .", bytes(1460))
    with tcp.client("close"):
        run.pause(20)
        tcp("client .", bytes(1460))
    assert run.analysis().causes[4].sent_by is None


def test_an_ack_during_any_call_is_not_said_to_be_sent_at_once() -> None:
    """The segment waits for the socket, and the call sends its ACK (release_sock)."""
    run, tcp = opened()
    tcp.client("send", b"ab")
    with tcp.server("shutdown", args={"how": "SHUT_RD"}, result=0):
        tcp("client P.", b"ab")
        tcp("server .")
    assert run.analysis().causes[4].sent_by is None
