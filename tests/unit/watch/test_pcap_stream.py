"""A capture as it comes: cut into packets, kept in a bounded file, taken apart again."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from testbed.watch.pcap_stream import FILE_HEADER, PARTS, PcapRecords, RingFile, TraceFrames, sizes, without_frames
from tests.builders.frames import ethernet, pcap, tcp

FRAMES = [ethernet(tcp(bytes([n]) * n, seq=n)) for n in range(1, 60)]
WHOLE = pcap(FRAMES)


@given(st.lists(st.integers(0, len(WHOLE)), max_size=12), st.sampled_from("<>"))
def test_records_are_whole_however_the_bytes_come(cuts: list[int], order: str) -> None:
    data = pcap(FRAMES, order=order)
    records, places = PcapRecords(), [0, *sorted(cuts), len(data)]
    pieces = [records.feed(data[begin:end]) for begin, end in pairwise(places)]
    assert records.header + b"".join(pieces) == data
    for piece in pieces:
        assert sum(sizes(data[:FILE_HEADER], piece)) == len(piece)


def test_a_ring_keeps_the_newest(tmp_path: Path) -> None:
    """Whole packets in their order, at most as many bytes as asked for, and nothing beside the file."""
    limit = len(WHOLE) // 3
    ring = RingFile(tmp_path / "client.pcap", limit)
    for at in range(0, len(WHOLE), 100):
        ring.write(WHOLE[at : at + 100])
    ring.flush()
    ring.close()
    kept = (tmp_path / "client.pcap").read_bytes()
    assert WHOLE.startswith(kept[:FILE_HEADER])
    assert WHOLE.endswith(kept[FILE_HEADER:])
    assert limit // 2 < len(kept) <= limit + FILE_HEADER
    assert ring.dropped == len(WHOLE) - len(kept)
    assert [path.name for path in tmp_path.iterdir()] == ["client.pcap"]
    assert PARTS > 1


def test_without_a_limit_all_is_kept_and_nothing_is_a_file_too(tmp_path: Path) -> None:
    for name, data in (("all", WHOLE), ("none", WHOLE[:FILE_HEADER])):
        ring = RingFile(tmp_path / name, 0)
        ring.write(data)
        ring.close()
        ring.close()
        assert (tmp_path / name).read_bytes() == data
        assert ring.dropped == 0


def test_frames_are_taken_out(tmp_path: Path) -> None:
    path = tmp_path / "client.pcap"
    path.write_bytes(WHOLE)
    without_frames(path, frozenset({1, 3, len(FRAMES)}))
    times = [(n * 10**9, frame) for n, frame in enumerate(FRAMES, 1) if n not in {1, 3, len(FRAMES)}]
    assert path.read_bytes() == pcap(times)


def test_a_recording_keeps_all_but_its_oldest_pages(tmp_path: Path) -> None:
    """What is said once, such as formats and clocks, stays; the time since which all pages are there is known."""

    def frame(kind: bytes, size: int) -> bytes:
        return kind + size.to_bytes(4) + bytes([size % 251]) * size

    pages = [frame(b"Pp"[n % 2 : n % 2 + 1], 100 + n) for n in range(80)]
    whole = frame(b"H", 3) + frame(b"C", 24) + b"".join(pages) + frame(b"E", 0)
    ring = RingFile(tmp_path / "recording", 2000, TraceFrames())
    for at in range(0, len(whole), 37):
        ring.write(whole[at : at + 37])
    ring.close()
    kept = (tmp_path / "recording").read_bytes()
    said = frame(b"H", 3) + frame(b"C", 24) + frame(b"E", 0)
    assert kept.startswith(said)
    assert b"".join(pages).endswith(kept[len(said) :])
    assert 1000 < len(kept) - len(said) <= 2000
    assert ring.complete_since > 0
