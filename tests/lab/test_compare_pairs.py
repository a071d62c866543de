"""Pairs as people have them, made of one real run: each is rewritten in one way, and the comparison names just that.

What tests/unit/pairing/test_own_pairs.py shows with packets of its own, shown with a kernel's.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

from testbed.pairing.compare_captures import Comparison
from testbed.pairing.fates import RowFate
from testbed.pairing.flow_summary import flow_mapping
from testbed.pairing.same import USUAL, count_differences
from tests.builders.frames import enhanced, interface, option, pcap, section
from tests.builders.transfers import compare_bytes
from tests.nonempty import every

from .conftest import LIMIT, ROOT, command

MS, SECOND = 10**6, 10**9
SEGMENT = 500
SEGMENTS = 120
SCENARIO = f"""\
summary: Both ends send over a link of 5 ms
link: {{delay: 5ms}}
server:
  steps: [{{listen: 10011}}, {{accept: }}, {{recv_all: }}, {{send: {{size: 3000, chunk: {SEGMENT}}}}}, {{close: }}]
client:
  steps:
    - connect: server:10011
    - setsockopt: {{TCP_NODELAY: true}}
    - send: {{size: {SEGMENT * SEGMENTS}, chunk: {SEGMENT}}}
    - shutdown: write
    - recv_all:
    - close:
"""


class Frame(NamedTuple):
    """A captured frame: time in ns, the bytes."""

    time: int
    data: bytes


Frames = list[Frame]


@pytest.fixture(scope="module")
def captured(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Frames]:
    """Frames of the TCP connection of one run, by host."""
    from scapy.utils import RawPcapReader

    request.getfixturevalue("namespaces")
    place = tmp_path_factory.mktemp("pair")
    (place / "both-send.yaml").write_text(SCENARIO, encoding="utf-8")
    words = ["run", str(place / "both-send.yaml"), "--engine", "namespace", "--runs", str(place), "--json"]
    done = subprocess.run(command(*words), cwd=ROOT, capture_output=True, text=True, timeout=LIMIT, check=False)
    assert done.returncode == 0, done.stderr
    found = {}
    for host in ("client", "server"):
        with RawPcapReader(str(place / f"runs/both-send/latest/{host}.pcap")) as packets:
            frames = [Frame(meta.sec * SECOND + meta.usec, bytes(data)) for data, meta in packets]  # usec holds ns here
        found[host] = [each for each in frames if each.data[12:14] == b"\x08\x00" and each.data[23] == 6]
        assert len(found[host]) > SEGMENTS // 2  # the kernel may put sends that wait into one segment
    return found


def compared(client: Frames, server: Frames, **options: Any) -> Comparison:
    return compare_bytes(pcap(client), pcap(server), **options)


def moved(frames: Frames, clock: Callable[[int], int]) -> Frames:
    return [each._replace(time=clock(each.time)) for each in frames]


def rewritten(frames: Frames, change: Callable[[Any], None]) -> Frames:
    """Let ``change`` alter each packet (scapy's IP), and work lengths and checksums out anew."""
    from scapy.layers.inet import IP, TCP
    from scapy.layers.l2 import Ether

    result = []
    for frame in frames:
        packet = Ether(frame.data)
        change(packet[IP])
        del packet[IP].len, packet[IP].chksum, packet[TCP].chksum
        result.append(frame._replace(data=bytes(packet)))
    return result


def assert_same(result: Comparison) -> None:
    counts = count_differences(result)
    assert not {name: counts[name] for name in USUAL if counts[name]}
    assert every(result.table.fate == RowFate.CROSSED)
    assert len(result.pairs) == 1


def test_the_run_itself_is_the_same_at_both_ends(captured: dict[str, Frames]) -> None:
    result = compared(captured["client"], captured["server"], one_clock=True)
    assert_same(result)
    assert every(result.table.delay >= 5 * MS)


def test_a_nat_with_other_sequence_numbers_is_a_mapping(captured: dict[str, Frames]) -> None:
    shift = 0x1234_5678

    def translate(packet: Any) -> None:
        tcp = packet["TCP"]
        if tcp.dport == 10011:
            packet.src, packet.ttl, tcp.sport, tcp.seq = (
                "203.0.113.9",
                packet.ttl - 16,
                60012,
                (tcp.seq + shift) % 2**32,
            )
        else:
            packet.dst, tcp.dport, tcp.ack = "203.0.113.9", 60012, (tcp.ack + shift) % 2**32

    result = compared(captured["client"], rewritten(captured["server"], translate))
    counts = count_differences(result)
    assert {name: counts[name] for name in USUAL if counts[name]} == {"rewritten": 1}
    assert every(result.table.fate == RowFate.CROSSED)
    told = flow_mapping(result, 0)
    assert told.ends[0][0] != told.ends[1][0] == "203.0.113.9:60012"
    assert told.ends[0][1] == told.ends[1][1]
    assert told.ttl == (-17, -1)  # 16 by the translator and 1 by the link host of the run
    assert told.sequence == (shift, 0)
    assert {"addresses", "ports", "sequence numbers"} <= set(told.rewritten)


def test_a_ttl_of_one_packet_is_an_alteration(captured: dict[str, Frames]) -> None:
    frames = captured["server"]
    k = len(frames) // 2

    def lower(packet: Any) -> None:
        packet.ttl -= 7

    changed = [*frames[:k], *rewritten(frames[k : k + 1], lower), *frames[k + 1 :]]
    result = compared(captured["client"], changed)
    assert count_differences(result)["altered"] == 1
    (row,) = np.flatnonzero(result.table.changes).tolist()
    assert result.packets[1].frame[result.table.two[row]] == k


def test_an_offset_of_421_ms_is_found_within_its_error(captured: dict[str, Frames]) -> None:
    result = compared(captured["client"], moved(captured["server"], lambda time: time + 421 * MS))
    assert_same(result)
    (piece,) = result.clock.pieces
    assert piece.error is not None
    assert abs(piece.offset - 421 * MS) <= piece.error
    assert every(result.table.delay >= 0)


def test_a_drift_of_50_ppm_is_measured(captured: dict[str, Frames]) -> None:
    """The run, put one after another for ten minutes, each with a port of its own."""
    base = captured["client"][0].time

    def repeated(frames: Frames) -> Frames:
        result: Frames = []
        for k in range(20):

            def renumber(packet: Any, k: int = k) -> None:
                tcp = packet["TCP"]
                name = "sport" if tcp.dport == 10011 else "dport"
                setattr(tcp, name, 20_000 + k)

            result += moved(rewritten(frames, renumber), lambda time, k=k: time + k * 30 * SECOND)  # type: ignore[misc]
        return result

    server = moved(repeated(captured["server"]), lambda time: time + round((time - base) * 50e-6))
    result = compared(repeated(captured["client"]), server)
    assert len(result.pairs) == 20
    assert every(result.table.fate == RowFate.CROSSED)
    first, last = result.clock.pieces[0], result.clock.pieces[-1]  # of a busy machine's delays there may be several
    assert first.error is not None
    assert last.error is not None
    end = base + 19 * 30 * SECOND
    apart = (
        last.offset + round((end - last.start) * last.drift) - first.offset - round((base - first.start) * first.drift)
    )
    assert abs(apart - (end - base) * 50e-6) <= first.error + last.error
    assert first.error + last.error < apart / 2
    assert every(result.table.delay >= 0)


def test_a_step_of_2_s_splits_the_time(captured: dict[str, Frames]) -> None:
    middle = captured["server"][len(captured["server"]) // 2].time
    stepped = moved(captured["server"], lambda time: time + (2 * SECOND if time >= middle else 0))
    result = compared(captured["client"], stepped)
    assert_same(result)
    first, second = result.clock.pieces
    assert first.error is not None
    assert second.error is not None
    assert abs(second.offset - first.offset - 2 * SECOND) <= first.error + second.error
    assert every(result.table.delay >= 0)


def test_super_segments_of_an_offload_are_the_same_bytes(captured: dict[str, Frames]) -> None:
    """The client's tap sees up to four segments as one, as before TSO."""
    from scapy.layers.inet import TCP
    from scapy.layers.l2 import Ether

    def data(frame: Frame) -> bytes:
        packet = Ether(frame.data)
        size = packet["IP"].len - 4 * packet["IP"].ihl - 4 * packet["TCP"].dataofs
        return bytes(packet["TCP"].payload)[:size] if packet["TCP"].dport == 10011 else b""

    segments = [k for k, frame in enumerate(captured["client"]) if data(frame)]
    client = dict(enumerate(captured["client"]))
    merged = 0
    for start in range(0, len(segments) - 3, 4):
        group = segments[start : start + 4]
        packet = Ether(client[group[0]].data)
        payload = b"".join(data(client[k]) for k in group)
        packet["TCP"].remove_payload()
        packet /= payload
        del packet["IP"].len, packet["IP"].chksum, packet[TCP].chksum
        client[group[0]] = Frame(client[group[0]].time, bytes(packet))
        for k in group[1:]:
            del client[k]
        merged += 4
    assert merged
    counts = count_differences(compared(list(client.values()), captured["server"]))
    assert counts["split"] == merged
    assert not {name: counts[name] for name in USUAL if counts[name]}


def test_a_snap_length_of_96_alters_nothing(captured: dict[str, Frames]) -> None:
    assert_same(compare_bytes(pcap(captured["client"]), pcap(captured["server"], snap=96)))


def test_a_file_cut_in_a_packet_is_partial_and_lost_nothing(captured: dict[str, Frames]) -> None:
    whole = pcap(captured["server"])
    result = compare_bytes(pcap(captured["client"]), whole[: len(whole) // 2 + 11])
    assert "cut at byte" in (result.packets[1].partial or "")
    assert set(result.table.fate.tolist()) == {RowFate.CROSSED, RowFate.AFTER_END}


def test_one_direction_has_delays_without_an_error_bound(captured: dict[str, Frames]) -> None:
    def from_client(frames: Frames) -> Frames:
        return [each for each in frames if each.data[36:38] == (10011).to_bytes(2, "big")]

    result = compared(from_client(captured["client"]), from_client(captured["server"]))
    assert_same(result)
    (piece,) = result.clock.pieces
    assert piece.error is None


def test_a_capture_that_began_late_lost_nothing(captured: dict[str, Frames]) -> None:
    frames = captured["server"]
    result = compared(captured["client"], moved(frames[len(frames) // 3 :], lambda time: time + 3 * SECOND))
    assert {RowFate(fate) for fate in result.table.fate.tolist()} == {RowFate.CROSSED, RowFate.BEFORE_START}


def test_a_vlan_on_one_side_alters_nothing(captured: dict[str, Frames]) -> None:
    tagged = [each._replace(data=each.data[:12] + b"\x81\x00\x00\x2a" + each.data[12:]) for each in captured["server"]]
    assert_same(compared(captured["client"], tagged))


def test_microseconds_against_nanoseconds(captured: dict[str, Frames]) -> None:
    result = compare_bytes(pcap(captured["client"]), pcap(captured["server"], nano=False))
    assert_same(result)
    assert every(result.table.delay >= 0)


def test_a_pcapng_as_wireshark_writes_it_on_windows(captured: dict[str, Frames]) -> None:
    names = option("<", 2, rb"\Device\NPF_{7AF2}") + option("<", 9, b"\x06") + option("<", 0, b"")
    blocks = [section("<", option("<", 4, b"Dumpcap (Wireshark) 4.4.1")), interface("<", 1, 262144, names)]
    flags = option("<", 2, b"\x00\x00\x00\x01") + option("<", 0, b"")
    blocks += [enhanced(each.data, each.time // 1000, "<", options=flags) for each in captured["server"]]
    assert_same(compare_bytes(pcap(captured["client"]), b"".join(blocks)))
