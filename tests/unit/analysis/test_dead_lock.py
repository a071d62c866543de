"""A dead-lock of both ends in a write: when it is one, and what looks like it and is none."""

from __future__ import annotations

from testbed.model import CallRef
from testbed.model.verdicts import DeadLock
from testbed.report.text.verdict_text import verdict_text
from tests.builders.exchange import Exchange


def both_write(*, window: int = 0, reads: bool = False, returns: bool = False) -> Exchange:
    """Each program writes more than fits; ``window`` is what the server offers last."""
    run = Exchange()
    tcp = run.tcp().opened()
    client = tcp.client("send", b"a" * 900, end=None, length=0)
    tcp("client P.", b"a" * 900)
    server = tcp.server("send", b"b" * 900, end=None, length=0)
    tcp("server P.", b"b" * 900)
    tcp("server .", window=window)
    tcp("client .", window=0)
    if reads:
        tcp.server("recv", b"a" * 100, tid=101)
    run.pause(3000)
    if returns:
        client.returns()
        server.returns()
    return run


def found(run: Exchange) -> list[DeadLock]:
    return [fact for fact in run.analysis().verdict if isinstance(fact, DeadLock)]


def test_both_in_a_write_with_windows_of_0_is_a_dead_lock() -> None:
    (fact,) = found(both_write())
    assert fact.calls == (CallRef("client", 1, "send"), CallRef("server", 2, "send"))
    said = verdict_text(both_write().analysis())[0]
    assert said.startswith("dead-lock: both programs are in a write (")
    assert said.endswith("), both windows are 0, and neither reads")


def test_writes_that_a_timeout_ended_after_long_were_blocked() -> None:
    assert len(found(both_write(returns=True))) == 1


def test_a_window_that_is_open_lets_one_go_on() -> None:
    assert found(both_write(window=500)) == []


def test_a_thread_that_reads_frees_the_other_end() -> None:
    assert found(both_write(reads=True)) == []


def test_writes_that_returned_at_once_blocked_nobody() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    with tcp.client("send", b"a"):
        tcp("client P.", b"a", window=0)
    with tcp.server("send", b"b"):
        tcp("server P.", b"b", window=0)
    assert found(run) == []
