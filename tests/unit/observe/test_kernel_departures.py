"""Which frame of a capture each event of an interface is about, and the stack that each event has."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from testbed.capture.directions import FrameRun, shorter
from testbed.lab.engine import device_name
from testbed.lab.kernel_trace import command, shorter_than
from testbed.model import Host
from testbed.observe.kernel.call_stacks import CallStacks
from testbed.observe.kernel.departures import RELEASES, Interfaces
from testbed.observe.kernel.frame_order import Passing, match_arrivals, match_departures
from testbed.observe.kernel.trace_format import Field, Format

ERROR = 10
DEVICES: dict[Host, str] = {"client": "eth0-c", "server": "eth0-s"}


def frames(*rows: tuple[int, int], first: int = 1, protocol: int = 0x800) -> FrameRun:
    """Return frames of (time, length)."""
    columns = np.array(rows, np.int64).reshape(-1, 2)
    numbers = np.arange(first, first + len(rows), dtype=np.int64)
    return FrameRun(numbers, columns[:, 0], columns[:, 1], np.full(len(rows), protocol, np.int64))


def left(*rows: tuple[int, int], protocol: int = 0x800) -> list[Passing]:
    return [Passing(time, 0, length, protocol) for time, length in rows]


def test_the_nth_event_is_the_nth_frame() -> None:
    """The capture may begin later than the trace; a frame has its time right before its event."""
    events = left((50, 90), (110, 74), (210, 66), (310, 66))
    assert match_departures(frames((100, 74), (200, 66), (300, 66)), events, ERROR) == 1
    assert match_departures(frames((115, 74), (200, 66)), events, ERROR) == 1  # by the clocks' error
    assert match_departures(frames(), events, ERROR) == 4


def test_what_does_not_match_in_every_frame_is_not_matched_at_all() -> None:
    events = left((110, 74), (210, 66))
    for wrong in (
        frames((100, 74), (200, 67)),
        frames((100, 74), (200, 66), (300, 66)),
        frames((100, 74), (200, 66), protocol=0x86DD),
        frames((100, 74), (90, 66)),
        frames((100, 74), (250, 66)),
    ):
        assert isinstance(match_departures(wrong, events, ERROR), str)


def test_arrivals_need_one_place_where_all_lengths_are_the_same() -> None:
    came = left((1, 60), (2, 52), (3, 52), protocol=-1)
    assert match_arrivals(frames((0, 74), (0, 66)), came) == 0
    assert match_arrivals(frames((0, 66)), came) is None  # two places
    assert match_arrivals(frames((0, 99)), came) is None


def test_the_packet_in_hand_is_that_of_the_same_host_and_processor() -> None:
    interfaces = Interfaces(DEVICES)
    interfaces.begins("eth0-c", Passing(1, 0, 60))
    interfaces.begins("eth0-s", Passing(2, 1, 60))
    interfaces.leaves("eth0-c", 0, Passing(3, 0, 66, 0x800, 7, True, 5), ())
    interfaces.leaves("eth0-c", 0, Passing(4, 1, 66, 0x800), ())
    interfaces.leaves("other", 0, Passing(5, 0, 66, 0x800), ())
    found = interfaces.departures("client", (frames((2, 66), (3, 66), first=4), frames((0, 74), first=3)), ERROR)
    assert not isinstance(found, str)
    assert [(each.frame, each.pid, each.stack, each.in_hand) for each in found] == [(4, 7, 5, 3), (5, 0, None, None)]


def test_of_arrivals_of_one_time_that_before_the_departure_is_in_hand() -> None:
    """Where time stands still, arrivals and departures are in order in the capture alone."""
    interfaces = Interfaces(DEVICES)
    for _ in range(3):
        interfaces.begins("eth0-s", Passing(10, 0, 60))
    for _ in range(2):
        interfaces.leaves("eth0-s", 0, Passing(10, 0, 66, 0x800), ())
    received = FrameRun(*(np.array(column, np.int64) for column in ((1, 3, 5), (10,) * 3, (74,) * 3, (0x800,) * 3)))
    sent = FrameRun(*(np.array(column, np.int64) for column in ((2, 4), (10,) * 2, (66,) * 2, (0x800,) * 2)))
    found = interfaces.departures("server", (sent, received), ERROR)
    assert [(each.frame, each.in_hand) for each in found if not isinstance(each, str)] == [(2, 1), (4, 3)]


def test_what_waited_for_a_hardware_address_left_its_stack_where_it_began_to_wait() -> None:
    """The event of waiting may come after the departure; the n-th that waited is the n-th that is released."""
    interfaces = Interfaces(DEVICES)
    interfaces.leaves("eth0-c", 0, Passing(10, 0, 74, 0x800, 1, True, 1), {RELEASES})
    interfaces.leaves("eth0-c", 0, Passing(20, 0, 75, 0x800, 1, True, 1), {RELEASES})
    interfaces.waits("eth0-c", Passing(11, 0, 0, 0, 8, False, 2))
    interfaces.waits("eth0-c", Passing(12, 0, 0, 0, 9, False, 3))
    found = interfaces.departures("client", (frames((9, 74), (19, 75)), frames()), ERROR)
    assert [(each.pid, each.stack, each.time) for each in found if not isinstance(each, str)] == [
        (8, 2, 10),
        (9, 3, 20),
    ]


def test_what_was_queued_left_its_stack_where_it_was_queued() -> None:
    interfaces = Interfaces(DEVICES, {"client"})
    interfaces.queues("eth0-c", 77, Passing(5, 0, 74, 0, 8, False, 2), ())
    interfaces.leaves("eth0-c", 77, Passing(10, 0, 74, 0x800, 1, True, 1), ())
    found = interfaces.departures("client", (frames((9, 74)), frames()), ERROR)
    assert not isinstance(found, str)
    assert [(each.pid, each.stack, each.time) for each in found] == [(8, 2, 10)]


@pytest.mark.parametrize("options", [0, 12, 24])
@pytest.mark.parametrize("last", [1440, 10, 8, 12])
def test_the_last_segment_of_a_queued_packet_is_known_without_its_headers(options: int, last: int) -> None:
    """Else what comes behind it in the queue would have its stack."""
    interfaces = Interfaces(DEVICES, {"client"})
    headers = 74 + options
    interfaces.queues("eth0-c", 1, Passing(5, 0, headers + 4 * 1440 + last, 0, 8, False, 2), ())
    interfaces.queues("eth0-c", 2, Passing(6, 0, headers + 2 * 1440, 0, 8, False, 3), ())
    sizes = [*(headers + 1440,) * 4, headers + last, *(headers + 1440,) * 2]
    for number, size in enumerate(sizes):
        interfaces.leaves("eth0-c", 100 + number, Passing(10 + number, 0, size, 0x86DD, 1, True, 1), ())
    rows = [(9 + number, size) for number, size in enumerate(sizes)]
    found = interfaces.departures("client", (frames(*rows, protocol=0x86DD), frames()), ERROR)
    assert not isinstance(found, str)
    assert [each.stack for each in found] == [2] * 5 + [3] * 2


def test_segments_that_wait_are_known_though_the_memory_of_their_packet_is_used_again() -> None:
    interfaces = Interfaces(DEVICES, {"client"})
    headers = 66
    waiting = ((9, headers + 1440, 1), (1, headers + 2 * 1440, 2), (1, 74, 3))
    leaving = ((9, headers + 1440), (21, headers + 1440), (22, headers + 1440), (1, 74))
    for at, (skb, length, stack) in enumerate(waiting):
        interfaces.queues("eth0-c", skb, Passing(5 + at, 0, length, 0, 8, False, stack), ())
        if not at:
            interfaces.leaves("eth0-c", *_leaving(5, leaving[0]), ())
    for at, each in enumerate(leaving[1:], 1):
        interfaces.leaves("eth0-c", *_leaving(10 + at, each), ())
    rows = [(4, leaving[0][1]), *((9 + at, length) for at, (_, length) in enumerate(leaving[1:], 1))]
    found = interfaces.departures("client", (frames(*rows), frames()), ERROR)
    assert not isinstance(found, str)
    assert [each.stack for each in found] == [1, 2, 2, 3]


def _leaving(time: int, of: tuple[int, int]) -> tuple[int, Passing]:
    skb, length = of
    return skb, Passing(time, 0, length, 0x800, 1, True, 7)


def test_what_leaves_an_interface_without_a_queue_has_its_own_stack() -> None:
    interfaces = Interfaces(DEVICES, {"server"})
    interfaces.queues("eth0-c", 77, Passing(5, 0, 2900, 0, 8, False, 2), ())
    interfaces.leaves("eth0-c", 78, Passing(10, 0, 1514, 0x800, 1, True, 1), ())
    found = interfaces.departures("client", (frames((9, 1514)), frames()), ERROR)
    assert not isinstance(found, str)
    assert [each.stack for each in found] == [1]


MADE = Format("kernel_stack", 4, {"size": Field(8, 4, signed=True), "caller": Field(16, 64, signed=False)})


def stack_record(*addresses: int) -> memoryview:
    return memoryview(struct.pack(f"<QiI{len(addresses)}Q", 0, len(addresses), 0, *addresses))


def test_a_stack_is_named_without_the_tracers_own_functions() -> None:
    stacks = CallStacks({1: "trace_event_raw_event_net_dev_start_xmit", 2: "dev_hard_start_xmit"})
    record = stack_record(1, 2, 3, (1 << 64) - 1)
    assert stacks.number(MADE, record) == 0
    assert stacks.number(MADE, record) == 0
    assert stacks.all == [("dev_hard_start_xmit", "0x3")]


def test_what_the_recording_does_not_name_this_machines_kernel_may() -> None:
    """Only a list of symbols that gives the same names to what is known is of the same kernel."""
    symbols = "0000000000000010 T first\n0000000000000010 T alias\n0000000000000020 t second\n0000000000000030 D data\n"
    for text, known, name in (
        (symbols, {0x12: "first"}, "second"),
        (symbols, {0x12: "other"}, "0x28"),
        ("0000000000000000 T first\n", {0x12: "x"}, "0x28"),
        ("", {}, "0x28"),
    ):
        stacks = CallStacks(known)
        stacks.number(MADE, stack_record(0x28))
        stacks.look_up(text.__str__)
        assert stacks.all == [(name,)]


def test_only_short_frames_are_recorded_in_labs_of_programs() -> None:
    """What is filtered by length is matched with the frames of that length, of the run's own interfaces only."""
    every, short = (command("20260101T000000Z-0123abcd", buffer=1 << 20, arrivals=all_of) for all_of in (True, False))
    assert (shorter_than(every), shorter_than(short)) == (None, 300)
    assert [argument for argument in every if "OURS" in argument] == []
    assert '+net/net_dev_start_xmit=len < 300 && name ~ "eth0-0123abcd*"' in short
    assert device_name("20260101T000000Z-0123abcd", "client").startswith("eth0-0123abcd")
    some = shorter(frames((1, 74), (2, 1514), (3, 66)), 300)
    assert (some.number.tolist(), some.length.tolist()) == ([1, 3], [74, 66])
