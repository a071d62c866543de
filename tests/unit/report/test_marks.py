"""Marks: what is remarkable about a packet, each told from what only looks like it."""

from __future__ import annotations

from testbed.analysis.label_check import contradicted
from testbed.model import Cause, CauseKind, Crossing, Labels
from testbed.report.html.marks import PacketMark, marks
from tests.builders.eventful_run import LABELS, eventful
from tests.builders.runs import at, make_crossing

KNOWN = Cause(CauseKind.CALL, "data", "")


def of(*crossings: Crossing, cause: Cause = KNOWN, labels: Labels | None = None) -> list[int]:
    return marks(crossings, [cause] * len(crossings), labels or {})


def test_each_packet_of_the_eventful_run_has_its_marks_and_no_other() -> None:
    analysis = eventful()
    found = marks(analysis.inputs.joined.crossings, analysis.causes, LABELS)
    assert {n: PacketMark(bits) for n, bits in enumerate(found) if bits} == {
        3: PacketMark.MISLABELLED,
        4: PacketMark.RETRANSMITTED | PacketMark.MISLABELLED,
        5: PacketMark.LOST,
        6: PacketMark.REORDERED,
        9: PacketMark.RETRANSMITTED,
        10: PacketMark.ALTERED,
        11: PacketMark.APPEARED | PacketMark.UNKNOWN,
        13: PacketMark.UNKNOWN,
    }


def test_a_keep_alive_probe_is_no_retransmission_though_its_number_is_old() -> None:
    first = make_crossing(0, "client", "P.", 1, seq=1, payload=b"abc")
    probe = make_crossing(1, "client", ".", 2, seq=3, payload=b"c", start=2)
    assert of(first, probe, cause=Cause(CauseKind.TIMER, "keep-alive-probe", ""))[1] == 0
    assert of(first, probe)[1] == PacketMark.RETRANSMITTED


def test_an_acknowledgment_repeats_no_bytes() -> None:
    assert of(make_crossing(0, "client", ".", 1, seq=5), make_crossing(1, "client", ".", 2, seq=4)) == [0, 0]


def test_the_overtaken_packet_is_the_late_one_and_each_direction_counts_alone() -> None:
    slow = make_crossing(0, "client", ".", 1, arrived=at(30))
    other = make_crossing(1, "server", ".", 2, arrived=at(10))
    fast = make_crossing(2, "client", ".", 3, arrived=at(20))
    assert of(slow, other, fast) == [PacketMark.REORDERED, 0, 0]


def test_a_label_contradicts_only_a_known_cause_of_another_family() -> None:
    timer = Cause(CauseKind.TIMER, "keep-alive-probe", "")
    assert not contradicted({"client": ("keep_alive",)}, timer)
    assert contradicted({"server": ("keep_alive",)}, KNOWN)
    assert not contradicted({"client": ("lost_segment",)}, KNOWN)
    assert not contradicted({"client": ("keep_alive",)}, Cause(CauseKind.UNKNOWN, "unknown", ""))
