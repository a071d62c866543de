"""Labels are Wireshark's: against tshark's own for real captures, and rule by rule."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from testbed.capture.read_file import load
from testbed.model.arrays import UInt16
from testbed.model.errors import CaptureError
from testbed.run.read_captures import read_one
from testbed.wireshark.label_names import (
    RULE_SETS,
    WIRESHARK_4_0,
    WIRESHARK_4_4,
    Label,
    LabelRules,
    TcpSegments,
    label_names,
)
from testbed.wireshark.labels import label
from testbed.wireshark.one_stream import label_stream
from testbed.wireshark.segment_order import streams
from tests.builders.frames import CLIENT, SERVER, ethernet, pcap, tcp
from tests.builders.segments import random_segments
from tests.builders.shared_captures import CORPUS, MANIFEST, needs_corpus

# tshark also gives these where it gives the more special ones
IMPLIED = {"fast_retransmission": "retransmission", "spurious_retransmission": "retransmission"}


def files() -> list[str]:
    if not MANIFEST.exists():
        return []
    with MANIFEST.open(newline="") as stream:
        return [row["file"] for row in csv.DictReader(stream, delimiter="\t")]


def tshark_labels() -> dict[str, dict[int, set[str]]]:
    found: dict[str, dict[int, set[str]]] = defaultdict(dict)
    if MANIFEST.exists():
        with (CORPUS / "labels-tshark-4.0.17.tsv").open(newline="") as stream:
            for row in csv.DictReader(stream, delimiter="\t"):
                found[row["file"]][int(row["frame"])] = set(row["labels"].split())
    return found


TSHARK = tshark_labels()


@needs_corpus
@pytest.mark.parametrize("name", files())
def test_every_frame_of_every_file_has_the_labels_that_tshark_gives(name: str) -> None:
    try:
        packets, _ = read_one(load(CORPUS / name))
    except CaptureError:
        assert name not in TSHARK
        return
    items, segments = packets.segments()
    given_labels = label(segments, WIRESHARK_4_0)
    ours = {}
    for item, value in zip(items.tolist(), given_labels.tolist(), strict=True):
        if value:
            names = set(label_names(value))
            ours[int(packets.frame[item]) + 1] = names | {IMPLIED[each] for each in names if each in IMPLIED}
    theirs = TSHARK.get(name, {})
    assert ours == theirs


def one_by_one(segments: TcpSegments, rules: LabelRules) -> UInt16:
    stream, reused = streams(segments, rules)
    result = np.zeros(len(segments), np.uint16)
    for number in np.unique(stream):
        members = np.flatnonzero(stream == number)
        result[members] = label_stream(segments, members.tolist(), rules)
    result[reused] |= np.uint16(Label.REUSED_PORTS)
    return result


@given(st.integers(0, 2**32), st.integers(1, 60), st.sampled_from(sorted(RULE_SETS)))
@example(387342578, 10, "4.4")  # its last bytes end where the window of a direction without packets does
@settings(max_examples=500)
def test_many_at_a_time_gives_what_one_by_one_gives(seed: int, count: int, rules: str) -> None:
    segments = random_segments(seed, count)
    assert label(segments, RULE_SETS[rules]).tolist() == one_by_one(segments, RULE_SETS[rules]).tolist()


@given(st.integers(0, 2**32), st.sampled_from([50, 200, 400]), st.sampled_from(sorted(RULE_SETS)))
@settings(max_examples=150)
def test_streams_of_many_gigabytes_are_labelled_alike(seed: int, megabytes: int, rules: str) -> None:
    segments = random_segments(seed, 120, megabytes * 10**6)
    assert label(segments, RULE_SETS[rules]).tolist() == one_by_one(segments, RULE_SETS[rules]).tolist()


def test_a_download_of_ten_gigabytes_is_labelled_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One by one takes a minute for a million segments; only what jumps is worth it."""
    monkeypatch.setattr("testbed.wireshark.labels.label_stream", None)
    count, each = 40_000, 250_000
    first = 1 + each * np.arange(count // 2)
    seq, ack = np.ones(count, np.int64), np.ones(count, np.int64)
    seq[::2] = first
    ack[1::2] = first + each
    lost, again = 20_000, 20_010
    seq[lost:again:2] += each
    seq[again] = first[lost // 2]
    ack[lost + 1 : again : 2] = first[lost // 2]
    zeros = np.zeros(count, np.uint8)
    segments = TcpSegments(
        time=np.arange(count, dtype=np.int64) * 10**6,
        conversation=zeros.astype(np.int64),
        side=(np.arange(count) & 1).astype(np.uint8),
        seq=(seq % 2**32).astype(np.uint32),
        ack=(ack % 2**32).astype(np.uint32),
        flags=np.full(count, ACK, np.uint16),
        window=np.full(count, 1000, np.uint16),
        length=np.where(np.arange(count) & 1, 0, each),
        wscale=zeros.astype(np.int16) - 1,
        sack_at=np.zeros(0, np.int64),
        sack_count=zeros[:0],
        sack=np.zeros((0, 4, 2), np.uint32),
    )
    found = label(segments)
    assert label_names(int(found[lost])) == ("lost_segment",)
    assert label_names(int(found[again])) == ("fast_retransmission",)


ACK, SYN = 0x10, 0x02
MS = 10**6
BACK: dict[str, Any] = {"src": SERVER, "dst": CLIENT, "sport": 10011, "dport": 4711}


def labelled(
    rows: Sequence[tuple[float, int, int, int, int]], rules: LabelRules = WIRESHARK_4_4, **columns: list[int]
) -> list[str]:
    """Label rows of (ms, side, seq, ack, length) after a handshake with an RTT of 10 ms; ``columns`` replace others."""
    opening: list[tuple[float, int, int, int, int]] = [(0, 0, 99, 0, 0), (9, 1, 499, 100, 0), (10, 0, 100, 500, 0)]
    all_rows = opening + [(time + 20, *rest) for time, *rest in rows]
    count = len(all_rows)
    columns.setdefault("flags", [ACK] * len(rows))
    columns.setdefault("window", [1000] * len(rows))
    times, sides, seqs, acks, lengths = zip(*all_rows, strict=True)
    segments = TcpSegments(
        time=(np.array(times) * MS).astype(np.int64),
        conversation=np.zeros(count, np.int64),
        side=np.array(sides, np.uint8),
        seq=np.array(seqs, np.uint32),
        ack=np.array(acks, np.uint32),
        flags=np.array([SYN, SYN | ACK, ACK, *columns["flags"]], np.uint16),
        window=np.array([1000, 1000, 1000, *columns["window"]], np.uint16),
        length=np.array(lengths, np.int64),
        wscale=np.array([0, 0, -1, *[-1] * len(rows)], np.int16),
        sack_at=np.zeros(0, np.int64),
        sack_count=np.zeros(0, np.uint8),
        sack=np.zeros((0, 4, 2), np.uint32),
    )
    return [" ".join(label_names(value)) for value in label(segments, rules).tolist()][3:]


def test_a_gap_then_duplicates_then_a_fast_retransmission() -> None:
    """Three duplicate ACKs; the repeat comes within 20 ms of the last, at the number they ask for."""
    rows = [
        (0, 0, 100, 500, 100), (1, 1, 500, 200, 0),
        (2, 0, 200, 500, 100), (3, 0, 300, 500, 100),
        (4, 1, 500, 200, 0), (5, 1, 500, 200, 0), (6, 1, 500, 200, 0),
        (7, 0, 200, 500, 100),
    ]  # fmt: skip
    dup = "duplicate_ack"
    assert labelled(rows) == ["", "", "", "", dup, dup, dup, "fast_retransmission"]


def test_what_was_acknowledged_is_spurious() -> None:
    rows = [(0, 0, 100, 500, 100), (10, 1, 500, 200, 0), (300, 0, 100, 500, 100)]
    assert labelled(rows) == ["", "", "spurious_retransmission"]


def test_a_late_segment_is_out_of_order_within_the_initial_round_trip_and_a_retransmission_after_it() -> None:
    soon = [(0, 0, 100, 500, 100), (1, 0, 300, 500, 100), (2, 0, 200, 500, 100)]
    assert labelled(soon) == ["", "lost_segment", "out_of_order"]
    late = [(0, 0, 100, 500, 100), (1, 0, 300, 500, 100), (20, 0, 200, 500, 100)]
    assert labelled(late) == ["", "lost_segment", "retransmission"]


def test_a_segment_seen_before_is_no_out_of_order_since_4_4() -> None:
    rows = [(0, 0, 100, 500, 100), (1, 0, 200, 500, 100), (2, 0, 100, 500, 100)]
    assert labelled(rows, WIRESHARK_4_4)[2] == "retransmission"
    assert labelled(rows, WIRESHARK_4_0)[2] == "out_of_order"


def test_windows() -> None:
    """Full, zero, probe and its answer, update."""
    rows = [
        (0, 1, 500, 100, 0), (1, 0, 100, 500, 200), (2, 1, 500, 300, 0), (300, 0, 300, 500, 1),
        (301, 1, 500, 300, 0), (400, 1, 500, 300, 0),
    ]  # fmt: skip
    found = labelled(rows, window=[200, 1000, 0, 1000, 0, 900])
    assert found == [
        "window_update", "window_full", "zero_window", "zero_window_probe",
        "zero_window zero_window_probe_ack", "window_update",
    ]  # fmt: skip


def test_a_keep_alive_and_its_answer() -> None:
    rows = [(0, 0, 100, 500, 10), (5, 1, 500, 110, 0), (9000, 0, 109, 500, 0), (9005, 1, 500, 110, 0)]
    assert labelled(rows) == ["", "", "keep_alive", "keep_alive_ack"]


def test_an_ack_of_what_was_never_seen() -> None:
    assert labelled([(0, 0, 100, 500, 100), (5, 1, 500, 400, 0)]) == ["", "ack_lost_segment"]


CAPABLE = tuple(bytes([30, size, 1, 1]) + bytes(size - 4) for size in (4, 12, 20))
OPTIONS = {
    "-": b"",
    "D": bytes([30, 8, 0x20, 1, 0, 0, 0, 1]),  # a data acknowledgement
    "A": bytes([30, 16, 0x30, 2, 10, 0, 0, 1]) + bytes(8),  # another address
}


@pytest.mark.parametrize("capable", [True, False])
@pytest.mark.parametrize(
    ("acks", "duplicates"),
    [("---", [1, 2]), ("DDD", [2]), ("DADD", [3]), ("DAAA", [3]), ("-A--", [1, 3]), ("A-A", [2])],
)
def test_acks_that_mptcp_repeats_are_no_duplicates(capable: bool, acks: str, duplicates: list[int]) -> None:
    """As tshark 4.0.17 counts them: those are exempt before which an option of a new kind came (RFC 8684)."""
    opening = [
        tcp(seq=99, flags=SYN, options=CAPABLE[0] if capable else b""),
        tcp(seq=499, ack=100, flags=SYN | ACK, options=CAPABLE[1] if capable else b"", **BACK),
        tcp(seq=100, ack=500, options=CAPABLE[2] if capable else b""),
        tcp(bytes(100), seq=100, ack=500),
        tcp(bytes(100), seq=300, ack=500),
    ]
    frames = opening + [tcp(seq=500, ack=200, options=OPTIONS[kind], **BACK) for kind in acks]
    packets, _ = read_one(load(pcap(ethernet(each) for each in frames)))
    found = label(packets.segments()[1], WIRESHARK_4_0)[len(opening) :]
    assert [k for k, bits in enumerate(found.tolist()) if bits & Label.DUPLICATE_ACK] == duplicates


def test_a_retransmission_after_an_ack_of_the_unseen_is_not_fast() -> None:
    """On the list of known differences: tshark 4.0.17 takes its count of -1 duplicates for more than two."""
    rows = [
        (0, 0, 100, 500, 100), (1, 0, 200, 500, 100), (13, 1, 500, 200, 0), (14, 0, 300, 900, 0),
        (28, 0, 200, 900, 100),
    ]  # fmt: skip
    assert labelled(rows, WIRESHARK_4_0)[3:] == ["ack_lost_segment", "retransmission"]
