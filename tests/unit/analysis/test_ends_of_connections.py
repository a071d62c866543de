"""What ended a connection, and what only came by then: resets, data after the close, SYNs that were refused."""

from __future__ import annotations

import pytest

from testbed.model.absences import NoPacketReason
from testbed.model.ledgers import LedgerPoint
from testbed.model.verdicts import BrokenOff, ConnectionRefused
from tests.builders.exchange import US, Exchange, Tcp

from .caused import no_packet, rules
from .test_kernel_agreement import begun


def opened() -> tuple[Exchange, Tcp]:
    run = Exchange()
    return run, run.tcp().opened()


def both_closed() -> tuple[Exchange, Tcp]:
    """Both directions have ended, and are acknowledged."""
    run, tcp = opened()
    tcp.client("shutdown", args={"how": "SHUT_WR"})
    tcp("client F.")
    with tcp.server("close"):
        tcp("server F.")
    tcp("client .")
    return run, tcp


def test_a_reset_after_both_directions_had_ended_ended_nothing() -> None:
    """What is left of the connection is a timer (TIME_WAIT)."""
    run, tcp = both_closed()
    tcp("server R", seq=2)
    tcp.client("shutdown", args={"how": "SHUT_WR"}, errno="ENOTCONN")
    assert no_packet(run.analysis(), "client", 2) == "the connection had ended"


def test_data_that_comes_after_the_close_ends_the_connection() -> None:
    """tcp_rcv_state_process resets it: a RST that comes later did not."""
    run, tcp, kernel = begun()
    tcp.client("send", b"ab")
    tcp("client P.", b"ab")
    tcp.client("send", b"c")
    with tcp.client("close"):
        kernel.state("client", "ESTABLISHED", "FIN_WAIT1", interrupt=False)
    tcp.server("send", b"xyz")
    tcp("server P.", b"xyz", ack=1)
    kernel("client", "tcp_receive_reset", late=55 * US)
    kernel.state("client", "FIN_WAIT1", "CLOSE", late=60 * US)
    tcp("server R.")
    found = run.analysis(kernel=kernel.log())
    assert found.kernel is not None
    last = found.kernel.state_changes[-1]
    assert (last.new, last.kind, last.packets) == ("CLOSE", "packet", (4,))
    absent = found.no_packet["client", 2]
    assert (absent.reason, absent.reset) == (NoPacketReason.HELD_BY_NAGLE, None)


@pytest.mark.parametrize(("limit", "by_reset"), [(1000, False), (0, True), (5000, True)])
def test_a_reset_that_came_when_a_user_timeout_was_due_may_have_come_too_late(limit: int, *, by_reset: bool) -> None:
    run = Exchange()
    tcp = run.tcp()
    tcp.client("setsockopt", args={"name": "TCP_USER_TIMEOUT", "value": limit})
    with tcp.client("connect", errno="EINPROGRESS"):
        tcp("client S", lost=True)
    run.pause(1020)
    tcp("client S", seq=0)
    tcp("server R.", seq=-5000, ack=1)
    close = tcp.client("close").n
    absent = run.analysis().no_packet["client", close]
    assert (absent.reset is not None) is by_reset


@pytest.mark.parametrize(("limit", "by_reset"), [(500, False), (5000, True)])
def test_a_user_timeout_may_have_run_out_while_the_window_was_0(limit: int, *, by_reset: bool) -> None:
    """Nothing is out then: it runs from the first probe that asks for another window (tcp_probe_timer)."""
    run, tcp = opened()
    tcp.client("setsockopt", args={"name": "TCP_USER_TIMEOUT", "value": limit})
    tcp.client("send", b"abcdef")
    tcp("client P.", b"abc")
    tcp("server .", window=0)
    for pause in (200, 400):
        run.pause(pause)
        tcp("client .", seq=3)
        tcp("server .", window=0)
    run.pause(200)
    tcp("server R.")
    close = tcp.client("close").n
    absent = run.analysis().no_packet["client", close]
    assert (absent.reset is not None) is by_reset


def test_the_number_of_a_reset_that_refuses_a_syn_acknowledges_nothing() -> None:
    """It is that of the SYN, which the link may have forged."""
    run, tcp = opened()
    with tcp.client("close"):
        tcp("client F.")
    tcp.server("send", b"xyz")
    tcp("server P.", b"xyz", lost=True)
    tcp("server S", seq=1_000_000, appeared=True)
    tcp("client R.", seq=-1000, ack=1_000_001)
    found = run.analysis()
    row = next(row for row in found.ledger if row.sender == "server")
    assert (row.acknowledged.bytes, row.lost_at) == (0, LedgerPoint.ARRIVED)


def test_a_connection_at_which_its_host_had_acknowledged_is_not_refused_by_it_later() -> None:
    run, tcp = opened()
    with tcp.client("close"):
        tcp("client F.")
    tcp("server S", seq=11, appeared=True)
    tcp("client R.", seq=-1000, ack=12)
    assert not [fact for fact in run.analysis().verdict if isinstance(fact, ConnectionRefused)]


def test_what_refused_a_syn_before_is_not_the_last_number_that_was_acknowledged() -> None:
    run = Exchange()
    tcp = run.tcp()
    tcp("client S", seq=11, appeared=True)
    tcp("server R.", seq=-5000, ack=12)
    tcp.edge["client"] = 0
    tcp.opened()
    tcp.client("send", b"a")
    tcp("client P.", b"a")
    tcp("server .", ack=2)
    assert rules(run.analysis())[-1] == "ack"


def test_a_reset_that_made_a_listener_forget_a_syn_broke_nothing_off() -> None:
    """The next SYN was taken; packets of that host may wait in a queue, so that their times say little."""
    run = Exchange()
    tcp = run.tcp()
    tcp.server("listen")
    with tcp.client("connect"):
        tcp("client S")
        tcp("server S.", lost=True)
        tcp("client R", seq=1, appeared=True)
        run.pause(1000)
        tcp("client S", seq=0)
        tcp("server S.", seq=0)
    tcp("client .")
    tcp.server("accept")
    found = run.analysis(queued={"server": 250_000})
    assert not [fact for fact in found.verdict if isinstance(fact, BrokenOff)]


def test_a_fin_behind_lost_data_ends_a_connection_that_was_closed() -> None:
    """It is out of order, and past what was acknowledged (tcp_rcv_state_process)."""
    run, tcp, kernel = begun()
    with tcp.client("close"):
        kernel.state("client", "ESTABLISHED", "FIN_WAIT1", interrupt=False)
        tcp("client F.", lost=True)
    tcp.server("send", b"xyz")
    tcp("server P.", b"xyz", lost=True, ack=1)
    tcp.server("shutdown", args={"how": "SHUT_WR"})
    tcp("server F.", ack=1)
    kernel("client", "tcp_receive_reset", late=55 * US)
    kernel.state("client", "FIN_WAIT1", "CLOSE", late=60 * US)
    found = run.analysis(kernel=kernel.log())
    assert found.kernel is not None
    last = found.kernel.state_changes[-1]
    assert (last.new, last.kind, last.packets) == ("CLOSE", "packet", (5,))
