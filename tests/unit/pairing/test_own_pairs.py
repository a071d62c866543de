"""Pairs of captures as people have them: other clocks and tools, cut, late, one direction, NAT, offload."""

from __future__ import annotations

import gzip
import random
import struct
from dataclasses import replace

import numpy as np
import pytest

from testbed.pairing.compare_captures import Comparison
from testbed.pairing.fates import RowFate
from testbed.pairing.flow_summary import close_text, display_filter, flow_mapping, handshake_text
from testbed.pairing.nothing_in_common import AmbiguousFlows, CapturedApart, OtherConnections
from testbed.pairing.same import USUAL, count_differences
from tests.builders.frames import CLIENT, SERVER, enhanced, ethernet, icmp, interface, option, pcap, section, tcp
from tests.builders.transfers import (
    DELAY,
    MS,
    PACE,
    SIZE,
    START,
    US,
    Packet,
    Transfer,
    compare_bytes,
    file_of,
    moved,
    rewritten,
    transfer,
)
from tests.nonempty import every

LONG = 400


def assert_same(compared: Comparison) -> None:
    counts = count_differences(compared)
    assert not {name: counts[name] for name in USUAL if counts[name]}
    assert every(compared.table.fate == RowFate.CROSSED)


def test_an_offset_of_the_clocks_is_found_within_its_error() -> None:
    made = transfer(segments=LONG)
    made.server = moved(made.server, offset=421 * MS)
    compared = made.compare()
    assert_same(compared)
    (piece,) = compared.clock.pieces
    assert piece.error is not None
    assert abs(piece.offset - 421 * MS) < piece.error < 2 * DELAY
    assert piece.drift == 0.0
    assert every(np.abs(compared.table.delay - DELAY) <= piece.error + MS)


def test_a_drift_is_measured_where_it_is_more_than_delays_vary() -> None:
    made = Transfer()
    for k in range(20):  # a transfer every 10 seconds
        later = transfer(segments=10, seed=k, isns=(1000 + k * 10**6, 5000 + k * 10**6))
        for mine, theirs in ((made.client, later.client), (made.server, later.server)):
            mine += [
                replace(each, time=each.time + k * 10**10, fields={**each.fields, **port(each, k)}) for each in theirs
            ]
    made.server = moved(made.server, offset=421 * MS, ppm=50)
    compared = made.compare()
    assert_same(compared)
    (piece,) = compared.clock.pieces
    assert piece.drift_error is not None
    assert abs(piece.drift * 1e6 - 50) < 0.5
    assert abs(piece.drift * 1e6 - 50) <= piece.drift_error * 1e6


def port(packet: Packet, k: int) -> dict[str, int]:
    return {"sport": 5000 + k} if packet.from_client else {"dport": 5000 + k}


@pytest.mark.parametrize("seconds", [2, -2])
@pytest.mark.parametrize("stepped", ["client", "server"])
def test_a_step_of_either_clock_splits_the_time_where_it_happened(seconds: int, stepped: str) -> None:
    made = transfer(segments=LONG)
    when = START + 20 * MS + 200 * PACE + PACE // 2
    for packets in (made.client, made.server):  # a file is in the order of capture, not of its time stamps
        packets.sort(key=lambda each: each.time)
    if stepped == "server":
        made.server = moved(made.server, step=(when, seconds * 10**9))
    else:
        made.client = moved(made.client, step=(when, seconds * 10**9))
    files = [in_order(packets) for packets in (made.client, made.server)]
    compared = compare_bytes(*files)
    assert every(compared.table.fate == RowFate.CROSSED)
    first, second = compared.clock.pieces
    sign = 1 if stepped == "server" else -1
    assert abs(second.offset - first.offset - sign * seconds * 10**9) < 2 * DELAY
    assert every(compared.table.delay >= 0)
    assert every(compared.table.delay < 3 * DELAY)


def in_order(packets: list[Packet]) -> bytes:
    return pcap([(each.time, each.frame()) for each in packets])


def test_one_clock_gives_exact_delays() -> None:
    compared = transfer(segments=5).compare(one_clock=True)
    assert every(compared.table.error == 0)
    assert compared.table.delay.min() >= DELAY
    assert compared.table.delay.max() < DELAY + MS


def test_a_nat_is_told_as_a_mapping_with_ttl_and_sequence() -> None:
    made = transfer(segments=10)
    made.server = rewritten(
        made.server,
        src=lambda each: "203.0.113.9" if each.from_client else each.fields["src"],
        dst=lambda each: each.fields["dst"] if each.from_client else "203.0.113.9",
        sport=lambda each: 60012 if each.from_client else 10011,
        dport=lambda each: 10011 if each.from_client else 60012,
        ttl=lambda each: 47 if each.from_client else 64,
    )
    compared = made.compare()
    told = flow_mapping(compared, 0)
    assert told.text == "198.18.0.2:4711 -> 203.0.113.9:60012, 198.18.0.3:10011, TTL -17 and -3, sequence +0"
    assert {"addresses", "ports"} <= set(told.rewritten)
    assert set(display_filter(compared, 1, 0).split(" && ")) == {
        "ip.addr == 198.18.0.3", "ip.addr == 203.0.113.9", "tcp.port == 10011", "tcp.port == 60012",
    }  # fmt: skip
    assert every(compared.table.fate == RowFate.CROSSED)
    assert not compared.table.changes.any()


def test_offloaded_segments_are_the_same_bytes() -> None:
    """The client's tap sees segments of four, the server's the four."""
    made = transfer(segments=40)
    data = [each for each in made.client if each.number >= 0]
    made.client = [each for each in made.client if each.number < 0]
    for k in range(0, 40, 4):
        four = data[k : k + 4]
        made.client.append(replace(four[0], payload=b"".join(each.payload for each in four)))
    compared = made.compare()
    counts = count_differences(compared)
    assert counts["split"] == 40
    assert not {name: counts[name] for name in USUAL if counts[name]}
    rows = np.flatnonzero(compared.table.fate == RowFate.SPLIT)
    assert sorted(set(compared.table.skip[rows].tolist())) == [0, 100, 200, 300]
    assert set(compared.table.length[rows].tolist()) == {SIZE}


def test_of_a_split_segment_only_the_piece_that_is_missing_is_lost() -> None:
    made = transfer(segments=40)
    data = [each for each in made.client if each.number >= 0]
    made.client = [each for each in made.client if not 8 <= each.number < 12]
    made.client.append(replace(data[8], payload=b"".join(each.payload for each in data[8:12])))
    made.server = [each for each in made.server if each.number != 10]
    compared = made.compare()
    (row,) = np.flatnonzero(compared.table.fate == RowFate.LOST).tolist()
    assert (int(compared.table.skip[row]), int(compared.table.length[row])) == (200, 100)


def test_received_segments_put_together_are_merged() -> None:
    made = transfer(segments=40)
    data = [each for each in made.server if each.number >= 0]
    made.server = [each for each in made.server if each.number < 0]
    for k in range(0, 40, 4):
        four = data[k : k + 4]
        made.server.append(replace(four[0], time=four[3].time, payload=b"".join(each.payload for each in four)))
    compared = made.compare()
    counts = count_differences(compared)
    assert counts["merged"] == 40
    assert counts["lost"] == counts["appeared"] == 0


def test_a_short_snap_length_hides_payload_but_alters_nothing() -> None:
    made = transfer(segments=50)
    compared = compare_bytes(file_of(made.client), file_of(made.server, snap=96))
    assert_same(compared)


def test_segments_whose_header_is_cut_behind_its_ports_are_a_flow_of_their_own_that_names_them() -> None:
    """Nothing says which of the connection's packets they are; both captures cut alike have them in common."""
    made = transfer(segments=8)
    whole, cut = file_of(made.client), file_of(made.server, snap=14 + 20 + 6)
    compared = compare_bytes(whole, cut)
    (ends,) = compared.packets[1].ends
    assert ends.cut
    assert {ends.end(0), ends.end(1)} == {f"{CLIENT}:4711", f"{SERVER}:10011"}
    assert [len(each) for each in compared.alone] == [1, 1]
    assert_same(compare_bytes(file_of(made.client, snap=14 + 20 + 6), cut))


def test_reserved_flags_that_a_device_clears_are_altered_flags() -> None:
    made = transfer(segments=8)
    odd = [replace(each, fields={**each.fields, "flags": each.fields["flags"] | 0x400}) if each.number == 3 else each
           for each in made.client]  # fmt: skip
    compared = compare_bytes(file_of(odd), file_of(made.server))
    assert count_differences(compared)["altered"] == 1
    assert_same(compare_bytes(file_of(odd), file_of(odd)))


def test_a_file_cut_in_a_packet_says_so_and_the_rest_was_not_captured() -> None:
    made = transfer(segments=50)
    whole = file_of(made.server)
    compared = compare_bytes(file_of(made.client), whole[: len(whole) // 2 + 11])
    partial = compared.packets[1].partial
    assert partial is not None
    assert "cut at byte" in partial
    fates = set(compared.table.fate.tolist())
    assert fates == {RowFate.CROSSED, RowFate.AFTER_END}
    assert count_differences(compared)["lost"] == 0


def test_a_capture_that_started_late_did_not_lose_what_was_before() -> None:
    made = transfer(segments=50)
    begin = START + 20 * MS + 25 * PACE
    made.server = [each for each in moved(made.server, offset=3 * 10**9) if each.time >= begin + 3 * 10**9]
    compared = made.compare()
    assert {RowFate(fate) for fate in compared.table.fate.tolist()} == {RowFate.CROSSED, RowFate.BEFORE_START}
    assert handshake_text(compared, 0).startswith("complete")


def test_one_direction_only_is_compared_and_its_delays_say_what_they_are() -> None:
    made = transfer({5: "lost"}, segments=30)
    for packets in (made.client, made.server):
        packets[:] = [each for each in packets if each.from_client]
    compared = made.compare()
    assert count_differences(compared)["lost"] == 1
    (piece,) = compared.clock.pieces
    assert piece.error is None
    assert compared.table.delay[compared.table.timed].min() == 0
    assert every(compared.table.error == -1)


def test_a_vlan_on_one_side_is_no_alteration() -> None:
    made = transfer(segments=10)
    tagged = pcap([
        (each.time, ethernet(tcp(each.payload, **each.fields), [(0x8100, 42)]))
        for each in sorted(made.server, key=lambda each: each.time)
    ])  # fmt: skip
    compared = compare_bytes(file_of(made.client), tagged)
    assert_same(compared)
    assert flow_mapping(compared, 0).text.endswith("sequence +0, VLAN none -> 42")


def test_pings_of_two_clients_behind_one_address_are_two_flows() -> None:
    inside: list[tuple[int, bytes]] = []
    outside: list[tuple[int, bytes]] = []
    for number, (host, echo) in enumerate([("10.0.0.5", 11), ("10.0.0.6", 12)] * 6):
        for kind, late in ((8, 0), (0, 20 * MS)):
            near, far = (host, SERVER) if kind else (SERVER, host), ("203.0.113.9", SERVER)
            far = far if kind else far[::-1]
            rest, payload = echo << 16 | number, struct.pack("<Q", number) * 4
            for packets, ends, time in ((inside, near, late), (outside, far, 10 * MS)):
                frame = ethernet(icmp(kind, 0, rest, payload, src=ends[0], dst=ends[1], ident=100 + number))
                packets.append((START + number * 50 * MS + time, frame))
    compared = compare_bytes(pcap(inside), pcap(outside))
    assert set(compared.table.fate.tolist()) == {RowFate.CROSSED}
    assert not compared.table.changes.any()
    assert [flow_mapping(compared, pair).ends[0][0] for pair in range(2)] == ["10.0.0.5", "10.0.0.6"]
    assert [display_filter(compared, 1, int(flow))[-16:] for flow in compared.pairs.b] == [
        "icmp.ident == 11", "icmp.ident == 12",
    ]  # fmt: skip


def test_microseconds_against_nanoseconds() -> None:
    made = transfer(segments=30)
    compared = compare_bytes(file_of(made.client), file_of(made.server, nano=False))
    assert_same(compared)
    assert every(compared.table.delay >= 0)


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_capture_of_wireshark_on_windows(order: str) -> None:
    """pcapng with microseconds, an interface name, options on packets, against tcpdump's file, gzipped."""
    made = transfer(segments=30)
    names = option(order, 2, rb"\Device\NPF_{7AF2}") + option(order, 9, b"\x06") + option(order, 0, b"")
    blocks = [section(order, option(order, 4, b"Dumpcap (Wireshark) 4.4.1")), interface(order, 1, 262144, names)]
    flags = option(order, 2, b"\x00\x00\x00\x01") + option(order, 0, b"")
    packets = sorted(made.server, key=lambda each: each.time)
    blocks += [enhanced(each.frame(), each.time // US, order, options=flags) for each in packets]
    compared = compare_bytes(gzip.compress(file_of(made.client)), b"".join(blocks))
    assert_same(compared)


def test_what_only_a_tap_missed_is_not_called_lost() -> None:
    """The server acknowledges a segment that its own tap did not record."""
    made = transfer(segments=30)
    made.server = [each for each in made.server if each.number != 12]
    compared = made.compare()
    (row,) = np.flatnonzero(compared.table.fate != RowFate.CROSSED).tolist()
    assert compared.table.fate[row] == RowFate.NOT_CAPTURED
    made = transfer(segments=30)
    made.client = [each for each in made.client if each.number != 12]
    compared = made.compare()
    (row,) = np.flatnonzero(compared.table.fate != RowFate.CROSSED).tolist()
    assert compared.table.fate[row] == RowFate.NOT_CAPTURED


def test_a_forged_reset_appeared() -> None:
    made = transfer(segments=30)
    like = next(each for each in made.server if each.number == 20)
    forged = replace(
        like,
        time=like.time + 10 * US,
        payload=b"",
        number=-1,
        fields={**like.fields, "flags": 4, "ident": 777, "ttl": 200},
    )
    made.server.append(forged)
    compared = made.compare()
    (row,) = np.flatnonzero(compared.table.fate != RowFate.CROSSED).tolist()
    assert compared.table.fate[row] == RowFate.APPEARED


def test_identical_packets_of_which_some_are_missing_are_ambiguous_where_time_cannot_tell() -> None:
    """Bare ACKs without number or stamp, closer together than delays vary: no guess."""
    made = transfer(segments=10)
    base = next(
        each for each in made.client if each.number < 0 and each.fields["flags"] == 16 and each.from_client is False
    )
    fields = {**base.fields, "ident": 0, "options": b"", "window": 400}
    for k in range(6):
        made.server.append(replace(base, time=START + 40 * MS + k * US, fields=fields))
        if k != 3:
            made.client.append(replace(base, time=START + 45 * MS + k * US, fields={**fields, "ttl": 61}))
    compared = made.compare()
    fates = compared.table.fate
    assert int((fates == RowFate.AMBIGUOUS).sum()) == 11
    assert int((fates == RowFate.LOST).sum()) == 0


def test_identical_packets_far_apart_are_told_by_their_delay() -> None:
    made = transfer(segments=10)
    base = next(
        each for each in made.client if each.number < 0 and each.fields["flags"] == 16 and each.from_client is False
    )
    fields = {**base.fields, "ident": 0, "options": b"", "window": 400}
    for k in range(6):
        made.server.append(replace(base, time=START + (40 + 20 * k) * MS, fields=fields))
        if k != 3:
            made.client.append(replace(base, time=START + (45 + 20 * k) * MS, fields={**fields, "ttl": 61}))
    compared = made.compare()
    (row,) = np.flatnonzero(compared.table.fate == RowFate.LOST).tolist()
    assert compared.packets[1].time[compared.table.two[row]] == START + 100 * MS
    assert not (compared.table.fate == RowFate.AMBIGUOUS).any()


def test_captures_of_other_flows_say_why_nothing_is_common() -> None:
    one, two = transfer(segments=5), transfer(segments=5, seed=9, isns=(77, 88))
    compared = compare_bytes(file_of(one.client), file_of(moved(two.server, offset=10**13)))
    assert not len(compared.pairs)
    assert [len(each) for each in compared.alone] == [1, 1]
    assert isinstance(compared.reasons[0], CapturedApart)
    assert compared.reasons[0].apart > 9 * 10**12
    assert isinstance(compared.reasons[1], OtherConnections)
    assert compared.reasons[1].payloads == 0


def test_payloads_that_are_in_both_are_not_denied() -> None:
    """The same bytes over another connection much later: no packet is joined, and the reason says what is in both."""
    taken = []
    for isn, start in ((1000, 10**12), (900_000, 10**13)):
        ids = random.Random(isn)
        sent = [
            (start + n * MS, ethernet(tcp(bytes([n]) * 200, seq=isn + 200 * n, ident=ids.randrange(1 << 16))))
            for n in range(100)
        ]
        taken.append(pcap(sent))
    compared = compare_bytes(*taken)
    assert not len(compared.pairs)
    reason = compared.reasons[1]
    assert isinstance(reason, OtherConnections)
    assert reason.payloads == 100


def test_two_flows_that_fit_equally_are_ambiguous() -> None:
    one = transfer(segments=5)
    shared = {
        "sport": lambda each: 7777 if each.from_client else 10011,
        "dport": lambda each: 10011 if each.from_client else 7777,
    }
    also = {
        "sport": lambda each: 8888 if each.from_client else 10011,
        "dport": lambda each: 10011 if each.from_client else 8888,
    }
    server = rewritten(one.server, **shared) + rewritten(one.server, **also)
    compared = compare_bytes(file_of(one.client), file_of(server))
    assert not len(compared.pairs)
    assert compared.pairs.ambiguous == ([0], [0, 1])
    assert compared.reasons[0] == AmbiguousFlows(1)


def test_who_closed_and_how() -> None:
    compared = transfer(segments=3).compare()
    assert close_text(compared, 0) == "client FIN, then server FIN"
