"""The page of where two runs differ: side by side, what is the same on demand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from testbed.report.html import assemble
from testbed.report.run_difference import DifferenceRow, Section, Told, align
from testbed.report.text.terminal_text import counted

MOST_ROWS = 3000
"""Of a section's rows so many are in the page at most, those that differ first to be kept."""

_AROUND = 20
"""Of a long stretch that is the same its ends are kept, so many rows each."""


@dataclass(frozen=True, slots=True)
class ComparedRun:
    """A run: its name, scenario, outcome and verdict, and its report's address relative to the page, if it has one."""

    name: str
    scenario: str
    outcome: str
    verdict: str
    report: str = ""


@dataclass(frozen=True, slots=True)
class _Shown:
    """A row, or ``hidden`` rows that are the same and not in the page."""

    row: DifferenceRow
    same: bool
    hidden: int = 0


@dataclass(frozen=True, slots=True)
class _Part:
    """A section: ``place`` is its id, ``differing`` how many of ``total`` rows differ, ``cut`` how many are out."""

    place: str
    what: str
    rows: tuple[_Shown, ...]
    differing: int
    total: int
    cut: int


def render(one: Told, other: Told, reports: tuple[str, str]) -> str:
    """Return the page; ``reports`` are the addresses of the runs' own pages, empty where there is none."""
    parts = [_part(k, section) for k, section in enumerate(align(one, other))]
    differing = sum(part.differing for part in parts)
    return assemble.page(
        "diff.html.j2",
        scripts=("diff",),
        styles=("base", "diff", "print"),
        data="",
        title="two runs: " + (f"{counted(differing, 'difference')}" if differing else "the same"),
        sides=[_side(told, report) for told, report in zip((one, other), reports, strict=True)],
        parts=parts,
        differing=differing,
        counted=counted,
    )


def _side(told: Told, report: str) -> ComparedRun:
    scenario = told.manifest["scenario"]["name"]
    verdict = told.result.get("verdict") or [""]
    return ComparedRun(told.name, scenario, told.result["outcome"], str(verdict[0]), report)


def _part(k: int, section: Section) -> _Part:
    shown = list(_folded(section.rows))
    differing = sum(1 for row in section.rows if row.one != row.other)
    place = "section" + "".join(chr(ord("a") + int(digit)) for digit in str(k))
    return _Part(
        place, section.what, tuple(shown[:MOST_ROWS]), differing, len(section.rows), max(len(shown) - MOST_ROWS, 0)
    )


def _folded(rows: Sequence[DifferenceRow]) -> Iterator[_Shown]:
    """Go through the rows; of long stretches that are the same only the ends are kept."""
    at = 0
    while at < len(rows):
        end = at
        while end < len(rows) and rows[end].one == rows[end].other:
            end += 1
        stretch = rows[at:end]
        if len(stretch) > 3 * _AROUND:
            yield from (_Shown(row, same=True) for row in stretch[:_AROUND])
            yield _Shown(DifferenceRow("", ""), same=True, hidden=len(stretch) - 2 * _AROUND)
            stretch = stretch[-_AROUND:]
        yield from (_Shown(row, same=True) for row in stretch)
        if end < len(rows):
            yield _Shown(rows[end], same=False)
        at = end + 1
