"""Connections that a host's observer saw no call of: said with the observer that would, and never a plain pass."""

from __future__ import annotations

import pytest

from testbed.model import Outcome
from tests.builders.exchange import Exchange


def talk(run: Exchange, *, seen: bool, port: int = 40000) -> None:
    """One connection that the client opens, sends a byte on and ends."""
    tcp = run.tcp(port)
    if seen:
        tcp.opened()
        with tcp.client("send", b"c"):
            tcp("client P.", b"c")
        return
    tcp("client S")
    tcp("server S.")
    tcp("client .")
    tcp("client P.", b"c")


@pytest.mark.parametrize(
    ("observer", "advice"), [("probe", "`strace` would"), ("gdb", "`strace` would"), ("strace", "no")]
)
def test_a_connection_without_any_call_is_said(observer: str, advice: str) -> None:
    """Inconclusive, with port, number of packets and what would see it."""
    run = Exchange(client=observer, server="none")
    talk(run, seen=False)
    found = run.analysis()
    (reason,) = found.reasons
    assert found.outcome is Outcome.INCONCLUSIVE
    assert reason.startswith(
        f"client: the {observer} saw no call on port 40000, 2 packets have no known cause: {advice}"
    )


def test_no_observer_misses_nothing() -> None:
    """Who asked for none gets the causes that the wire shows, and no complaint."""
    run = Exchange(client="none", server="none")
    talk(run, seen=False)
    assert run.analysis().outcome is Outcome.PASS


def test_bytes_between_logged_calls_are_the_ledgers_to_tell() -> None:
    """Where a call of the connection is known the observer was there: io_uring beside it is no blind observer."""
    run = Exchange(client="probe", server="none")
    tcp = run.tcp().opened()
    tcp("client P.", b"c")
    assert run.analysis().outcome is Outcome.PASS


def test_a_datagram_that_no_call_wrote_is_said() -> None:
    """dig sends by syscall(2) on a socket whose other calls are logged: the run is not a plain pass."""
    run = Exchange(client="probe", server="none")
    udp = run.udp()
    with udp.client("sendto", b"seen"):
        udp("client", b"seen")
    assert run.analysis().outcome is Outcome.PASS
    udp("client", b"unseen")
    found = run.analysis()
    assert found.outcome is Outcome.INCONCLUSIVE
    assert "a datagram was sent from port 40000 without a call that the probe saw: `trace`" in found.reasons[0]


def test_many_ports_are_cut() -> None:
    """Three are named."""
    run = Exchange(client="probe", server="none")
    for port in range(40000, 40005):
        talk(run, seen=False, port=port)
    assert "on port 40000, 40001, 40002 and 2 more, 10 packets" in run.analysis().reasons[0]
