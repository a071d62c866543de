"""The reports of the runs that a failed test made: written then, and named in what pytest says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from testbed.api.runs import RunResult

WATCHES = pytest.StashKey["list[Watching]"]()
RUNS = pytest.StashKey["list[RunResult]"]()
_TITLE = "bothends"


class Watching(Protocol):
    """Programs that a test watches."""

    def end(self) -> None:
        """End it; its runs are remembered."""


def remember(item: pytest.Item, result: RunResult) -> None:
    """Note that a test made a run."""
    item.stash.setdefault(RUNS, []).append(result)


def remember_watch(item: pytest.Item, watched: Watching) -> None:
    """Note that a test watches programs."""
    item.stash.setdefault(WATCHES, []).append(watched)


def keep_reports(item: pytest.Item, report: pytest.TestReport) -> None:
    """Write the page and the annotated capture of each run; add their paths to the test's report, and to JUnit's.

    What the test still watches ends with its failure.
    """
    from testbed.model.errors import BothendsError

    lines = []
    for watched in item.stash.get(WATCHES, []):
        try:
            watched.end()
        except BothendsError as error:
            lines.append(f"watching ended badly: {error.what}")
    for result in item.stash.get(RUNS, []):
        try:
            result.write_reports()
            path = result.directory / "report.html"
            lines.append(f"report: {path}")
            item.user_properties.append(("bothends-report", str(path)))
        except BothendsError as error:
            lines.append(f"run: {result.directory} (no report: {error.what})")
        lines.append(result.summary(width=120))
    if lines:
        report.sections.append((_TITLE, "\n".join(lines)))
