"""docs/dependencies.md names every package that an installation takes in, in the version that is pinned."""

from __future__ import annotations

from dev.dependencies import PAGE, ROOT, pinned


def test_the_page_has_all_packages() -> None:
    rows = [line.split(" | ") for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")][1:]
    told = {row[0].removeprefix("| "): row[1] for row in rows if not row[0].startswith("|---")}
    assert told == pinned(ROOT / "requirements.txt"), "`python -m dev.dependencies` makes it again"
    assert all(len(row) == 3 and row[2].strip(" |") not in {"", "unknown"} for row in rows)
