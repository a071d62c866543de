"""The reports of the runs that a failed test made: written then, and named in what pytest says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from testbed.api.runs import RunResult

RUNS = pytest.StashKey["list[RunResult]"]()
_TITLE = "bothends"


def remember(item: pytest.Item, result: RunResult) -> None:
    """Note that a test made a run."""
    item.stash.setdefault(RUNS, []).append(result)


def keep_reports(item: pytest.Item, report: pytest.TestReport) -> None:
    """Write the page and the annotated capture of each run; add their paths to the test's report."""
    from testbed.model.errors import BothendsError

    lines = []
    for result in item.stash.get(RUNS, []):
        try:
            result.write_reports()
            lines.append(f"report: {result.directory / 'report.html'}")
        except BothendsError as error:
            lines.append(f"run: {result.directory} (no report: {error.what})")
        lines.append(result.summary(width=120))
    if lines:
        report.sections.append((_TITLE, "\n".join(lines)))
