"""The page over all pairs that were watched: what each pair said to each other, and a link to its own page."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed.model import HOSTS, Analysis
from testbed.report.html import assemble
from testbed.report.text.finding_text import finding_sentence
from testbed.report.text.terminal_text import counted
from testbed.report.text.verdict_text import verdict_text

NAME = "watched.html"
_PAGE = "report.html"
_END = re.compile(r"\b(?:the )?(client|server)\b")


@dataclass(frozen=True, slots=True)
class ShownRun:
    """The run of one pair: the targets as they were named, its directory and analysis."""

    client: str
    server: str
    directory: Path
    analysis: Analysis


def write_page(runs: Sequence[ShownRun], root: Path) -> Path:
    """Write the page below ``root/runs`` and return its path."""
    path = root / "runs" / NAME
    path.write_text(render(runs, path.parent), encoding="utf-8")
    return path


def render(runs: Sequence[ShownRun], below: Path) -> str:
    """Return the page, with links relative to a directory."""
    return assemble.page(
        "watched.html.j2",
        scripts=(),
        styles=("base", "diff", "print"),
        data="",
        title=f"watched: {counted(len(runs), 'pair')}",
        pairs=[_pair(run, below) for run in runs],
    )


def _pair(run: ShownRun, below: Path) -> dict[str, object]:
    analysis = run.analysis
    page = run.directory / _PAGE
    crossings = analysis.inputs.joined.crossings
    findings = (
        []
        if analysis.diagnosis is None
        else [(finding.severity, named(finding_sentence(finding), run)) for finding in analysis.diagnosis.findings]
    )
    return {
        "client": run.client,
        "server": run.server,
        "outcome": analysis.outcome.value,
        "reasons": [named(reason, run) for reason in analysis.reasons],
        "flows": counted(len(analysis.inputs.joined.flows), "connection"),
        "packets": counted(len(crossings), "packet"),
        "verdict": [named(each, run) for each in verdict_text(analysis)],
        "findings": findings,
        "directory": os.path.relpath(run.directory, below),
        "page": os.path.relpath(page, below) if page.exists() else "",
    }


def named(sentence: str, run: ShownRun) -> str:
    """Return a sentence with the targets' names where it says which end."""
    names = dict(zip(HOSTS, (run.client, run.server), strict=True))
    return _END.sub(lambda found: names["client" if found[1] == "client" else "server"], sentence)
