"""Pages to test, written once each: name -> how its source is made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from testbed.benchmarks.long_run import long_run
from testbed.evaluate import evaluate
from testbed.report.artefacts import source
from testbed.report.html.render import LIMIT, render
from testbed.report.html.source import Clock, Source
from testbed.rundir import RunDirectory

from ..unit.report.eventful import eventful_source, hostile_source  # noqa: TID252 - tests are no package

OLD_RUN = next((Path(__file__).parents[1] / "data/run-v1/server-reads-once").iterdir())
OFFSET = 421_000_000
"""ns by which the server's clock is ahead in the page `clocks`."""


def _old_run() -> Source:
    directory = RunDirectory(OLD_RUN)
    return source(directory, evaluate(directory))


def _long() -> Source:
    analysis, captures = long_run(10_000)
    return Source(analysis, {"scenario": "long"}, captures)


SOURCES: dict[str, Callable[[], Source]] = {
    "run": _old_run,
    "eventful": eventful_source,
    "labelled": lambda: eventful_source(labels=True),
    "clocks": lambda: eventful_source(clock=Clock(OFFSET, 50_000, 0.0, one=False)),
    "hostile": hostile_source,
    "long": _long,
    "cut": _long,
}
LIMITS = {"cut": 300_000}
"""Bytes that a page may have, where that is not the usual limit."""


def write(name: str, place: Path) -> Path:
    """Write a page below a directory, unless it is there."""
    path = place / f"{name}.html"
    if not path.exists():
        path.write_text(render(SOURCES[name](), limit=LIMITS.get(name, LIMIT)), encoding="utf-8")
    return path
