"""Which way a packet passed the tap's interface: packet types of cooked captures, pcapng's direction flag."""

from __future__ import annotations

import struct

import pytest

from testbed.capture.read_file import load, read
from testbed.model.ways import INCOMING, OUTGOING, UNKNOWN
from testbed.run.read_captures import read_one
from tests.builders.frames import enhanced, ethernet, interface, option, pcap, section, tcp

WAYS = [INCOMING] * 4 + [OUTGOING, UNKNOWN]


@pytest.mark.parametrize("link", [113, 276])
def test_the_packet_type_of_a_cooked_capture_says_which_way(link: int) -> None:
    frames = []
    for kind in (0, 1, 2, 3, 4, 6):
        cooked = (
            struct.pack(">HHH8xH", kind, 1, 6, 0x0800)
            if link == 113
            else struct.pack(">HHIHBB8x", 0x0800, 0, 2, 1, kind, 6)
        )
        frames.append(cooked + tcp(bytes([kind])))
    capture = read(pcap(frames, link=link))
    assert capture.way.tolist() == WAYS
    assert [capture.payload(row) for row in range(6)] == [bytes([kind]) for kind in (0, 1, 2, 3, 4, 6)]
    assert read_one(load(pcap(frames, link=link)))[0].way.tolist() == WAYS


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_direction_flag_of_pcapng_says_which_way(order: str) -> None:
    flags = [0x0001, 0x0002, 0x0000, 0x0003, 0x01E4 << 4 | 2]
    blocks = [
        enhanced(ethernet(tcp(b"x")), k, order,
                 options=option(order, 1, b"a comment") + option(order, 2, struct.pack(order + "I", flag)) + bytes(4))
        for k, flag in enumerate(flags)
    ]  # fmt: skip
    data = section(order) + interface(order) + b"".join(blocks) + enhanced(ethernet(tcp(b"y")), 9, order)
    expected = [INCOMING, OUTGOING, UNKNOWN, UNKNOWN, OUTGOING, UNKNOWN]
    assert read(data).way.tolist() == expected
    assert read_one(load(data))[0].way.tolist() == expected


def test_a_capture_that_does_not_say_knows_no_ways() -> None:
    packets, _ = read_one(load(pcap([ethernet(tcp(b"x"))])))
    assert not len(packets.way)
