"""Causes follow the state that the kernel had: options as they stood, sleeping calls, what it refused, what acted."""

from __future__ import annotations

import pytest

from testbed.model.crossings import FieldChange, HeaderField
from tests.builders.exchange import Exchange, Tcp

from .caused import calls, evidence, rules

PROBING = {"client": {"net.ipv4.tcp_early_retrans": "3"}}
LINGER_ZERO: dict[str, object] = {"name": "SO_LINGER", "value": [1, 0]}
LINGER_OFF: dict[str, object] = {"name": "SO_LINGER", "value": [0, 0]}


def opened() -> tuple[Exchange, Tcp]:
    run = Exchange()
    return run, run.tcp().opened()


def reset_by_close(*settings: dict[str, object], unread: bytes = b"", pids: tuple[int, ...] = ()) -> Exchange:
    """The server sets SO_LINGER so, gets some bytes, and closes: a RST."""
    run, tcp = opened()
    for at, setting in enumerate(settings):
        tcp.server("setsockopt", args=setting, result=0, pid=pids[at] if pids else 100)
    if unread:
        tcp.client("send", unread)
        tcp("client P.", unread)
        tcp("server .")
    with tcp.server("close"):
        tcp("server R.")
    return run


def test_linger_that_was_unset_again_resets_nothing() -> None:
    found = reset_by_close(LINGER_ZERO, LINGER_OFF, unread=b"hello").analysis()
    assert rules(found)[-1] == "reset-unread"
    assert calls(found, 5) == ["close"]


def test_unread_bytes_come_before_linger() -> None:
    """__tcp_close looks for unread bytes first, and for SO_LINGER only where there are none."""
    assert rules(reset_by_close(LINGER_ZERO, unread=b"hello").analysis())[-1] == "reset-unread"
    assert rules(reset_by_close(LINGER_ZERO).analysis())[-1] == "reset-linger"


def test_linger_set_by_another_process_counts() -> None:
    found = reset_by_close(LINGER_OFF, LINGER_ZERO, pids=(100, 200)).analysis()
    assert rules(found)[-1] == "reset-linger"


@pytest.mark.parametrize(("before", "rule"), [(True, "reset-linger"), (False, "unknown")])
def test_linger_is_inherited_from_the_listener_as_it_was(before: bool, rule: str) -> None:
    """What is set on the listener after the connection was made is not the connection's (tcp_create_openreq_child)."""
    run = Exchange()
    tcp = run.tcp()
    listening = {"socket": tcp.server("listen").fields["socket"], "fd": 3, "result": 0}
    if before:
        tcp.server("setsockopt", args=LINGER_ZERO, **listening)
    tcp.opened()
    if not before:
        tcp.server("setsockopt", args=LINGER_ZERO, **listening)
    with tcp.server("close"):
        tcp("server R.")
    assert rules(run.analysis())[-1] == rule


@pytest.mark.parametrize(("last", "rule"), [(1000, "user-timeout"), (0, "keep-alive-timeout")])
def test_a_user_timeout_that_was_cleared_ends_nothing(last: int, rule: str) -> None:
    run, tcp = opened()
    tcp.client("setsockopt", args={"name": "SO_KEEPALIVE", "value": 1}, result=0)
    tcp.client("setsockopt", args={"name": "TCP_USER_TIMEOUT", "value": 1000}, result=0)
    tcp.client("setsockopt", args={"name": "TCP_USER_TIMEOUT", "value": last}, result=0)
    run.pause(1000)
    tcp("client .", seq=0, lost=True)
    run.pause(1000)
    tcp("client R.", lost=True)
    assert rules(run.analysis())[3:] == ["keep-alive-probe", rule]


def test_a_read_that_sleeps_acknowledges_nothing() -> None:
    """Write, write, read: the second read waits for what Nagle's algorithm holds; the timer sends the ACK."""
    run, tcp = opened()
    tcp.client("send", b"c")
    tcp("client P.", b"c")
    tcp.server("recv", b"c")
    with tcp.server("recv", b"d"):
        tcp.client("send", b"d")
        run.pause(41)
        tcp("server .")
        tcp("client P.", b"d")
        tcp("server .")
    found = run.analysis()
    assert rules(found)[3:] == ["data", "delayed-ack", "data", "ack"]
    assert "Nagle's algorithm held it" in evidence(found, 5)


def test_a_segment_with_a_wrong_checksum_was_not_taken() -> None:
    """ACKs of what follows repeat the ACK before it; they are no window updates, and the repeat fills the hole."""
    run, tcp = opened()
    tcp.client("send", b"abcd")
    tcp("client .", b"a", changes=(FieldChange(HeaderField.CHECKSUM, 1, 1),))
    tcp.edge["client"] = 1
    for left, letter in enumerate((b"b", b"c", b"d"), start=2):
        tcp("client .", letter)
        tcp("server .", window=500 + left, ack=1, options={"sack": [(2, left + 1)]})
    tcp("client .", b"a", seq=1)
    tcp("server .", ack=5)
    found = run.analysis()
    assert rules(found)[3:] == [
        *("data", "data", "duplicate-ack", "data", "duplicate-ack", "data", "duplicate-ack"),
        *("fast-retransmission", "ack"),
    ]
    assert evidence(found, 11).startswith("acknowledges #10 and what was kept behind it")


def test_a_syn_in_the_window_is_challenged_and_takes_no_sequence_number() -> None:
    run, tcp = opened()
    tcp.client("send", b"a")
    tcp("client P.", b"a")
    tcp("server .")
    tcp("client S", seq=2, appeared=True, made="forged")
    tcp("server .", ack=2)
    run.pause(60)
    tcp.client("send", b"b")
    tcp("client P.", b"b", seq=2)
    tcp("server .", ack=3)
    found = run.analysis()
    assert rules(found)[5:] == ["link-forged", "challenge-ack", "data", "ack"]
    assert found.causes[8].packets == (7,)


def test_a_probe_is_answered_when_it_comes() -> None:
    """An answer belongs to the probe that came last: Linux answers at once, or not at all."""
    run, tcp = opened()
    tcp.client("setsockopt", args={"name": "SO_KEEPALIVE", "value": 1}, result=0)
    tcp("client .", seq=0)
    run.pause(100)
    tcp("client .", seq=0)
    tcp("server .")
    assert run.analysis().causes[5].packets == (4,)


def test_nothing_was_kept_behind_what_filled_no_hole() -> None:
    run, tcp = opened()
    tcp.client("send", b"a")
    tcp("client P.", b"a")
    tcp("server .", lost=True)
    tcp("client P.", b"a", seq=1)
    tcp.client("send", b"b")
    tcp("client P.", b"b")
    tcp("server .")
    assert "kept behind" not in evidence(run.analysis(), 7)


@pytest.mark.parametrize("end", ["close", "shutdown"])
def test_the_end_of_sending_releases_what_is_held(end: str) -> None:
    """tcp_send_fin pushes what waits, whether TCP_CORK or Nagle's algorithm held it."""
    run, tcp = opened()
    tcp.client("setsockopt", args={"name": "TCP_CORK", "value": 1}, result=0)
    tcp.client("send", b"held")
    with tcp.client(end, args={"how": "SHUT_WR"} if end == "shutdown" else {}, result=0):
        tcp("client FP.", b"held")
    found = run.analysis()
    assert rules(found)[3:] == ["data"]
    assert f"released by {end}" in evidence(found, 3)


def test_what_close_sends_before_the_timer_can_run_is_no_tail_loss_probe() -> None:
    run, tcp = opened()
    tcp.client("send", b"a")
    tcp("client P.", b"a")
    tcp.client("send", b"b")
    with tcp.client("close"):
        tcp("client FP.", b"b")
    found = run.analysis(sysctls=PROBING)
    assert "released by close" in evidence(found, 4)


def test_a_probe_of_the_tail_that_was_new_is_followed_by_a_timeout() -> None:
    """tcp_send_loss_probe sends one probe until what is out is acknowledged, be it old or new bytes."""
    run, tcp = opened()
    tcp.client("send", b"a")
    tcp("client P.", b"a", lost=True)
    tcp.client("send", b"b")
    run.pause(30)
    tcp("client P.", b"b", lost=True)
    run.pause(230)
    tcp("client .", b"a", seq=1)
    assert rules(run.analysis(sysctls=PROBING))[3:] == ["data", "data", "timeout"]


def test_sacks_of_what_was_sent_before_a_repeat_do_not_show_its_loss() -> None:
    """They can show that the first transmission was lost; the second is found lost by the timeout."""
    run, tcp = opened()
    tcp.client("send", b"abcde")
    tcp("client .", b"a", lost=True)
    for letter in (b"b", b"c", b"d", b"e"):
        tcp("client .", letter, delay=2_000_000)
    run.pause(2)
    for right in (3, 4):
        tcp("server .", ack=1, options={"sack": [(2, right)]})
    tcp("client .", b"a", seq=1, lost=True)
    for right in (5, 6):
        tcp("server .", ack=1, options={"sack": [(2, right)]})
    run.pause(50)
    tcp("client .", b"a", seq=1)
    found = [rule for rule in rules(run.analysis()) if rule not in ("data", "duplicate-ack", "unknown")]
    assert found[3:] == ["fast-retransmission", "timeout"]


def test_without_sack_duplicates_ask_once() -> None:
    """RFC 6582: in recovery, further duplicates send no more repeats; a repeat that was lost comes by the timeout."""
    run = Exchange()
    tcp = run.tcp()
    tcp("client S")
    tcp("server S.", options={"mss": 1460})
    tcp("client .")
    tcp.client("send", b"abcdefg")
    tcp("client .", b"a", lost=True)
    for letter in (b"b", b"c", b"d"):
        tcp("client .", letter)
        tcp("server .", ack=1)
    tcp("client .", b"a", seq=1, lost=True)
    for letter in (b"e", b"f", b"g"):
        tcp("client .", letter)
        tcp("server .", ack=1)
    run.pause(140)
    tcp("client .", b"a", seq=1)
    found = [rule for rule in rules(run.analysis()) if rule not in ("data", "duplicate-ack")]
    assert found[3:] == ["fast-retransmission", "timeout"]


def test_defer_accept_sends_the_syn_ack_again_although_its_ack_came() -> None:
    run = Exchange()
    tcp = run.tcp()
    listening = {"socket": tcp.server("listen").fields["socket"], "fd": 3, "result": 0}
    tcp.server("setsockopt", args={"name": "TCP_DEFER_ACCEPT", "value": 1}, **listening)
    with tcp.client("connect"):
        tcp("client S")
        tcp("server S.")
    tcp("client .")
    run.pause(1000)
    tcp("server S.", seq=0)
    found = run.analysis()
    assert rules(found)[3:] == ["syn-retransmission"]
    assert "TCP_DEFER_ACCEPT (setsockopt #1) waits for data, the ACK #2 had none" in evidence(found, 3)


def test_a_fin_of_an_open_connection_is_acknowledged_by_the_timer() -> None:
    """tcp_fin enters the interactive mode; where nothing had come before, the timer runs out with the next tick."""
    run, tcp = opened()
    with tcp.client("close"):
        tcp("client F.")
    run.pause(1)
    tcp("server .")
    assert rules(run.analysis())[3:] == ["fin", "delayed-ack"]


def test_a_fin_of_a_connection_that_the_other_end_closes_too_is_acknowledged_at_once() -> None:
    run, tcp = opened()
    with tcp.client("close"):
        tcp("client F.")
    with tcp.server("close"):
        tcp("server F.")
    tcp("client .")
    assert rules(run.analysis())[3:] == ["fin", "fin", "ack"]


def test_nothing_but_the_window_and_pacing_holds_a_full_segment() -> None:
    """TCP_CORK holds parts of segments only: a full one that left late was paced."""
    run, tcp = opened()
    for name, value in (("TCP_CORK", 1), ("SO_MAX_PACING_RATE", 1000)):
        tcp.client("setsockopt", args={"name": name, "value": value}, result=0)
    tcp.client("send", b"x" * 1460)
    run.pause(300)
    tcp("client .", b"x" * 1460)
    found = run.analysis()
    assert rules(found)[3:] == ["data"]
    assert "SO_MAX_PACING_RATE (setsockopt #2) held it" in evidence(found, 3)


def test_a_probe_that_filled_in_for_its_segment_is_not_over_until_more_is_acknowledged() -> None:
    """tcp_process_tlp_ack: an ACK beyond the probe ends it, or one that shows both arrived; until then, timeouts."""
    run, tcp = opened()
    tcp.client("send", b"a")
    tcp("client P.", b"a", lost=True)
    run.pause(210)
    tcp("client P.", b"a", seq=1)
    tcp("server .")
    with tcp.client("close"):
        tcp("client F.", lost=True)
    run.pause(210)
    tcp("client F.", seq=2)
    assert rules(run.analysis(sysctls=PROBING))[3:] == ["data", "tail-loss-probe", "ack", "fin", "timeout"]


def test_a_window_probe_of_urgent_data_has_the_next_number() -> None:
    run, tcp = opened()
    tcp.client("send", b"a", args={"flags": "MSG_OOB"})
    tcp("client P.U", b"a")
    tcp("server .", window=0)
    run.pause(210)
    tcp("client .U", seq=2)
    tcp("client .U", seq=1)
    assert rules(run.analysis())[5:] == ["window-probe", "window-probe"]


def test_acks_of_what_waited_at_a_socket_in_use_are_not_the_timers() -> None:
    """The timer acknowledges all that came; one ACK for each of several segments is the work of the backlog."""
    run, tcp = opened()
    tcp.client("send", b"ab")
    tcp("client .", b"a")
    tcp("client P.", b"b")
    run.pause(7)
    tcp("server .", ack=2)
    tcp("server .", ack=3)
    assert rules(run.analysis())[5:] == ["ack", "ack"]


def test_less_than_a_segment_that_fills_the_window_leaves_by_the_timer() -> None:
    """RFC 9293 3.8.6.2.1: the sender waits for a larger window, and sends what fits when the timer runs out."""
    run, tcp = opened()
    with tcp.client("send", b"x" * 1460 + b"y" * 40 + b"z" * 100):
        tcp("client .", b"x" * 1460)
        tcp("server .", window=40)
        run.pause(210)
        tcp("client P.", b"y" * 40)
    found = run.analysis()
    assert rules(found)[5:] == ["window-probe"]
    assert calls(found, 5) == ["send"]


def test_a_connection_that_is_taken_from_its_socket_is_reset() -> None:
    run, tcp = opened()
    with tcp.client("connect", args={"address": "AF_UNSPEC"}, result=0):
        tcp("client R.")
    found = run.analysis()
    assert rules(found)[3:] == ["reset-linger"]
    assert "to AF_UNSPEC ends the connection" in evidence(found, 3)


def test_what_msg_more_holds_while_bytes_are_out_goes_by_a_tail_loss_probe() -> None:
    """tcp_send_loss_probe sends new bytes whatever holds them; the timer for held ones runs only with nothing out."""
    run, tcp = opened()
    tcp.client("send", b"a")
    tcp("client P.", b"a", lost=True)
    tcp.client("send", b"b", args={"flags": "MSG_MORE"})
    run.pause(30)
    tcp("client P.", b"b")
    found = run.analysis(sysctls=PROBING)
    assert rules(found)[3:] == ["data", "data"]
    assert "a tail-loss probe released it" in evidence(found, 4)


def test_a_fourth_ack_of_one_number_may_have_been_put_off() -> None:
    """Three leave at once; from then on a timer may send one for several (tcp_compressed_ack_kick)."""
    run, tcp = opened()
    tcp.client("send", b"abcdef")
    tcp("client .", b"a", lost=True)
    for left, letter in enumerate((b"b", b"c", b"d", b"e"), start=2):
        tcp("client .", letter)
        tcp("server .", ack=1, options={"sack": [(2, left + 1)]})
    found = run.analysis()
    open_to = [found.causes[n].alternatives for n in (5, 7, 9, 11)]
    assert open_to == [(), (), (), ("compressed-ack", "delayed-ack")]
    assert set(rules(found)[5::2]) == {"duplicate-ack"}
