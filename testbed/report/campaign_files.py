"""The page of a campaign as a file of its directory, and those of the runs that it leads to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from testbed.campaign.campaign_summary import Summary, summarise
from testbed.campaign.store import Store
from testbed.campaign.task_list import Plan
from testbed.model.errors import BothendsError
from testbed.report import run_files
from testbed.report.text.terminal_text import escape
from testbed.rundir.layout import RUNS, RunDirectory

MOST_RUNS = 200
"""Runs whose own reports are made with the campaign's; of each kind the first that was kept."""


@dataclass(frozen=True, slots=True)
class Made:
    """What came of it: the pages, the campaign's first, and what went wrong with single runs, one line each."""

    summary: Summary
    pages: tuple[Path, ...]
    troubles: tuple[str, ...]


def rebuild(store: Store) -> Made:
    """Make the page of a campaign and of a run of each kind again from their directories. UsageError, BothendsError."""
    from testbed.report.html.campaign_page import About, render

    plan = store.plan()
    summary = summarise(plan, store.reports().values())
    made, troubles = [], []
    for directory in list(_examples(summary))[:MOST_RUNS]:
        run = RunDirectory(store.path / RUNS / directory)
        try:
            run_files.rebuild(run)
        except BothendsError as error:
            troubles.append(f"no page of {escape(str(run))}: {escape(error.what)}")
        else:
            made.append(run.file(run_files.PAGE))
    about = About(
        name=store.path.name,
        repeat=plan.repeat,
        keep=plan.keep,
        summaries=dict(_summaries(plan)),
        pages={kept for kept in _kept(summary) if (store.path / RUNS / kept / run_files.PAGE).is_file()},
    )
    place = RunDirectory(store.path)
    place.write_text(run_files.PAGE, render(summary, about))
    return Made(summary, (place.file(run_files.PAGE), *made), tuple(troubles))


def _examples(summary: Summary) -> Iterator[str]:
    for variant in summary.variants:
        yield from (kind.example for kind in variant.kinds if kind.example)


def _kept(summary: Summary) -> Iterator[str]:
    for variant in summary.variants:
        for kind in variant.kinds:
            yield from kind.kept


def _summaries(plan: Plan) -> Iterator[tuple[str, str]]:
    """Yield what each scenario says of itself; nothing where this version cannot read it."""
    for source in plan.sources:
        try:
            tree = yaml.safe_load(source.text)
        except yaml.YAMLError:
            continue
        if isinstance(tree, dict):
            yield source.name, str(tree.get("summary", ""))
