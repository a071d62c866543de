"""Pairs of captures from other people's machines and tools, with what is known about them."""

from __future__ import annotations

import numpy as np
import pytest

from testbed.analysis.compare.compare import Comparison
from testbed.analysis.compare.describe import mapping
from testbed.analysis.compare.fates import Change, Fate
from testbed.analysis.compare.verdict import count_differences
from tests.unit.compare.corpus import compare_files, needs_corpus

pytestmark = needs_corpus

REWRITES = "pairs/tcpreplay-rewrites"
IP = 166  # of the 179 frames of the original are IP


def fates(compared: Comparison) -> dict[str, int]:
    values, counts = np.unique(compared.table.fate, return_counts=True)
    return {Fate(int(value)).text: int(count) for value, count in zip(values, counts, strict=True)}


def changes(compared: Comparison) -> set[int]:
    return set(compared.table.changes.tolist()) - {0}


def test_a_50_ms_path_with_one_clock() -> None:
    """At least the 2764 packets that the manifest counts as common; the clocks agree within what can be known."""
    compared = compare_files("pairs/mptcpanalyzer-1/client.pcap", "pairs/mptcpanalyzer-1/server.pcap")
    assert fates(compared)["crossed"] >= 2764
    (piece,) = compared.clock.pieces
    assert piece.error is not None
    assert abs(piece.offset) < 10_000
    assert abs(piece.error - 50_009_000) < 10_000
    assert set(fates(compared)) == {"crossed", "lost"}


@pytest.mark.parametrize(
    ("one", "two", "count"),
    [
        ("pairs/pres-bwm-eth1/h1.pcap", "pairs/pres-bwm-eth1/server.pcap", 1414),
        ("pairs/pres-tc-eth0/h1.pcap", "pairs/pres-tc-eth0/server.pcap", 3971),
        ("pairs/tcp-over-icmp/local.pcap", "pairs/tcp-over-icmp/remote.pcap", 15),
        ("pairs/vpn-wireguard-ftps/relay.pcap", "pairs/vpn-wireguard-ftps/server.pcap", 71),
    ],
)
def test_all_packets_are_common(one: str, two: str, count: int) -> None:
    """As many as the manifest says, non-IP frames aside."""
    compared = compare_files(one, two)
    assert fates(compared) == {"crossed": count}
    assert (compared.table.delay[compared.table.timed] >= 0).all()


def test_a_tunnel_ends_the_connections() -> None:
    """Client and server share no packet: the client's is the tunnel."""
    compared = compare_files("pairs/vpn-wireguard-ftps/client.pcap", "pairs/vpn-wireguard-ftps/server.pcap")
    assert not len(compared.pairs)
    assert compared.reasons[0] == "encrypted: the first capture holds a tunnel (UDP port 51820)"


def test_the_relay_carries_the_tunnel_but_none_of_its_tcp() -> None:
    compared = compare_files("pairs/vpn-wireguard-ftps/client.pcap", "pairs/vpn-wireguard-ftps/relay.pcap")
    assert {int(protocol) for protocol in compared.flows[0].protocol[compared.pairs.a]} == {17}


@pytest.mark.parametrize("name", ["pnat", "portmap", "sequence", "vlan802.1ad", "1ttl", "skip", "fixlen_trunc"])
def test_a_rewrite_of_whole_flows_loses_and_alters_nothing(name: str) -> None:
    compared = compare_files(f"{REWRITES}/original.pcap", f"{REWRITES}/rewrite_{name}.pcap")
    assert fates(compared) == {"crossed": IP}
    assert changes(compared) <= {int(Change.CHECKSUM)}
    assert not len(compared.alone[0])
    assert not len(compared.alone[1])


def mapped(name: str) -> list[set[str]]:
    compared = compare_files(f"{REWRITES}/original.pcap", f"{REWRITES}/rewrite_{name}.pcap")
    return [set(mapping(compared, pair).rewritten) for pair in range(len(compared.pairs))]


def test_each_rewrite_is_named() -> None:
    tcp = [set.union(*mapped(name)) for name in ("pnat", "portmap", "sequence", "1ttl", "vlan802.1ad", "fixlen_trunc")]
    assert tcp == [{"addresses"}, {"ports"}, {"sequence numbers"}, {"ttl"}, set(), set()]


def test_truncated_packets_are_shorter_and_their_payload_is_cut() -> None:
    compared = compare_files(f"{REWRITES}/original.pcap", f"{REWRITES}/rewrite_mtutrunc.pcap")
    assert fates(compared) == {"crossed": IP}
    assert changes(compared) == {int(Change.LENGTH | Change.PAYLOAD)}
    assert count_differences(compared)["altered"] == 49


def test_frames_cut_by_four_bytes_are_shorter_on_the_wire() -> None:
    compared = compare_files(f"{REWRITES}/original.pcap", f"{REWRITES}/rewrite_efcs.pcap")
    assert fates(compared)["crossed"] == 159
    assert changes(compared) <= {int(Change.FRAME_LENGTH), int(Change.OPTIONS)}


def test_fuzzed_payloads_are_altered_and_missing_packets_lost() -> None:
    compared = compare_files(f"{REWRITES}/original.pcap", f"{REWRITES}/rewrite_l7fuzzing.pcap")
    told = fates(compared)
    assert told["crossed"] == 152
    assert sum(told.values()) + 1 == IP  # one was a flow of its own
    assert any(change & Change.PAYLOAD for change in changes(compared))


def test_two_directions_rewritten_apart_are_still_one_flow() -> None:
    """tcprewrite --endpoints gives the packets of both directions the same source."""
    compared = compare_files(f"{REWRITES}/original.pcap", f"{REWRITES}/rewrite_endpoint.pcap")
    tcp = compared.flows[0].protocol[compared.pairs.a] == 6
    assert len(set(compared.pairs.a[tcp].tolist())) < int(tcp.sum())
    assert fates(compared)["crossed"] == 154
