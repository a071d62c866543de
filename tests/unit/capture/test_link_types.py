"""Frames of 802.11, of radiotap and of PPPoE, and snoop files: what is inside is read, what cannot be has a name."""

from __future__ import annotations

import struct

import pytest
from scapy.layers.dot11 import Dot11, Dot11QoS, RadioTap
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import LLC, SNAP
from scapy.packet import Packet, Raw

from testbed.capture.read_file import read
from testbed.model.errors import CaptureError
from tests.builders.frames import ACK, ethernet, pcap, tcp

INNER = IP(src="10.9.0.1", dst="10.9.0.2", ttl=9) / TCP(sport=4711, dport=80, seq=77, flags="PA") / Raw(b"inside")
DATA = LLC() / SNAP() / INNER
WIRELESS = {
    "data": Dot11(type=2, subtype=0, FCfield=1) / DATA,
    "with quality of service": Dot11(type=2, subtype=8, FCfield=2) / Dot11QoS() / DATA,
    "between access points": Dot11(type=2, subtype=8, FCfield=3, addr4="02:00:00:00:00:09") / Dot11QoS() / DATA,
    "with HT control": Raw(bytes(Dot11(type=2, subtype=8, FCfield=0x81) / Dot11QoS()) + bytes(4)) / DATA,
    "IPv6": Dot11(type=2) / LLC() / SNAP() / IPv6(src="fd00::1", dst="fd00::2") / INNER.payload,
}
UNREAD = {
    "802.11 management": Dot11(type=0, subtype=8) / Raw(bytes(30)),
    "802.11 control": Dot11(type=1, subtype=13),
    "802.11 without data": Dot11(type=2, subtype=4),
    "802.11 encrypted": Dot11(type=2, FCfield=0x41) / Raw(bytes(60)),
    "802.11 fragment": Dot11(type=2, FCfield=0x04) / DATA,
    "802.11 A-MSDU": Dot11(type=2, subtype=8) / Dot11QoS(A_MSDU_Present=1) / DATA,
    "cut in the link header": Raw(bytes(Dot11(type=2))[:20]),
}
RADIOTAPS: dict[str, bytes] = {
    "none": bytes(RadioTap()),
    "a clock": bytes(RadioTap(present="TSFT+Flags+Channel", mac_timestamp=5, Flags=0x10)),
    "several words": struct.pack("<BBHIIIQBx", 0, 0, 26, 0x80000003, 0x80000000, 0, 7, 0),
}


@pytest.mark.parametrize("name", list(WIRELESS))
@pytest.mark.parametrize("before", [None, *RADIOTAPS])
def test_a_packet_in_80211_is_read(name: str, before: str | None) -> None:
    header = b"" if before is None else RADIOTAPS[before]
    check = bytes(4) if before == "a clock" else b""
    capture = read(pcap([header + bytes(WIRELESS[name]) + check], link=105 if before is None else 127))
    assert (capture.kind(0), int(capture.sport[0]), capture.payload(0)) == ("TCP", 4711, b"inside")
    assert capture.source(0) in ("10.9.0.1", "fd00::1")


def test_a_padded_header_behind_radiotap_is_stepped_over() -> None:
    head = bytes(Dot11(type=2, subtype=8, FCfield=2) / Dot11QoS())
    before = struct.pack("<BBHIB", 0, 0, 9, 2, 0x20)
    capture = read(pcap([before + head + bytes(-len(head) % 4) + bytes(DATA)], link=127))
    assert (capture.kind(0), capture.payload(0)) == ("TCP", b"inside")


@pytest.mark.parametrize("name", list(UNREAD))
def test_what_80211_does_not_show_has_a_name(name: str) -> None:
    frame: Packet = UNREAD[name]
    assert dict(read(pcap([bytes(frame)], link=105)).others) == {name: 1}


@pytest.mark.parametrize("header", [bytes(4), struct.pack("<BBHI", 0, 0, 60000, 0), struct.pack("<BBHI", 0, 0, 2, 0)])
def test_a_radiotap_header_that_does_not_fit_is_cut(header: bytes) -> None:
    assert dict(read(pcap([header], link=127)).others) == {"cut in the link header": 1}


@pytest.mark.parametrize("protocol", [b"\x00\x21", b"\x21"])
def test_the_length_of_pppoe_bounds_what_it_carries(protocol: bytes) -> None:
    packet = tcp(b"inside", flags=ACK)
    session = struct.pack(">BBHH", 0x11, 0, 7, len(protocol) + len(packet) - 2) + protocol
    capture = read(pcap([ethernet(session + packet, ethertype=0x8864)]))
    assert (capture.kind(0), capture.payload(0), int(capture.trailer[0])) == ("TCP", b"insi", 2)


def test_reserved_flags_of_tcp_are_kept() -> None:
    assert int(read(pcap([ethernet(tcp(flags=ACK | 0x400))])).flags[0]) == ACK | 0x400


def snoop(frames: list[bytes], *, version: int = 2, link: int = 4) -> bytes:
    """A snoop file (RFC 1761), its records padded to four bytes."""
    out = [b"snoop\0\0\0" + struct.pack(">II", version, link)]
    for number, frame in enumerate(frames):
        record = 24 + len(frame) + -len(frame) % 4
        out.append(struct.pack(">IIIIII", len(frame), len(frame), record, 0, 1700000000 + number, 5))
        out.append(frame + bytes(-len(frame) % 4))
    return b"".join(out)


def test_a_snoop_file_is_read() -> None:
    capture = read(snoop([ethernet(tcp(b"one")), ethernet(tcp(b"three"))]))
    assert [capture.payload(row) for row in range(2)] == [b"one", b"three"]
    assert capture.time_ns.tolist() == [1700000000000005000, 1700000001000005000]
    assert capture.partial is None


def test_a_snoop_file_that_breaks_off_gives_what_it_holds() -> None:
    whole = snoop([ethernet(tcp(b"one")), ethernet(tcp(b"three"))])
    for missing, said in ((4, "record 2 needs 59 bytes, 56 are there"), (70, "record 2 needs a 24-byte header")):
        capture = read(whole[:-missing])
        assert (len(capture), said in str(capture.partial)) == (1, True), capture.partial
    damaged = whole[:24] + struct.pack(">I", 3) + whole[28:]
    assert "damaged at byte 24: record 1 claims 3 bytes" in str(read(damaged).partial)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (snoop([], version=3), "snoop version 3 is unknown"),
        (snoop([], link=9), "the data link type 9 of snoop is not supported"),
        (snoop([])[:12], "the snoop file header needs 16 bytes"),
    ],
)
def test_a_snoop_file_that_cannot_be_used_says_why(data: bytes, said: str) -> None:
    with pytest.raises(CaptureError, match=said):
        read(data)


@pytest.mark.parametrize(("size", "ports"), [(3, (0, 0)), (6, (4711, 10011))])
def test_ports_are_read_of_a_header_that_is_cut_behind_them(size: int, ports: tuple[int, int]) -> None:
    capture = read(pcap([ethernet(tcp(b"never seen"))], snap=14 + 20 + size))
    assert capture.kind(0) == "cut in the transport header"
    assert (int(capture.sport[0]), int(capture.dport[0])) == ports
