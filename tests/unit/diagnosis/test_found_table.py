"""The table of docs/diagnose.md names findings, and none was found in a twin that avoids it."""

from __future__ import annotations

from dev.found_table import HEAD, Found, lines
from testbed.api.runs import CATALOGUE
from testbed.model.findings import FindingName

PAGE = (CATALOGUE / "docs" / "diagnose.md").read_text(encoding="utf-8")


def test_no_twin_is_accused() -> None:
    head = f"| {' | '.join(HEAD)} |"
    body = PAGE[PAGE.index(head) :].partition("\n\n")[0].splitlines()[2:]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in body if line.startswith("|")]
    assert len(rows) >= 20
    assert {row[0].strip("`") for row in rows} <= set(FindingName)
    assert [row[5] for row in rows if row[5]] == ["0 of 5"] * sum(bool(row[5]) for row in rows)


def test_a_row_says_what_more_would_have_to_be_seen() -> None:
    table = {FindingName.TINY_WRITES: Found(5, 5, twins=5), FindingName.RANDOM_LOSS: Found(5, 5, 4)}
    assert lines(table)[2:] == [
        "| `tiny-writes` | 5 | 5 | needs calls | needs calls | 0 of 5 |",
        "| `random-loss` | 5 | 5 | 4 | needs both ends |  |",
    ]
