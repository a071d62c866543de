"""Where the time went: the parts add up to the whole, whatever the stretches."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from testbed.diagnosis.time_account import ORDER, Stretch, account
from testbed.model.findings import WaitKind
from tests.builders.diagnosed import diagnosed
from tests.builders.exchange import MS, Exchange

TIMES = st.integers(0, 1000)
STRETCHES = st.lists(st.builds(Stretch, st.sampled_from(WaitKind), TIMES, TIMES), max_size=30)


@given(STRETCHES, TIMES, TIMES)
def test_the_parts_add_up_exactly(stretches: list[Stretch], one: int, other: int) -> None:
    start, end = sorted((one, other))
    parts = account(stretches, start, end, WaitKind.LINK)
    assert sum(parts.values()) == end - start
    assert all(ns > 0 for ns in parts.values())


@given(STRETCHES)
def test_each_moment_counts_for_the_first_kind_that_covers_it(stretches: list[Stretch]) -> None:
    expected: dict[WaitKind, int] = {}
    for time in range(1000):
        there = [each.kind for each in stretches if each.start <= time < each.end]
        kind = min(there, key=ORDER.index, default=WaitKind.LINK)
        expected[kind] = expected.get(kind, 0) + 1
    assert account(stretches, 0, 1000, WaitKind.LINK) == {kind: expected[kind] for kind in WaitKind if kind in expected}


def test_a_program_that_thinks_is_told_from_the_path() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    with tcp.client("send", b"ask"):
        tcp("client P.", b"ask", delay=5 * MS)
    run.pause(300)
    with tcp.server("send", b"told"):
        tcp("server P.", b"told", delay=5 * MS)
    tcp("client .")
    (time,) = diagnosed(run).time
    assert sum(time.parts.values()) == time.total
    assert time.parts[WaitKind.SERVER_PROGRAM] > 290 * MS
    assert time.parts[WaitKind.LINK] >= 10 * MS
    assert time.parts.get(WaitKind.CLIENT_PROGRAM, 0) < 5 * MS
