"""Broken files: whatever is in them, reading ends with packets, a partial result or one line of error."""

from __future__ import annotations

import random
import struct

import pytest

from testbed.capture import read
from testbed.errors import CaptureError
from tests.unit.capture.frames import (
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

PACKETS = [
    ethernet(tcp(b"abc", options=timestamps(1, 2))),
    ethernet(tcp(b"abc", src=CLIENT6, dst=SERVER6, options=b"\x05\x0a" + bytes(8)), [(0x8100, 3)]),
    ethernet(udp(b"x" * 40)),
    ethernet(icmp(3, 3, 0, udp(b"about"))),
    ethernet(ip(tcp(bytes(20))[20:60], 6, fragment=0x2000)),
    ethernet(ip(tcp(bytes(20))[60:], 6, fragment=5)),
    ethernet(ip(struct.pack(">BBHI", 6, 0, 1, 7) + bytes(24), 44, CLIENT6, SERVER6)),
    ethernet(bytes(40), ethertype=0x8847),
    ethernet(bytes(40), ethertype=0x0806),
]
SEEDS = [
    pcap(PACKETS),
    pcap(PACKETS, order=">", nano=False),
    pcap(PACKETS, link=113),
    pcap([packet[14:] for packet in PACKETS], link=101),
    section()
    + interface(options=option("<", 9, b"\x89") + option("<", 0, b""))
    + b"".join(enhanced(packet, n, options=option("<", 1, b"note")) for n, packet in enumerate(PACKETS)),
    section(">") + interface(">") + block(">", 3, struct.pack(">I", 60) + PACKETS[0]) + enhanced(PACKETS[1], 1, ">"),
]
WORDS = [
    b"\xff\xff\xff\xff",
    bytes(4),
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\x00\x00\x00\x01",
    b"\x81\x00",
    b"\x2c",
]


def broken(data: bytes, rng: random.Random) -> bytes:
    """Change, overwrite, cut, drop or insert at a few places."""
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
        elif action < 0.9:
            del result[at : at + rng.randrange(1, 20)]
        else:
            result[at:at] = rng.randbytes(rng.randrange(1, 20))
    return bytes(result)


@pytest.mark.parametrize("seed", range(4))
def test_broken_files_never_crash_the_reader(seed: int) -> None:
    rng = random.Random(seed)
    outcomes = {"error": 0, "partial": 0, "whole": 0}
    for _ in range(1000):
        data = broken(rng.choice(SEEDS), rng)
        try:
            capture = read(data)
        except CaptureError as problem:
            assert "\n" not in problem.what  # noqa: PT017 - an error is one of three good ends
            outcomes["error"] += 1
            continue
        outcomes["partial" if capture.partial else "whole"] += 1
        for row in range(len(capture)):
            assert len(capture.payload(row)) == capture.payload_captured[row] <= len(data)
            assert len(capture.options(row)) == capture.options_length[row]
            assert capture.kind(row)
            capture.sack(row), capture.source(row)
    assert min(outcomes.values()) > 0
