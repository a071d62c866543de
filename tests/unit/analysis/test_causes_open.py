"""Causes of how a connection opens otherwise than by SYN, SYN+ACK, ACK: TCP Fast Open, simultaneous open."""

from __future__ import annotations

from testbed.model import SocketInfo
from testbed.model.absences import NoPacketReason
from tests.builders.exchange import ADDRESS, Exchange, Tcp

from .caused import calls, evidence, rules

COOKIE = {"mss": 1460, "sack_permitted": True, "fast_open": 8}
FAST = {"flags": "MSG_FASTOPEN"}
PROBING = {"client": {"net.ipv4.tcp_early_retrans": "3"}}


def test_data_on_the_syn_is_of_the_send_that_made_it() -> None:
    run = Exchange()
    tcp = run.tcp()
    with tcp.client("sendto", b"hello", args=FAST):
        tcp("client S", b"hello", options=COOKIE)
    tcp("server S.")
    found = run.analysis()
    assert rules(found) == ["connect", "syn-ack"]
    assert calls(found, 0) == ["sendto"]
    assert evidence(found, 0) == "sendto #0 opens the connection, with 5 bytes"


def test_with_fastopen_connect_the_first_write_lets_the_syn_go() -> None:
    """connect only notes the peer (tcp_connect, TCP_FASTOPEN_CONNECT): both calls made the SYN."""
    run = Exchange()
    tcp = run.tcp()
    tcp.client("setsockopt", args={"name": "TCP_FASTOPEN_CONNECT", "value": 1})
    tcp.client("connect")
    with tcp.client("send", b"hello"):
        tcp("client S", b"hello", options=COOKIE)
    tcp("server S.")
    found = run.analysis()
    assert calls(found, 0) == ["connect", "send"]
    assert evidence(found, 0) == "connect #1 opens the connection, with 5 bytes of send #2"
    assert found.no_packet == {}


def refused(**given: object) -> tuple[Exchange, Tcp]:
    run = Exchange()
    tcp = run.tcp()
    with tcp.client("sendto", b"hello", args=FAST):
        tcp("client S", b"hello", options=COOKIE, **given)
    return run, tcp


def test_data_on_the_syn_that_was_not_taken_is_sent_again_by_its_answer() -> None:
    """No timer ran out and no ACK shows a loss: the SYN+ACK acknowledges the SYN alone (RFC 7413 section 4.2)."""
    run, tcp = refused()
    tcp("server S.", ack=1)
    tcp("client P.", b"hello", seq=1)
    tcp("server .")
    found = run.analysis(sysctls=PROBING)
    assert rules(found) == ["connect", "syn-ack", "fast-open-fallback", "ack"]
    assert calls(found, 2) == ["sendto"]
    assert found.causes[2].packets == (1,)


def test_data_of_a_lost_syn_goes_after_the_syn_that_went_through() -> None:
    """The SYN is repeated without its data and cookie (tcp_retransmit_timer)."""
    run, tcp = refused(lost=True)
    run.pause(1000)
    tcp("client S", seq=0)
    tcp("server S.", ack=1)
    tcp("client P.", b"hello", seq=1)
    assert rules(run.analysis(sysctls=PROBING)) == ["connect", "syn-retransmission", "syn-ack", "fast-open-fallback"]


def test_what_is_lost_after_the_fallback_is_repeated_by_a_timer() -> None:
    run, tcp = refused()
    tcp("server S.", ack=1)
    tcp("client P.", b"hello", seq=1, lost=True)
    run.pause(250)
    tcp("client P.", b"hello", seq=1)
    assert rules(run.analysis(sysctls=PROBING))[2:] == ["fast-open-fallback", "timeout"]


def test_simultaneous_open() -> None:
    """Two SYNs of two connects, each answered; the kernel acknowledges the SYN+ACK as the SYN that it had already."""
    run = Exchange()
    tcp = run.tcp(port=10011)
    first = tcp.client("connect").__enter__()
    second = tcp.server("connect", fd=3).__enter__()
    tcp("client S", delay=500_000)
    tcp("server S", delay=500_000)
    run.pause(0.5)
    tcp("server S.", seq=0, ack=1, delay=500_000)
    tcp("client S.", seq=0, ack=1, delay=500_000)
    run.pause(0.5)
    again = {"tsval": 1, "tsecr": 1, "sack": [(0, 1)]}
    tcp("server .", ack=1, options=again)
    tcp("client .", ack=1, options=again)
    first.returns()
    second.returns()
    found = run.analysis()
    assert rules(found) == ["connect", "connect", "syn-ack", "syn-ack", "d-sack", "d-sack"]
    assert [found.causes[n].packets for n in (2, 3)] == [(0,), (1,)]
    assert found.no_packet == {}


def test_self_connect() -> None:
    """A socket that is its own peer: nothing of it can be on the wire between the hosts, and each call says so."""
    run = Exchange()
    own = Exchange().tcp(port=10011).ends["client"]
    info = SocketInfo(7, "tcp", own, own)
    run.call("client", "connect", args={"address": f"{ADDRESS['client']}:10011"}, socket=info)
    run.call("client", "send", b"x", socket=info)
    run.call("client", "recv", b"x", socket=info)
    run.call("client", "close", socket=info)
    found = {key: absence.reason for key, absence in run.analysis().no_packet.items()}
    assert found == dict.fromkeys([("client", 0), ("client", 1), ("client", 3)], NoPacketReason.SAME_HOST)


def test_a_syn_that_comes_when_the_connection_is_over() -> None:
    """Nobody takes it: a RST with sequence number 0 that acknowledges it, as from a closed port (RFC 9293 3.10.7.1)."""
    run = Exchange()
    tcp = run.tcp().opened()
    with tcp.client("close"):
        tcp("client F.")
    with tcp.server("close"):
        tcp("server F.")
    tcp("client .")
    tcp("client S", seq=0)
    tcp("server R.", seq=-5000, ack=1)
    found = run.analysis()
    assert rules(found)[-2:] == ["syn-retransmission", "closed-port"]
    assert found.causes[-1].packets == (6,)
    assert evidence(found, -1) == "refuses the SYN #6: the connection had ended"


def test_the_challenge_of_a_reset_is_no_window_update() -> None:
    """The first segment behind a SYN+ACK has a scaled window, which may be larger; but a RST is what it answers."""
    run = Exchange(server="none")
    tcp = run.tcp()
    with tcp.client("connect"):
        tcp("client S", options={"wscale": 7})
        tcp("server S.", options={"wscale": 7}, window=65160)
    tcp("client .")
    tcp.client("send", b"a")
    tcp("client P.", b"a", lost=True)
    tcp.client("setsockopt", args={"name": "SO_LINGER", "value": {"onoff": 1, "linger": 0}})
    with tcp.client("close"):
        tcp("client R.", seq=2)
    tcp("server .", ack=1, window=510)
    assert rules(run.analysis())[-2:] == ["reset-linger", "challenge-ack"]
