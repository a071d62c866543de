"""Pages to test, written once each: name -> how its source is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from testbed.analysis.compare.clock import Clock, Piece
from testbed.benchmarks.long_run import START, long_run
from testbed.evaluate import evaluate
from testbed.report.artefacts import source
from testbed.report.html import compared
from testbed.report.html.fit import LIMIT
from testbed.report.html.render import render
from testbed.report.html.source import Source
from testbed.rundir import RunDirectory

from ..unit.compare.traffic import MS, Transfer, moved, transfer  # noqa: TID252 - tests are no package
from ..unit.report.eventful import eventful_source, hostile_source, witnessed_source  # noqa: TID252 - tests are no package

OLD_RUN = next((Path(__file__).parents[1] / "data/run-v1/server-reads-once").iterdir())
WITNESSED_RUN = next((Path(__file__).parents[1] / "data/witness-v1/keepalive-lookalike").iterdir())
OFFSET = 421_000_000
"""ns by which the server's clock is ahead in the page `clocks`."""


def _of(path: Path) -> Source:
    directory = RunDirectory(path)
    return source(directory, evaluate(directory))


def _long() -> Source:
    analysis, captures = long_run(10_000)
    return Source(analysis, {"scenario": "long"}, captures)


SOURCES: dict[str, Callable[[], Source]] = {
    "run": lambda: _of(OLD_RUN),
    "witnessed": witnessed_source,
    "witnessed-run": lambda: _of(WITNESSED_RUN),
    "eventful": eventful_source,
    "labelled": lambda: eventful_source(labels=True),
    "clocks": lambda: eventful_source(clock=Clock((Piece(0, 0, START, OFFSET, 0.0, 50_000, None),))),
    "hostile": hostile_source,
    "long": _long,
    "cut": _long,
}
LIMITS = {"cut": 300_000}
"""Bytes that a page may have, where that is not the usual limit."""


FAULTS = {3: "lost", 5: "duplicated", 7: "late", 8: "window", 10: "split", 12: "payload"}
HOSTILE = "<script>alert(1)</script>\x00\x1b[31m\u202eevil.pcap"


def _compared() -> str:
    """Two captures on two clocks, with all kinds of differences."""
    made = transfer(FAULTS)
    return compared.render(Transfer(made.client, moved(made.server, offset=OFFSET)).compare(), ("a", "b"), ("lost",))


def _compared_hostile() -> str:
    """Hostile payloads, in files with hostile names."""
    made = transfer({3: "lost"})
    dirty = [
        [replace(one, payload=HOSTILE.encode()[: len(one.payload)]) for one in end]
        for end in (made.client, made.server)
    ]
    return compared.render(Transfer(*dirty).compare(), (HOSTILE, HOSTILE), ("lost",))


def _compared_late() -> str:
    """Both captures lack the handshake, the server's began later still."""
    made = transfer()
    late = [one for one in made.server if one.time > made.server[0].time + 25 * MS]
    return compared.render(Transfer(made.client[3:], late).compare(), ("a", "b"), ())


COMPARED: dict[str, Callable[[], str]] = {
    "compared": _compared,
    "compared-hostile": _compared_hostile,
    "compared-late": _compared_late,
}


def write(name: str, place: Path) -> Path:
    """Write a page below a directory, unless it is there."""
    path = place / f"{name}.html"
    if not path.exists():
        page = COMPARED[name]() if name in COMPARED else render(SOURCES[name](), limit=LIMITS.get(name, LIMIT))
        path.write_text(page, encoding="utf-8")
    return path
