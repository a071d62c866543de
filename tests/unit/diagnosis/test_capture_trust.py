"""What two captures lack is said first, with the findings that therefore cannot be made."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from dev.bench.make_pair import make_pair
from testbed.diagnosis.capture_facts import diagnose_captures
from testbed.model.findings import Distrust, Doubt, FindingName
from testbed.pairing.compare_captures import compare
from testbed.pairing.flow_table import find_flows
from testbed.pairing.packet_table import COLUMNS, PacketTable
from testbed.run.read_captures import read_both

SECOND = 10**9


@pytest.fixture(scope="module")
def captured(tmp_path_factory: pytest.TempPathFactory) -> tuple[PacketTable, PacketTable]:
    """The packets of two captures of one connection."""
    pair = make_pair(tmp_path_factory.mktemp("pair"), packets=2_000, flows=1, loss=0.0, late=0.0)
    (one, _), (two, _) = read_both(*map(str, pair))
    return one, two


def doubts(one: PacketTable, two: PacketTable) -> tuple[Doubt, ...]:
    compared = compare(one, find_flows(one), two, find_flows(two))
    return diagnose_captures(compared, both_ends=True).diagnosis.doubts


def test_nothing_is_doubted_without_a_reason(captured: tuple[PacketTable, PacketTable]) -> None:
    assert doubts(*captured) == ()


def test_cut_packets(captured: tuple[PacketTable, PacketTable]) -> None:
    one, two = captured
    (doubt,) = doubts(dataclasses.replace(one, captured=np.minimum(one.captured, 10)), two)
    assert (doubt.what, doubt.host) == (Distrust.TRUNCATED, "client")
    assert doubt.count == int((one.length > 10).sum())
    assert FindingName.PAYLOAD_ALTERED in doubt.prevents


def test_packets_that_a_tap_saw_twice(captured: tuple[PacketTable, PacketTable]) -> None:
    one, two = captured
    twice = np.repeat(np.arange(len(two)), 2)
    doubled = dataclasses.replace(two, **{name: getattr(two, name)[twice] for name, _ in COLUMNS})
    (doubt,) = doubts(one, doubled)
    assert (doubt.what, doubt.host, doubt.count) == (Distrust.DUPLICATED, "server", len(two))
    assert doubt.prevents == (FindingName.DUPLICATED,)


def test_a_file_that_ends_early(captured: tuple[PacketTable, PacketTable]) -> None:
    one, two = captured
    (doubt,) = doubts(one, dataclasses.replace(two, partial="the last record is cut"))
    assert (doubt.what, doubt.host) == (Distrust.DROPPED, "server")


@pytest.mark.parametrize("by", [3 * SECOND, -3 * SECOND])
def test_a_clock_that_was_set(captured: tuple[PacketTable, PacketTable], by: int) -> None:
    one, two = captured
    later = np.arange(len(two)) >= len(two) // 2
    found = doubts(one, dataclasses.replace(two, time=two.time + by * later))
    assert {each.what for each in found} == {Distrust.CLOCK_STEP}
    assert {each.host for each in found} == ({None} if by > 0 else {None, "server"})
