"""Pairs of captures from other people's machines and tools, with what is known about them."""

from __future__ import annotations

import numpy as np
import pytest

from testbed.capture.columns import Capture
from testbed.capture.read_file import read
from testbed.model.ip import UDP
from testbed.pairing.compare_captures import Comparison
from testbed.pairing.fates import ChangedField, RowFate, change_names
from testbed.pairing.flow_summary import flow_mapping
from testbed.pairing.nothing_in_common import EncryptedInOne, Tunnel
from testbed.pairing.same import count_differences
from tests.builders.shared_captures import CORPUS, compare_files, needs_corpus
from tests.nonempty import every

pytestmark = needs_corpus

REWRITES = "pairs/tcpreplay-rewrites"
IP = 166  # of the 179 frames of the original are IP


def fates(compared: Comparison) -> dict[str, int]:
    values, counts = np.unique(compared.table.fate, return_counts=True)
    return {RowFate(int(value)).text: int(count) for value, count in zip(values, counts, strict=True)}


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
    assert every(compared.table.delay[compared.table.timed] >= 0)


def test_a_tunnel_ends_the_connections() -> None:
    """Client and server share no packet: the client's is the tunnel."""
    compared = compare_files("pairs/vpn-wireguard-ftps/client.pcap", "pairs/vpn-wireguard-ftps/server.pcap")
    assert not len(compared.pairs)
    assert compared.reasons[0] == EncryptedInOne(0, Tunnel(UDP, 51820))


def test_the_relay_carries_the_tunnel_but_none_of_its_tcp() -> None:
    compared = compare_files("pairs/vpn-wireguard-ftps/client.pcap", "pairs/vpn-wireguard-ftps/relay.pcap")
    assert {int(protocol) for protocol in compared.flows[0].protocol[compared.pairs.a]} == {17}


@pytest.mark.parametrize("name", ["pnat", "portmap", "sequence", "vlan802.1ad", "1ttl", "skip", "fixlen_trunc"])
def test_a_rewrite_of_whole_flows_loses_and_alters_nothing(name: str) -> None:
    compared = compare_files(f"{REWRITES}/original.pcap", f"{REWRITES}/rewrite_{name}.pcap")
    assert fates(compared) == {"crossed": IP}
    assert changes(compared) <= {int(ChangedField.CHECKSUM)}
    assert not len(compared.alone[0])
    assert not len(compared.alone[1])


def mapped(name: str) -> list[set[str]]:
    compared = compare_files(f"{REWRITES}/original.pcap", f"{REWRITES}/rewrite_{name}.pcap")
    return [set(flow_mapping(compared, pair).rewritten) for pair in range(len(compared.pairs))]


def test_each_rewrite_is_named() -> None:
    tcp = [set.union(*mapped(name)) for name in ("pnat", "portmap", "sequence", "1ttl", "vlan802.1ad", "fixlen_trunc")]
    assert tcp == [{"addresses"}, {"ports"}, {"sequence numbers"}, {"ttl"}, set(), set()]


def test_a_tag_that_was_inserted_is_named() -> None:
    compared = compare_files(f"{REWRITES}/original.pcap", f"{REWRITES}/rewrite_vlan802.1ad.pcap")
    assert {flow_mapping(compared, pair).vlan for pair in range(len(compared.pairs))} == {(-1, 42)}


def test_truncated_packets_are_shorter_and_their_payload_is_cut() -> None:
    compared = compare_files(f"{REWRITES}/original.pcap", f"{REWRITES}/rewrite_mtutrunc.pcap")
    assert fates(compared) == {"crossed": IP}
    assert changes(compared) == {int(ChangedField.LENGTH | ChangedField.PAYLOAD)}
    assert count_differences(compared)["altered"] == 49


Rewrite = tuple[str, int | None, tuple[str, ...]]
"""What a comparison says of a frame of the original: fate, frame after the rewrite, altered fields."""


def told(name: str) -> tuple[dict[int, Rewrite], Capture, Capture]:
    """Return what is said of each frame (counted from 0) of the original, and both files."""
    compared = compare_files(f"{REWRITES}/original.pcap", f"{REWRITES}/rewrite_{name}.pcap")
    one, two = compared.packets
    said: dict[int, Rewrite] = {}
    for row in range(len(compared.table)):
        k, m = int(compared.table.one[row]), int(compared.table.two[row])
        assert k >= 0, "nothing is new after a rewrite"
        fields = change_names(int(compared.table.changes[row]))
        fate = RowFate(int(compared.table.fate[row])).text
        said[int(one.frame[k])] = (fate, int(two.frame[m]) if m >= 0 else None, fields)
    return said, read(CORPUS / REWRITES / "original.pcap"), read(CORPUS / REWRITES / f"rewrite_{name}.pcap")


def test_frames_cut_by_four_bytes_are_shorter_on_the_wire() -> None:
    """Payload that no longer fits the frame, else cut options, else nothing but padding; a cut header is no segment."""
    said, before, after = told("efcs")
    for frame, (fate, there, fields) in said.items():
        cut = int(before.network[frame] - before.offset[frame] + before.ip_length[frame]) > int(after.wire[frame])
        payload, options = before.payload_length[frame] > 0, before.options_length[frame] > 0
        if cut and not payload and not options:
            assert (fate, there) == ("lost", None)
            assert after.kind(frame) == "cut in the transport header"
        else:
            assert (fate, there) == ("crossed", frame)
            assert fields == (("frame length",) if cut and payload else ("options",) if cut else ())
    assert len(said) == IP - 1  # a packet of EIGRP, of which all payload differs, is alone


def test_fuzzed_packets_are_named_one_by_one() -> None:
    """What differs in a byte is altered, what has gone is lost unless an ACK shows that the tap missed it."""
    said, before, after = told("l7fuzzing")
    gone = {frame: fate for frame, (fate, there, _) in said.items() if there is None}
    assert gone == {
        **dict.fromkeys((34, 47, 80, 123, 130, 158, 159, 160), "lost"),
        **dict.fromkeys((132, 137), "lost"),  # their echo identifier is another now: a ping of its own
        **dict.fromkeys((59, 82, 87, 89), "not captured"),
        171: "after end",
    }
    for frame, (_, there, fields) in said.items():
        if there is not None:
            assert before.time_ns[frame] == after.time_ns[there]
            assert ("payload" in fields) == (before.payload(frame) != after.payload(there))
            assert bool(fields) == (before.frame(frame)[14:] != after.frame(there)[14:])


def test_only_frames_whose_labels_were_removed_are_lost_with_another_link_type() -> None:
    """tcprewrite took the MPLS labels out of six frames and left the type: they hold no IP packet any more."""
    said, before, after = told("dlthdlc")
    assert (before.link_names, after.link_names) == (("Ethernet",), ("Cisco HDLC",))
    assert len(said) == IP
    for frame, (fate, there, fields) in said.items():
        unlabelled = before.frame(frame)[12:14] == b"\x88\x47"
        assert (fate, there, fields) == (("lost", None, ()) if unlabelled else ("crossed", frame, ()))
        assert (after.kind(frame) == "MPLS") == unlabelled


def test_two_directions_rewritten_apart_are_still_one_flow() -> None:
    """tcprewrite --endpoints gives the packets of both directions the same source."""
    compared = compare_files(f"{REWRITES}/original.pcap", f"{REWRITES}/rewrite_endpoint.pcap")
    tcp = compared.flows[0].protocol[compared.pairs.a] == 6
    assert len(set(compared.pairs.a[tcp].tolist())) < int(tcp.sum())
    said, before, after = told("endpoint")
    echoes = {k for k in range(len(before)) if before.kind(k) == "ICMP" and before.icmp_type[k] in (0, 8)}
    assert len(said) == IP - len(echoes)
    assert not said.keys() & echoes
    for frame, (fate, there, fields) in said.items():
        broken = {before.checksum[frame] != after.checksum[frame], bool(fields)}
        assert (fate, there) == ("crossed", frame)
        assert fields == () or (fields == ("checksum",) and broken == {True})
    # a request and its reply differ in nothing but their type, and are from the same source now: no one can tell
    unclear = [{compared.packets[k].ends[int(compared.flows[k].conversation[flow])].echo for flow in flows}
               for k, flows in enumerate(compared.pairs.ambiguous)]  # fmt: skip
    assert unclear == [{5, 3942}, {5, 3942}]
