"""Headers as columns: link layers, IP, fragments, TCP, UDP, ICMP, and what none of them is."""

from __future__ import annotations

import struct

import pytest

from testbed.capture.columns import Capture
from testbed.capture.read_file import read
from tests.builders.frames import (
    ACK,
    CLIENT,
    CLIENT6,
    PSH,
    SERVER,
    SERVER6,
    SYN,
    ethernet,
    icmp,
    ip,
    pcap,
    tcp,
    timestamps,
    udp,
)
from tests.nonempty import every

V4, V6 = tcp(b"abc"), tcp(b"abc", src=CLIENT6, dst=SERVER6)


def one(frame: bytes, link: int = 1, **how: int) -> Capture:
    capture = read(pcap([frame], link=link, **how))  # type: ignore[arg-type]
    assert len(capture) == 1
    return capture


def sll(ethertype: int, packet: bytes) -> bytes:
    return struct.pack(">HHH8sH", 0, 1, 6, bytes(8), ethertype) + packet


def sll2(ethertype: int, packet: bytes) -> bytes:
    return struct.pack(">HHIHBB8s", ethertype, 0, 2, 1, 0, 6, bytes(8)) + packet


@pytest.mark.parametrize(
    ("link", "frame", "source"),
    [
        (1, ethernet(V4), CLIENT),
        (1, ethernet(V6), CLIENT6),
        (1, ethernet(V4, [(0x8100, 7)]), CLIENT),
        (1, ethernet(V4, [(0x88A8, 7), (0x8100, 5), (0x9100, 6), (0x8100, 1)]), CLIENT),
        (1, bytes(12) + struct.pack(">H", len(V4) + 8) + b"\xaa\xaa\x03\0\0\0\x08\x00" + V4, CLIENT),  # LLC, SNAP
        (1, ethernet(b"\x11\x00\x00\x09" + struct.pack(">HH", len(V4) + 2, 0x21) + V4, ethertype=0x8864), CLIENT),
        (1, ethernet(struct.pack(">II", 17 << 12, 18 << 12 | 0x100) + V6, ethertype=0x8847), CLIENT6),
        (113, sll(0x0800, V4), CLIENT),
        (113, sll(0x8100, b"\x00\x07\x08\x00" + V4), CLIENT),
        (276, sll2(0x86DD, V6), CLIENT6),
        (101, V4, CLIENT),
        (12, V6, CLIENT6),
        (14, V4, CLIENT),
        (228, V4, CLIENT),
        (229, V6, CLIENT6),
        (0, struct.pack("<I", 2) + V4, CLIENT),
        (0, struct.pack(">I", 30) + V6, CLIENT6),
        (0, struct.pack("<I", 24) + V6, CLIENT6),
        (108, struct.pack(">I", 28) + V6, CLIENT6),
        (9, b"\xff\x03\x00\x21" + V4, CLIENT),
        (9, b"\x00\x57" + V6, CLIENT6),
        (104, b"\x0f\x00\x08\x00" + V4, CLIENT),
        (
            1,
            ethernet(struct.pack(">I", 5 << 12 | 64) + struct.pack(">I", 6 << 12 | 0x100 | 64) + V4, ethertype=0x8847),
            CLIENT,
        ),
        (1, ethernet(struct.pack(">I", 5 << 12 | 0x100 | 64) + V6, ethertype=0x8848), CLIENT6),
    ],
)
def test_the_same_segment_over_every_link_layer(link: int, frame: bytes, source: str) -> None:
    capture = one(frame, link)
    assert (capture.source(0), capture.sport[0], capture.dport[0]) == (source, 4711, 10011)
    assert capture.payload(0) == b"abc"
    assert capture.kind(0) == "TCP"
    assert not capture.others


def test_vlan_ids_and_their_number() -> None:
    capture = one(ethernet(V4, [(0x88A8, 0x7007), (0x8100, 5)]))
    assert (capture.vlan[0], capture.vlan_tags[0]) == (7, 2)
    plain = one(ethernet(V4))
    assert (plain.vlan[0], plain.vlan_tags[0]) == (-1, 0)


@pytest.mark.parametrize(
    ("link", "frame", "name"),
    [
        (1, ethernet(bytes(46), ethertype=0x0806), "ARP"),
        (1, ethernet(bytes(46), ethertype=0x88CC), "LLDP"),
        (1, ethernet(bytes(46), ethertype=0x1234), "EtherType 0x1234"),
        (1, bytes(12) + b"\x00\x26" + bytes(46), "802.3"),
        (1, bytes(9), "cut in the link header"),
        (1, ethernet(b"", [(0x8100, 1)] * 3, 0x8100), "cut in the link header"),
        (1, ethernet(V4, [(0x8100, 1)] * 70), "too many VLAN tags"),
        (1, ethernet(V4[:19], ethertype=0x0800), "cut in the IPv4 header"),
        (1, ethernet(V6[:39], ethertype=0x86DD), "cut in the IPv6 header"),
        (1, ethernet(b"\x44" + V4[1:], ethertype=0x0800), "malformed IPv4"),
        (1, ethernet(V4, ethertype=0x86DD), "malformed IPv6"),
        (1, ethernet(ip(bytes(8), 2)), "IGMP"),
        (1, ethernet(ip(bytes(8), 200)), "IP protocol 200"),
        (1, ethernet(ip(bytes(8), 6)), "malformed transport header"),
        (1, ethernet(ip(bytes(12) + b"\xf0" + bytes(7), 6)), "malformed transport header"),
        (1, ethernet(ip(b"\0\1\0\1\0\3\0\0", 17)), "malformed transport header"),
        (1, ethernet(ip(bytes(8) * 600, 60, CLIENT6, SERVER6)), "malformed IPv6"),
        (9, b"\xc0\x21" + bytes(4), "PPP LCP"),
        (0, struct.pack("<I", 7) + bytes(40), "not IP"),
        (147, bytes(20), "link type 147"),
    ],
)
def test_what_is_not_decoded_is_counted_by_name(link: int, frame: bytes, name: str) -> None:
    capture = one(frame, link)
    assert capture.kind(0) == name
    assert capture.others == {name: 1}
    assert capture.transport[0] == 0


@pytest.mark.parametrize(("cut", "name"), [(20, "cut in the transport header"), (34, "cut in the transport header")])
def test_a_snap_length_within_the_headers_is_said(cut: int, name: str) -> None:
    capture = one(ethernet(V4), snap=14 + cut)
    assert capture.kind(0) == name


def test_a_snap_length_within_the_payload_keeps_the_wire_length() -> None:
    capture = one(ethernet(tcp(b"x" * 1000, options=timestamps(5, 6))), snap=96)
    assert (capture.payload_length[0], capture.payload_captured[0]) == (1000, 96 - 14 - 20 - 32)
    assert capture.tsval[0] == 5
    assert capture.payload(0) == b"x" * 30


def test_a_snap_length_within_the_options_decodes_those_before_it() -> None:
    options = b"\x02\x04\x05\xb4" + b"\x03\x03\x07\x00" + timestamps(5, 6)
    capture = one(ethernet(tcp(b"x", flags=SYN, options=options)), snap=14 + 20 + 20 + 8)
    assert (capture.mss[0], capture.wscale[0], capture.has_timestamps[0]) == (1460, 7, False)
    assert (capture.payload_length[0], capture.payload_captured[0]) == (1, 0)


def test_ethernet_padding_is_no_payload() -> None:
    capture = one(ethernet(tcp()) + bytes(6))
    assert (capture.payload_length[0], capture.payload(0)) == (0, b"")


@pytest.mark.parametrize(("source", "target"), [(CLIENT, SERVER), (CLIENT6, SERVER6)])
def test_a_length_of_zero_is_segmentation_offload(source: str, target: str) -> None:
    capture = one(ethernet(tcp(b"x" * 70_000, src=source, dst=target, length=0)))
    assert capture.payload_length[0] == capture.payload_captured[0] == 70_000


def test_a_jumbo_payload_option_gives_the_length() -> None:
    segment = tcp(b"x" * 70_000, src=CLIENT6, dst=SERVER6, length=0)[40:]
    jumbo = struct.pack(">BBBBI", 6, 0, 0xC2, 4, 8 + len(segment))
    capture = one(ethernet(ip(jumbo + segment, 0, CLIENT6, SERVER6, length=0)) + bytes(10))
    assert capture.payload_length[0] == 70_000
    assert capture.ip_length[0] == 40 + 8 + len(segment)


def test_ipv6_extension_headers_are_stepped_over() -> None:
    segment = V6[40:]
    authentication = struct.pack(">BBHIII", 60, 4, 0, 1, 2, 3) + bytes(8)
    options = struct.pack(">BB", 6, 1) + bytes(14)
    hop = struct.pack(">BB", 43, 0) + bytes(6)
    routing = struct.pack(">BB", 51, 0) + bytes(6)
    capture = one(ethernet(ip(hop + routing + authentication + options + segment, 0, CLIENT6, SERVER6)))
    assert (capture.proto[0], capture.transport[0], capture.payload(0)) == (6, 6, b"abc")


def test_an_atomic_fragment_is_a_whole_packet() -> None:
    capture = one(ethernet(ip(struct.pack(">BBHI", 6, 0, 0, 77) + V6[40:], 44, CLIENT6, SERVER6)))
    assert (capture.payload(0), bool(capture.fragment[0]), capture.ip_id[0]) == (b"abc", False, 77)


def v4_fragments(packet: bytes, size: int, ident: int = 9) -> list[bytes]:
    body = packet[20:]
    return [
        ethernet(ip(body[at : at + size], 6, ident=ident, fragment=(0x2000 if at + size < len(body) else 0) | at // 8))
        for at in range(0, len(body), size)
    ]


def v6_fragments(packet: bytes, size: int) -> list[bytes]:
    body = packet[40:]
    return [
        ethernet(
            ip(
                struct.pack(">BBHI", 6, 0, at | (at + size < len(body)), 5) + body[at : at + size],
                44,
                CLIENT6,
                SERVER6,
            )
        )
        for at in range(0, len(body), size)
    ]


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (1, 1, 0, 3, 2)])
@pytest.mark.parametrize("version", [4, 6])
def test_fragments_make_one_packet_in_the_row_that_completes_it(order: tuple[int, ...], version: int) -> None:
    data = bytes(range(108))
    if version == 4:
        parts = v4_fragments(tcp(data, seq=5, options=timestamps(1, 2)), 40)
    else:
        parts = v6_fragments(tcp(data, seq=5, src=CLIENT6, dst=SERVER6, options=timestamps(1, 2)), 40)
    capture = read(pcap([parts[k] for k in order]))
    last = len(order) - 1
    assert capture.transport.tolist() == [0] * last + [6]
    assert capture.payload(last) == data
    assert (capture.payload_length[last], capture.seq[last], capture.tsval[last]) == (108, 5, 1)
    assert {int(row) for row in capture.reassembled_in} - {-1} == {last}
    assert every(capture.fragment)
    assert capture.options(last) == timestamps(1, 2)


def test_a_fragment_of_a_missing_packet_is_marked_not_misread() -> None:
    parts = v4_fragments(tcp(bytes(108)), 40)
    capture = read(pcap(parts[:1] + parts[2:]))
    assert capture.transport.tolist() == [0, 0, 0]
    assert capture.others == {"IPv4 fragment": 3}
    assert capture.sport.tolist() == [0, 0, 0]


def test_overlapping_fragments_are_not_put_together() -> None:
    body = tcp(bytes(60))[20:]
    frames = [
        ethernet(ip(body[:40], 6, fragment=0x2000)),
        ethernet(ip(body[32:72], 6, fragment=0x2000 | 4)),
        ethernet(ip(body[72:], 6, fragment=9)),
    ]
    assert read(pcap(frames)).transport.tolist() == [0, 0, 0]


def test_a_reused_identification_after_the_lifetime_starts_anew() -> None:
    old, new = v4_fragments(tcp(b"a" * 60), 40), v4_fragments(tcp(b"b" * 60), 40)
    times = [0, 40 * 10**9, 41 * 10**9]
    capture = read(pcap(list(zip(times, [old[0], new[0], new[1]], strict=True))))
    assert capture.payload(2) == b"b" * 60


def test_fragments_cut_by_the_snap_length_keep_the_whole_length() -> None:
    capture = read(pcap(v4_fragments(tcp(bytes(108)), 64), snap=14 + 20 + 30))
    assert (capture.payload_length[1], capture.payload_captured[1]) == (108, 10)


def test_ip_fields() -> None:
    capture = one(ethernet(tcp(ident=0xABCD, ttl=61, tos=0xB9)))
    row = {name: getattr(capture, name)[0] for name in ("version", "ttl", "dscp", "ecn", "ip_id", "ip_length")}
    assert row == {"version": 4, "ttl": 61, "dscp": 46, "ecn": 1, "ip_id": 0xABCD, "ip_length": 40}
    assert capture.dont_fragment[0]
    six = one(ethernet(tcp(src=CLIENT6, dst=SERVER6, ttl=3, tos=0xB9)))
    assert (six.version[0], six.ttl[0], six.dscp[0], six.ecn[0], six.destination(0)) == (6, 3, 46, 1, SERVER6)


def test_tcp_fields_and_all_nine_flags() -> None:
    capture = one(ethernet(tcp(b"x", seq=2**32 - 1, ack=7, flags=0x1FF, window=65535, urgent=12)))
    names = ("seq", "ack", "flags", "window", "urgent", "sport", "dport")
    assert [int(getattr(capture, name)[0]) for name in names] == [2**32 - 1, 7, 0x1FF, 65535, 12, 4711, 10011]


def test_tcp_options_of_a_syn() -> None:
    options = b"\x02\x04\x05\xb4\x04\x02\x08\x0a" + struct.pack(">II", 10, 20) + b"\x01\x03\x03\x07" + b"\x22\x06abcd"
    capture = one(ethernet(tcp(flags=SYN, options=options)))
    names = ("mss", "wscale", "sack_permitted", "has_timestamps", "tsval", "tsecr", "fast_open", "options_bad")
    assert [int(getattr(capture, name)[0]) for name in names] == [1460, 7, 1, 1, 10, 20, 4, 0]
    none = one(ethernet(tcp()))
    assert [int(getattr(none, name)[0]) for name in names] == [-1, -1, 0, 0, 0, 0, -1, 0]


def test_an_empty_and_an_experimental_fast_open_option() -> None:
    assert one(ethernet(tcp(flags=SYN, options=b"\x22\x02"))).fast_open[0] == 0
    assert one(ethernet(tcp(flags=SYN, options=b"\xfe\x06\xf9\x89ab"))).fast_open[0] == 2
    assert one(ethernet(tcp(flags=SYN, options=b"\xfe\x06\x00\x00ab"))).fast_open[0] == -1


def test_sack_blocks_alone_and_after_timestamps() -> None:
    blocks = [(1, 2), (2**32 - 1, 4), (5, 6)]
    sack = struct.pack(">BBBB6I", 1, 1, 5, 26, *(edge for pair in blocks for edge in pair))
    frames = [ethernet(tcp()), ethernet(tcp(options=timestamps(1, 2) + sack)), ethernet(tcp(options=sack))]
    capture = read(pcap(frames))
    assert [capture.sack(row) for row in range(3)] == [(), tuple(blocks), tuple(blocks)]
    assert capture.tsval.tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    "options", [b"\x02\x00\x05\xb4", b"\x03\x01\x01\x01", b"\x01\x01\x01\x02", b"\x08\x0a\x00\x00"]
)
def test_an_option_with_an_impossible_length_is_marked(options: bytes) -> None:
    capture = one(ethernet(tcp(flags=ACK | PSH, options=options)))
    assert capture.options_bad[0]
    assert capture.kind(0) == "TCP"


def test_udp_and_its_length() -> None:
    capture = one(ethernet(udp(b"abc")) + bytes(20))
    assert (capture.udp_length[0], capture.payload(0), capture.kind(0)) == (11, b"abc", "UDP")


def test_an_icmp_error_shows_the_packet_it_is_about() -> None:
    about = udp(b"lost")
    capture = one(ethernet(icmp(3, 3, 0, about, src=SERVER, dst=CLIENT)))
    assert (capture.icmp_type[0], capture.icmp_code[0], capture.kind(0)) == (3, 3, "ICMP")
    assert capture.bytes_at(int(capture.embedded_offset[0]), len(about)) == about
    echo = one(ethernet(icmp(8, 0, 0x00010002, b"ping" * 14)))
    assert (echo.icmp_rest[0], echo.embedded_offset[0]) == (0x00010002, -1)
