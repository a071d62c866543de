"""Calls that put nothing on the wire say why."""

from __future__ import annotations

from typing import Any

from testbed.model import Endpoint, SocketInfo
from testbed.model.hosts import HostAddresses
from tests.builders.exchange import Exchange, OpenCall, Tcp

from .caused import no_packet


def reason(run: Exchange, call: OpenCall) -> str | None:
    return no_packet(run.analysis(), call.fields["host"], call.n)


def opened() -> tuple[Exchange, Tcp]:
    run = Exchange()
    return run, run.tcp().opened()


def test_calls_with_packets_and_local_calls_are_not_listed() -> None:
    """A held send is heard through the segment that carried it; nobody expects packets of socket or poll."""
    run, tcp = opened()
    run.call("client", "socket", result=3, socket=SocketInfo(0, "tcp"))
    tcp.client("send", b"a")
    tcp.client("send", b"b")
    tcp("client P.", b"ab")
    tcp.server("poll", result=1)
    tcp.server("recv", b"ab")
    assert list(run.analysis().no_packet) == [("server", 1)]
    assert no_packet(run.analysis(), "server", 1) == "takes a connection that the kernel had opened already"


def test_shutdown_of_reading() -> None:
    run, tcp = opened()
    call = tcp.client("shutdown", args={"how": "SHUT_RD"})
    assert (reason(run, call) or "").startswith("SHUT_RD only ends reading")


def test_a_second_shutdown() -> None:
    run, tcp = opened()
    with tcp.client("shutdown", args={"how": "SHUT_WR"}) as first:
        tcp("client F.")
    second = tcp.client("shutdown", args={"how": "SHUT_RDWR"})
    assert reason(run, second) == f"shutdown #{first.n} had ended the sending direction"


def test_a_write_after_shutdown() -> None:
    run, tcp = opened()
    with tcp.client("shutdown", args={"how": "SHUT_WR"}) as ended:
        tcp("client F.")
    late = tcp.client("send", errno="EPIPE")
    assert reason(run, late) == f"shutdown #{ended.n} had ended the sending direction (EPIPE)"


def test_a_write_after_a_reset() -> None:
    run, tcp = opened()
    with tcp.server("close"):
        tcp("server R.")
    late = tcp.client("send", errno="ECONNRESET")
    assert reason(run, late) == "failed: ECONNRESET, RST #3 of the server had broken the connection off"


def test_a_reset_that_was_lost_ends_nothing_at_the_peer() -> None:
    """Only one that a host sent or got can have broken its connection off, and not after a timeout had."""
    run, tcp = opened()
    tcp("server R.", lost=True)
    tcp.client("recv", errno="ETIMEDOUT")
    gone = tcp.client("close")
    assert (reason(run, gone) or "").startswith("the connection was gone: recv #1 gave ETIMEDOUT")
    tcp("server R")
    late = tcp.client("send", errno="EPIPE")
    assert reason(run, late) == "the connection had ended: it timed out, as recv #1 was told (EPIPE)"


def test_bytes_that_never_left() -> None:
    run, tcp = opened()
    tcp.client("send", b"abc")
    tcp("client P.", b"abc")
    tcp("server .", window=0)
    stuck = tcp.client("send", b"def")
    assert reason(run, stuck) == "its 3 bytes never left the host: the peer's window was full (#4 offers 0)"


def test_a_send_of_nothing_and_a_full_buffer() -> None:
    run, tcp = opened()
    nothing = tcp.client("send", b"")
    full = tcp.client("send", errno="EAGAIN")
    assert reason(run, nothing) == "0 bytes: there is nothing to send"
    assert reason(run, full) == "the send buffer was full (EAGAIN)"


def test_closing_a_refused_socket() -> None:
    run = Exchange()
    tcp = run.tcp()
    with tcp.client("connect", errno="ECONNREFUSED") as connect:
        tcp("client S")
        tcp("server R.", seq=0, raw_seq=0)
    close = tcp.client("close")
    assert reason(run, close) == "RST #1 of the server had broken the connection off"
    assert reason(run, connect) is None


def test_connecting_without_a_route() -> None:
    run = Exchange()
    where = {"address": "203.0.113.9:80"}
    call = run.call("client", "connect", errno="ENETUNREACH", args=where, socket=SocketInfo(5, "tcp"))
    assert reason(run, call) == "failed before a SYN left: ENETUNREACH"


def test_a_second_connect_only_asks() -> None:
    """The usual end of a non-blocking connect."""
    run = Exchange()
    tcp = run.tcp()
    tcp.client("connect", errno="EINPROGRESS")
    tcp("client S")
    tcp("server S.")
    tcp("client .")
    early = tcp.client("connect", errno="EALREADY")
    again = tcp.client("connect")
    assert reason(run, early) == "the connection was being opened already"
    assert reason(run, again) == "connect #0 had opened the connection"


def test_udp_has_no_connection() -> None:
    run = Exchange()
    udp = run.udp()
    connect = udp.client("connect")
    lost = udp.client("send", b"x")
    close = udp.client("close")
    assert reason(run, connect) == "on a datagram socket it only notes the peer"
    assert reason(run, lost) == "its datagram was not captured"
    assert reason(run, close) == "a datagram socket has no connection to end"


def test_closing_a_listener() -> None:
    run = Exchange()
    tcp = run.tcp()
    listen = tcp.server("listen")
    close = tcp.server("close", fd=3, socket=listen.fields["socket"])
    assert reason(run, close) == "only stops listening"


def test_bytes_that_nagle_still_holds() -> None:
    """As when stepping: the call is over, its bytes wait for an ACK."""
    run, tcp = opened()
    tcp.client("send", b"a")
    tcp("client P.", b"a", lost=True)
    held = tcp.client("send", b"b")
    assert reason(run, held) == (
        "its 1 byte never left the host: held by Nagle's algorithm, as #3 was not acknowledged"
    )


def test_a_call_of_whose_bytes_only_some_left() -> None:
    run, tcp = opened()
    with tcp.client("write", b"x" * 3000) as write:
        tcp("client .", b"x" * 1000)
        tcp("server R.")
    assert reason(run, write) == (
        "2,000 of its 3,000 bytes never left the host: RST #4 of the server had broken the connection off"
    )


def test_closing_before_the_connection_was_open() -> None:
    """close in SYN_SENT: the kernel forgets the attempt and tells nobody."""
    run = Exchange()
    tcp = run.tcp()
    tcp.client("connect", errno="EINPROGRESS")
    tcp("client S", lost=True)
    close = tcp.client("close")
    assert reason(run, close) == "the connection was not open yet (SYN_SENT): nothing had answered connect #0"


def test_closing_after_the_kernel_gave_up() -> None:
    run, tcp = opened()
    tcp.client("send", b"x")
    tcp("client P.", b"x", lost=True)
    gone = tcp.client("recv", errno="ETIMEDOUT")
    close = tcp.client("close")
    assert reason(run, close) == f"the connection was gone: recv #{gone.n} gave ETIMEDOUT"


def test_a_socket_connected_to_itself() -> None:
    """Its packets go over the loopback, and no capture sees them."""
    run = Exchange()
    itself = SocketInfo(7, "tcp", Endpoint("198.18.0.2", 5000), Endpoint("198.18.0.2", 5000))
    connect = run.call("client", "connect", args={"address": "198.18.0.2:5000"}, socket=itself)
    send = run.call("client", "send", b"me", socket=itself)
    said = "its packets go over the loopback: both of its ends are on this host"
    assert reason(run, connect) == reason(run, send) == said


def test_what_goes_between_two_addresses_of_one_host_goes_over_the_loopback() -> None:
    """A host that has several may be bound to one of them and connect to another."""
    run = Exchange()
    within = SocketInfo(7, "tcp", Endpoint("198.18.0.2", 5000), Endpoint("198.18.0.5", 80))
    connect = run.call("client", "connect", args={"address": "198.18.0.5:80"}, socket=within)
    said = "its packets go over the loopback: both of its ends are on this host"
    own = {"client": HostAddresses.sorted(["198.18.0.2", "198.18.0.5"])}
    assert no_packet(run.analysis(addresses=own), "client", connect.n) == said
    assert no_packet(run.analysis(), "client", connect.n) != said


def test_a_close_whose_fin_waits_behind_bytes_that_the_peer_has_no_room_for() -> None:
    """The connect that gave EINPROGRESS had opened the connection: it is not "never open"."""
    run = Exchange()
    tcp = run.tcp()
    tcp.client("connect", errno="EINPROGRESS")
    tcp("client S")
    tcp("server S.")
    tcp("client .")
    tcp.client("send", b"abcdef")
    tcp("client P.", b"abc")
    tcp("server .", window=0)
    close = tcp.client("close")
    assert reason(run, close) == (
        "its FIN waited behind 3 bytes that never left the host: the peer's window was full (#4 offers 0)"
    )


def test_what_ended_the_connection_before_a_reset_is_the_timeout() -> None:
    """The kernel had given up; the RST only answers what came afterwards."""
    run, tcp = opened()
    limit = tcp.client("setsockopt", args={"name": "TCP_USER_TIMEOUT", "value": 1000})
    stuck = tcp.client("send", b"abcdef")
    tcp("client P.", b"abc")
    tcp("server .", window=0)
    told = tcp.client("recv", errno="ETIMEDOUT")
    close = tcp.client("close")
    tcp("server .")
    tcp("client R")
    late = tcp.server("send", errno="ECONNRESET")
    gone = f"the connection timed out (TCP_USER_TIMEOUT of setsockopt #{limit.n}), as recv #{told.n} was told"
    assert reason(run, stuck) == (
        f"3 of its 6 bytes never left the host: the peer's window was full (#4 offers 0), until {gone}"
    )
    assert reason(run, close) == f"the connection was gone: recv #{told.n} gave ETIMEDOUT"
    assert reason(run, late) == "failed: ECONNRESET, RST #6 of the client had broken the connection off"


def test_a_reset_that_the_link_forged_is_not_the_hosts() -> None:
    run, tcp = opened()
    tcp("client R", appeared=True, made="forged")
    close = tcp.server("close")
    assert reason(run, close) == "RST #3, which the link made in the client's name, had broken the connection off"


def test_tcp_notsent_lowat_makes_a_send_wait_before_the_buffer_is_full() -> None:
    run, tcp = opened()
    option = tcp.client("setsockopt", args={"name": "TCP_NOTSENT_LOWAT", "value": 3})
    tcp.client("send", b"abcdef")
    tcp("client P.", b"abc")
    full = tcp.client("send", errno="EAGAIN")
    assert reason(run, full) == (
        f"as many bytes as TCP_NOTSENT_LOWAT (setsockopt #{option.n}) allows waited to be sent (EAGAIN)"
    )
    tcp("client P.", b"d")
    other = tcp.client("send", errno="EAGAIN")
    assert reason(run, other) == "the send buffer was full (EAGAIN)"


def test_a_connection_over_the_loopback_that_is_refused() -> None:
    """No packet of it is between the hosts: nothing says that no SYN left, nor that nobody answered."""
    run = Exchange()
    upstream: dict[str, Any] = {"socket": SocketInfo(7, "tcp", None, Endpoint("127.0.0.1", 8000)), "fd": 9}
    connect = run.call("server", "connect", errno="EINPROGRESS", args={"address": "127.0.0.1:8000"}, **upstream)
    asked = run.call("server", "getsockopt", args={"name": "SO_ERROR", "value": "ECONNREFUSED"}, **upstream)
    close = run.call("server", "close", **upstream)
    assert reason(run, connect) == "its packets go over the loopback: both of its ends are on this host (EINPROGRESS)"
    assert reason(run, close) == f"the connection was never open: getsockopt #{asked.n} gave ECONNREFUSED"
