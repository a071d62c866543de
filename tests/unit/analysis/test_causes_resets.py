"""Each rule of resets, on the smallest exchange that shows it."""

from __future__ import annotations

import pytest

from testbed.model import CauseKind
from testbed.model.causes import Refusal
from testbed.report.evidence_text import sentence
from testbed.report.text.verdict_text import verdict_text
from tests.builders.exchange import Exchange

from .caused import calls, evidence, rules

LINGER = {"name": "SO_LINGER", "value": {"onoff": 1, "linger": 0}}


def test_closed_port() -> None:
    run = Exchange()
    tcp = run.tcp()
    with tcp.client("connect", errno="ECONNREFUSED"):
        tcp("client S")
        tcp("server R.", seq=0, ack=1, raw_seq=0)
    cause = run.analysis().causes[1]
    assert (cause.kind, cause.rule, cause.packets) == (CauseKind.ANSWER, "closed-port", (0,))
    assert cause.refusal is Refusal.NOTHING_LISTENS
    assert "nothing listens on 198.18.0.3:10011" in sentence(cause.evidence)


@pytest.mark.parametrize(
    ("observer", "listens", "refusal", "said"),
    [
        ("probe", False, Refusal.NOTHING_LISTENS, "nothing listened on"),
        ("none", False, Refusal.NOT_OBSERVED, "nothing listened on"),
        ("probe", True, Refusal.NOT_ACCEPTED, "nobody took it on"),
    ],
)
def test_why_a_connection_was_refused(observer: str, listens: bool, refusal: Refusal, said: str) -> None:
    """The verdict goes by the reason, whatever the names of calls and hosts are."""
    run = Exchange(server=observer)
    tcp = run.tcp()
    if listens:
        tcp.server("listen")
    with tcp.client("connect", errno="ECONNREFUSED"):
        tcp("client S")
        tcp("server R.", seq=0, ack=1, raw_seq=0)
    found = run.analysis()
    assert found.causes[1].refusal is refusal
    assert verdict_text(found) == (f"the server refused the connection: {said} 198.18.0.3:10011 (RST)",)


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
    assert sentence(cause.evidence) == f"close #{close.n} with 6 unread bytes"


def test_one_unread_byte_is_enough() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("send", b"c")
    tcp("client P.", b"c")
    with tcp.server("close") as close:
        tcp("server R.")
    assert evidence(run.analysis(), 4) == f"close #{close.n} with 1 unread byte"


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


def test_a_close_with_bytes_unread_of_a_program_that_uses_standard_io() -> None:
    """It may have read some by calls that nobody logged: how many were unread is not known."""
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("send", b"one two")
    tcp("client P.", b"one two")
    tcp("server .")
    tcp.server("fdopen")
    with tcp.server("fclose") as close:
        reset = tcp("server R.")
    found = run.analysis()
    assert evidence(found, reset) == f"fclose #{close.n} with unread bytes; standard I/O may have read some"
    assert found.ledger[0].unread is None
