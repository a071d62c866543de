"""Captures with more packets than are looked at one by one: what is said of some connections is what all would say."""

from __future__ import annotations

from pathlib import Path

import pytest

from dev.bench.make_pair import make_pair
from testbed.diagnosis.capture_facts import CaptureFindings, Depth, diagnose_captures
from testbed.model.findings import Finding, FindingName
from testbed.pairing.compare_captures import Comparison, compare
from testbed.pairing.fates import RowFate
from testbed.report.text.finding_text import looked_at_text, report_lines
from testbed.run.read_captures import read_both

F = FindingName
LOSSES = (F.RANDOM_LOSS, F.BURST_LOSS, F.TAIL_LOSS, F.ACK_LOSS)


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """Two captures of 60 connections on which packets are lost and reordered."""
    pair = make_pair(tmp_path_factory.mktemp("pair"), packets=6_000, flows=60, loss=0.01, late=0.01)
    (one, first), (two, second) = read_both(*map(str, pair))
    return compare(one, first, two, second)


@pytest.fixture(scope="module")
def large(compared: Comparison) -> CaptureFindings:
    """What is said where 600 packets are looked at one by one."""
    return diagnose_captures(compared, both_ends=True, depth=Depth(600, 600))


@pytest.fixture(scope="module")
def full(compared: Comparison) -> CaptureFindings:
    """What is said where all are."""
    return diagnose_captures(compared, both_ends=True, depth=Depth(10_000, 10_000))


def test_it_says_how_much_was_looked_at(large: CaptureFindings, full: CaptureFindings) -> None:
    assert full.diagnosis.looked_at is None
    assert large.diagnosis.looked_at is not None
    looked, of = large.diagnosis.looked_at
    assert 0 < looked < of == 60
    assert looked_at_text(looked, of) in list(report_lines(large.diagnosis, large.flows))
    assert F.CONNECTION_PER_REQUEST in large.diagnosis.not_visible
    assert large.flows[-1] == full.flows[-1]


def test_packets_have_the_numbers_that_they_have_among_all(
    compared: Comparison, large: CaptureFindings, full: CaptureFindings
) -> None:
    def lost(found: CaptureFindings) -> set[int]:
        return {n for each in found.diagnosis.findings if each.name in LOSSES for n in each.packets}

    assert lost(large)
    assert lost(large) <= lost(full)
    assert len(lost(large)) == int((compared.table.fate == RowFate.LOST).sum())


def test_the_rest_is_counted(compared: Comparison, large: CaptureFindings) -> None:
    def numbers(name: FindingName) -> set[int]:
        return {n for each in large.diagnosis.findings if each.name is name for n in each.packets}

    assert len(numbers(F.REORDERING)) == int(compared.table.reordered.sum())
    assert any(each.variant == "counted" for each in large.diagnosis.findings if each.name in LOSSES)


def test_one_large_connection_is_looked_at_from_its_beginning(tmp_path: Path) -> None:
    pair = make_pair(tmp_path, packets=6_000, flows=1, loss=0.01, late=0.0)
    (one, first), (two, second) = read_both(*map(str, pair))
    found = diagnose_captures(compare(one, first, two, second), both_ends=True, depth=Depth(400, 400))
    assert found.diagnosis.looked_at == (0, 1)
    assert F.RANDOM_LOSS in {each.name for each in found.diagnosis.findings}
    assert F.TAIL_LOSS not in {each.name for each in found.diagnosis.findings}
    assert all(_known(each) for each in found.diagnosis.findings)


def _known(finding: Finding) -> bool:
    return all(0 <= n < 6_000 for n in finding.packets)
