"""Copies of packets that a tap captured on their way in and on their way out: which one counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
import pytest

from dev.pairs.made_packets import Seen, pcap, pcapng
from dev.pairs.pair_kinds import known_pair
from testbed.capture.read_file import load
from testbed.diagnosis.capture_trust import capture_doubts
from testbed.model.findings import Distrust
from testbed.model.ways import INCOMING, OUTGOING
from testbed.pairing.captured_twice import captured_twice
from testbed.pairing.compare_captures import Comparison, compare
from testbed.pairing.fates import RowFate
from testbed.pairing.same import count_differences
from testbed.run.read_captures import read_one
from tests.builders.transfers import MS, US
from tests.nonempty import every, nonempty

FORMATS = [pcap, pcapng]
SEED = next(seed for seed in range(50) if len({each.packet.sport for each in known_pair("doubled", seed).one}) == 4)
Write = Callable[[Iterable[Seen]], bytes]


def compared(one: list[Seen], two: list[Seen], write: Write = pcap) -> Comparison:
    return compare(*read_one(load(pcap(one))), *read_one(load(write(two))))


def passed_on(*, through: int, lower: int, copies: int = 1) -> tuple[list[Seen], list[Seen], int]:
    """A pair of which the second tap is on all interfaces of a machine, which passes on some of three connections.

    The third value says how many packets of them there are.
    """
    one = sorted(known_pair("doubled", SEED).one, key=lambda each: each.time)
    seen, count = [], 0
    for each in one:
        there = each.packet.dport == 443
        near = replace(each.packet, ttl=each.packet.ttl + (-3 if there else 3))  # three routers in between
        time = each.time + (MS if there else -MS)
        if max(each.packet.sport, each.packet.dport) >= 40000 + through:
            seen.append(Seen(time, near, INCOMING if there else OUTGOING))
            continue
        count += 1
        seen += [Seen(time + n * US, near, INCOMING) for n in range(copies)]
        seen.append(Seen(time + 9 * US, replace(near, ttl=near.ttl - lower), OUTGOING))
    return one, seen, count


@pytest.mark.parametrize("write", FORMATS)
@pytest.mark.parametrize(("through", "lower", "copies"), [(3, 1, 1), (1, 1, 1), (1, 0, 1), (1, 0, 2)])
def test_a_packet_that_came_in_and_went_out_is_one(write: Write, through: int, lower: int, copies: int) -> None:
    one, two, count = passed_on(through=through, lower=lower, copies=copies)
    counts = count_differences(compared(one, two, write))
    assert {name: number for name, number in counts.items() if number} == {"captured-again": copies * count}


def test_the_copy_counts_that_is_nearer_to_the_other_tap() -> None:
    one, two, _ = passed_on(through=3, lower=1)
    found = compared(one, two)
    table = found.table
    rows = nonempty(np.flatnonzero(table.fate == RowFate.CROSSED))
    ways, ports = found.packets[1].way[table.two[rows]], []
    for item in table.two[rows].tolist():
        ends = found.packets[1].ends[int(found.packets[1].conversation[item])]
        ports.append(ends.ports[1 - int(found.packets[1].side[item])])
    assert set(ways.tolist()) == {INCOMING, OUTGOING}
    assert every((ways == INCOMING) == (np.array(ports) == 443))


def test_two_copies_that_both_came_in_are_a_duplicate_of_the_network() -> None:
    one, two, _ = passed_on(through=0, lower=0)
    sent = next(each for each in two if each.packet.payload and each.way == INCOMING)
    again = replace(sent, time=sent.time + 40 * US)
    counts = count_differences(compared(one, [*two, again]))
    assert {name: number for name, number in counts.items() if number} == {"duplicated": 1}


def test_a_capture_with_copies_is_the_same_as_itself() -> None:
    _, two, _ = passed_on(through=1, lower=1)
    assert not any(count_differences(compared(two, two)).values())


def test_a_diagnosis_distrusts_a_capture_that_says_that_it_has_copies() -> None:
    one, two, count = passed_on(through=1, lower=1)
    found = compared(one, two)
    doubts = [each for each in capture_doubts(found, both_ends=True) if each.what is Distrust.DUPLICATED]
    assert [(each.host, each.count) for each in doubts] == [("server", count)]
    assert int(captured_twice(found.packets[0]).sum()) == 0
