"""Broken files: whatever is in them, reading ends with packets, a partial result or one line of error."""

from __future__ import annotations

import gzip
import random
import re
import resource
import struct
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zstandard

from testbed.capture.columns import Capture
from testbed.capture.read_file import load, read
from testbed.model.errors import CaptureError
from testbed.run.read_captures import read_one
from tests.builders.frames import (
    CLIENT6,
    SERVER6,
    block,
    enhanced,
    ethernet,
    icmp,
    interface,
    ip,
    option,
    pcap,
    section,
    tcp,
    timestamps,
    udp,
)

SACK = b"\x01\x01\x05\x0a" + struct.pack(">II", 4, 9)
DATAGRAMS = [
    tcp(b"abc", options=timestamps(1, 2) + SACK),
    tcp(b"abc", src=CLIENT6, dst=SERVER6, options=b"\x05\x0a" + bytes(8)),
    udp(b"x" * 40),
    icmp(3, 3, 0, udp(b"about")),
    ip(tcp(bytes(20))[20:60], 6, fragment=0x2000),
    ip(tcp(bytes(20))[60:], 6, fragment=5),
    ip(struct.pack(">BBHI", 6, 0, 1, 7) + bytes(24), 44, CLIENT6, SERVER6),
    ip(struct.pack(">BBHI", 6, 0, 0, 7) + bytes(24), 0, CLIENT6, SERVER6),
    tcp(bytes(100), length=0),
]
PACKETS = [
    *(ethernet(each) for each in DATAGRAMS),
    ethernet(DATAGRAMS[0], [(0x88A8, 3), (0x8100, 4)]),
    ethernet(struct.pack(">I", 0x101) + DATAGRAMS[0], ethertype=0x8847),
    ethernet(struct.pack(">BBHHH", 0x11, 0, 7, 9, 0x21) + DATAGRAMS[0], ethertype=0x8864),
    ethernet(bytes(40), ethertype=0x0806),
]
HEADS = {  # link type: what stands before an IPv4 packet
    0: struct.pack("<I", 2),
    9: b"\xff\x03\x00\x21",
    101: b"",
    104: b"\x0f\x00\x08\x00",
    108: struct.pack(">I", 2),
    113: bytes(14) + b"\x08\x00",
    228: b"",
    276: b"\x08\x00" + bytes(18),
}
PLAIN = pcap(PACKETS)
BLOCKS = b"".join(enhanced(packet, n, options=option("<", 1, b"note")) for n, packet in enumerate(PACKETS))
SEEDS = [
    PLAIN,
    pcap(PACKETS, order=">", nano=False),
    *(pcap([head + each for each in DATAGRAMS], link=link) for link, head in HEADS.items()),
    section() + interface(options=option("<", 9, b"\x89") + option("<", 0, b"")) + BLOCKS,
    section(">") + interface(">") + block(">", 3, struct.pack(">I", 60) + PACKETS[0]) + enhanced(PACKETS[1], 1, ">"),
    section() + interface() + interface(link=101) + enhanced(DATAGRAMS[0], 5, index=1) + block("<", 5, bytes(12))
    + section(">") + interface(">") + enhanced(PACKETS[2], 7, ">"),
    gzip.compress(PLAIN),
    gzip.compress(PLAIN[:600]) + gzip.compress(PLAIN[600:]),
    zstandard.compress(PLAIN),
]  # fmt: skip
WORDS = [
    b"\xff\xff\xff\xff",
    bytes(4),
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\x00\x00\x00\x01",
    b"\x00\x00\x04\x00",
    b"\x81\x00",
    b"\x2c",
]
ROOM = 1 << 30  # bytes of address space that reading files of a few KB may take at most


def broken(data: bytes, rng: random.Random) -> bytes:
    """Change, overwrite, cut, drop, insert or repeat at a few places."""
    result = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 4, 16])):
        if not result:
            break
        at = rng.randrange(len(result))
        action = rng.random()
        if action < 0.4:
            result[at] = rng.randrange(256)
        elif action < 0.7:
            word = rng.choice(WORDS)
            result[at : at + len(word)] = word
        elif action < 0.8:
            del result[at:]
        elif action < 0.88:
            del result[at : at + rng.randrange(1, 20)]
        elif action < 0.95:
            result[at:at] = rng.randbytes(rng.randrange(1, 20))
        else:
            result[at:at] = result[at : at + rng.randrange(1, 400)]
    return bytes(result)


@contextmanager
def bounded_memory() -> Iterator[None]:
    """Let an allocation beyond ROOM fail, so that a length of a broken header which is believed shows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + ROOM, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def outcome(data: bytes) -> str:
    """Read a file whole and in the way of a comparison; both must end the same, and well."""
    try:
        capture = read(data)
    except CaptureError as problem:
        told = problem.what
        with pytest.raises(CaptureError, match=re.escape(told)):
            read_one(load(data))
        assert re.fullmatch(r"[^\n]*byte \d+[^\n]*", told), told
        return "error"
    check(capture, len(data))
    packets, _ = read_one(load(data))
    assert (packets.frames, packets.partial) == (len(capture), capture.partial)
    assert capture.partial is None or re.fullmatch(r"[^\n]*byte \d+[^\n]*", capture.partial), capture.partial
    return "partial" if capture.partial else "whole"


def check(capture: Capture, size: int) -> None:
    """All that a capture says of its packets lies within it."""
    packed = len(capture.data) != size
    for row in range(len(capture)):
        assert len(capture.payload(row)) == capture.payload_captured[row]
        assert packed or capture.payload_captured[row] <= size
        assert len(capture.options(row)) == capture.options_length[row]
        assert capture.kind(row)
        capture.sack(row), capture.source(row)


def fuzz(seed: int, count: int, seeds: list[bytes]) -> Counter[str]:
    rng = random.Random(seed)
    outcomes: Counter[str] = Counter()
    with bounded_memory():
        for n in range(count):
            data = broken(rng.choice(seeds), rng)
            try:
                outcomes[outcome(data)] += 1
            except BaseException as problem:
                problem.add_note(f"file {n} of seed {seed}: {data.hex()}")
                raise
    return outcomes


@pytest.mark.parametrize("seed", range(4))
def test_broken_files_never_crash_the_reader(seed: int) -> None:
    """No crash, no hang, no memory beyond ROOM; errors are one line with the byte, partial results say so."""
    outcomes = fuzz(seed, 400, SEEDS)
    assert min(outcomes[each] for each in ("error", "partial", "whole")) > 0


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(100, 110))
def test_a_hundred_thousand_broken_files(seed: int) -> None:
    """The same with 10,000 files for each of ten seeds."""
    outcomes = fuzz(seed, 10_000, SEEDS)
    assert min(outcomes[each] for each in ("error", "partial", "whole")) > 0
