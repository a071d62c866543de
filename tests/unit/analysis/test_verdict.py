"""The sentences that a reader sees first."""

from __future__ import annotations

import pytest

from testbed.model import Delay, LinkAction, LinkFault, LinkOrigin, Outcome, SocketInfo
from testbed.report.text.verdict_text import verdict_text
from tests.builders.exchange import US, Exchange


def test_all_arrived() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("send", b"cstring!")
    tcp("client P.", b"cstring!")
    tcp("server .")
    tcp.server("recv", b"cstring!")
    expected = "all 8 bytes were written, sent, arrived, acknowledged and read; contents are equal"
    assert verdict_text(run.analysis()) == (expected,)


def test_the_mystery_of_the_experiment() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("send", b"ccstring")
    tcp("client P.", b"ccstring")
    tcp("server .")
    tcp.server("recv", b"c")
    with tcp.server("close"):
        tcp("server R.")
    expected = "all 8 bytes reached the server's socket; the server program read 1 and closed with 7 unread"
    assert verdict_text(run.analysis()) == (expected,)


def test_a_program_that_ended_with_data_unread() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("send", b"abc")
    tcp("client P.", b"abc")
    tcp("server .")
    tcp.server("poll", result=1)
    run.call("server", "exit", fd=-1, end=None)
    tcp("server R.")
    expected = "all 3 bytes reached the server's socket; the server program read none and ended with 3 unread"
    assert verdict_text(run.analysis()) == (expected,)


def test_bytes_that_met_no_socket() -> None:
    """What a RST answers had reached the host, and no socket."""
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("send", b"hello")
    tcp("client P.", b"hello")
    tcp("server .")
    tcp.server("recv", b"hello")
    with tcp.server("close"):
        tcp("server F.")
    tcp("client .")
    tcp.client("send", b"abc")
    tcp("client P.", b"abc")
    tcp("server R", seq=7)
    expected = "all 8 bytes reached the server; no socket took the last 3 (RST); the server program read 5"
    assert verdict_text(run.analysis()) == (expected,)


def test_refused() -> None:
    run = Exchange()
    tcp = run.tcp()
    with tcp.client("connect", errno="ECONNREFUSED"):
        tcp("client S")
        tcp("server R.", seq=0, raw_seq=0)
    expected = "the server refused the connection: nothing listened on 198.18.0.3:10011 (RST)"
    assert verdict_text(run.analysis()) == (expected,)


def test_no_answer() -> None:
    run = Exchange()
    tcp = run.tcp()
    tcp("client S", lost=True)
    tcp("client S", seq=0, lost=True)
    expected = "the connection never opened: 2 SYNs to the server, none of them arrived"
    assert verdict_text(run.analysis()) == (expected,)


def test_given_up_before_the_answer() -> None:
    """Close in SYN_SENT: the SYN-ACK finds nobody. A handshake that the opener did not take part in opened nothing."""
    run = Exchange()
    tcp = run.tcp()
    tcp("client S")
    tcp("server S.")
    tcp("client R", seq=1)
    expected = "the connection never opened: the client had given it up before the server's answer came (RST)"
    assert verdict_text(run.analysis()) == (expected,)


def test_no_answer_arrived() -> None:
    run = Exchange()
    tcp = run.tcp()
    tcp("client S")
    tcp("server S.", lost=True)
    tcp("client S", seq=0)
    tcp("server S.", seq=0, lost=True)
    expected = "the connection never opened: the server's 2 answers did not arrive"
    assert verdict_text(run.analysis())[0] == expected


def test_opened_by_both_at_once() -> None:
    """Two SYNs that cross, each answered: open."""
    run = Exchange()
    tcp = run.tcp()
    tcp("client S")
    tcp("server S")
    tcp("client S.", seq=0)
    tcp("server S.", seq=0)
    assert verdict_text(run.analysis())[0] == "the connection was opened, no data was sent; it is still open"


def test_lost_on_the_way() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("send", b"abcdef")
    tcp("client .", b"abc")
    tcp("client P.", b"def", lost=True)
    tcp("server .")
    tcp.server("recv", b"abc")
    assert verdict_text(run.analysis()) == ("6 bytes were written, 3 reached the server",)


def test_a_difference_is_part_of_the_sentence() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("send", b"ab")
    tcp("client P.", b"ab", altered=b"aX")
    tcp("server .")
    tcp.server("recv", b"aX")
    assert verdict_text(run.analysis())[0].endswith("; but contents differ: byte 1: 62 sent, 58 arrived")


def test_unobserved_programs_are_said() -> None:
    run = Exchange(server="none")
    tcp = run.tcp().opened()
    tcp.client("send", b"ab")
    tcp("client P.", b"ab")
    tcp("server .")
    assert verdict_text(run.analysis())[0].endswith("; what the server's program read was not observed")


def test_datagrams() -> None:
    run = Exchange()
    udp = run.udp()
    for word, lost in ((b"a", False), (b"b", True), (b"c", False)):
        udp.client("send", word)
        udp("client", word, lost=lost)
    udp.server("recv", b"a")
    udp.server("recv", b"c")
    assert verdict_text(run.analysis()) == ("3 datagrams were written, 2 reached the server",)


def test_no_data_and_no_packet() -> None:
    run = Exchange()
    assert verdict_text(run.analysis()) == ("no packet went between the two hosts",)
    tcp = run.tcp().opened()
    with tcp.client("close"):
        tcp("client F.")
    expected = "the connection was opened, no data was sent; only the client closed it"
    assert verdict_text(run.analysis()) == (expected,)


def test_many_connections_are_summed_up_and_the_worst_named() -> None:
    """A hundred at once, one of which loses its data."""
    run = Exchange()
    for k in range(100):
        tcp = run.tcp(40000 + k).opened()
        tcp.client("send", b"hello")
        tcp("client P.", b"hello", lost=k == 42)
        if k != 42:
            tcp("server .")
            tcp.server("recv", b"hello")
    assert verdict_text(run.analysis()) == (
        "100 connections",
        "client to server: 500 written, 500 sent, 495 arrived, 495 acknowledged, 495 read; contents are equal",
        "#43 198.18.0.2:40042 - 198.18.0.3:10011: 5 bytes were written, 0 reached the server",
    )


def test_one_way_delays() -> None:
    run = Exchange()
    tcp = run.tcp()
    for delay in (10, 40, 90):
        tcp("client .", b"x", delay=delay * US)
    tcp("client .", b"x", lost=True)
    found = run.analysis().delays
    assert found["client"] == Delay(3, 10 * US, 40 * US, 90 * US)
    assert found["server"] == Delay(0, None, None, None)


@pytest.mark.parametrize(
    ("incomplete", "failures", "outcome"),
    [
        ((), (), Outcome.PASS),
        (("a tap died",), (), Outcome.INCONCLUSIVE),
        ((), ("the client crashed",), Outcome.FAIL),
        (("a tap died",), ("the client crashed",), Outcome.FAIL),
    ],
)
def test_outcome(incomplete: tuple[str, ...], failures: tuple[str, ...], outcome: Outcome) -> None:
    found = Exchange().analysis(incomplete=incomplete, failures=failures)
    assert found.outcome is outcome
    assert found.reasons == (failures or incomplete)


def test_what_broke_a_connection_off_and_why() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    option = tcp.client("setsockopt", args={"name": "SO_LINGER", "value": {"onoff": 1, "linger": 0}})
    with tcp.client("close") as close:
        tcp("client R.")
    assert verdict_text(run.analysis()) == (
        "the connection was opened, no data was sent; it was broken off",
        f"the client reset the connection (RST #3): close #{close.n} with SO_LINGER 0 (setsockopt #{option.n})",
    )


def test_a_reset_that_the_link_forged_is_the_links() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    fault = LinkFault(0, LinkAction.FORGE, "forge: rst")
    tcp("client R", appeared=True, made="forged", link=(LinkOrigin("forged", 2, (fault,)),))
    assert verdict_text(run.analysis())[1] == (
        "RST #3 in the client's name broke the connection off: forged by the link behind #2 (forge: rst)"
    )


def test_a_connection_that_the_kernel_gave_up() -> None:
    """The RST that answers the peer afterwards is not what ended it."""
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("send", b"abc")
    tcp("client P.", b"abc", lost=True)
    told = tcp.client("recv", errno="ETIMEDOUT")
    tcp("server .")
    tcp("client R")
    assert verdict_text(run.analysis()) == (
        "3 bytes were written, 0 reached the server",
        f"the client's kernel gave the connection up: it timed out, as recv #{told.n} was told",
    )


def test_connects_that_failed_without_a_packet() -> None:
    """No port was left, or nothing listens on the host itself (a proxy's upstream): no packet shows it."""
    run = Exchange()
    run.tcp().opened()
    upstream = SocketInfo(0, "tcp")
    for _ in range(2):
        run.call("server", "connect", errno="ECONNREFUSED", fd=9, args={"address": "127.0.0.1:8000"}, socket=upstream)
        run.call("server", "close", fd=9, socket=upstream)
    first = run.analysis().inputs.calls["server"][2]
    assert verdict_text(run.analysis())[1:] == (
        f"2 connects of the server to 127.0.0.1:8000 failed, the first #{first.n}: ECONNREFUSED",
    )


def test_datagrams_that_a_closed_port_refused() -> None:
    run = Exchange()
    udp = run.udp()
    udp.client("send", b"x")
    udp("client", b"x")
    about = {"protocol": "udp", "sport": 40000, "dport": 5000}
    udp("server", bytes(29))
    run.packets[-1] |= {"flow": None, "protocol": "icmp", "options": {"type": 3, "code": 3, "about": about}}
    assert verdict_text(run.analysis()) == (
        "the datagram was written, sent and arrived; contents are equal",
        "the server answered by 1 ICMP error (#1): nothing takes datagrams on that port",
    )


def test_many_connections_are_told_by_how_they_ended() -> None:
    run = Exchange()
    for k in range(6):
        tcp = run.tcp(40000 + k)
        if k < 2:
            tcp("client S", lost=True)
        elif k < 3:
            tcp("client S")
            tcp("server R.", seq=0, raw_seq=0)
        else:
            tcp.opened()
            tcp("server R.")
    assert verdict_text(run.analysis())[0] == "6 connections, of which 1 refused, 2 never opened and 3 broken off"


def test_a_forged_reset_that_the_receiver_does_not_take_breaks_nothing_off() -> None:
    """Its number is not the next one: the server answers by a challenge ACK, and the connection goes on (RFC 5961)."""
    run = Exchange()
    tcp = run.tcp().opened()
    tcp("client R", appeared=True, made="forged", seq=100)
    tcp("server .")
    tcp.client("send", b"abc")
    tcp("client P.", b"abc", seq=1)
    tcp("server .", ack=4)
    tcp.server("recv", b"abc")
    with tcp.server("close") as close:
        tcp("server F.", ack=4)
    found = run.analysis()
    told = [text for text in verdict_text(found) if "Wireshark" not in text]
    assert told == ["all 3 bytes were written, sent, arrived, acknowledged and read; contents are equal"]
    assert ("server", close.n) not in found.no_packet
    assert [row.close.reset for row in found.ledger if row.close is not None] == [None, None]
