"""What observing changed is counted on the wire and said against the bare run."""

from __future__ import annotations

from testbed.report.text.observer_effect import Effect, table

BARE = Effect(9, {"client": (1, 7), "server": ()}, 0, 20_000_000, 0)


def test_more_segments_are_said() -> None:
    """The origin's finding: three segments under gdb, two without."""
    held = Effect(12, {"client": (1, 1, 6), "server": ()}, 1, 400_000_000, 7)
    lines = table({"none": BARE, "gdb": held})
    assert lines[-1].startswith("gdb: 3 segments of the client instead of 2; 1 repeated instead of 0; 12 packets")
    assert "20.0 times" in lines[-1]
    assert "2: 1+7" in lines[1]
    assert "3: 1+1+6" in lines[2]


def test_other_cuts_of_as_many_segments_are_said() -> None:
    """As many segments of other lengths are a change as well."""
    cut = Effect(9, {"client": (2, 6), "server": ()}, 0, 20_000_000, 7)
    assert "the client's segments: 2: 2+6 instead of 2: 1+7" in table({"none": BARE, "probe": cut})[-1]


def test_no_change_is_only_a_time() -> None:
    """Nothing but the time is told where the wire is the same."""
    (line,) = table({"none": BARE, "probe": BARE})[-1:]
    assert line == "probe: 20.0 ms instead of 20.0 ms from first to last packet (1.0 times)"
