"""The comparison names exactly what was done to each packet, and nothing else."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.pairing.compare_captures import Comparison
from testbed.pairing.fates import ChangedField, RowFate
from testbed.pairing.needed_retransmissions import Needed
from tests.builders.transfers import FAULTS, START, Transfer, moved, rewritten, transfer
from tests.nonempty import every

CHANGES = {
    "window": ChangedField.WINDOW,
    "ttl": ChangedField.TTL,
    "dscp": ChangedField.DSCP,
    "payload": ChangedField.PAYLOAD,
    "urgent": ChangedField.URGENT,
}
SEGMENTS = 20


def told(compared: Comparison) -> dict[int, str]:
    """Return what the comparison says of each data segment, by the client's frame (one frame may have several rows)."""
    table, packets = compared.table, compared.packets[0]
    result: dict[int, str] = {}
    for row in range(len(table)):
        words = []
        if table.fate[row] != RowFate.CROSSED:
            words.append(RowFate(int(table.fate[row])).text)
        if table.reordered[row]:
            words.append("reordered")
        words += [change.name or "" for change in ChangedField if table.changes[row] & change]
        if words:
            frame = int(packets.frame[table.one[row]]) if table.one[row] >= 0 else -1 - row
            result[frame] = " ".join(words)
    return result


def expected(made: Transfer, faults: dict[int, str]) -> Counter[str]:
    """Return by own reckoning what must be said, as a count of phrases."""
    result: Counter[str] = Counter()
    late = reordered_numbers(made)
    for number in range(SEGMENTS):
        fault = faults.get(number, "")
        words = []
        if fault in ("lost", "split"):
            words.append(fault)
        if number in late:
            words.append("reordered")
        if fault in CHANGES:
            words.append(CHANGES[fault].name or "")
        if words:
            result[" ".join(words)] += 1
        if fault == "duplicated":
            result["duplicated"] += 1
    return result


def reordered_numbers(made: Transfer) -> set[int]:
    """Find by brute force what arrived after something sent later (RFC 4737)."""
    seen: set[int] = set()
    highest, result = -1, set()
    for packet in sorted(made.server, key=lambda each: each.time):
        if packet.number >= 0 and packet.number not in seen:
            seen.add(packet.number)
            if packet.number < highest:
                result.add(packet.number)
            highest = max(highest, packet.number)
    return result


def check(compared: Comparison, made: Transfer, faults: dict[int, str]) -> None:
    assert Counter(told(compared).values()) == expected(made, faults)
    pieces = sum(2 for fault in faults.values() if fault == "split")
    assert int((compared.table.fate == RowFate.SPLIT).sum()) == pieces
    assert every(compared.table.delay[compared.table.timed] >= 0)
    needed = compared.statistics.repeats.sum(axis=0)
    assert needed[Needed.YES] == sum(fault == "lost" for fault in faults.values())
    assert needed[Needed.NO] == 0


MUTATIONS = st.dictionaries(st.integers(1, SEGMENTS - 2), st.sampled_from(FAULTS), max_size=8)


@given(MUTATIONS, st.integers(0, 1000))
@settings(max_examples=150)
def test_what_was_done_to_each_segment_is_named_exactly(faults: dict[int, str], seed: int) -> None:
    made = transfer(faults, segments=SEGMENTS, seed=seed)
    check(made.compare(), made, faults)


@given(MUTATIONS, st.integers(-(10**12), 10**12), st.integers(0, 1000))
@settings(max_examples=60)
def test_another_clock_changes_no_fate(faults: dict[int, str], offset: int, seed: int) -> None:
    made = transfer(faults, segments=SEGMENTS, seed=seed)
    made.server = moved(made.server, offset=offset)
    compared = made.compare()
    check(compared, made, faults)
    (piece,) = compared.clock.pieces
    assert piece.error is not None
    assert abs(piece.offset - offset) <= piece.error


@given(MUTATIONS, st.integers(1, 2**32 - 1), st.integers(1024, 65535))
@settings(max_examples=60)
def test_a_nat_that_rewrites_everything_is_a_mapping_and_no_alteration(
    faults: dict[int, str], shift: int, port: int
) -> None:
    made = transfer(faults, segments=SEGMENTS)
    made.server = rewritten(
        made.server,
        src=lambda each: "203.0.113.9" if each.from_client else each.fields["src"],
        dst=lambda each: each.fields["dst"] if each.from_client else "203.0.113.9",
        sport=lambda each: port if each.from_client else each.fields["sport"],
        dport=lambda each: each.fields["dport"] if each.from_client else port,
        seq=lambda each: each.fields["seq"] + (shift if each.from_client else 0),
        ack=lambda each: each.fields["ack"] + (0 if each.from_client or not each.fields["ack"] else shift),
    )
    compared = made.compare()
    assert len(compared.pairs) == 1
    assert sorted(compared.pairs.shift[0].tolist()) == [0, shift]
    check(compared, made, faults)


def test_nothing_done_is_nothing_said() -> None:
    compared = transfer(segments=SEGMENTS).compare()
    assert not told(compared)
    assert not len(compared.statistics.differ)
    assert np.array_equal(compared.table.one, compared.table.two) or len(compared.table) > 2 * SEGMENTS
    assert compared.packets[0].span[0] == START
