"""Which events are about the frames of a capture that has some only, and when nothing says it."""

from __future__ import annotations

import pytest

from testbed.lab.kernel_trace import stacks_of
from testbed.observe.kernel.frame_order import Passing
from testbed.observe.kernel.observed_interface import SeenInterface
from testbed.observe.kernel.part_departures import LONGEST, PartlyCaptured, match_some

from .test_kernel_departures import ERROR, frames

Row = tuple[int, int, int]
"""An event: its time, its processor, the length of its frame."""


def left(*rows: Row) -> list[Passing]:
    return [Passing(time, cpu, length) for time, cpu, length in rows]


@pytest.mark.parametrize(
    ("captured", "events", "found"),
    [
        ([(100, 74), (200, 66)], [(110, 0, 74), (150, 0, 66), (210, 0, 66)], [110, 210]),  # one of another conversation
        ([(100, 74)], [(110, 0, 66), (120, 0, 74)], [None]),  # its own would be the processor's first
        ([(100, 74)], [(110, 0, 66), (120, 1, 74)], [120]),
        ([(100, 66)], [(110, 0, 66), (130, 1, 66)], [None]),  # two can be it
        ([(100, 66), (125, 66)], [(110, 0, 66), (130, 1, 66)], [110, 130]),  # the second frame's is not the first's
        ([(100, 66)], [(100 - ERROR, 0, 66)], [100 - ERROR]),  # the clocks' error
        ([(100, 66)], [(100 + LONGEST + 1, 0, 66)], [None]),
        ([(100, 66), (101, 66)], [(110, 0, 66)], [None, None]),  # one has no event, and nothing says which
        ([], [(110, 0, 66)], []),
        ([(100, 66)], [], [None]),
    ],
)
def test_a_frame_has_the_event_that_no_other_can_have(
    captured: list[tuple[int, int]], events: list[Row], found: list[int | None]
) -> None:
    chosen = match_some(frames(*captured), left(*events), ERROR)
    assert [None if each is None else each.time for each in chosen] == found


def test_what_the_other_end_of_a_veth_is_given_has_lost_its_header() -> None:
    interfaces = PartlyCaptured({"client": SeenInterface("veth1", by_peer=True)})
    interfaces.leaves("veth1", 7, Passing(110, 0, 52, stack=3), ())
    interfaces.leaves("veth2", 7, Passing(111, 1, 52, stack=4), ())
    (found,) = interfaces.departures("client", (frames((100, 66)), frames()), ERROR)
    assert (found.frame, found.stack) == (1, 3)
    assert interfaces.departures("server", (frames((100, 66)), frames()), ERROR) == ()


@pytest.mark.parametrize("function", ["__neigh_update", "__qdisc_run"])
def test_what_had_waited_is_not_known_by_the_stack_of_its_departure(function: str) -> None:
    interfaces = PartlyCaptured({"client": SeenInterface("eth7", by_peer=False)})
    interfaces.leaves("eth7", 7, Passing(110, 0, 66, stack=3), (function,))
    assert interfaces.departures("client", (frames((100, 66)), frames()), ERROR) == ()


def test_stacks_are_asked_for_of_the_interfaces_alone() -> None:
    seen = [SeenInterface("a", by_peer=True), SeenInterface("b", by_peer=True), SeenInterface("c", by_peer=False)]
    assert stacks_of(seen) == (
        '+net/net_dev_start_xmit=len < 1400 && (name == "c")',
        '+net/netif_rx=len < 1386 && (name == "a" || name == "b")',
    )
    assert stacks_of([]) == ()
