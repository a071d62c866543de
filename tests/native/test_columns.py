"""The C library for large captures gives what NumPy gives, to the bit: columns, flows, labels, complaints."""

from __future__ import annotations

import csv
import dataclasses
import gzip
import io
import random
import struct
import subprocess
import sys
from ctypes import CDLL
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.capture import compiled
from testbed.capture.read_file import Loaded, load
from testbed.model.errors import CaptureError
from testbed.pairing.changes import differences
from testbed.pairing.equal_keys import in_order
from testbed.pairing.flow_packets import FlowPackets
from testbed.pairing.flow_table import Flows, label_all
from testbed.pairing.packet_keys import PARTS, key_packets
from testbed.pairing.packet_table import COLUMNS, PacketTable
from testbed.pairing.pair_sums import PairSums, sum_pairs
from testbed.report.text.csv_rows import EMPTY, CsvColumn, by_texts, csv_rows
from testbed.run import read_captures
from testbed.run.compiled_passes import add_pairs, compare_packets, join_keys, pack_keys
from testbed.run.read_captures import read_one
from testbed.run.usual_packets import label_segments
from testbed.wireshark.label_names import RULE_SETS
from tests.builders.frames import (
    CLIENT6,
    SERVER6,
    block,
    enhanced,
    ethernet,
    icmp,
    interface,
    pcap,
    section,
    tcp,
    timestamps,
    udp,
)  # fmt: skip
from tests.builders.segments import random_segments
from tests.builders.shared_captures import CORPUS, needs_corpus
from tests.nonempty import nonempty

pytestmark = pytest.mark.native

ARRAYS = (
    *(name for name, _ in COLUMNS),
    "joined",
    "names",
    "sack_at",
    "sack_count",
    "sack",
    "mptcp_at",
    "mptcp",
    "way",
)
VALUES = ("ends", "other", "frames", "partial", "links")
FILES = sorted(path for path in CORPUS.rglob("*") if ".pcap" in path.name) if CORPUS.is_dir() else []


@pytest.fixture(scope="module")
def code() -> CDLL:
    library = compiled.columns_library()
    assert library is not None
    return library


def read_or_complaint(file: Loaded, code: CDLL | None) -> tuple[PacketTable, Flows] | str:
    try:
        return read_one(file, code)
    except CaptureError as error:
        return str(error)


def assert_same(file: Loaded, code: CDLL) -> int:
    """Return how many packets there are."""
    plain, fast = read_or_complaint(file, None), read_or_complaint(file, code)
    if isinstance(plain, str) or isinstance(fast, str):
        assert plain == fast
        return 0
    for one, two, names in ((plain[0], fast[0], ARRAYS), (plain[1], fast[1], Flows.__dataclass_fields__)):
        for name in names:
            ours, theirs = getattr(one, name), getattr(two, name)
            assert ours.dtype == theirs.dtype, name
            np.testing.assert_array_equal(ours, theirs, name)
    assert [getattr(plain[0], name) for name in VALUES] == [getattr(fast[0], name) for name in VALUES]
    return len(plain[0])


@needs_corpus
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_file_of_the_collection_is_read_alike(code: CDLL, path: Path) -> None:
    try:
        file = load(path)
    except CaptureError:
        return
    assert_same(file, code)


FRAMES = [
    ethernet(tcp(b"abc")),
    ethernet(tcp(b"abc", options=timestamps(7, 8))),
    ethernet(tcp(b"abc", src=CLIENT6, dst=SERVER6)),
    ethernet(
        tcp(b"abc", src=SERVER6, dst=CLIENT6, options=timestamps(7, 8) + b"\x05\x0a" + bytes(range(8)) + b"\x01\x00")
    ),
    ethernet(tcp(b"", options=b"\x02\x04\x05\xb4\x03\x03\x07\x04\x02\x08\x0a" + bytes(8) + b"\x00")),
    ethernet(tcp(b"x" * 300), [(0x8100, 7)]),
    ethernet(tcp(b"y"), [(0x88A8, 7), (0x8100, 5)]),
    ethernet(udp(b"name")),
    ethernet(udp(b"name", src=CLIENT6, dst=SERVER6)),
    ethernet(icmp(8, 0, 77, b"ping")),
    ethernet(b"\x00\x01\x08\x00", ethertype=0x0806),
]


def pcapng(frames: list[bytes], chance: random.Random) -> bytes:
    """Return a file with blocks of other types among those of packets."""
    order = chance.choice("<>")
    parts = [section(order), interface(order), interface(order, link=101)]
    for ticks, frame in enumerate(frames):
        parts.append(enhanced(frame, ticks, order, chance.choice((0, 0, 0, 1))))
        if chance.random() < 0.1:
            parts.append(block(order, 5, bytes(12)))
    return b"".join(parts)


def changed(frame: bytes, chance: random.Random) -> bytes:
    """Return a frame with a few bytes of its headers changed, or cut."""
    result = bytearray(frame)
    for _ in range(chance.choice((0, 0, 1, 2, 3))):
        result[chance.randrange(12, min(len(result), 90))] = chance.choice(
            (0, 1, 6, 8, 17, 0x45, 0x60, 255, chance.randrange(256))
        )
    return bytes(result[: chance.randrange(10, len(result) + 1)] if chance.random() < 0.15 else result)


@given(st.integers(0, 2**32), st.booleans(), st.sampled_from(["pcap", "pcapng"]))
@settings(max_examples=150, deadline=None)
def test_changed_and_cut_frames_are_read_alike(code: CDLL, seed: int, cut: bool, kind: str) -> None:
    chance = random.Random(seed)
    frames = [changed(chance.choice(FRAMES), chance) for _ in range(chance.randint(1, 40))]
    data = pcap(frames, link=chance.choice((1, 1, 1, 101, 113, 276, 147))) if kind == "pcap" else pcapng(frames, chance)
    if cut:
        data = data[: chance.randrange(len(data))]
    file = Loaded("made", np.frombuffer(data, np.uint8), None)
    assert_same(file, code)


def test_what_is_usual_and_what_is_not_come_in_the_order_of_the_file(code: CDLL) -> None:
    frames = FRAMES * 200
    file = Loaded("made", np.frombuffer(pcap(frames), np.uint8), None)
    assert assert_same(file, code) == len(frames) - 200  # ARP is no IP packet


@pytest.mark.parametrize("big", [False, True])
def test_a_file_of_many_parts_in_either_byte_order_is_read_alike(code: CDLL, big: bool) -> None:
    order = ">" if big else "<"
    chance = random.Random(1)
    parts = [struct.pack(order + "IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)]
    for second in range(12_000):
        frame = ethernet(tcp(chance.randbytes(1400)))
        parts.append(struct.pack(order + "IIII", second, second % 7, len(frame), len(frame) + second % 3) + frame)
    assert assert_same(Loaded("made", np.frombuffer(b"".join(parts), np.uint8), None), code) == 12_000


@pytest.mark.parametrize("unusual", [0, 300])
def test_two_files_are_read_at_once_as_one_after_the_other(
    code: CDLL, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, unusual: int
) -> None:
    """By a thread where C reads most packets, else by a process."""
    monkeypatch.setattr(read_captures, "_WORTH", 1)
    paths = []
    for name, count in (("one", 100), ("two", 250)):
        frames = [FRAMES[-1], FRAMES[-2]] * unusual + [ethernet(udp(b"name")), ethernet(tcp(b"abc"))] * count
        paths.append(tmp_path / name)
        paths[-1].write_bytes(pcap(frames))
    assert [read_captures._mostly_usual(load(path), code) for path in paths] == [not unusual] * 2
    both = read_captures.read_both(*map(str, paths))
    for path, (packets, flows) in nonempty(list(zip(paths, both, strict=True))):
        alone = read_one(load(path), code)
        for one, other, names in ((packets, alone[0], ARRAYS), (flows, alone[1], Flows.__dataclass_fields__)):
            for name in names:
                np.testing.assert_array_equal(getattr(one, name), getattr(other, name), name)
        assert [getattr(packets, name) for name in VALUES] == [getattr(alone[0], name) for name in VALUES]


def test_threads_that_read_import_nothing(tmp_path: Path) -> None:
    """Meanwhile modules are imported: two that import at once end in a SystemError of CPython 3.11 under pytest."""
    path = tmp_path / "one.pcap"
    path.write_bytes(pcap([ethernet(udp(b"name")), ethernet(tcp(b"abc"))] * 100))
    script = (
        "import sys; from testbed.run import read_captures; read_captures._WORTH = 1; before = set(sys.modules);"
        "read = read_captures.BeingRead(sys.argv[1], sys.argv[1]); assert read._readers; read.both();"
        "print(*sorted(sys.modules.keys() - before))"
    )
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=False)
    assert (done.stdout.split(), done.returncode) == ([], 0), done.stderr


@given(st.integers(0, 2**32), st.integers(1, 80), st.sampled_from(sorted(RULE_SETS)))
@settings(max_examples=200, deadline=None)
def test_labels_and_streams_are_those_of_numpy(code: CDLL, seed: int, count: int, rules: str) -> None:
    segments = random_segments(seed, count)
    ours, theirs = label_all(segments, RULE_SETS[rules]), label_segments(code, segments, RULE_SETS[rules])
    assert ours[0].tolist() == theirs[0].tolist()
    assert ours[1].tolist() == theirs[1].tolist()


@given(st.integers(0, 2**32), st.sampled_from(sorted(RULE_SETS)))
@settings(max_examples=40, deadline=None)
def test_labels_of_streams_of_many_gigabytes_are_those_of_numpy(code: CDLL, seed: int, rules: str) -> None:
    segments = random_segments(seed, 120, 300 * 10**6)
    ours, theirs = label_all(segments, RULE_SETS[rules]), label_segments(code, segments, RULE_SETS[rules])
    assert ours[0].tolist() == theirs[0].tolist()


@given(st.lists(st.integers(0, 60), max_size=80), st.lists(st.integers(0, 60), max_size=80), st.integers(0, 2**32))
@settings(max_examples=300, deadline=None)
def test_keys_are_joined_as_numpy_joins_them(code: CDLL, left: list[int], right: list[int], seed: int) -> None:
    """Some keys differ in their lowest bits alone, which do not count for the order."""
    chance = random.Random(seed)
    names = [chance.getrandbits(64) for _ in range(20)]
    a, b = (np.array([names[k % 20] ^ k // 20 for k in keys], np.uint64) for keys in (left, right))
    assert [each.tolist() for each in in_order(a, b)] == [each.tolist() for each in join_keys(code, a, b)]


def test_many_keys_are_joined_as_numpy_joins_them(code: CDLL) -> None:
    a = np.random.default_rng(1).integers(0, 2**64, 200_000, np.uint64)
    b = np.concatenate([a[5:1000][::-1], a[2000:], a[:7], a[:7]])
    ours, theirs = in_order(a, b), join_keys(code, a, b)
    assert len(ours[0]) > 190_000
    assert all(np.array_equal(one, other) for one, other in zip(ours, theirs, strict=True))


NUMBERS = st.one_of(st.integers(-(2**63) + 1, 2**63 - 1), st.integers(-20, 20), st.none())
TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=9), st.sampled_from(["", "lost", 'a, "b"'])
)


@given(st.lists(st.tuples(NUMBERS, TEXTS, NUMBERS, TEXTS), min_size=1, max_size=30))
@settings(max_examples=300, deadline=None)
def test_rows_are_those_of_the_csv_module(code: CDLL, rows: list[tuple[int | None, str, int | None, str]]) -> None:
    wanted = io.StringIO()
    csv.writer(wanted, lineterminator="\n").writerows(rows)
    columns = []
    for values in zip(*rows, strict=True):
        if all(isinstance(value, str) for value in values):
            columns.append(by_texts(values))
        else:
            columns.append(CsvColumn(np.array([EMPTY if value is None else value for value in values], np.int64)))
    assert [bytes(csv_rows(columns, each)).decode() for each in (None, code)] == [wanted.getvalue()] * 2


def test_without_a_compiler_or_turned_off_there_is_no_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    find = compiled.columns_library.__wrapped__
    monkeypatch.setenv("BOTHENDS_COMPILED", "0")
    assert find() is None
    monkeypatch.delenv("BOTHENDS_COMPILED")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find() is None


def test_the_library_is_kept_and_found_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    find = compiled.columns_library.__wrapped__
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert find() is not None
    (kept,) = nonempty(list(tmp_path.rglob("libcolumns.so")))
    assert [path.name for path in kept.parent.parent.iterdir()] == [kept.parent.name]
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find() is not None


def test_a_packed_file_is_read_alike(code: CDLL, tmp_path: Path) -> None:
    path = tmp_path / "some.pcap.gz"
    path.write_bytes(gzip.compress(pcap(FRAMES * 3)))
    assert assert_same(load(path), code) == 30


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32), st.integers(0, 1500), st.booleans(), st.sampled_from([2, 6, 40]), st.sampled_from([2, 300])
)
def test_passes_over_packets_of_pairs_are_those_of_numpy(
    code: CDLL, seed: int, count: int, whole: bool, places: int, values: int
) -> None:
    chance = np.random.default_rng(seed)
    one, two = (random_side(chance, count, places, values, whole=whole) for _ in range(2))
    some = np.flatnonzero(chance.random(len(one)) < 0.5)
    for parts in (PARTS, PARTS[:3], ()):
        for items in (np.arange(len(one)), some):
            assert key_packets(one, items, parts).tolist() == pack_keys(code, one, items, parts).tolist()
    both = min(len(one), len(two))
    x, y = np.sort(chance.permutation(len(one))[: both // 2]), chance.permutation(len(two))[: both // 2]
    assert differences(one, x, two, y).tolist() == compare_packets(code, one, x, two, y).tolist()
    given_pairs = one.packets, one.rows(x), two.packets, two.rows(y), one.place[x], places
    sums, theirs = sum_pairs(*given_pairs), add_pairs(code, *given_pairs)
    for each in fields(PairSums):
        assert np.array_equal(getattr(sums, each.name), getattr(theirs, each.name)), each.name


def random_side(chance: np.random.Generator, count: int, places: int, values: int, *, whole: bool) -> FlowPackets:
    """Return packets of which many columns are equal by chance, with times that are damaged now and then."""
    columns: dict[str, Any] = {name: chance.integers(0, values, count).astype(kind) for name, kind in COLUMNS}
    columns["protocol"] = chance.choice(np.array([6, 17], np.uint8), count)
    columns["decoded"] = chance.random(count) < 0.9
    columns["wscale"] = chance.integers(-1, 3, count).astype(np.int16)
    columns["time"] = chance.choice(np.array([0, 50, 900, 2**61, -(2**62) + 1, 2**62 - 1]), count)
    empty = read_one(Loaded("none", np.frombuffer(pcap([]), np.uint8), None))[0]
    packets = dataclasses.replace(empty, **columns)
    item = np.arange(count) if whole else np.flatnonzero(chance.random(count) < 0.7)
    place = chance.integers(0, places, len(item))
    return FlowPackets(packets, item, place, packets.seq[item], packets.ack[item], places)
