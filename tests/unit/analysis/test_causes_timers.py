"""Rules of timers: each needs what excludes a call and an answer, and shows its interval."""

from __future__ import annotations

import pytest

from testbed.model import CauseKind
from testbed.report.evidence_text import sentence
from testbed.report.text.ledger_text import close_text
from tests.builders.exchange import Exchange, Tcp

from .caused import evidence, rules

PROBING = {"client": {"net.ipv4.tcp_early_retrans": "3"}}


def opened() -> tuple[Exchange, Tcp]:
    run = Exchange()
    return run, run.tcp().opened()


@pytest.mark.parametrize(
    ("sysctls", "first"),
    [
        (PROBING, "tail-loss-probe"),
        ({"client": {"net.ipv4.tcp_early_retrans": "0"}}, "timeout"),
        ({}, "retransmission"),
    ],
    ids=["probing kernel", "probe switched off", "settings not known"],
)
def test_one_segment_sent_again_is_a_probe_only_if_the_kernel_probes(
    sysctls: dict[str, dict[str, str]], first: str
) -> None:
    """The wire alone cannot tell a tail-loss probe from a timeout; the kernel's settings can. The next is a timeout."""
    run, tcp = opened()
    tcp.client("send", b"c")
    tcp("client P.", b"c", lost=True)
    run.pause(210)
    tcp("client P.", b"c", seq=1, lost=True)
    run.pause(420)
    tcp("client P.", b"c", seq=1)
    found = run.analysis(sysctls=sysctls)
    assert rules(found)[3:] == ["data", first, "timeout"]
    assert "210 ms after #3" in evidence(found, 4)


def test_what_is_out_is_probed_once() -> None:
    """After the FIN was sent again as a probe, data and FIN in one segment are a timeout's (the kernel says so)."""
    run, tcp = opened()
    tcp.client("send", b"data")
    tcp("client P.", b"data", lost=True)
    with tcp.client("close"):
        tcp("client F.", lost=True)
    run.pause(10)
    tcp("client F.", seq=5, lost=True)
    run.pause(210)
    tcp("client FP.", b"data", seq=1)
    assert rules(run.analysis(sysctls=PROBING))[3:] == ["data", "fin", "tail-loss-probe", "timeout"]


def test_no_tail_loss_probe_without_sack() -> None:
    run = Exchange()
    tcp = run.tcp()
    tcp.server("listen")
    with tcp.client("connect"):
        tcp("client S")
        tcp("server S.", options={"mss": 1460})
    tcp("client .")
    tcp.client("send", b"c")
    tcp("client P.", b"c", lost=True)
    run.pause(210)
    tcp("client P.", b"c", seq=1)
    assert rules(run.analysis(sysctls=PROBING))[3:] == ["data", "timeout"]


@pytest.mark.parametrize(
    ("option", "flags", "rule"), [("TCP_CORK", "", "cork-timeout"), ("", "MSG_MORE", "more-timeout")]
)
def test_held_bytes_go_by_a_timer(option: str, flags: str, rule: str) -> None:
    """What TCP_CORK or MSG_MORE holds leaves about 200 ms after the call returned, though nothing came meanwhile."""
    run, tcp = opened()
    if option:
        tcp.client("setsockopt", args={"name": option, "value": 1}, result=0)
    send = tcp.client("send", b"held", args={"flags": flags})
    run.pause(200)
    tcp("client P.", b"held")
    cause = run.analysis().causes[3]
    assert (cause.kind, cause.rule) == (CauseKind.TIMER, rule)
    assert send.n in cause.calls
    assert "the timer released it 200 ms after" in sentence(cause.evidence)


def test_bytes_held_by_msg_more_that_an_ack_lets_go_are_no_timers() -> None:
    run, tcp = opened()
    tcp.client("send", b"first")
    tcp("client P.", b"first")
    tcp.client("send", b"held", args={"flags": "MSG_MORE"})
    tcp("server .")
    tcp("client P.", b"held")
    assert rules(run.analysis())[3:] == ["data", "ack", "data"]


def test_what_nagle_holds_may_leave_as_a_tail_loss_probe() -> None:
    """tcp_send_loss_probe prefers new bytes to old ones."""
    run, tcp = opened()
    tcp.client("send", b"a")
    tcp("client P.", b"a", lost=True)
    tcp.client("send", b"b")
    run.pause(30)
    tcp("client P.", b"b")
    cause = run.analysis(sysctls=PROBING).causes[4]
    assert cause.rule == "data"
    assert "as #3 was not acknowledged; a tail-loss probe released it after 30 ms" in sentence(cause.evidence)


@pytest.mark.parametrize(("waited", "rule", "how"), [(40, "delayed-ack", "40 ms after it came"), (0, "ack", "at once")])
def test_an_ack_is_delayed_or_at_once(waited: int, rule: str, how: str) -> None:
    run, tcp = opened()
    tcp.client("send", b"c")
    tcp("client P.", b"c")
    run.pause(waited)
    tcp("server .")
    cause = run.analysis().causes[4]
    assert (cause.rule, cause.packets) == (rule, (3,))
    assert how in sentence(cause.evidence)


def test_an_ack_that_a_read_lets_go_is_not_the_timers() -> None:
    """However late: the program read 60 ms after the bytes had come, and the ACK left during that call."""
    run, tcp = opened()
    tcp.client("send", b"c")
    tcp("client P.", b"c")
    run.pause(60)
    with tcp.server("recv", b"c") as recv:
        tcp("server .")
    cause = run.analysis().causes[4]
    assert (cause.kind, cause.rule) == (CauseKind.ANSWER, "ack")
    assert f"while recv #{recv.n} took bytes" in sentence(cause.evidence)


def test_without_calls_a_late_ack_is_not_given_to_the_timer() -> None:
    """The program may have read just then."""
    run, tcp = opened()
    run.observed["server"] = "none"
    tcp("client P.", b"c")
    run.pause(60)
    tcp("server .")
    cause = run.analysis().causes[4]
    assert cause.rule == "ack"
    assert "delayed" in sentence(cause.evidence)


@pytest.mark.parametrize(("limit", "rule"), [(500, "user-timeout"), (0, "keep-alive-timeout")])
def test_who_gives_up_an_unanswered_connection(limit: int, rule: str) -> None:
    """TCP_USER_TIMEOUT takes the place of the count of probes (tcp_keepalive_timer)."""
    run, tcp = opened()
    tcp.client("setsockopt", args={"name": "SO_KEEPALIVE", "value": 1}, result=0)
    if limit:
        tcp.client("setsockopt", args={"name": "TCP_USER_TIMEOUT", "value": limit}, result=0)
    run.pause(1000)
    tcp("client .", seq=0, lost=True)
    run.pause(1000)
    tcp("client R.", lost=True)
    found = run.analysis()
    cause = found.causes[4]
    assert (cause.kind, cause.rule) == (CauseKind.TIMER, rule)
    assert close_text(found.ledger[0], found.causes).startswith("RST by client, lost on the way: gives up: no")
    if limit:
        assert "had set TCP_USER_TIMEOUT to 500 ms" in sentence(cause.evidence)
        assert "nothing came for 2.00 s" in sentence(cause.evidence)
