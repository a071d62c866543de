"""pcap files: byte orders, resolutions, compression, and what breaks off or is no capture at all."""

from __future__ import annotations

import gzip
import io
import random
import re
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zstandard

from testbed.capture.columns import Interface
from testbed.capture.containers.decompress import _unzstd
from testbed.capture.read_file import read
from testbed.model.errors import CaptureError
from tests.builders.frames import ethernet, pcap, tcp

FRAMES = [(1_700_000_000_123_456_789, ethernet(tcp(b"abc"))), (1_700_000_001_000_000_999, ethernet(tcp()))]


@pytest.mark.parametrize("order", ["<", ">"])
def test_both_byte_orders_and_nanoseconds(order: str) -> None:
    capture = read(pcap(FRAMES, order=order))
    assert capture.time_ns.tolist() == [time for time, _ in FRAMES]
    assert capture.captured.tolist() == capture.wire.tolist() == [len(frame) for _, frame in FRAMES]
    assert [capture.frame(row) for row in range(2)] == [frame for _, frame in FRAMES]
    assert capture.interfaces == (Interface(1, 262144, 10**9),)
    assert capture.link_types == (1,)
    assert capture.partial is None


@pytest.mark.parametrize("order", ["<", ">"])
def test_microseconds_become_nanoseconds(order: str) -> None:
    capture = read(pcap(FRAMES, order=order, nano=False))
    assert capture.time_ns.tolist() == [time // 1000 * 1000 for time, _ in FRAMES]


def test_a_file_without_packets_is_a_capture() -> None:
    capture = read(pcap([]))
    assert len(capture) == 0
    assert capture.partial is None


def test_paths_streams_and_pipes_read_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap(FRAMES))
    for source in (path, str(path), io.BytesIO(path.read_bytes())):
        assert read(source).payload(0) == b"abc"


def test_gzip_in_several_members_with_padding() -> None:
    data = pcap(FRAMES)
    capture = read(gzip.compress(data[:50]) + gzip.compress(data[50:]) + bytes(100))
    assert len(capture) == 2
    assert capture.partial is None


def test_a_gzip_file_that_breaks_off_gives_what_it_holds() -> None:
    packed = gzip.compress(pcap(FRAMES * 2000), compresslevel=0)
    capture = read(packed[: len(packed) // 2])
    assert 1000 < len(capture) < 4000
    assert capture.partial is not None
    assert capture.partial.startswith(f"the gzip data ends early, at byte {len(packed) // 2}; cut at byte ")


def test_damaged_gzip_is_said_with_its_place() -> None:
    with pytest.raises(CaptureError, match=r"gzip data is damaged near byte 0"):
        read(b"\x1f\x8b" + bytes(50))


@pytest.mark.parametrize("packed", [gzip.compress, zstandard.compress])
def test_what_follows_packed_data_and_is_no_padding_is_said(packed: Callable[[bytes], bytes]) -> None:
    data = packed(pcap(FRAMES))
    assert read(data + bytes(9)).partial is None
    partial = read(data + b"rest").partial
    assert partial is not None
    assert re.fullmatch(rf"what follows at byte {len(data)} is no (gzip|zstd) data", partial)


def test_zstd_in_several_frames_some_of_them_to_be_skipped() -> None:
    """As zstd, pzstd and `cat` make them."""
    data = pcap(FRAMES)
    skipped = b"\x50\x2a\x4d\x18" + struct.pack("<I", 4) + b"size"
    for packed in (
        zstandard.compress(data[:50]) + zstandard.compress(data[50:]),
        skipped + zstandard.compress(data[:50]) + skipped + zstandard.compress(data[50:]) + bytes(7),
        zstandard.ZstdCompressor(write_checksum=True, write_content_size=False).compress(data),
    ):
        capture = read(packed)
        assert (len(capture), capture.partial) == (2, None)


def test_a_zstd_file_that_breaks_off_gives_what_it_holds() -> None:
    chance = random.Random(1)
    packed = zstandard.compress(pcap([ethernet(tcp(chance.randbytes(1000))) for _ in range(2000)]))
    capture = read(packed[: len(packed) // 2])
    assert 500 < len(capture) < 1500
    assert capture.partial is not None
    assert capture.partial.startswith(f"the zstd data ends early, at byte {len(packed) // 2}; cut at byte ")


def test_damaged_zstd_is_said_with_its_place() -> None:
    with pytest.raises(CaptureError, match=r"zstd data is damaged near byte 0"):
        read(b"\x28\xb5\x2f\xfd" + b"\xff" * 50)
    whole = zstandard.compress(pcap(FRAMES))
    capture = read(whole + b"\x28\xb5\x2f\xfd" + b"\xff" * 50)
    assert (len(capture), capture.partial) == (2, f"the zstd data is damaged near byte {len(whole)}")


def test_zstd_is_unpacked_in_pieces() -> None:
    """A file of a few KB that holds half a gigabyte comes in pieces of at most 128 MiB."""
    packed = zstandard.compress(bytes(500_000_000))
    sizes = [len(piece) for piece in _unzstd(np.frombuffer(packed, np.uint8))]
    assert sum(sizes) == 500_000_000
    assert max(sizes) <= 1 << 27


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        (-1, "cut at byte {size}: record 2 needs 54 bytes, 53 are there"),
        (-54, "cut at byte {size}: record 2 needs 54 bytes, 0 are there"),
        (-60, "cut at byte {size}: record 2 needs a 16-byte header, 10 are there"),
    ],
)
def test_a_cut_file_gives_the_packets_before_the_cut(keep: int, message: str) -> None:
    data = pcap(FRAMES)[:keep]
    capture = read(data)
    assert len(capture) == 1
    assert capture.partial == message.format(size=len(data))


def test_an_impossible_record_length_ends_the_reading_with_its_place() -> None:
    data = bytearray(pcap(FRAMES))
    place = 24 + 16 + len(FRAMES[0][1]) + 8
    data[place : place + 4] = b"\xff\xff\xff\xff"
    capture = read(bytes(data))
    assert len(capture) == 1
    assert capture.partial == f"damaged at byte {place}: record 2 claims 4294967295 bytes"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty: no header at byte 0"),
        (b"hello, world", "not a capture file: byte 0 holds 68 65 6c 6c, neither pcap, pcapng nor snoop"),
        (b"\xd4\xc3", "not a capture file: byte 0 holds d4 c3"),
        (pcap([])[:20], "cut at byte 20: the pcap file header needs 24 bytes"),
        (b"\x34\xcd\xb2\xa1" + bytes(30), "the 'modified' pcap format"),
        (pcap([])[:4] + b"\x07\x00" + pcap([])[6:], "byte 4: pcap version 7.4 is unknown"),
        (pcap([])[:20] + struct.pack("<I", 0x00300001), "byte 20: reserved bits of the link type are set"),
    ],
)
def test_what_is_no_capture_is_one_line_with_the_byte(data: bytes, message: str) -> None:
    with pytest.raises(CaptureError) as caught:
        read(data)
    assert message in caught.value.what
    assert "\n" not in caught.value.what


def test_the_length_of_the_frame_check_sequence_is_no_link_type() -> None:
    data = bytearray(pcap(FRAMES))
    data[20:24] = struct.pack("<I", 0x44000001)  # FCS length 4, given
    assert read(bytes(data)).link_types == (1,)


def test_a_missing_file_names_itself(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match=r"nothing\.pcap: No such file"):
        read(tmp_path / "nothing.pcap")
