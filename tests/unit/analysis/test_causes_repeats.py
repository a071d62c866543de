"""Each rule of repeats, of what answers them and of probes, on the smallest exchange that shows it."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.model import CauseKind, SocketInfo
from tests.builders.exchange import Exchange

from .caused import evidence, rules


def test_a_keepalive_needs_a_call_that_asked_for_it() -> None:
    """The same packet without SO_KEEPALIVE is left unexplained rather than guessed."""
    for option, expected in (("SO_KEEPALIVE", "keep-alive-probe"), ("SO_REUSEADDR", "probe")):
        run = Exchange()
        tcp = run.tcp().opened()
        tcp.client("setsockopt", args={"name": option, "value": 1})
        run.pause(1000)
        tcp("client .", seq=0)
        tcp("server .")
        assert rules(run.analysis())[3:] == [expected, "probe-answer"]


def test_an_accepted_socket_inherits_keepalive() -> None:
    run = Exchange()
    tcp = run.tcp()
    tcp.server("listen")
    tcp.server("setsockopt", fd=3, args={"name": "SO_KEEPALIVE", "value": 1}, socket=_listener(run))
    tcp.opened()
    tcp.server("recv", end=None)
    run.pause(1000)
    tcp("server .", seq=0)
    assert rules(run.analysis())[-1] == "keep-alive-probe"


def _listener(run: Exchange) -> SocketInfo:
    found = run.made["server"][0].fields["socket"]
    assert isinstance(found, SocketInfo)
    return found


def test_the_look_alike_is_a_retransmission() -> None:
    """The experiment's riddle: one byte again, one below the next, is no keep-alive but the send's byte again."""
    run = Exchange()
    tcp = run.tcp().opened()
    with tcp.client("send", b"c") as send:
        tcp("client P.", b"c")
    run.pause(11)
    tcp("client P.", b"c", seq=1)
    tcp("server .", options={"sack": [[1, 2]]})
    found = run.analysis()
    assert rules(found)[4:] == ["retransmission", "d-sack"]
    assert found.causes[4].calls == (send.n,)
    assert found.causes[4].packets == (3,)
    assert "11 ms after #3" in evidence(found, 4)


def test_bytes_received_twice_are_answered_by_a_d_sack() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("send", b"c")
    tcp("client P.", b"c")
    tcp("server .")
    tcp("client P.", b"c", seq=1)
    tcp("server .", options={"sack": [[1, 2]]})
    found = run.analysis()
    assert (found.causes[6].rule, found.causes[6].packets) == ("d-sack", (5,))


def test_an_old_segment_may_be_reported_after_the_next_ack() -> None:
    """Linux answers a burst and the repeat of its last segment with two ACKs, the D-SACK second."""
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("send", b"ab")
    tcp("client .", b"a")
    tcp("client P.", b"b")
    tcp("client P.", b"b", seq=2)
    tcp("server .")
    tcp("server .", options={"sack": [[2, 3]]})
    found = run.analysis()
    assert rules(found)[5:] == ["tail-loss-probe", "ack", "d-sack"]
    assert found.causes[7].packets == (5,)


def test_duplicate_acks_answer_their_triggers_and_cause_a_fast_retransmission() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("send", b"abcd")
    tcp("client .", b"a", lost=True)
    tcp("client .", b"b")
    tcp("server .", ack=1, options={"sack": [[2, 3]]})
    tcp("client .", b"c")
    tcp("server .", ack=1, options={"sack": [[2, 4]]})
    tcp("client P.", b"d")
    tcp("server .", ack=1, options={"sack": [[2, 5]]})
    tcp("client .", b"a", seq=1)
    tcp("server .", ack=5)
    found = run.analysis()
    assert rules(found)[3:] == [
        *("data", "data", "duplicate-ack", "data", "duplicate-ack", "data", "duplicate-ack"),
        *("fast-retransmission", "ack"),
    ]
    assert [found.causes[n].packets for n in (5, 7, 9)] == [(4,), (6,), (8,)]
    assert found.causes[10].kind is CauseKind.ANSWER
    assert found.causes[10].packets == (5, 7, 9)


def test_three_duplicate_acks_without_sack_show_a_loss_too() -> None:
    run = Exchange()
    tcp = run.tcp()
    tcp("client S")
    tcp("server S.", options={"mss": 1460})
    tcp("client .")
    tcp.client("send", b"abcd")
    tcp("client .", b"a", lost=True)
    for letter in (b"b", b"c", b"d"):
        tcp("client .", letter)
        tcp("server .", ack=1)
    tcp("client .", b"a", seq=1)
    found = run.analysis()
    assert (found.causes[10].rule, found.causes[10].packets) == ("fast-retransmission", (5, 7, 9))


def test_timeouts_and_tail_loss_probes_are_told_apart_where_the_wire_can() -> None:
    """The last segment while an earlier one is out: a probe. The first one while later ones are out: a timeout."""
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("send", b"ab")
    tcp("client .", b"a", lost=True)
    tcp("client P.", b"b", lost=True)
    run.pause(20)
    tcp("client P.", b"b", seq=2, lost=True)
    run.pause(250)
    tcp("client .", b"a", seq=1)
    tcp("server .", ack=2)
    tcp("client P.", b"b", seq=2)
    found = run.analysis()
    assert rules(found)[5:] == ["tail-loss-probe", "timeout", "ack", "recovery"]


def _too_big(run: Exchange, about: int, **port: int) -> None:
    """ICMP from beyond says that a packet of the client does not fit."""
    quoted = run.packets[about]
    about_it = {"protocol": "tcp", "sport": 40000, "dport": 10011, "raw_seq": quoted["raw_seq"], **port}
    icmp: dict[str, Any] = {
        "flow": None,
        "sender": "server",
        "protocol": "icmp",
        "flags": "",
        "payload": b"",
        "length": 0,
    }
    icmp |= {"sent": None, "arrived": run.now + 50_000, "options": {"type": 3, "code": 4, "about": about_it}}
    run.packets.append(quoted | icmp)


def test_bytes_cut_anew_answer_the_icmp_error_that_asked_for_it() -> None:
    run = Exchange()
    tcp = run.tcp(isn=(2**32 - 500, 5000)).opened()
    send = tcp.client("send", b"x" * 2000)
    first = tcp("client .", b"x" * 1000, lost=True)
    tcp("client P.", b"x" * 1000, lost=True)
    _too_big(run, first)
    tcp("client .", b"x" * 800, seq=1)
    tcp("client .", b"x" * 800, seq=801)
    tcp("client P.", b"x" * 400, seq=1601)
    found = run.analysis()
    assert rules(found)[5:] == ["appeared", "path-mtu", "path-mtu", "path-mtu"]
    assert [(cause.calls, cause.packets) for cause in found.causes[6:]] == [((send.n,), (5,))] * 3


@pytest.mark.parametrize("case", ["same size", "other connection", "older"])
def test_an_icmp_error_does_not_explain_any_repeat(case: str) -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("send", b"x" * 1000)
    if case == "older":
        _too_big(run, 0)
    first = tcp("client P.", b"x" * 1000, lost=True)
    if case != "older":
        _too_big(run, first, **({"sport": 40001} if case == "other connection" else {}))
    run.pause(300)
    tcp("client P.", b"x" * (1000 if case == "same size" else 800), seq=1)
    assert rules(run.analysis())[-1] in ("timeout", "retransmission")


def test_a_syn_without_answer_is_sent_again() -> None:
    run = Exchange()
    tcp = run.tcp()
    with tcp.client("connect"):
        tcp("client S", lost=True)
        run.pause(1000)
        tcp("client S", seq=0)
        tcp("server S.", lost=True)
        run.pause(1000)
        tcp("client S", seq=0)
        tcp("server S.", seq=0)
    found = run.analysis()
    assert rules(found) == ["connect", "syn-retransmission", "syn-ack", "syn-retransmission", "syn-ack"]
    assert found.causes[4].packets == (3,)


def test_a_zero_window_is_probed_and_opened_by_a_read() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("send", b"abc")
    tcp("client P.", b"ab")
    tcp("server .", window=0)
    run.pause(200)
    tcp("client .", seq=2)
    tcp("server .", window=0)
    with tcp.server("recv", b"ab") as recv:
        tcp("server .", window=500)
    tcp("client P.", b"c")
    found = run.analysis()
    assert rules(found)[5:] == ["window-probe", "probe-answer", "window-update", "data"]
    assert found.causes[7].calls == (recv.n,)


def test_two_repeats_are_reported_by_a_d_sack_each() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("send", b"c")
    tcp("client P.", b"c")
    tcp("server .")
    tcp("client P.", b"c", seq=1)
    tcp("client P.", b"c", seq=1)
    tcp("server .", options={"sack": [[1, 2]]})
    tcp("server .", options={"sack": [[1, 2]]})
    found = run.analysis()
    assert [found.causes[n].packets for n in (7, 8)] == [(5,), (6,)]


def test_a_copy_that_was_not_answered_is_not_what_a_d_sack_of_long_after_reports() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("send", b"c")
    tcp("client P.", b"c")
    tcp("server .")
    tcp("client P.", b"c", seq=1)
    run.pause(40)
    tcp("client P.", b"c", seq=1)
    tcp("server .", options={"sack": [[1, 2]]})
    assert run.analysis().causes[7].packets == (6,)


def test_a_read_that_opens_the_window_after_an_unanswered_probe_is_no_answer() -> None:
    """Linux leaves some probes unanswered; what then grows the window is the read that began after the probe came."""
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("send", b"abc")
    tcp("client P.", b"ab")
    tcp("server .", window=0)
    run.pause(200)
    tcp("client .", seq=2)
    run.pause(100)
    with tcp.server("recv", b"ab") as recv:
        tcp("server .", window=500)
    found = run.analysis()
    assert rules(found)[5:] == ["window-probe", "window-update"]
    assert found.causes[6].calls == (recv.n,)


def test_a_window_is_compared_in_bytes() -> None:
    """A SYN's window is not scaled, those after it are: 500 << 7 is less than the 65160 of the SYN+ACK."""
    run = Exchange()
    tcp = run.tcp()
    tcp.server("listen")
    with tcp.client("connect"):
        tcp("client S", options={"wscale": 7})
        tcp("server S.", options={"wscale": 7}, window=65160)
    tcp("client .")
    tcp("server .", window=500)
    tcp("server .", window=520)
    assert rules(run.analysis())[3:] == ["unknown", "window-update"]
