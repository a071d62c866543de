"""What is found to be wrong, each beside a twin in which it must not be found."""

from __future__ import annotations

from testbed.model import ProgramEnd
from testbed.model.findings import Certainty, Culprit, FindingName, Severity, Unknown
from testbed.model.programs import Program
from tests.builders.diagnosed import close, diagnosed, names, only, said
from tests.builders.exchange import MS, START, Exchange

F = FindingName


def healthy() -> Exchange:
    """A request and its reply, each read, and an orderly close."""
    run = Exchange()
    tcp = run.tcp().opened()
    with tcp.client("send", b"ask"):
        tcp("client P.", b"ask")
    tcp("server .")
    tcp.server("recv", b"ask")
    with tcp.server("send", b"told"):
        tcp("server P.", b"told")
    tcp("client .")
    tcp.client("recv", b"told")
    close(tcp)
    return run


def test_nothing_is_found_in_a_healthy_run() -> None:
    found = diagnosed(healthy())
    assert not any((found.findings, found.undecided, found.doubts))
    assert set(found.looked_for) == set(F)


def writes(*, ack_after: float = 40, nodelay: bool = False, seen: bool = True) -> Exchange:
    """Three requests of two writes each, whose second waits until the first is acknowledged."""
    run = Exchange() if seen else Exchange(client="none", server="none")
    tcp = run.tcp().opened()
    if nodelay:
        tcp.client("setsockopt", args={"name": "TCP_NODELAY", "value": 1})
    for _ in range(3):
        with tcp.client("send", b"head"):
            tcp("client P.", b"head")
        tcp.client("send", b"body")
        run.pause(ack_after)
        tcp("server .")
        tcp("client P.", b"body")
        with tcp.server("send", b"reply"):
            tcp("server P.", b"reply")
        tcp("client .")
    return run


def test_write_write_read_waits_for_the_delayed_ack() -> None:
    finding = only(writes(), F.NAGLE_DELAYED_ACK)
    assert (finding.severity, finding.who, finding.certainty) == (
        Severity.WARNING,
        Culprit.CLIENT_PROGRAM,
        Certainty.PROVEN,
    )
    assert finding.cost.wait > 110 * MS
    assert said(writes(), F.NAGLE_DELAYED_ACK).startswith(
        "3 of 3 messages of the client program waited up to 40 ms: Nagle's algorithm held send #"
    )


def test_it_is_inferred_without_calls_and_not_found_with_nodelay_or_a_quick_ack() -> None:
    assert only(writes(seen=False), F.NAGLE_DELAYED_ACK).certainty is Certainty.INFERRED
    assert F.NAGLE_DELAYED_ACK not in names(writes(nodelay=True))
    assert F.NAGLE_DELAYED_ACK not in names(writes(ack_after=5))


def closes_early(*, read: bool, seen: bool = True) -> Exchange:
    """The server replies and closes, with the request unread or not; of the reply the client gets a part."""
    run = Exchange() if seen else Exchange(client="none", server="none")
    tcp = run.tcp().opened()
    with tcp.client("send", b"question"):
        tcp("client P.", b"question")
    tcp.server("recv", b"question" if read else b"q")
    with tcp.server("send", b"0123456789"):
        tcp("server P.", b"01234", lost=True)
    with tcp.server("close"):
        tcp("server F." if read else "server R.")
    return run


def test_a_close_with_unread_data_destroys_the_reply() -> None:
    finding = only(closes_early(read=False), F.UNREAD_DATA_RESET)
    assert (finding.severity, finding.who, finding.cost.bytes) == (Severity.ERROR, Culprit.SERVER_PROGRAM, 10)
    sentence = said(closes_early(read=False), F.UNREAD_DATA_RESET)
    assert "the server program left 7 bytes unread at close #4, so its kernel sent a RST" in sentence
    assert F.UNREAD_DATA_RESET not in names(closes_early(read=True))


def test_without_calls_a_reset_may_be_several_things() -> None:
    found = diagnosed(closes_early(read=False, seen=False))
    assert F.UNREAD_DATA_RESET in found.not_visible
    (undecided,) = found.undecided
    assert F.UNREAD_DATA_RESET in undecided.names
    assert undecided.why is Unknown.NO_CALLS


def kept_alive(*, late: bool = False, pipelined: bool = False, one_request: bool = False) -> Exchange:
    """A second request meets the close of the server; or the rest of the first, whose answer nobody has read yet."""
    run = Exchange()
    tcp = run.tcp().opened()
    with tcp.client("send", b"one"):
        tcp("client P.", b"one")
    tcp("server .")
    tcp.server("recv", b"one")
    if not pipelined:
        with tcp.server("send", b"reply"):
            tcp("server P.", b"reply")
        tcp("client .")
        if not one_request:
            tcp.client("recv", b"reply")
    with tcp.server("close"):
        tcp("server F.", delay=20 * MS)
    if late:
        run.pause(100)
        tcp("client .")
    with tcp.client("send", b"two"):
        request = tcp("client P.", b"two", ack=6)
    tcp("server R", seq=run.packets[request]["ack"])
    return run


def test_a_request_that_crosses_the_close_is_nobodys_fault() -> None:
    finding = only(kept_alive(), F.KEEP_ALIVE_RACE)
    assert (finding.who, finding.unknown) == (Culprit.UNDECIDED, Unknown.RACE)
    assert said(kept_alive(), F.KEEP_ALIVE_RACE).startswith("request 2 left ")
    assert "is safe to repeat" in said(kept_alive(), F.KEEP_ALIVE_RACE)


def test_one_that_left_after_the_fin_had_come_is_the_clients() -> None:
    assert only(kept_alive(late=True), F.KEEP_ALIVE_RACE).who is Culprit.CLIENT_PROGRAM
    assert F.KEEP_ALIVE_RACE not in names(kept_alive(pipelined=True))


def test_the_rest_of_a_request_is_no_other_one() -> None:
    """The server had answered its beginning: nobody may send it again as if nothing of it had been processed."""
    assert F.KEEP_ALIVE_RACE not in names(kept_alive(one_request=True))


def closed_first(*, half: bool = False) -> Exchange:
    """The server closes, or ends its direction only, and bytes of the client's come after it."""
    run = Exchange()
    tcp = run.tcp().opened()
    with tcp.client("send", b"one"):
        tcp("client P.", b"one")
    tcp("server .")
    tcp.server("recv", b"one")
    with tcp.server("shutdown", args={"how": "SHUT_WR"}) if half else tcp.server("close"):
        tcp("server F.")
    tcp("client .")
    with tcp.client("send", b"two more"):
        more = tcp("client P.", b"two more")
    if half:
        tcp("server .")
        tcp.server("recv", b"two more")
    else:
        tcp("server R", seq=run.packets[more]["ack"])
    return run


def test_bytes_that_came_after_the_close_are_told() -> None:
    finding = only(closed_first(), F.SENT_AFTER_CLOSE)
    assert finding.who is Culprit.SERVER_PROGRAM
    assert (finding.cost.bytes, finding.cost.of_bytes) == (8, 11)
    assert said(closed_first(), F.SENT_AFTER_CLOSE).startswith(
        "8 bytes of the client came when the server program had closed the socket (close #"
    )
    assert F.SENT_AFTER_CLOSE not in names(closed_first(half=True))
    assert F.SENT_AFTER_CLOSE not in names(kept_alive())


def not_reading(*, reopened: bool, probed: bool = True, pause: float = 3000) -> Exchange:
    """The server's window closes, and opens again or not; the client's send waits."""
    run = Exchange()
    tcp = run.tcp().opened()
    send = tcp.client("send", b"a" * 2000, end=None)
    tcp("client P.", b"a" * 1000)
    tcp("server .", window=0)
    run.pause(pause)
    if probed:
        tcp("client .", seq=1000)
        tcp("server .", window=0)
    if reopened:
        with tcp.server("recv", b"a" * 1000):
            tcp("server .")
        tcp("client P.", b"a" * 1000)
        tcp("server .")
        tcp.server("recv", b"a" * 1000)
    send.returns()
    return run


def test_who_does_not_read_is_named() -> None:
    finding = only(not_reading(reopened=True), F.ZERO_WINDOW)
    assert (finding.severity, finding.who) == (Severity.WARNING, Culprit.SERVER_PROGRAM)
    assert "the client's send #1 waited 3.00 s" in said(not_reading(reopened=True), F.ZERO_WINDOW)
    assert only(not_reading(reopened=False), F.ZERO_WINDOW).severity is Severity.ERROR
    assert F.ZERO_WINDOW not in names(not_reading(reopened=True, pause=50))


def test_both_in_a_write_is_a_dead_lock_and_no_zero_window() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("send", b"a" * 900, end=None, length=0)
    tcp("client P.", b"a" * 900)
    tcp.server("send", b"b" * 900, end=None, length=0)
    tcp("server P.", b"b" * 900)
    tcp("server .", window=0)
    tcp("client .", window=0)
    run.pause(3000)
    assert names(run) == {F.WRITE_DEADLOCK}
    assert said(run, F.WRITE_DEADLOCK).startswith("dead-lock: both programs are in a write (client send #1, server")


def test_a_program_that_a_signal_ended() -> None:
    def run_of(end: ProgramEnd) -> set[FindingName]:
        run = Exchange()
        tcp = run.tcp().opened()
        tcp.client("exit", fd=-1, socket=None)
        tcp("client F.")
        with tcp.server("close"):
            tcp("server F.")
        tcp("client .")
        programs = tuple(Program(host, ("actor",), "base", end, START, run.now) for host in ("client",))
        return names(run, programs=programs)

    assert run_of(ProgramEnd(None, "SIGKILL")) == {F.PROCESS_DIED}
    assert run_of(ProgramEnd(0)) == set()


def test_a_receiver_whose_buffer_overflowed() -> None:
    def run_of(*, read: bool) -> Exchange:
        run = Exchange()
        udp = run.udp()
        for n in range(3):
            with udp.client("send", b"%d" % n):
                udp("client", b"%d" % n)
        for n in range(3):
            if read or n != 1:
                udp.server("recvfrom", b"%d" % n, args={"address": str(udp.ends["client"])})
        return run

    assert names(run_of(read=False)) == {F.UDP_RECEIVE_OVERRUN}
    assert names(run_of(read=True)) == set()


def ended(*, told: bool = True, shut_before: bool = False, wait: float = 3000) -> Exchange:
    """The client ends its side; the server reads the end, or not yet, and closes late, or had ended its side before."""
    run = Exchange()
    tcp = run.tcp().opened()
    if shut_before:
        with tcp.server("shutdown", args={"how": 1}):
            tcp("server F.")
        tcp("client .")
    with tcp.client("close"):
        tcp("client F.")
    tcp("server .")
    if told:
        tcp.server("recv", b"")
    run.pause(wait)
    with tcp.server("close"):
        if not shut_before:
            tcp("server F.")
    if not shut_before:
        tcp("client .")
    return run


def test_a_socket_that_is_closed_long_after_the_end_was_read() -> None:
    assert names(ended()) == {F.CLOSE_WAIT_FORGOTTEN}
    assert names(ended(wait=100)) == set()


def test_a_program_that_has_not_read_the_end_yet_is_busy_and_one_that_had_ended_its_side_has_nothing_to_close() -> None:
    assert names(ended(told=False)) == set()
    assert names(ended(told=False, wait=20_000)) == {F.CLOSE_WAIT_FORGOTTEN}
    assert names(ended(shut_before=True)) == set()
