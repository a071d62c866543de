"""Packets in tunnels are read as what is inside; what only looks like a tunnel stays itself."""

from __future__ import annotations

import pytest
from scapy.contrib.erspan import ERSPAN_II, ERSPAN_III
from scapy.contrib.geneve import GENEVE
from scapy.contrib.gtp import GTP_U_Header, GTPPDUSessionContainer
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import GRE, GRE_PPTP, Dot1Q, Ether
from scapy.layers.l2tp import L2TP
from scapy.layers.ppp import PPP
from scapy.layers.vxlan import VXLAN
from scapy.packet import Raw

from testbed.capture.read_file import read
from tests.builders.frames import pcap

INNER = IP(src="10.9.0.1", dst="10.9.0.2", ttl=9) / TCP(sport=4711, dport=80, seq=77, flags="PA") / Raw(b"inside")
INNER6 = IPv6(src="fd00::1", dst="fd00::2") / TCP(sport=4711, dport=80, seq=77, flags="PA") / Raw(b"inside")
OUTER = IP(src="192.0.2.1", dst="192.0.2.2")
FRAME = Ether(dst="02:00:00:00:00:01", src="02:00:00:00:00:02") / INNER
TUNNELS = {
    "IP in IP": OUTER / INNER,
    "IPv6 in IP": OUTER / INNER6,
    "GRE": OUTER / GRE() / INNER,
    "GRE with key": OUTER / GRE(key_present=1, key=5, chksum_present=1) / INNER,
    "GRE with Ethernet": OUTER / GRE(proto=0x6558) / FRAME,
    "ERSPAN": OUTER / GRE(proto=0x88BE, seqnum_present=1, sequence_number=3) / ERSPAN_II() / FRAME,
    "ERSPAN of type III": OUTER / GRE(proto=0x22EB, seqnum_present=1, sequence_number=3) / ERSPAN_III() / FRAME,
    "ERSPAN of type I": OUTER / GRE(proto=0x88BE) / FRAME,
    "VXLAN": OUTER / UDP(sport=50000, dport=4789) / VXLAN(vni=7) / FRAME,
    "VXLAN with a tag": OUTER
    / UDP(sport=50000, dport=4789)
    / VXLAN(vni=7)
    / Ether(dst="02:00:00:00:00:01", src="02:00:00:00:00:02")
    / Dot1Q(vlan=3)
    / INNER,
    "VXLAN over IPv6": IPv6() / UDP(sport=50000, dport=4789) / VXLAN(vni=7) / FRAME,
    "Geneve": OUTER / UDP(sport=50000, dport=6081) / GENEVE(vni=7, proto=0x6558) / FRAME,
    "GTP-U": OUTER / UDP(sport=2152, dport=2152) / GTP_U_Header(teid=5) / INNER,
    "GTP-U with an extension header": OUTER
    / UDP(sport=2152, dport=2152)
    / GTP_U_Header(teid=5, E=1, next_ex=0x85)
    / GTPPDUSessionContainer(type=0, QFI=9)
    / INNER,
    "L2TP": OUTER / UDP(sport=1701, dport=1701) / L2TP(hdr=["length"], tunnel_id=5, session_id=6) / PPP() / INNER,
    "L2TP with numbers": OUTER
    / UDP(sport=1701, dport=1701)
    / L2TP(hdr=["length", "sequence", "offset"], offset=0, tunnel_id=5, session_id=6)
    / Raw(b"\xff\x03\x00\x21")
    / INNER,
    "L2TP with a protocol of one byte": OUTER
    / UDP(sport=1701, dport=1701)
    / L2TP(hdr=[], tunnel_id=5, session_id=6)
    / Raw(b"\x21")
    / INNER,
    "L2TPv3": IP(src="192.0.2.1", dst="192.0.2.2", proto=115) / Raw(b"\0\0\0\x07") / FRAME,
    "L2TPv3 with a cookie": IP(src="192.0.2.1", dst="192.0.2.2", proto=115) / Raw(b"\0\0\0\x07cookieee") / FRAME,
    "L2TPv3 over UDP": OUTER / UDP(sport=1701, dport=1701) / Raw(b"\0\x03\0\0\0\0\0\x07\x40\0\0\x01") / FRAME,
    "PPTP": OUTER / GRE_PPTP(seqnum_present=1, sequence_number=7, call_id=9) / Raw(b"\xff\x03\x00\x21") / INNER,
    "GRE in VXLAN": OUTER
    / UDP(sport=5, dport=4789)
    / VXLAN(vni=7)
    / Ether(dst="02:00:00:00:00:01", src="02:00:00:00:00:02")
    / OUTER
    / GRE()
    / INNER,
}


@pytest.mark.parametrize("name", list(TUNNELS))
def test_the_packet_inside_is_read(name: str) -> None:
    capture = read(pcap([bytes(Ether(dst="02:00:00:00:00:01", src="02:00:00:00:00:02") / TUNNELS[name])]))
    assert (capture.kind(0), int(capture.sport[0]), int(capture.seq[0])) == ("TCP", 4711, 77)
    assert capture.payload(0) == b"inside"
    assert capture.source(0) in ("10.9.0.1", "fd00::1")
    assert [count for kind, count in capture.others.items() if kind.startswith("inside ")] != []


@pytest.mark.parametrize(
    "packet",
    [
        OUTER / UDP(sport=50000, dport=4789) / Raw(b"no header of it, but long enough to hold one"),
        OUTER / UDP(sport=50000, dport=6081) / Raw(bytes(60)),
        OUTER / UDP(sport=2152, dport=2152) / Raw(b"\xff" * 60),
        OUTER / UDP(sport=50000, dport=4789),
        OUTER / UDP(sport=1701, dport=1701) / Raw(b"\xc8\x02" + bytes(30)),
        OUTER / UDP(sport=1701, dport=1701) / Raw(b"\0\x03" + bytes(60)),
    ],
)
def test_what_is_no_tunnel_stays_itself(packet: IP) -> None:
    capture = read(pcap([bytes(Ether(dst="02:00:00:00:00:01", src="02:00:00:00:00:02") / packet)]))
    assert capture.kind(0) == "UDP"
    assert capture.source(0) == "192.0.2.1"
    assert not capture.others


def test_a_part_of_an_outer_packet_is_not_entered() -> None:
    capture = read(
        pcap(
            [
                bytes(
                    Ether(dst="02:00:00:00:00:01", src="02:00:00:00:00:02")
                    / IP(src="192.0.2.1", dst="192.0.2.2", flags="MF", proto=4)
                    / Raw(bytes(INNER))
                )
            ]
        )
    )
    assert capture.fragment[0]
    assert capture.source(0) == "192.0.2.1"
