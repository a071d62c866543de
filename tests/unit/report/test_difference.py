"""Two runs side by side: what is in both in one row, what differs in rows of its own."""

from __future__ import annotations

from testbed.report.difference import Row, Told, align, compare


def told(**changes: object) -> Told:
    host: dict[str, object] = {"calls": []}
    result = {"outcome": "pass", "hosts": {"client": host, "server": host}, "crossings": [], "ledger": [], "checks": []}
    return Told("run", {**result, **changes}, {"scenario": {"name": "x"}, "engine": {"kernel": "6"}})


def checks(*texts: str) -> list[dict[str, object]]:
    return [{"ok": True, "text": text} for text in texts]


def test_a_line_that_only_one_has_moves_no_other_line() -> None:
    one, other = told(checks=checks("a", "b", "c", "d")), told(checks=checks("a", "x", "b", "d"))
    rows = next(section.rows for section in align(one, other) if section.what == "expectations")
    assert rows == (
        Row("holds: a", "holds: a"),
        Row("", "holds: x"),
        Row("holds: b", "holds: b"),
        Row("holds: c", ""),
        Row("holds: d", "holds: d"),
    )
    (section,) = compare(one, other)
    assert section.rows == (Row("", "holds: x"), Row("holds: c", ""))


def test_very_long_lists_are_put_side_by_side_without_alignment() -> None:
    many = [str(k % 7) for k in range(5000)]
    one, other = told(checks=checks("a", *many, "b")), told(checks=checks("x", *many, "y"))
    (section,) = compare(one, other)
    assert section.rows == (Row("holds: a", "holds: x"), Row("holds: b", "holds: y"))


def test_conditions_are_told_by_what_they_are_about() -> None:
    names = [section.what for section in align(told(), told()) if section.rows]
    assert names == ["outcome", "scenario and settings", "kernel and versions"]
