"""Real captures of many tools (BOTHENDS_CAPTURES, by default ../shared/captures beside the project)."""

from __future__ import annotations

import csv
from typing import Any

import pytest

from testbed.capture.columns import Capture
from testbed.capture.read_file import read
from testbed.model.errors import CaptureError
from tests.builders.shared_captures import CORPUS, MANIFEST, needs_corpus

pytestmark = needs_corpus


def entries() -> list[dict[str, str]]:
    if not MANIFEST.exists():
        return []
    with MANIFEST.open(newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry["file"])
def test_every_file_has_as_many_packets_as_the_manifest_says(entry: dict[str, str]) -> None:
    path = CORPUS / entry["file"]
    if entry["packets"]:
        capture = read(path)
        assert len(capture) == int(entry["packets"])
        assert sum(capture.others.values()) <= len(capture)
    else:
        with pytest.raises(CaptureError, match="byte"):
            read(path)


# files of link types and contents that scapy decodes the same way
COMPARED = [
    "pairs/mptcpanalyzer-1/client.pcap",
    "pairs/pres-bwm-eth1/h1.pcap",
    "pairs/tcpreplay-rewrites/original.pcap",
    "pairs/tcpreplay-rewrites/rewrite_vlan802.1ad.pcap",
    "pairs/vpn-wireguard-ftps/server.pcap",
    "single/zeek-ssh-dups.pcap",
    "single/zeek-vlan-qinqinq.pcap",
    "single/zeek-payload-synack.pcap",
    "single/zeek-ipv6-http-atomic-frag.pcap",
    "single/chrissanders-tcp_zerowindowdead.pcapng",
    "single/suricata-urgent-2byte.pcap",
    "single/suricata-tcp-overlap.pcap",
    "single/tcpdump-tcp-handshake-nano.pcap",
    "single/tcpdump-print-flags.pcap",
    "single/tcpdump-LINKTYPE_IPV4.pcap",
    "single/pcpp-raw_ip.pcap",
    "single/pcpp-nanosecs_big_endian.pcap",
    "single/pcpp-one_http_stream_rst.pcap",
    "single/pcpp-many_interfaces-1.pcapng",
    "single/scapy-http_tcp_psh.pcap.gz",
    "single/wireshark-http-ooo.pcap",
    "single/wireshark-dhcp-nanosecond.pcapng",
    "single/ndpi-synscan.pcap",
]


@pytest.mark.parametrize("name", COMPARED)
def test_every_field_is_what_scapy_reads(name: str) -> None:
    import scapy.all  # noqa: F401 - registers every link layer
    from scapy.utils import PcapReader

    capture = read(CORPUS / name)
    decoded = 0
    with PcapReader(str(CORPUS / name)) as packets:
        for row, packet in enumerate(packets):
            assert abs(int(capture.time_ns[row]) - int(packet.time * 10**9)) <= 1000
            assert capture.wire[row] == (packet.wirelen or len(packet))
            decoded += compare(capture, row, packet)
    assert decoded > 0


def compare(capture: Capture, row: int, packet: Any) -> bool:
    """Compare one packet; return whether there was a transport header to compare."""
    from scapy.layers.inet import IP, TCP, UDP
    from scapy.layers.inet6 import IPv6

    network = packet.getlayer(IP) or packet.getlayer(IPv6)
    if network is None or capture.fragment[row]:
        return False
    assert (capture.source(row), capture.destination(row)) == (network.src, network.dst)
    v4 = network.version == 4
    assert capture.ttl[row] == (network.ttl if v4 else network.hlim)
    if v4:
        assert (capture.ip_id[row], capture.proto[row]) == (network.id, network.proto)
        assert capture.dscp[row] << 2 | capture.ecn[row] == network.tos
    for layer, number in ((TCP, 6), (UDP, 17)):
        transport = network.getlayer(layer)
        if transport is None or capture.transport[row] != number:
            continue
        assert (capture.sport[row], capture.dport[row]) == (transport.sport, transport.dport)
        assert capture.checksum[row] == transport.chksum
        if number == 6:
            compare_tcp(capture, row, transport)
        payload = bytes(transport.payload)
        assert capture.payload(row) == payload[: capture.payload_captured[row]]
        return True
    return False


def compare_tcp(capture: Capture, row: int, segment: Any) -> None:
    names = {"seq": "seq", "ack": "ack", "window": "window", "urgent": "urgptr"}
    for ours, theirs in names.items():
        assert getattr(capture, ours)[row] == getattr(segment, theirs), ours
    assert capture.flags[row] == int(segment.flags)
    options = dict(segment.options)
    assert capture.mss[row] == options.get("MSS", -1)
    assert capture.wscale[row] == options.get("WScale", -1)
    assert capture.sack_permitted[row] == ("SAckOK" in options)
    stamps = options.get("Timestamp")
    assert capture.has_timestamps[row] == (stamps is not None)
    if stamps:
        assert (capture.tsval[row], capture.tsecr[row]) == stamps
    assert tuple(edge for block in capture.sack(row) for edge in block) == tuple(options.get("SAck", ()))
