"""Packets that scapy builds come back field by field."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.capture.read_file import read
from tests.builders.frames import pcap
from tests.nonempty import nonempty

port = st.integers(0, 65535)
word = st.integers(0, 2**32 - 1)
payload = st.binary(max_size=200)
OPTIONS = st.lists(
    st.one_of(
        st.just(("NOP", None)),
        st.tuples(st.just("MSS"), st.integers(0, 65535)),
        st.tuples(st.just("WScale"), st.integers(0, 255)),
        st.just(("SAckOK", b"")),
        st.tuples(st.just("Timestamp"), st.tuples(word, word)),
        st.tuples(st.just("SAck"), st.tuples(word, word)),
    ),
    max_size=5,
    unique_by=lambda option: option[0],
).filter(
    lambda options: (
        sum({"NOP": 1, "MSS": 4, "WScale": 3, "SAckOK": 2, "Timestamp": 10, "SAck": 10}[n] for n, _ in options) <= 40
    )
)


@st.composite
def packets(draw: st.DrawFn) -> Any:
    from scapy.layers.inet import IP, TCP, UDP
    from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrHopByHop
    from scapy.layers.l2 import Dot1Q, Ether
    from scapy.packet import Raw

    if draw(st.booleans()):
        network: Any = IP(
            src=draw(st.ip_addresses(v=4).map(str)),
            dst=draw(st.ip_addresses(v=4).map(str)),
            ttl=draw(st.integers(0, 255)),
            id=draw(port),
            tos=draw(st.integers(0, 255)),
        )
    else:
        network = IPv6(
            src=draw(st.ip_addresses(v=6).map(str)),
            dst=draw(st.ip_addresses(v=6).map(str)),
            hlim=draw(st.integers(0, 255)),
            tc=draw(st.integers(0, 255)),
        )
        for extension in draw(st.lists(st.sampled_from([IPv6ExtHdrHopByHop, IPv6ExtHdrDestOpt]), max_size=2)):
            network = network / extension()
    if draw(st.booleans()):
        transport: Any = TCP(
            sport=draw(port),
            dport=draw(port),
            seq=draw(word),
            ack=draw(word),
            flags=draw(st.integers(0, 511)),
            window=draw(port),
            urgptr=draw(port),
            options=draw(OPTIONS),
        )
    else:
        transport = UDP(sport=draw(port), dport=draw(port))
    frame = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")  # else scapy asks the network for it
    for vlan in draw(st.lists(st.integers(0, 4095), max_size=3)):
        frame = frame / Dot1Q(vlan=vlan)
    return frame / network / transport / Raw(draw(payload))


@settings(max_examples=60)
@given(st.lists(packets(), min_size=1, max_size=4))
def test_every_field_that_scapy_wrote_is_read(built: list[Any]) -> None:
    from scapy.layers.inet import IP, TCP, UDP
    from scapy.layers.inet6 import IPv6
    from scapy.layers.l2 import Dot1Q
    from scapy.packet import Raw

    capture = read(pcap([bytes(packet) for packet in built]))
    for row, packet in enumerate(nonempty(built)):
        network = packet.getlayer(IP) or packet.getlayer(IPv6)
        ends = ip_address(capture.source(row)), ip_address(capture.destination(row))
        assert ends == (ip_address(network.src), ip_address(network.dst))
        tags = [packet.getlayer(Dot1Q, k) for k in range(1, 4) if packet.getlayer(Dot1Q, k)]
        assert (capture.vlan_tags[row], capture.vlan[row]) == (len(tags), tags[0].vlan if tags else -1)
        tos = network.tos if IP in packet else network.tc
        assert (capture.dscp[row], capture.ecn[row]) == (tos >> 2, tos & 3)
        assert capture.ttl[row] == (network.ttl if IP in packet else network.hlim)
        assert capture.ip_id[row] == (network.id if IP in packet else 0)
        transport = packet.getlayer(TCP) or packet.getlayer(UDP)
        assert (capture.sport[row], capture.dport[row]) == (transport.sport, transport.dport)
        assert capture.payload(row) == bytes(packet[Raw].load)
        if TCP in packet:
            assert (capture.seq[row], capture.ack[row]) == (transport.seq, transport.ack)
            assert (capture.flags[row], capture.window[row]) == (int(transport.flags), transport.window)
            assert capture.urgent[row] == transport.urgptr
            options = dict(transport.options)
            assert (capture.mss[row], capture.wscale[row]) == (options.get("MSS", -1), options.get("WScale", -1))
            assert capture.sack_permitted[row] == ("SAckOK" in options)
            assert capture.sack(row) == ((options["SAck"],) if "SAck" in options else ())
            stamps = (int(capture.tsval[row]), int(capture.tsecr[row])) if capture.has_timestamps[row] else None
            assert stamps == options.get("Timestamp")
            assert not capture.options_bad[row]
