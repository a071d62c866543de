"""The join names exactly what happened to each packet on its way.

It is long because each fate is shown with the captures that lead to it.
"""

from __future__ import annotations

import random
import struct
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.analysis.calls.wire_stream import payload_at
from testbed.analysis.join.join import join
from testbed.capture.read_file import read
from testbed.model import Crossing, FieldChange, HeaderField, Joined, PayloadChange
from testbed.report.evidence_text import sentence
from testbed.report.text.change_text import change_text
from tests.builders.frames import (
    ACK,
    CLIENT,
    FIN,
    PSH,
    SERVER,
    SYN,
    URG,
    ethernet,
    icmp,
    ip,
    pcap,
    tcp,
    udp,
)
from tests.builders.shared_captures import CORPUS, needs_corpus
from tests.builders.taps import DELAY, HOSTS, MS, Packet, Wire, conversation

ALTERED = {
    "ttl": lambda p: replace(p, ttl=p.ttl - 3),
    "dscp": lambda p: replace(p, tos=0xB8),
    "ecn": lambda p: replace(p, tos=3),
    "window": lambda p: replace(p, window=p.window + 9),
    "options": lambda p: replace(p, stamp=0),
    "acknowledgment number": lambda p: replace(p, ack=(p.ack + 1000) % 2**32),
    "flags": lambda p: replace(p, flags=p.flags | FIN),
    "urgent pointer": lambda p: replace(p, urgent=3),
    "ip id": lambda p: replace(p, ident=p.ident + 3000),
    "payload": lambda p: replace(p, payload=bytes([p.payload[0] ^ 1]) + p.payload[1:]),
    "checksum": lambda p: next(
        other for flip in (0x0101, 0x0202) if not (other := replace(p, checksum=flip)).checksum_is_partial
    ),
}
FATES = st.sampled_from(["crossed"] * 6 + ["lost", "duplicated", "late", "altered"])


def expected(packets: list[Packet], fates: list[str], rng: random.Random) -> tuple[Wire, dict[int, str]]:
    """Send the packets, each with its fate; return the names of the changes by index."""
    wire = Wire()
    changes: dict[int, str] = {}
    for n, (packet, fate) in enumerate(zip(packets, fates, strict=True)):
        if fate == "altered":
            possible = [
                name
                for name in ALTERED
                if (packet.payload or name != "payload")
                # without its stamps an IPv6 segment is its own retransmission; IPv6 has no identification
                and not (packet.v6 and name in ("ip id", "options"))
                and not (packet.flags & SYN and name in ("acknowledgment number", "flags"))
            ]
            changes[n] = rng.choice(possible)
            wire.cross(packet, becomes=ALTERED[changes[n]](packet))
        elif fate == "late":
            wire.cross(packet, delay=DELAY + rng.randrange(20) * MS + 500)
        else:
            wire.cross(packet, lost=fate == "lost")
            if fate == "duplicated":
                wire.appear(packet, DELAY + rng.randrange(1, 9 * MS))
    return wire, changes


@settings(max_examples=200)
@given(st.data())
def test_the_join_names_exactly_what_was_done(data: st.DataObject) -> None:
    """Lose, duplicate, delay, reorder or alter any packets of a random flow: each is found as what it is."""
    rng = random.Random(data.draw(st.integers(0, 2**32)))
    v6 = data.draw(st.booleans())
    packets = conversation(rng, data.draw(st.integers(3, 40)), v6=v6)
    fates = data.draw(st.lists(FATES, min_size=len(packets), max_size=len(packets)))
    wire, changes = expected(packets, fates, rng)
    joined = wire.join()
    assert [crossing.n for crossing in joined.crossings] == list(range(len(joined.crossings)))
    by_time = {(c.sender, c.sent): c for c in joined.crossings if c.sent is not None}
    assert len(by_time) == len(packets)
    for n, (packet, fate) in enumerate(zip(packets, fates, strict=True)):
        crossing = by_time["client" if packet.to_server else "server", packet.time]
        assert crossing.fate == ("lost" if fate == "lost" else "crossed"), (n, fate, crossing)
        assert (crossing.raw_seq, crossing.payload) == (packet.seq, packet.payload)
        named = [change_text(change)[0] for change in crossing.changes]
        assert named == ([changes[n]] if n in changes and not routed(changes, n, packets, fates) else []), (n, crossing)
    appeared = [c for c in joined.crossings if c.fate == "appeared"]
    assert len(appeared) == fates.count("duplicated")
    assert all(sentence(c.note).startswith("copy of #") for c in appeared)


def routed(changes: dict[int, str], n: int, packets: list[Packet], fates: list[str]) -> bool:
    """A TTL lowered for most packets of a direction is routing."""
    if changes[n] != "ttl":
        return False
    mine = [k for k, p in enumerate(packets) if p.to_server == packets[n].to_server and fates[k] != "lost"]
    return sum(changes.get(k) == "ttl" for k in mine) * 2 > len(mine)


def only(joined: Joined) -> Crossing:
    (crossing,) = joined.crossings
    return crossing


def test_a_crossing_shows_what_the_sender_sent() -> None:
    wire = Wire()
    wire.cross(Packet(time=100, seq=1000, flags=SYN, window=64240, ident=1, stamp=5))
    wire.cross(Packet(time=200 + DELAY, to_server=False, seq=5000, ack=1001, flags=SYN | ACK, stamp=9))
    wire.cross(Packet(time=300 + 2 * DELAY, seq=1001, ack=5001, flags=PSH | ACK, payload=b"abc", ident=2, stamp=6))
    joined = wire.join()
    syn, _, data = joined.crossings
    assert (syn.flags, syn.seq, syn.ack, syn.raw_seq, syn.window, syn.ttl) == ("S", 0, None, 1000, 64240, 64)
    assert syn.options == {"tsval": 5, "tsecr": 7}
    assert (syn.sent, syn.arrived, syn.at_client, syn.at_server) == (100, 100 + DELAY, 1, 1)
    assert (data.flags, data.seq, data.ack, data.start, data.end, data.payload) == ("P.", 1, 1, 0, 3, b"abc")
    assert (data.at_client, data.at_server, data.protocol, data.flow) == (3, 3, "tcp", 0)
    assert joined.packets == {"client": 3, "server": 3}


def test_an_urgent_pointer_is_shown_where_it_counts() -> None:
    """The pointer means something only with URG (RFC 9293 section 3.1); the sockets' rules look for it."""
    wire = Wire()
    wire.cross(Packet(time=100, seq=1000, flags=PSH | ACK | URG, payload=b"!", urgent=1))
    wire.cross(Packet(time=200, seq=1001, flags=PSH | ACK, payload=b"a", urgent=1))
    assert [crossing.options for crossing in wire.join().crossings] == [{"urgent": 1}, {}]


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_among_identical_datagrams_the_lost_one_is_found_by_delay(lost: int) -> None:
    """Nothing but time tells them apart (an unconnected socket: IP identification 0): the note says so."""
    wire = Wire()
    wire.cross(Packet(time=0, kind="udp", payload=b"hello", ident=7))
    for k in range(3):
        wire.cross(Packet(time=(k + 1) * 1000 * MS, kind="udp", payload=b"again"), lost=k == lost)
    crossings = wire.join().crossings
    assert [c.fate for c in crossings[1:]] == ["lost" if k == lost else "crossed" for k in range(3)]
    assert {sentence(c.note) for c in crossings[1:]} == {"one of 3 identical packets, told apart by their delay"}
    assert [c.start for c in crossings] == [0, 1, 2, 3]


def test_identical_packets_that_all_cross_are_paired_in_order() -> None:
    wire = Wire()
    for k in range(5):
        wire.cross(Packet(time=k * 100, seq=1, ack=1), delay=DELAY + k)
    assert [(c.at_client, c.at_server, sentence(c.note)) for c in wire.join().crossings] == [
        (k, k, "") for k in range(1, 6)
    ]


def test_a_lost_segment_is_not_taken_for_its_retransmission() -> None:
    first = Packet(time=0, seq=1, ack=1, ident=10, payload=b"data", stamp=1)
    wire = Wire()
    wire.cross(first, lost=True)
    wire.cross(replace(first, time=200 * MS, ident=11, stamp=201))
    assert [c.fate for c in wire.join().crossings] == ["lost", "crossed"]


def test_a_copy_of_a_segment_is_not_taken_for_its_lost_retransmission() -> None:
    first = Packet(time=0, seq=1, ack=1, ident=10, payload=b"data", stamp=1)
    wire = Wire()
    wire.cross(first)
    wire.appear(first, DELAY + 300 * MS)
    wire.cross(replace(first, time=200 * MS, ident=11), lost=True)
    assert [(c.fate, sentence(c.note)) for c in wire.join().crossings] == [
        ("crossed", ""),
        ("lost", ""),
        ("appeared", "copy of #0"),
    ]


def test_a_forged_packet_appeared() -> None:
    wire = Wire()
    wire.appear(Packet(time=0, to_server=False, seq=77, flags=0x04))
    crossing = only(wire.join())
    assert (crossing.fate, crossing.sender, crossing.sent, crossing.arrived) == ("appeared", "server", None, DELAY)
    assert (crossing.at_client, crossing.at_server, crossing.flags, sentence(crossing.note)) == (1, None, "R", "")


def test_a_checksum_filled_in_by_the_network_card_is_no_change() -> None:
    packet = Packet(time=0, seq=1, payload=b"x", ident=1)
    wire = Wire()
    wire.cross(replace(packet, checksum=0x1234), becomes=packet)
    assert only(wire.join()).changes == ()


def test_a_ttl_lowered_for_all_is_routing_and_an_exception_is_named() -> None:
    wire = Wire()
    for k in range(5):
        packet = Packet(time=k, seq=1, ident=k + 1)
        wire.cross(packet, becomes=replace(packet, ttl=40 if k == 3 else 62))
    changed = [crossing.changes for crossing in wire.join().crossings]
    assert changed == [(), (), (), (FieldChange(HeaderField.TTL, 64, 40),), ()]


def test_a_payload_change_says_where() -> None:
    packet = Packet(time=0, kind="udp", payload=b"abcdef", ident=5)
    wire = Wire()
    wire.cross(packet, becomes=replace(packet, payload=b"abXdeY"))
    (change,) = only(wire.join()).changes
    assert change == PayloadChange(2, b"cdef", b"XdeY", count=2)
    assert change_text(change) == ("payload", "byte 2 is 0x63", "0x58 and 1 more")


def test_a_datagram_cut_short_on_its_way_is_itself() -> None:
    packet = Packet(time=0, kind="udp", payload=b"abcdef", ident=5)
    wire = Wire()
    wire.cross(packet, becomes=replace(packet, payload=b"abc"))
    crossing = only(wire.join())
    assert crossing.changes == (FieldChange(HeaderField.LENGTH, 6, 3), PayloadChange(3, b"def", b"", count=0))
    assert [change_text(change) for change in crossing.changes] == [
        ("length", "6", "3"),
        ("payload", "6 bytes", "3 bytes"),
    ]


def test_a_payload_that_became_longer_and_other_is_known_to_its_end() -> None:
    packet = Packet(time=0, kind="udp", payload=b"abcdef", ident=5)
    wire = Wire()
    wire.cross(packet, becomes=replace(packet, payload=b"abXdefgh"))
    crossing = only(wire.join())
    assert crossing.changes[-1] == PayloadChange(2, b"cdef", b"Xdefgh", count=1)
    assert payload_at(crossing, "arrived") == b"abXdefgh"


def test_icmp_crosses_without_a_flow_and_names_what_an_error_is_about() -> None:
    wire = Wire()
    wire.cross(Packet(time=0, kind="icmp", seq=0x10001, payload=b"ping" * 8, ident=1))
    about = udp(b"lost", dport=10012)
    error = ethernet(icmp(3, 3, 0, about, src=SERVER, dst=CLIENT, ident=5))
    echo = only(wire.join())
    assert (echo.protocol, echo.flow, echo.flags, echo.options) == ("icmp", None, "", {"type": 8, "code": 0})
    joined = join(read(pcap([(DELAY, error)])), read(pcap([(0, error)])), HOSTS)
    assert only(joined).options == {
        "type": 3,
        "code": 3,
        "about": {"protocol": "udp", "sport": 4711, "dport": 10012},
    }


def test_sack_edges_are_relative() -> None:
    syn = [
        ethernet(tcp(seq=1000, flags=SYN)),
        ethernet(tcp(src=SERVER, dst=CLIENT, sport=10011, dport=4711, seq=9, ack=1001, flags=SYN | ACK)),
    ]
    sack = struct.pack(">BBBBII", 1, 1, 5, 10, 1101, 1201)
    duplicate = ethernet(tcp(src=SERVER, dst=CLIENT, sport=10011, dport=4711, seq=10, ack=1001, options=sack))
    capture = read(pcap([*syn, duplicate]))
    assert join(capture, capture, HOSTS).crossings[-1].options == {"sack": [[101, 201]]}


def test_fragments_at_one_end_are_one_packet_at_both() -> None:
    whole = udp(bytes(range(200)), ident=3, fragment=0)
    body = whole[20:]
    parts = [ip(body[:104], 17, ident=3, fragment=0x2000), ip(body[104:], 17, ident=3, fragment=13)]
    client = read(pcap([(0, ethernet(whole))]))
    server = read(pcap([(DELAY + k, ethernet(part)) for k, part in enumerate(parts)]))
    joined = join(client, server, HOSTS)
    assert joined.packets == {"client": 1, "server": 1}
    assert only(joined).fate == "crossed"
    assert only(joined).at_server == 2


def test_a_snap_length_at_one_end_is_no_change() -> None:
    frame = Packet(time=0, seq=1, ident=1, payload=bytes(range(200))).frame()
    crossing = only(join(read(pcap([(0, frame)])), read(pcap([(DELAY, frame)], snap=96)), HOSTS))
    assert (crossing.fate, crossing.changes) == ("crossed", ())


SUPER = Packet(time=0, seq=2**32 - 100, ack=1, ident=9, payload=bytes(range(250)), flags=PSH | ACK)
PIECES = [
    replace(SUPER, time=k, seq=(SUPER.seq + at) % 2**32, ident=9 + k, payload=SUPER.payload[at : at + 100], flags=flags)
    for k, (at, flags) in enumerate([(0, ACK), (100, ACK), (200, PSH | ACK)])
]


@pytest.mark.parametrize("split", [True, False])
def test_a_segment_split_or_merged_on_its_way_is_the_same_bytes(split: bool) -> None:
    """Segmentation offload at the sender, or receive offload at the receiver: nothing lost, nothing altered."""
    fine, whole = [(p.time, p.frame()) for p in PIECES], [(7, SUPER.frame())]
    client, server = (whole, fine) if split else (fine, whole)
    crossings = join(read(pcap(client)), read(pcap(server)), HOSTS).crossings
    assert [(c.fate, c.changes, c.payload) for c in crossings] == [("crossed", (), p.payload) for p in PIECES]
    assert [(c.start, c.length) for c in crossings] == [(0, 100), (100, 100), (200, 50)]
    end = "client" if split else "server"
    assert [sentence(c.note) for c in crossings] == [f"part {k} of 3 of frame 1 at the {end}" for k in (1, 2, 3)]
    ones = [1, 1, 1]
    frames = [[c.at_client for c in crossings], [c.at_server for c in crossings]]
    assert frames == ([ones, [1, 2, 3]] if split else [[1, 2, 3], ones])


def test_of_a_split_segment_the_piece_with_other_bytes_is_altered_and_the_missing_one_lost() -> None:
    forged = [replace(PIECES[0], payload=bytes(100)), PIECES[2]]
    client, server = read(pcap([(7, SUPER.frame())])), read(pcap([(p.time, p.frame()) for p in forged]))
    crossings = join(client, server, HOSTS).crossings
    assert [c.fate for c in crossings] == ["crossed", "lost", "crossed"]
    assert [c.changes for c in crossings] == [(PayloadChange(1, PIECES[0].payload[1:], bytes(99), 99),), (), ()]
    assert [(c.start, c.length, c.at_server) for c in crossings] == [(0, 100, 1), (100, 100, None), (200, 50, 2)]
    assert [c.payload for c in crossings] == [p.payload for p in PIECES]
    assert sentence(crossings[1].note) == "part 2 of 3 of frame 1 at the client"


def test_the_payload_of_a_changed_part_of_a_segment_is_known_as_it_arrived() -> None:
    """The change counts from the part's first byte; its text from the segment's."""
    forged = [PIECES[0], replace(PIECES[1], payload=b"\xff" * 100), PIECES[2]]
    client, server = read(pcap([(7, SUPER.frame())])), read(pcap([(p.time, p.frame()) for p in forged]))
    _, changed, _ = join(client, server, HOSTS).crossings
    assert changed.changes == (PayloadChange(0, PIECES[1].payload, b"\xff" * 100, 100, skip=100),)
    assert payload_at(changed, "arrived") == b"\xff" * 100
    assert change_text(changed.changes[0])[1] == "byte 100 is 0x64"


def test_a_forged_piece_does_not_take_the_place_of_the_one_that_was_sent() -> None:
    forged = replace(PIECES[0], payload=bytes(100))
    frames = [(p.time, p.frame()) for p in (forged, *PIECES)]
    crossings = join(read(pcap([(7, SUPER.frame())])), read(pcap(frames)), HOSTS).crossings
    assert [(c.fate, c.at_server, c.changes) for c in crossings if c.sent is not None] == [
        ("crossed", 2, ()),
        ("crossed", 3, ()),
        ("crossed", 4, ()),
    ]
    assert [(c.fate, c.at_server) for c in crossings if c.sent is None] == [("appeared", 1)]


def test_two_empty_captures_join_to_nothing() -> None:
    empty = read(pcap([]))
    assert join(empty, empty, HOSTS) == Joined((), (), {"client": 0, "server": 0}, {"client": {}, "server": {}})


def test_only_one_end_captured_is_all_lost_or_appeared() -> None:
    frames = [Packet(time=0, seq=1).frame(), Packet(time=1, to_server=False, seq=1).frame()]
    joined = join(read(pcap(frames)), read(pcap([])), HOSTS)
    assert [c.fate for c in joined.crossings] == ["lost", "appeared"]


PAIRS = [
    # both files, client, server, then what the manifest says is common
    ("mptcpanalyzer-1/client.pcap", "mptcpanalyzer-1/server.pcap", "10.0.0.1", "10.0.0.2", 2764),
    ("pres-tc-eth0/h1.pcap", "pres-tc-eth0/server.pcap", "172.16.0.1", "172.16.0.2", 2499),
    ("pres-bwm-eth1/h1.pcap", "pres-bwm-eth1/server.pcap", "172.16.1.1", "172.16.1.2", 931),
    ("tcp-over-icmp/local.pcap", "tcp-over-icmp/remote.pcap", "1.1.1.1", "3.3.3.2", 15),
]


@needs_corpus
@pytest.mark.parametrize(("one", "other", "client", "server", "common"), PAIRS)
def test_real_pairs_have_as_many_packets_in_common_as_known(
    one: str, other: str, client: str, server: str, common: int
) -> None:
    joined = join(
        read(CORPUS / "pairs" / one), read(CORPUS / "pairs" / other), {"client": [client], "server": [server]}
    )
    crossed = [c for c in joined.crossings if c.fate == "crossed"]
    assert len(crossed) == common
    assert not [c for c in crossed if c.changes]


def test_fragments_without_the_rest_are_parts_of_the_packet_that_was_lost() -> None:
    """One of three is lost on the way: the datagram is lost, and what arrived of it is no packet that appeared."""
    body = udp(bytes(range(240)), ident=3, fragment=0)[20:]
    parts = [
        ip(body[at : at + 80], 17, ident=3, fragment=(0x2000 if at + 80 < len(body) else 0) | at // 8)
        for at in range(0, len(body), 80)
    ]
    client = read(pcap([(k, ethernet(part)) for k, part in enumerate(parts)]))
    server = read(pcap([(DELAY + k, ethernet(part)) for k, part in enumerate(parts) if k != 1]))
    joined = join(client, server, HOSTS)
    assert joined.packets == {"client": 1, "server": 0}
    assert only(joined).fate == "lost"
    assert only(joined).note == (f"{len(parts) - 1} of its {len(parts)} fragments arrived",)


def test_fragments_that_nobody_sent_whole_stay() -> None:
    """A fragment in one capture only may come from elsewhere: it appeared."""
    part = ip(udp(bytes(range(240)), ident=3, fragment=0)[20:100], 17, ident=3, fragment=0x2000)
    joined = join(read(pcap([])), read(pcap([(DELAY, ethernet(part))])), HOSTS)
    assert only(joined).fate == "appeared"


def test_what_a_host_sends_to_a_group_is_a_flow_to_the_other_host() -> None:
    """A group's address is at the receiver's end of the flow; what a stranger sends to it is none of the lab's."""
    group = "239.1.2.3"
    sent = [ethernet(udp(b"to all", dst=group)), ethernet(udp(b"me too", src=SERVER, dst=group))]
    stranger = ethernet(udp(b"hello", src="198.18.0.9", dst=group))
    client = read(pcap([(0, sent[0]), (DELAY + 1, sent[1]), (5, stranger)]))
    server = read(pcap([(DELAY, sent[0]), (1, sent[1]), (6, stranger)]))
    joined = join(client, server, HOSTS)
    assert [crossing.fate for crossing in joined.crossings] == ["crossed"] * 2
    assert sorted((flow.client.address, flow.server.address) for flow in joined.flows) == [
        (CLIENT, group),
        (group, SERVER),
    ]
    assert joined.other["client"]
