"""pcapng files: sections, interfaces, resolutions, every packet block, comments and damage."""

from __future__ import annotations

import io
import struct

import pytest

from testbed.capture.containers.pcapng_write import Writer
from testbed.capture.read_file import read
from testbed.model.errors import CaptureError
from tests.builders.frames import block, enhanced, ethernet, interface, option, section, tcp, udp

FRAME = ethernet(tcp(b"abc"))
TIME = 1_700_000_000_123_456_789


def resolution(value: int, order: str = "<") -> bytes:
    return option(order, 9, bytes([value]))


@pytest.mark.parametrize(
    ("value", "ticks_per_second"),
    [(0, 1), (3, 10**3), (6, 10**6), (9, 10**9), (12, 10**12), (0x80 | 5, 2**5), (0x80 | 10, 2**10), (0x80 | 32, 2**32),
     (0x80 | 33, 2**33)],
)  # fmt: skip
def test_time_stamps_of_any_resolution(value: int, ticks_per_second: int) -> None:
    ticks = TIME // 1000 * ticks_per_second // 10**9  # picoseconds must fit 64 bits
    capture = read(section() + interface(options=resolution(value)) + enhanced(FRAME, ticks))
    assert abs(int(capture.time_ns[0]) - ticks * 10**9 // ticks_per_second) <= 1
    assert capture.interfaces[0].resolution == ticks_per_second


@pytest.mark.parametrize("value", [0x80 | 63, 0x80 | 64, 0x80 | 90, 40, 127])
def test_a_resolution_finer_than_64_bits_hold_gives_times_near_zero(value: int) -> None:
    capture = read(section() + interface(options=resolution(value)) + enhanced(FRAME, 2**63 + 5))
    assert 0 <= int(capture.time_ns[0]) <= 10**9


def test_a_time_offset_is_added() -> None:
    options = option("<", 14, struct.pack("<q", -3600))
    capture = read(section() + interface(options=options) + enhanced(FRAME, TIME // 1000))
    assert int(capture.time_ns[0]) == TIME // 1000 * 1000 - 3600 * 10**9


def test_sections_of_both_byte_orders_and_their_own_interfaces() -> None:
    data = (
        section("<")
        + interface("<", 1, options=option("<", 2, b"eth0"))
        + interface("<", 101, options=resolution(9) + option("<", 2, b"tun0"))
        + enhanced(tcp(b"raw"), TIME, "<", 1)
        + enhanced(FRAME, 7, "<", 0)
        + section(">")
        + interface(">", 228)
        + enhanced(udp(b"big"), 9, ">", 0)
    )
    capture = read(data)
    assert [capture.payload(row) for row in range(3)] == [b"raw", b"abc", b"big"]
    assert capture.time_ns.tolist() == [TIME, 7000, 9000]
    assert capture.interface.tolist() == [1, 0, 2]
    assert [(one.name, one.link_type, one.section) for one in capture.interfaces] == [
        ("eth0", 1, 0),
        ("tun0", 101, 0),
        ("", 228, 1),
    ]


def test_simple_and_obsolete_packet_blocks() -> None:
    simple = block("<", 3, struct.pack("<I", 5000) + FRAME[:40])
    head = struct.pack("<HHIIII", 0, 17, 0, 9, len(FRAME), len(FRAME))
    capture = read(section() + interface(snap=40) + simple + block("<", 2, head + FRAME))
    assert capture.captured.tolist() == [40, len(FRAME)]
    assert capture.wire.tolist() == [5000, len(FRAME)]
    assert capture.time_ns.tolist() == [0, 9000]
    assert capture.payload(1) == b"abc"


def test_unknown_blocks_are_skipped_and_comments_kept() -> None:
    note = option("<", 1, "größe".encode())
    data = (
        section(options=option("<", 1, b"whole file"))
        + block("<", 0x0BAD, b"whatever")
        + interface(options=option("<", 1, b"of eth0"))
        + enhanced(FRAME, 1)
        + enhanced(FRAME, 2, options=note + option("<", 1, b"twice") + option("<", 0, b""))
        + block("<", 5, bytes(12))
    )
    capture = read(data)
    assert len(capture) == 2
    assert capture.comments == ((0, "whole file"), (0, "of eth0"), (2, "größe"), (2, "twice"))
    assert capture.partial is None


GOOD = section() + interface() + enhanced(FRAME, 1)


@pytest.mark.parametrize(
    ("tail", "message"),
    [
        (struct.pack("<II", 6, 0) + bytes(8), "damaged at byte {next}: a block claims 0 bytes"),
        (struct.pack("<II", 6, 2**32 - 4) + bytes(8), "cut at byte {size}: record 2 needs 4294967292 bytes, 16 are"),
        (struct.pack("<II", 9, 0xFFFFFFFC) + bytes(8), "cut at byte {size}: a block of type 9 needs"),
        (struct.pack("<IIII", 6, 16, 0, 20), "a block's two lengths differ"),
        (b"\x06\x00", "cut at byte {size}: a block needs 12 bytes, 2 are there"),
        (block("<", 6, bytes(8)), "record 2 claims"),
        (enhanced(FRAME, 1, index=4), "record 2 is of interface 4 of 1"),
        (block("<", 6, struct.pack("<IIIII", 0, 0, 1, 0xFFFFFFFF, 60)), "record 2 claims 4294967295 bytes"),
        (block("<", 1, bytes(4)), "an interface block claims 16 bytes"),
        (section(major=9), "pcapng version 9.0 is unknown"),
    ],
)  # fmt: skip
def test_damage_ends_the_reading_and_keeps_what_came_before(tail: bytes, message: str) -> None:
    capture = read(GOOD + tail)
    assert len(capture) == 1
    assert capture.partial is not None
    assert message.format(size=len(GOOD) + len(tail), next=len(GOOD) + 4) in capture.partial


def test_a_packet_before_any_interface_is_damage() -> None:
    capture = read(section() + enhanced(FRAME, 1))
    assert len(capture) == 0
    assert capture.partial is not None
    assert "interface 0 of 0" in capture.partial


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x0a\x0d\x0d\x0a", "cut at byte 4"),
        (b"\x0a\x0d\x0d\x0a" + bytes(30), "byte 8: no byte-order magic"),
        (section(major=0), "byte 12: pcapng version 0.0 is unknown"),
        (section()[:20], "cut at byte 20: a section header needs 28 bytes"),
    ],
)
def test_without_a_usable_section_header_it_is_no_capture(data: bytes, message: str) -> None:
    with pytest.raises(CaptureError, match=message):
        read(data)


def test_a_time_before_the_epoch_can_be_written() -> None:
    stream = io.BytesIO()
    writer = Writer(stream, application="test")
    writer.packet(writer.interface("client", 1), -1, b"abcd", 4)
    high, low = struct.unpack_from("<II", stream.getvalue()[-36:], 12)
    assert (high, low) == (2**32 - 1, 2**32 - 1)
