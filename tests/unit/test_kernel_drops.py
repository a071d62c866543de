"""Which packet a drop was of: from what comes in, what a processor begins with, and the time stamps of captures."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from testbed.model import Endpoint, Host
from testbed.observe.kernel_drops import LONGEST, WaysIn

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
    ways = WaysIn("eth0")
    moments = [(1000, 3000), (5000, 7000), (9000, 11_000)]
    arrive(ways, *moments)
    stamps = tuple(begun + 600 for _, begun in moments) if segments else tuple(come - 300 for come, _ in moments)
    captured: dict[Host, Captured] = {"server": Captured(segments=stamps) if segments else Captured(*stamps)}
    assert arrived(ways, 3, captured) == stamps[2]


def test_what_is_in_no_capture_is_anothers() -> None:
    ways = WaysIn("eth0")
    arrive(ways, (1000, 2000), (2 * LONGEST, 2 * LONGEST + 1000))
    assert arrived(ways, 2, {"client": Captured(900), "server": Captured()}, 2 * LONGEST + 2000) is None


def test_anothers_packet_beside_ours_is_not_taken_for_it() -> None:
    """Both are of one length: the one that came right after the time stamp is ours."""
    ways = WaysIn("eth0")
    arrive(ways, (1000, 2000), (3000, 4000))
    assert arrived(ways, 2, {"server": Captured(900)}) is None


def test_only_what_a_processor_has_in_hand() -> None:
    """Memory is used again: a drop elsewhere, or in a system call, may be of another packet in the same place."""
    ways = WaysIn("eth0")
    arrive(ways, (1000, 2000))
    assert ways.dropped(1, 1, 3000, "NO_SOCKET", interrupt=True) is None
    assert ways.dropped(0, 1, 3000, "NO_SOCKET", interrupt=False) is None
    assert ways.dropped(0, 2, 3000, "NO_SOCKET", interrupt=True) is None
    assert ways.dropped(1, 1, 3000, "UDP_CSUM", interrupt=False) is not None  # found when it is read
    assert ways.dropped(0, 1, 3000, "NO_SOCKET", interrupt=True) is None


def test_memory_that_is_used_again() -> None:
    """A packet of another interface, or one that is sent, may have the memory of one that was accepted long ago."""
    ways = WaysIn("eth0")
    arrive(ways, (1000, 2000))
    assert ways.dropped(0, 1, 3000, "NEIGH_FAILED", interrupt=True) is None
    assert ways.dropped(0, 1, 3 * LONGEST, "NO_SOCKET", interrupt=True) is None
    arrive(ways, (1000, 2000))
    ways.begins(0, 1, 4000, LENGTH, "veth1")
    assert ways.dropped(0, 1, 5000, "IPV6DISABLED", interrupt=True) is None
