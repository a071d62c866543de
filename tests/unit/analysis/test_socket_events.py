"""What a Windows program was told by messages, and which of Winsock's rules says why it was told no more."""

from __future__ import annotations

import pytest

from testbed.model.verdicts import EventsEnd, SocketEvents
from testbed.report.text.verdict_text import verdict_text
from tests.builders.exchange import Exchange


def events(*what: str, end: str = "") -> Exchange:
    """Three bytes arrive; ``what`` the server got and did: FD_READ, recv (1 byte), FD_CLOSE, reset, closesocket."""
    run = Exchange(server="winsock")
    tcp = run.tcp().opened()
    with tcp.client("send", b"abc"):
        tcp("client P.", b"abc")
    tcp("server .")
    read = 0
    for each in what:
        if each == "recv":
            tcp.server("recv", b"abc"[read : read + 1], program="server.exe")
            read += 1
        elif each == "reset":
            tcp.server("FD_CLOSE", errno="ECONNRESET", program="server.exe")
        elif each == "closesocket":
            with tcp.server("closesocket", program="server.exe"):
                tcp(end or "server R.")
        else:
            tcp.server(each, program="server.exe")
    return run


def found(run: Exchange) -> list[SocketEvents]:
    return [fact for fact in run.analysis().verdict if isinstance(fact, SocketEvents)]


@pytest.mark.parametrize(
    ("run", "end", "numbers"),
    [
        (events("FD_READ"), EventsEnd.NOT_READ, (1, 0, 0, 3)),
        (events("FD_READ", "recv", "FD_READ"), EventsEnd.NOT_READ, (2, 1, 0, 2)),
        (events("FD_READ", "recv", "closesocket", "FD_READ"), EventsEnd.CLOSED, (1, 1, 1, 2)),
        (events("FD_READ", "recv", "reset"), EventsEnd.RESET, (1, 1, 0, 2)),
        (
            events(*("FD_READ", "recv") * 3, "FD_CLOSE", "closesocket", end="server F."),
            EventsEnd.ALL_READ,
            (3, 3, 0, 0),
        ),
    ],
)
def test_how_it_ended(run: Exchange, end: EventsEnd, numbers: tuple[int, ...]) -> None:
    """How often it was told while the socket was open, how often it read, what came too late, what stayed unread."""
    (fact,) = found(run)
    assert fact.host == "server"
    assert fact.end is end
    assert (fact.told, fact.reads, fact.late, fact.unread) == numbers


def test_the_verdict_cites_the_rule() -> None:
    said = [text for text in verdict_text(events("FD_READ", "recv", "FD_READ").analysis()) if "FD_READ" in text]
    assert len(said) == 1
    assert said[0].startswith("the server program got FD_READ twice and read once: it did not read after FD_READ #")
    assert "Winsock posts another FD_READ only after a call that reads" in said[0]


@pytest.mark.parametrize(
    ("run", "has"),
    [
        (events("FD_READ"), "none of the 3 bytes in its capture"),
        (events("FD_READ", "recv", "closesocket"), "only the first 1 of the 3 bytes in its capture"),
        (
            events(*("FD_READ", "recv") * 3, "FD_CLOSE", "closesocket", end="server F."),
            "all 3 bytes that its capture has",
        ),
    ],
)
def test_the_verdict_says_what_the_program_can_have_shown(run: Exchange, has: str) -> None:
    (said,) = (text for text in verdict_text(run.analysis()) if "FD_READ" in text)
    assert said.endswith(f"; so it has {has}")


def test_a_program_that_read_and_was_then_killed_is_not_judged() -> None:
    assert found(events("FD_READ", "recv")) == []


def test_programs_that_get_no_messages_have_no_such_fact() -> None:
    assert found(events("recv", "closesocket")) == []
