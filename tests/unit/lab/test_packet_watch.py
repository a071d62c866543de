"""A host's capture as it is made: which of the packets that steps wait for are in it, and when that is said."""

from __future__ import annotations

import pytest

from testbed.capture.read_file import read
from testbed.lab.packet_watch import PacketWatch, matches
from testbed.model import Host
from testbed.model.awaited_packets import AwaitedPacket
from testbed.model.expect import Limits
from testbed.model.ip import UDP
from tests.builders.frames import ACK, CLIENT, PSH, SERVER, SYN, ethernet, pcap, tcp, udp

ADDRESSES: dict[Host, list[str]] = {"client": [CLIENT], "server": ["fd00::3", SERVER]}


def segment(flags: int, payload: bytes = b"", *, src: str = CLIENT, dst: str = SERVER) -> bytes:
    return ethernet(tcp(payload, src=src, dst=dst, flags=flags))


def datagram(payload: bytes) -> bytes:
    return ethernet(udp(payload, src=SERVER, dst=CLIENT))


def capture_of(*frames: bytes) -> bytes:
    return pcap(frames)


@pytest.mark.parametrize(
    ("awaited", "fitting"),
    [
        (AwaitedPacket("", sender="client"), [0, 1]),
        (AwaitedPacket("", sender="server"), [2, 3]),
        (AwaitedPacket("", flags=SYN), [0]),
        (AwaitedPacket("", has=ACK), [1, 2]),
        (AwaitedPacket("", protocol=UDP), [3]),
        (AwaitedPacket("", length=Limits(1, None, ">=1")), [1, 3]),
        (AwaitedPacket("", data=b"hello"), [1]),
        (AwaitedPacket("", sender="server", data=b"hello"), []),
    ],
)
def test_what_fits(awaited: AwaitedPacket, fitting: list[int]) -> None:
    """Flags mean segments of TCP only."""
    frames = (segment(SYN), segment(PSH | ACK, b"hello"), segment(SYN | ACK, src=SERVER, dst=CLIENT), datagram(b"x"))
    capture = read(capture_of(*frames))
    assert [row for row in range(4) if matches(awaited, capture, row, ADDRESSES)] == fitting


@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_a_step_goes_on_once_its_packet_is_in_the_capture(step: int) -> None:
    """However the file's bytes come; what came before the step waits counts, but once."""
    data = capture_of(segment(SYN), segment(ACK, b"a"), segment(ACK, b"b"), segment(ACK, b"c"))
    seen: list[int] = []
    watch = PacketWatch({5: AwaitedPacket("", length=Limits(1, None, ">=1"), nth=2)}, ADDRESSES, seen.append)
    for start in range(0, len(data), step):
        watch.feed(data[start : start + step])
    assert seen == []
    watch.begin(5)
    assert seen == [5]
    watch.begin(5)
    assert seen == [5], "the second round needs the fourth such packet, and there are three"
    watch.feed(capture_of(segment(ACK, b"d"))[24:])
    assert seen == [5, 5]


def test_two_steps_of_two_processes() -> None:
    """Each goes on by its own packet."""
    seen: list[int] = []
    waits = {1: AwaitedPacket("a SYN", flags=SYN), 2: AwaitedPacket("b", data=b"b")}
    watch = PacketWatch(waits, ADDRESSES, seen.append)
    watch.begin(1)
    watch.begin(2)
    watch.feed(capture_of(segment(ACK, b"b")))
    assert seen == [2]
    watch.feed(capture_of(segment(SYN))[24:])
    assert (seen, watch.describe(1), watch.waits_at(2), watch.waits_at(None)) == ([2, 1], "a SYN", True, False)
