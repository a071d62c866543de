"""UDP is more than one datagram a call, and one call a datagram."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from testbed.model import Analysis, Endpoint, SocketInfo
from testbed.report.text.ledger_text import difference_text
from testbed.report.text.verdict_text import verdict_text
from tests.builders import frames
from tests.builders.exchange import Exchange, Udp

from .caused import evidence, no_packet, rules

MORE = {"args": {"flags": "MSG_MORE"}}
EQUAL = "all {} datagrams were written, sent, arrived and read; contents are equal"


def option(name: str, value: int) -> dict[str, Any]:
    return {"args": {"name": name, "value": value}}


def figures(found: Analysis) -> list[tuple[int | None, int | None]]:
    row = found.ledger[0]
    return [(count.bytes, count.datagrams) for count in (row.written, row.sent, row.arrived, row.read)]


def test_msg_more_makes_one_datagram_of_several_calls() -> None:
    run = Exchange()
    udp = run.udp()
    first, second = udp.client("send", b"ab", **MORE), udp.client("send", b"cd", **MORE)
    last = udp.client("send", b"ef")
    udp("client", b"abcdef")
    udp.server("recv", b"abcdef")
    found = run.analysis()
    assert figures(found) == [(6, 1)] * 4
    assert verdict_text(found) == ("the datagram was written, sent, arrived and read; contents are equal",)
    assert found.causes[0].calls == (first.n, second.n, last.n)
    assert evidence(found, 0) == "send #2 sent 6 bytes, its own with those of send #0, send #1"
    assert no_packet(found, "client", first.n) is None


def test_udp_cork_sends_when_it_is_switched_off() -> None:
    run = Exchange()
    udp = run.udp()
    udp.client("setsockopt", **option("UDP_CORK", 1))
    udp.client("write", b"ab")
    udp.client("write", b"cd")
    off = udp.client("setsockopt", **option("UDP_CORK", 0))
    udp("client", b"abcd")
    udp.server("recv", b"abcd")
    found = run.analysis()
    assert figures(found) == [(4, 1)] * 4
    assert off.n in found.causes[0].calls
    assert evidence(found, 0) == f"setsockopt #{off.n} (UDP_CORK off) sent 4 bytes of write #1, write #2"


def test_what_a_cork_holds_at_the_end_was_never_sent() -> None:
    run = Exchange()
    udp = run.udp()
    udp.client("send", b"x")
    udp("client", b"x")
    cork = udp.client("setsockopt", **option("UDP_CORK", 1))
    held = udp.client("write", b"ab")
    udp.client("close")
    found = run.analysis()
    assert no_packet(found, "client", held.n) == (
        f"its datagram was never sent: setsockopt #{cork.n} held it back (UDP_CORK or MSG_MORE)"
    )
    assert figures(found)[:2] == [(3, 2), (1, 1)]


def test_udp_segment_makes_several_datagrams_of_one_call() -> None:
    run = Exchange()
    udp = run.udp()
    udp.client("setsockopt", **option("UDP_SEGMENT", 100))
    send = udp.client("send", bytes(250))
    for size in (100, 100, 50):
        udp("client", bytes(size))
        udp.server("recv", bytes(size))
    found = run.analysis()
    assert rules(found) == ["datagram"] * 3
    assert [cause.calls for cause in found.causes] == [(send.n,)] * 3
    assert evidence(found, 2) == f"send #{send.n} sent 50 bytes: part 3 of 3 of what it wrote (UDP_SEGMENT)"
    assert figures(found) == [(250, 3)] * 4
    assert verdict_text(found) == (EQUAL.format(3),)


def test_a_segment_that_is_lost_and_one_that_changes() -> None:
    run = Exchange()
    udp = run.udp()
    udp.client("setsockopt", **option("UDP_SEGMENT", 2))
    udp.client("send", b"abcdef")
    udp("client", b"ab")
    udp("client", b"cd", lost=True)
    udp("client", b"ef", altered=b"eX")
    udp.server("recv", b"ab")
    udp.server("recv", b"eX")
    found = run.analysis()
    assert figures(found) == [(6, 3), (6, 3), (4, 2), (4, 2)]
    assert difference_text(found.ledger[0]) == "datagram 2 (#2): what arrived is not what was sent, from byte 1"


def test_a_control_message_may_ask_for_segments_of_a_size_that_nobody_logged() -> None:
    run = Exchange()
    udp = run.udp()
    udp.client("sendmsg", b"abcdef", args={"control": 24})
    for part in (b"abcd", b"ef"):
        udp("client", part)
        udp.server("recv", part)
    assert figures(run.analysis()) == [(6, 2)] * 4


def test_udp_gro_gives_several_datagrams_to_one_call() -> None:
    run = Exchange()
    udp = run.udp()
    udp.server("setsockopt", **option("UDP_GRO", 1))
    for word in (b"aa", b"bb", b"c"):
        udp.client("send", word)
        udp("client", word)
    udp.server("recvmsg", b"aabbc")
    found = run.analysis()
    assert figures(found) == [(5, 3)] * 4
    assert verdict_text(found) == (EQUAL.format(3),)


def test_a_datagram_that_no_logged_call_sent_makes_written_unknown() -> None:
    """As of dig, which calls sendmmsg by syscall(2): nobody knows what it wrote, nor what it read."""
    run = Exchange()
    udp = run.udp()
    udp.client("connect")
    udp("client", b"query")
    udp.server("recvfrom", b"query", args={"address": "198.18.0.2:40000"})
    udp.server("sendto", b"answer", args={"address": "198.18.0.2:40000"})
    udp("server", b"answer")
    found = run.analysis()
    client, server = found.ledger
    assert (client.written.bytes, client.read.bytes, server.read.bytes, server.unread) == (None, 5, None, None)
    assert not any("0 datagrams were written" in text for text in verdict_text(found))
    assert (client.lost_at, server.lost_at) == (None, None)


def test_a_datagram_with_a_wrong_checksum_reaches_nobody() -> None:
    run = Exchange()
    udp = run.udp()
    udp.client("send", b"ab")
    udp("client", b"ab", altered=b"aX", bad_checksum=True)
    found = run.analysis()
    assert figures(found)[1:3] == [(2, 1), (0, 0)]
    assert found.ledger[0].difference is None


def test_a_datagram_to_a_group_is_read_by_its_member() -> None:
    run = Exchange()
    udp = run.udp()
    run.flows[0] = replace(run.flows[0], server=Endpoint("239.1.2.3", 5000))
    unconnected = SocketInfo(1, "udp", Endpoint("0.0.0.0", 40000))  # noqa: S104 - a wildcard as the kernel names it
    udp.client("sendto", b"all", args={"address": "239.1.2.3:5000"}, socket=unconnected)
    udp("client", b"all")
    udp.server("recvfrom", b"all", args={"address": "198.18.0.2:40000"})
    assert figures(run.analysis()) == [(3, 1)] * 4


def test_a_member_that_answers_does_so_in_its_own_name() -> None:
    """One unconnected socket reads what came to the group and to itself, and answers from its own address."""
    run = Exchange()
    to_group, own = run.udp(), run.udp()
    run.flows[0] = replace(run.flows[0], server=Endpoint("239.1.2.3", 5000))
    client = SocketInfo(1, "udp", Endpoint("0.0.0.0", 40000))  # noqa: S104 - a wildcard as the kernel names it
    for udp, address in ((to_group, "239.1.2.3:5000"), (own, "198.18.0.3:5000")):
        udp.client("sendto", address.encode(), args={"address": address}, socket=client)
        udp("client", address.encode())
        udp.server("recvfrom", address.encode(), args={"address": "198.18.0.2:40000"})
    own.server("sendto", b"answer", args={"address": "198.18.0.2:40000"})
    own("server", b"answer")
    own.client("recvfrom", b"answer", args={"address": "198.18.0.3:5000"}, socket=client)
    found = run.analysis()
    assert rules(found) == ["datagram"] * 3
    assert [[count.datagrams for _, count in row.points() if count.bytes is not None] for row in found.ledger] == [
        [1] * 4,
        [0] * 4,
        [1] * 4,
        [1] * 4,
    ]


def two_addresses(run: Exchange) -> tuple[Udp, Udp]:
    """Two conversations between the same ports, with two addresses of the server."""
    asked, other = run.udp(), run.udp()
    asked.ends["server"] = Endpoint("198.18.0.8", 5000)
    run.flows[0] = replace(run.flows[0], server=asked.ends["server"])
    return asked, other


def test_a_socket_on_every_address_answers_from_the_one_that_the_kernel_chose() -> None:
    """Which one shows what left: the call names none."""
    run = Exchange()
    asked, other = two_addresses(run)
    for udp, answer in ((other, b"from another"), (asked, b"as asked")):
        asked.client("send", b"question")
        asked("client", b"question")
        asked.server("recvfrom", b"question", args={"address": "198.18.0.2:40000"})
        asked.server("sendto", answer, args={"address": "198.18.0.2:40000"})
        udp("server", answer)
    found = run.analysis()
    written = {(row.flow, row.sender): (row.written.bytes, row.written.datagrams) for row in found.ledger}
    assert (written[0, "server"], written[1, "server"]) == ((8, 1), (12, 1))
    assert rules(found) == ["datagram"] * 4


def test_a_message_that_names_its_own_address_belongs_to_that_conversation() -> None:
    """Also where another one of the same bytes left: the first answer is none of those in the capture."""
    run = Exchange()
    asked, other = two_addresses(run)
    for udp, address in ((asked, "198.18.0.8"), (other, "198.18.0.3")):
        udp.client("send", b"question")
        udp("client", b"question")
        args = {"address": "198.18.0.2:40000", "pktinfo": {"address": address, "interface": 2}}
        udp.server("recvmsg", b"question", args=args)
    for address in ("198.18.0.3", "198.18.0.8"):
        args = {"address": "198.18.0.2:40000", "pktinfo": {"address": address, "interface": 0}}
        asked.server("sendmsg", b"answer", args=args)
    asked("server", b"answer")
    found = run.analysis()
    rows = {(row.flow, row.sender): row for row in found.ledger}
    assert [rows[flow, "client"].read.datagrams for flow in (0, 1)] == [1, 1]
    assert [rows[flow, "server"].written.datagrams for flow in (0, 1)] == [1, 1]
    assert [rows[flow, "server"].sent.datagrams for flow in (0, 1)] == [1, 0]


def test_an_icmp_error_is_about_the_conversation_of_its_addresses() -> None:
    """Of two between the same ports it is not the one that came last."""
    run = Exchange()
    asked, other = two_addresses(run)
    for udp in (asked, other):
        udp("client", b"hello")
    run.now += 100_000
    about = {"protocol": "udp", "sport": 40000, "dport": 5000}
    quoted = frames.udp(b"hello", src="198.18.0.2", dst="198.18.0.8", sport=40000, dport=5000)
    error = {"flow": None, "sender": "server", "protocol": "icmp", "payload": quoted, "length": len(quoted)}
    times = {"sent": run.now, "arrived": run.now + 50_000, "options": {"type": 3, "code": 3, "about": about}}
    run.packets.append(run.packets[-1] | error | times)
    found = run.analysis()
    assert (found.causes[2].rule, found.causes[2].packets) == ("icmp-error", (0,))
