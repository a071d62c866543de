"""Generated pairs of every kind, whose truth is known: nothing is joined that is not the same; files have no order."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest

from dev.pairs.judge import as_seen, judge, read_seen
from dev.pairs.pair_kinds import KINDS, known_pair
from testbed.capture.read_file import load
from testbed.model.errors import CaptureError
from testbed.pairing.between_taps import what_lies_between
from testbed.pairing.compare_captures import compare
from testbed.pairing.fates import RowFate
from testbed.pairing.flow_changes import FlowField
from testbed.pairing.same import CATEGORIES, count_differences
from testbed.pairing.terminated import StreamRelation
from testbed.report.text.between_text import between_text
from testbed.run.read_captures import read_one
from tests.builders.shared_captures import CORPUS, needs_corpus
from tests.nonempty import every

SEEDS = range(4)
PAIRS = sorted({path.parent for path in CORPUS.glob("pairs/*/*")})


@pytest.mark.parametrize("kind", list(KINDS))
def test_no_packet_is_joined_with_another_and_the_other_order_gives_the_mirror(kind: str) -> None:
    judged = [judge(known_pair(kind, seed)) for seed in SEEDS]
    assert [each.wrong for each in judged] == [0] * len(SEEDS)
    assert [each.missed for each in judged] == [0] * len(SEEDS)
    assert every(each.mirrored for each in judged)
    assert sum(each.ambiguous for each in judged) == 0


def test_a_bare_ack_is_not_the_data_that_followed_it() -> None:
    """Each is in one capture only: one tap missed the ACK, the path lost the data."""
    assert judge(known_pair("plain", 58)).wrong == 0


@pytest.mark.parametrize("kind", ["terminated", "alike"])
def test_connections_that_carry_the_same_bytes_have_no_packet_in_common(kind: str) -> None:
    pair = known_pair(kind, 1)
    assert {each.packet.payload for each in pair.one} & {each.packet.payload for each in pair.two} - {b""}
    assert not {number for each in pair.one for number in each.packet.ids} & {
        number for each in pair.two for number in each.packet.ids
    }


def readable() -> list[str]:
    return [str(path.relative_to(CORPUS)) for path in sorted(CORPUS.glob("*/**/*.pcap*"))]


@needs_corpus
@pytest.mark.parametrize("name", readable())
def test_a_file_is_the_same_as_itself(name: str) -> None:
    try:
        reads = [read_one(load(CORPUS / name)) for _ in range(2)]
    except CaptureError:
        return
    counts = count_differences(compare(*reads[0], *reads[1]))
    assert counts == dict.fromkeys(CATEGORIES, 0)


@needs_corpus
@pytest.mark.parametrize("folder", PAIRS, ids=lambda path: path.name)
def test_the_other_order_of_files_gives_the_mirror(folder: Path) -> None:
    files = [read_one(load(path)) for path in sorted(folder.iterdir())]
    for one, other in combinations(files, 2):
        assert as_seen(compare(*one, *other)) == as_seen(compare(*other, *one), turned=True)
    assert len(files) > 1


@pytest.mark.parametrize("seed", SEEDS)
def test_what_a_tap_does_not_capture_is_neither_lost_nor_appeared(seed: int) -> None:
    pair = known_pair("one_way", seed)
    lossless = {number for each in pair.one for number in each.packet.ids}
    lossless &= {number for each in pair.two for number in each.packet.ids}
    compared = compare(*read_seen(pair.one), *read_seen(pair.two))
    counts = count_differences(compared)
    assert counts["not-captured"] > 0
    assert counts["appeared"] == 0
    assert int((compared.table.fate == RowFate.CROSSED).sum()) == len(lossless)


def test_a_connection_that_is_terminated_is_a_result_of_its_own() -> None:
    pair = known_pair("terminated", 0)
    compared = compare(*read_seen(pair.one), *read_seen(pair.two))
    counts = count_differences(compared)
    assert {name: count for name, count in counts.items() if count} == {"terminated": 3}
    relations = {stream.relation for flow in compared.terminated for stream in flow.streams}
    assert relations == {StreamRelation.EQUAL}
    assert "3 connections are terminated in between" in between_text(what_lies_between(compared))


def test_changes_of_all_packets_are_facts_of_the_flow() -> None:
    pair = known_pair("remarked", 1)
    compared = compare(*read_seen(pair.one), *read_seen(pair.two))
    assert count_differences(compared)["altered"] == 0
    told = {(fact.field, fact.before, fact.after) for fact in compared.usual.facts}
    assert told == {(FlowField.DSCP, 0, 46), (FlowField.MSS, 1460, 1370)}
    text = between_text(what_lies_between(compared))
    assert "dscp 0 -> 46 in 1 flow; mss 1460 -> 1370 in 1 flow; loses nothing" in text


def test_packets_that_a_tap_captures_twice_are_joined_once() -> None:
    pair = known_pair("doubled", 0)
    counts = count_differences(compare(*read_seen(pair.one), *read_seen(pair.two)))
    assert {name: count for name, count in counts.items() if count} == {"captured-again": len(pair.two) // 2}


@pytest.mark.parametrize("seed", [5, 36, 48, *range(10)])
def test_a_drift_that_delays_may_feign_is_not_told(seed: int) -> None:
    """Both clocks are equally fast; a few packets of each direction have delays that vary by 200 microseconds."""
    pair = known_pair("identical", seed)
    pieces = compare(*read_seen(pair.one), *read_seen(pair.two)).clock.pieces
    assert pieces
    assert every(abs(piece.drift) <= (piece.drift_error or 0.0) for piece in pieces)
