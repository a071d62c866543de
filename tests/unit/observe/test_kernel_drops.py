"""Which packet a drop was of: from what comes in, what a processor begins with, and the time stamps of captures."""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping
from pathlib import Path

import pytest

from testbed.model import Endpoint, Host
from testbed.observe.kernel.trace_drops import LONGEST, WaysIn
from testbed.observe.kernel.trace_recording import decode

from .test_kernel_recording import HEADER, event, frame, page

HERE, THERE = Endpoint("198.18.0.2", 5000), Endpoint("198.18.0.3", 40000)
LENGTH = 33


class Captured:
    """What arrived at one host: times of datagrams and of segments."""

    def __init__(self, *datagrams: int, segments: tuple[int, ...] = ()) -> None:
        self.times = {False: datagrams, True: segments}

    def of(self, length: int, *, tcp: bool) -> list[tuple[int, int]]:
        return [(time, row) for row, time in enumerate(self.times[tcp])] if length == LENGTH else []

    def ends(self, row: int) -> tuple[Endpoint, Endpoint]:
        assert row < sum(map(len, self.times.values()))
        return HERE, THERE


def arrive(ways: WaysIn, *times: tuple[int, int]) -> None:
    """Let packets come and be begun with at these times, each by its own memory."""
    for skb, (come, begun) in enumerate(times, 1):
        ways.arrives(skb, come)
        ways.begins(0, skb, begun, LENGTH, "eth0")


def arrived(ways: WaysIn, skb: int, captured: Mapping[Host, Captured], at: int = 12_000) -> int | None:
    """Return the time in the capture of what this drop was of."""
    came = ways.dropped(0, skb, at, "NO_SOCKET", interrupt=True)
    assert came is not None
    found = ways.packets([came], captured, 20)  # type: ignore[arg-type]
    return found[came].time if came in found else None


@pytest.mark.parametrize("segments", [False, True])
def test_a_burst_of_packets_of_one_length(segments: bool) -> None:
    """Time stamps lie right before what comes, of segments right after what is begun with."""
    ways = WaysIn({"eth0"})
    moments = [(1000, 3000), (5000, 7000), (9000, 11_000)]
    arrive(ways, *moments)
    stamps = tuple(begun + 600 for _, begun in moments) if segments else tuple(come - 300 for come, _ in moments)
    captured: dict[Host, Captured] = {"server": Captured(segments=stamps) if segments else Captured(*stamps)}
    assert arrived(ways, 3, captured) == stamps[2]


def test_what_is_in_no_capture_is_anothers() -> None:
    ways = WaysIn({"eth0"})
    arrive(ways, (1000, 2000), (2 * LONGEST, 2 * LONGEST + 1000))
    assert arrived(ways, 2, {"client": Captured(900), "server": Captured()}, 2 * LONGEST + 2000) is None


def test_anothers_packet_beside_ours_is_not_taken_for_it() -> None:
    """Both are of one length: the one that came right after the time stamp is ours."""
    ways = WaysIn({"eth0"})
    arrive(ways, (1000, 2000), (3000, 4000))
    assert arrived(ways, 2, {"server": Captured(900)}) is None


def test_only_what_a_processor_has_in_hand() -> None:
    """Memory is used again: a drop elsewhere, or in a system call, may be of another packet in the same place."""
    ways = WaysIn({"eth0"})
    arrive(ways, (1000, 2000))
    assert ways.dropped(1, 1, 3000, "NO_SOCKET", interrupt=True) is None
    assert ways.dropped(0, 1, 3000, "NO_SOCKET", interrupt=False) is None
    assert ways.dropped(0, 2, 3000, "NO_SOCKET", interrupt=True) is None
    assert ways.dropped(1, 1, 3000, "UDP_CSUM", interrupt=False) is not None  # found when it is read
    assert ways.dropped(0, 1, 3000, "NO_SOCKET", interrupt=True) is None


def test_memory_that_is_used_again() -> None:
    """A packet of another interface, or one that is sent, may have the memory of one that was accepted long ago."""
    ways = WaysIn({"eth0"})
    arrive(ways, (1000, 2000))
    assert ways.dropped(0, 1, 3000, "NEIGH_FAILED", interrupt=True) is None
    assert ways.dropped(0, 1, 3 * LONGEST, "NO_SOCKET", interrupt=True) is None
    arrive(ways, (1000, 2000))
    ways.begins(0, 1, 4000, LENGTH, "veth1")
    assert ways.dropped(0, 1, 5000, "IPV6DISABLED", interrupt=True) is None


PROBE = """\
name: tcp_probe
ID: 7
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;
\tfield:const void * skbaddr;\toffset:8;\tsize:8;\tsigned:0;
\tfield:__u8 saddr[28];\toffset:16;\tsize:28;\tsigned:0;
\tfield:__u8 daddr[28];\toffset:44;\tsize:28;\tsigned:0;
"""
DROP = """\
name: kfree_skb
ID: 8
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;
\tfield:void * skbaddr;\toffset:8;\tsize:8;\tsigned:0;
\tfield:unsigned short protocol;\toffset:16;\tsize:2;\tsigned:0;
\tfield:enum skb_drop_reason reason;\toffset:20;\tsize:4;\tsigned:0;

print fmt: "%s", __print_symbolic(REC->reason, { 90, "IPV6DISABLED" })
"""


@pytest.mark.parametrize(("protocol", "told"), [(0x0800, 1), (0x86DD, 0)])
def test_a_packet_of_another_protocol_is_not_the_one_before_it(tmp_path: Path, protocol: int, told: int) -> None:
    """On one machine an IPv6 packet of somebody else was dropped in the memory of a segment that had been accepted."""
    here, there = (struct.pack("<H2s4s20x", 2, b"\x27\x1b", socket.inet_aton(end.address)) for end in (HERE, THERE))
    probe = struct.pack("<HBBiQ", 7, 0x10, 0, 0, 0xFFFF0001) + here + there
    drop = struct.pack("<HBBiQHHI", 8, 0x10, 0, 0, 0xFFFF0001, protocol, 0, 90)
    entries = event(1, probe) + event(1, drop)
    clock = frame(b"C", struct.pack(">3Q", 1000, 1000, 40))
    formats = frame(b"F", b"tcp/tcp_probe\0" + PROBE.encode()) + frame(b"F", b"skb/kfree_skb\0" + DROP.encode())
    path = tmp_path / "recording"
    pages = frame(b"P", struct.pack(">I", 0) + page(1000, entries))
    path.write_bytes(frame(b"H", HEADER.encode()) + formats + clock + pages + clock + frame(b"E", b""))
    log = decode(path, {"client": [HERE.address], "server": [THERE.address]})
    assert [event.name for event in log.events] == ["tcp_probe"] + ["kfree_skb"] * told
