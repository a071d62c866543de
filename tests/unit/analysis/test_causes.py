"""Each rule of the table, on the smallest exchange that shows it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from testbed.analysis.causes import OTHER_RULES, TCP_RULES
from testbed.model import Analysis, CauseKind, SocketInfo

from .exchange import Exchange, Tcp

LINGER = {"name": "SO_LINGER", "value": {"onoff": 1, "linger": 0}}


def origin() -> tuple[Exchange, Tcp]:
    """The experiment's calls over a link with a delay: the second and third send leave together."""
    run = Exchange()
    tcp = run.tcp().opened()
    with tcp.client("send", b"c"):
        tcp("client P.", b"c")
    tcp.client("send", b"c")
    tcp.client("send", b"string")
    tcp.server("recv", b"c")
    tcp("server .")
    tcp("client P.", b"cstring")
    tcp.server("recv", b"cstring")
    tcp("server .")
    with tcp.client("close"):
        tcp("client F.")
    with tcp.server("close"):
        tcp("server F.")
    tcp("client .")
    return run, tcp


def rules(analysis: Analysis) -> list[str]:
    return [cause.rule for cause in analysis.causes]


def calls(analysis: Analysis, n: int) -> list[str]:
    packet = analysis.inputs.joined.crossings[n]
    made = analysis.inputs.calls[packet.sender]
    return [made[call].name for call in analysis.causes[n].calls]


def test_the_origins_run_is_explained_packet_by_packet() -> None:
    """A segment that carries two calls' bytes names both, and says what let it go."""
    run, _ = origin()
    found = run.analysis()
    assert rules(found) == ["connect", "syn-ack", "ack", "data", "ack", "data", "ack", "fin", "fin", "ack"]
    assert calls(found, 3) == ["send"]
    assert calls(found, 5) == ["send", "send"]
    assert found.causes[5].packets == (4,)
    assert "Nagle's algorithm held it" in found.causes[5].evidence
    assert "until #4 acknowledged #3" in found.causes[5].evidence
    assert calls(found, 7) == ["close"]
    assert [cause.packets for cause in found.causes][9] == (8,)


def test_a_long_write_is_the_cause_of_all_its_segments() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    with tcp.client("write", b"x" * 4000) as write:
        tcp("client .", b"x" * 1448)
        tcp("client .", b"x" * 1448)
        tcp("client P.", b"x" * 1104)
    found = run.analysis()
    assert [found.causes[n].calls for n in (3, 4, 5)] == [(write.n,)] * 3


def test_a_fin_that_rides_on_data_names_the_send_and_the_close() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("send", b"string")
    with tcp.client("close"):
        tcp("client FP.", b"string")
    assert calls(run.analysis(), 3) == ["send", "close"]


def test_uncorking_is_part_of_the_cause() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("send", b"held")
    with tcp.client("setsockopt", args={"name": "TCP_CORK", "value": 0}):
        tcp("client P.", b"held")
    assert calls(run.analysis(), 3) == ["send", "setsockopt"]


def test_shutdown_not_the_later_close_is_the_cause_of_the_fin() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    with tcp.client("shutdown", args={"how": "SHUT_WR"}):
        tcp("client F.")
    tcp("server .")
    tcp.client("close")
    found = run.analysis()
    assert calls(found, 3) == ["shutdown"]
    assert found.silent["client", 2] == "shutdown #1 had sent the FIN"


def test_the_last_close_of_forked_processes_is_the_cause() -> None:
    """The parent's early close sends nothing: its child still holds the socket."""
    run = Exchange()
    tcp = run.tcp().opened()
    run.call("server", "fork", fd=-1, result=101)
    parent = tcp.server("close")
    tcp.server("send", b"hello", pid=101)
    tcp("server P.", b"hello")
    tcp("client .")
    with tcp.server("close", pid=101) as child:
        tcp("server F.")
    found = run.analysis()
    assert found.causes[5].calls == (child.n,)
    assert "until close" in found.silent["server", parent.n]


def test_a_duplicate_descriptor_keeps_the_socket_open() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("dup", result=9)
    first = tcp.client("close")
    with tcp.client("close", fd=9) as second:
        tcp("client F.")
    found = run.analysis()
    assert found.causes[3].calls == (second.n,)
    assert found.silent["client", first.n] == f"another descriptor of the socket was open until close #{second.n}"


def test_a_fin_at_the_end_of_a_process_is_not_blamed_on_a_call() -> None:
    """Kind exit, and the logged exit is named."""
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("send", b"x")
    tcp("client P.", b"x")
    ended = run.call("client", "exit", fd=-1, end=None, args={"status": 0})
    tcp("client F.")
    cause = run.analysis().causes[4]
    assert (cause.kind, cause.rule, cause.calls) == (CauseKind.EXIT, "exit", (ended.n,))


def test_a_close_is_not_blamed_while_another_process_held_the_socket() -> None:
    """The parent closed long before; the child, which had used the socket too, was killed without a log entry."""
    run = Exchange()
    tcp = run.tcp().opened()
    run.call("server", "fork", fd=-1, result=101)
    tcp.server("recv", pid=101, end=None)
    tcp.server("close")
    run.pause(100)
    tcp("server F.")
    cause = run.analysis().causes[3]
    assert (cause.kind, cause.calls) == (CauseKind.EXIT, ())
    assert "process 101 ended" in cause.evidence


def test_a_killed_process_ends_the_connection_without_any_call() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("recv", end=None)
    tcp("client F.")
    cause = run.analysis().causes[3]
    assert (cause.kind, cause.calls) == (CauseKind.EXIT, ())
    assert "process 100 ended" in cause.evidence


def test_simultaneous_close() -> None:
    """Two FINs that cross are each caused by their own close, and acknowledged apart."""
    run = Exchange()
    tcp = run.tcp().opened()
    with tcp.client("close"), tcp.server("close"):
        tcp("client F.", delay=1_000_000, ack=1)
        tcp("server F.", delay=1_000_000, ack=1)
    run.pause(2)
    tcp("client .", seq=2, ack=2)
    tcp("server .", seq=2, ack=2)
    found = run.analysis()
    assert rules(found)[3:] == ["fin", "fin", "ack", "ack"]
    assert [found.causes[n].packets for n in (5, 6)] == [(4,), (3,)]


# --- resets


def test_closed_port() -> None:
    run = Exchange()
    tcp = run.tcp()
    with tcp.client("connect", errno="ECONNREFUSED"):
        tcp("client S")
        tcp("server R.", seq=0, ack=1, raw_seq=0)
    cause = run.analysis().causes[1]
    assert (cause.kind, cause.rule, cause.packets) == (CauseKind.ANSWER, "closed-port", (0,))
    assert "nothing listens on 198.18.0.3:10011" in cause.evidence


def test_close_with_unread_data_resets() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("send", b"cstring")
    tcp("client P.", b"cstring")
    tcp.server("recv", b"c")
    with tcp.server("close") as close:
        tcp("server R.")
    cause = run.analysis().causes[4]
    assert (cause.rule, cause.calls) == ("reset-unread", (close.n,))
    assert cause.evidence == f"close #{close.n} with 6 unread bytes"


def test_one_unread_byte_is_enough() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("send", b"c")
    tcp("client P.", b"c")
    with tcp.server("close") as close:
        tcp("server R.")
    assert run.analysis().causes[4].evidence == f"close #{close.n} with 1 unread byte"


def test_lingering_for_a_while_is_no_reason_for_a_reset() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("setsockopt", args={"name": "SO_LINGER", "value": {"onoff": 1, "linger": 5}})
    with tcp.client("close"):
        tcp("client R.")
    assert rules(run.analysis())[3] == "unknown"


def test_linger_zero_resets_and_names_both_calls() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("setsockopt", args=LINGER)
    with tcp.client("close"):
        tcp("client R.")
    assert calls(run.analysis(), 3) == ["setsockopt", "close"]


def test_data_to_a_closed_socket_is_what_a_plain_rst_answers() -> None:
    """A RST without ACK is found by its sequence number, the ACK number of the segment it answers."""
    run = Exchange()
    tcp = run.tcp().opened()
    with tcp.server("close"):
        tcp("server F.")
    tcp("client .")
    tcp.client("send", b"late")
    tcp("client P.", b"late")
    tcp("server R")
    cause = run.analysis().causes[6]
    assert (cause.kind, cause.rule, cause.packets) == (CauseKind.ANSWER, "reset-answer", (5,))


def test_a_plain_rst_answers_the_segment_whose_ack_it_repeats() -> None:
    """Not simply the last arrival: here a segment with an older ACK overtook it."""
    run = Exchange()
    tcp = run.tcp().opened()
    with tcp.server("close"):
        tcp("server F.")
    tcp.client("send", b"ab")
    tcp("client .", b"a", ack=2)
    tcp("client P.", b"b", ack=1)
    tcp("server R", seq=2)
    assert run.analysis().causes[6].packets == (4,)


def test_closing_a_listener_resets_what_nobody_accepted() -> None:
    run = Exchange()
    tcp = run.tcp()
    listen = tcp.server("listen")
    with tcp.client("connect"):
        tcp("client S")
        tcp("server S.")
    tcp("client .")
    with tcp.server("close", socket=listen.fields["socket"], fd=3) as close:
        tcp("server R.")
    cause = run.analysis().causes[3]
    assert (cause.rule, cause.calls) == ("reset-listener", (close.n,))


def test_a_process_that_ends_with_unread_data_resets() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("send", b"x")
    tcp("client P.", b"x")
    tcp.server("poll", result=1)
    run.call("server", "exit", fd=-1, end=None)
    tcp("server R.")
    cause = run.analysis().causes[4]
    assert (cause.kind, cause.rule) == (CauseKind.EXIT, "reset-exit")


def test_nobody_answers_the_last_keepalive_probe() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("setsockopt", args={"name": "SO_KEEPALIVE", "value": 1})
    run.pause(1000)
    tcp("client .", seq=0, lost=True)
    run.pause(1000)
    tcp("client R.")
    found = run.analysis()
    assert rules(found)[3:] == ["keep-alive-probe", "keep-alive-timeout"]


# --- repeats and probes


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
    assert "11 ms after #3" in found.causes[4].evidence


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
    tcp = run.tcp().opened()
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


# --- what no call explains


def test_bytes_that_no_logged_call_wrote_are_said_not_attributed() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("send", b"a")
    tcp("client P.", b"a")
    tcp("client P.", b"from stdio")
    found = run.analysis()
    assert (found.causes[4].kind, found.causes[4].rule) == (CauseKind.UNKNOWN, "unlogged-data")
    assert "no logged call wrote bytes 1-10" in found.causes[4].evidence


def test_without_an_observer_causes_come_from_the_wire_alone() -> None:
    run, _ = origin()
    run.observed["client"] = "none"
    found = run.analysis()
    assert rules(found) == rules(origin()[0].analysis())
    assert found.causes[3].evidence == "byte 0; no observer on client"
    assert all(not found.causes[n].calls for n in (0, 3, 5, 7))


def test_a_copy_made_on_the_way_is_named_as_one() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("send", b"a")
    tcp("client P.", b"a")
    tcp("client P.", b"a", seq=1, appeared=True)
    found = run.analysis()
    assert (found.causes[4].rule, found.causes[4].packets) == ("appeared", (3,))


def test_an_unfinished_send_owns_what_it_had_written() -> None:
    """A program killed inside send() never logged how much it wrote."""
    run = Exchange()
    tcp = run.tcp().opened()
    send = tcp.client("send", None, end=None)
    tcp("client .", b"x" * 100)
    assert run.analysis().causes[3].calls == (send.n,)


# --- other protocols, the table itself


def test_a_datagram_is_caused_by_its_send_and_an_icmp_error_by_what_it_quotes() -> None:
    run = Exchange()
    udp = run.udp()
    udp.client("connect")
    send = udp.client("send", b"anyone?")
    udp("client", b"anyone?")
    run.packets.append(
        run.packets[0]
        | {
            "flow": None,
            "sender": "server",
            "protocol": "icmp",
            "payload": b"",
            "sent": run.now + 100_000,
            "arrived": run.now + 150_000,
            "options": {"type": 3, "code": 3, "about": {"protocol": "udp", "sport": 40000, "dport": 5000}},
        }
    )
    found = run.analysis()
    assert (found.causes[0].rule, found.causes[0].calls) == ("datagram", (send.n,))
    assert (found.causes[1].rule, found.causes[1].packets) == ("icmp-error", (0,))


def test_every_rule_has_a_name_of_its_own_and_says_what_it_is() -> None:
    for table in (TCP_RULES, OTHER_RULES):
        names = [rule.name for rule in table]
        assert len(set(names)) == len(names)
        assert all(rule.what and (rule.source or rule.kind is CauseKind.UNKNOWN) for rule in table)


@pytest.mark.parametrize("cut", range(1, 10))
def test_no_prefix_of_a_run_breaks_the_analysis(cut: int) -> None:
    """A capture that ends early still gets a cause for each packet."""
    run, _ = origin()
    del run.packets[cut:]
    found = run.analysis()
    assert len(found.causes) == cut
    assert all(dataclasses.astuple(cause)[2] for cause in found.causes)


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
