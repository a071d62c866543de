"""``invoke run`` as a campaign: make or find the plan, conduct it, show progress, and what was found."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed.campaign.campaign_options import Options
from testbed.campaign.campaign_summary import Summary, summarise
from testbed.campaign.conduct import conduct, default_jobs, stoppable
from testbed.campaign.pool import Pool, ProcessPool
from testbed.campaign.read_settings import read_settings
from testbed.campaign.store import Store
from testbed.campaign.task_list import Plan, ScenarioSource, variants
from testbed.campaign.work import Report, load
from testbed.model.errors import UsageError
from testbed.scenario.language.yaml_source import shown_path
from testbed.scenario.scenario import Scenario

if TYPE_CHECKING:
    from testbed.campaign.cluster import Cluster

_LINES = 20
"""How many lines tell the progress where there is no terminal."""


def plan(scenarios: Sequence[Scenario], options: Options, engine: str) -> Plan:
    """Return the plan for scenarios, every variant of which has been read. Raises ScenarioError, UsageError.

    ``engine`` is a name; empty: the workers of a cluster choose for themselves.
    """
    settings = {name: [value] for name, value in options.fixed.items()} | read_settings(options.settings)
    sources = tuple(
        ScenarioSource(scenario.name, str(scenario.path.absolute()), shown_path(scenario.path), scenario.source)
        for scenario in scenarios
    )
    if len({source.name for source in sources}) < len(sources):
        raise UsageError("a scenario is named twice")
    asked = {"observe.kernel": [options.witness]} if options.witness is not None else {}
    found = {scenario.name: variants(scenario.matrix, {**asked, **settings}) for scenario in scenarios}
    for source in sources:
        for each in found[source.name]:
            load(source, each)
    return Plan(sources, found, options.repeat, engine, options.keep)


def run(
    work: Plan, store: Store, options: Options, cluster: Cluster | None, *, quiet: bool, worker: str
) -> tuple[Summary, bool]:
    """Conduct a plan here or on a cluster; return what was found, and whether it was stopped before its end.

    ``worker`` is the module that makes the runs: see :class:`ProcessPool` and :class:`ClusterPool`.
    """
    pool: Pool
    if cluster is not None:
        from testbed.campaign.cluster import ClusterPool

        pool = ClusterPool(cluster, work, store.path, options.jobs, worker=worker)
    else:
        pool = ProcessPool(work, store.path, options.jobs or default_jobs(), worker=worker)
    done = len(store.reports())
    with stoppable() as stop, _progress(len(work), done, quiet=quiet) as show:
        try:
            reports = conduct(work, store, pool, stop, show)
        except BaseException:
            pool.kill()
            raise
        pool.close()
    return summarise(work, reports.values()), len(reports) < len(work)


@contextmanager
def _progress(total: int, done: int, *, quiet: bool) -> Iterator[Callable[[Report], None]]:
    if quiet:
        yield lambda _: None
    elif sys.stderr.isatty():
        with _bar(total, done) as show:
            yield show
    else:
        yield _Lines(total, done)


class _Lines:
    """Plain lines: how many runs have ended, at which rate, how long it will take."""

    def __init__(self, total: int, done: int) -> None:
        self._total, self._before, self._done = total, done, done
        self._begin = time.monotonic()
        self._failed = 0
        self._step = max(1, total // _LINES)

    def __call__(self, report: Report) -> None:
        self._done += 1
        self._failed += report.outcome != "pass"
        if self._done % self._step and self._done != self._total:
            return
        rate = (self._done - self._before) / max(time.monotonic() - self._begin, 1e-9)
        left = (self._total - self._done) / rate
        failed = f", {self._failed} did not pass" if self._failed else ""
        sys.stderr.write(f"{self._done:,} of {self._total:,} runs, {rate:.1f}/s, {left:.0f} s left{failed}\n")


@contextmanager
def _bar(total: int, done: int) -> Iterator[Callable[[Report], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns: tuple[Any, ...] = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:.1f}/s"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[failed]} did not pass"),
    )
    begin = time.monotonic()
    count, failed = 0, 0
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("", total=total, completed=done, rate=0.0, failed=0)

        def show(report: Report) -> None:
            nonlocal count, failed
            count += 1
            failed += report.outcome != "pass"
            rate = count / max(time.monotonic() - begin, 1e-9)
            progress.update(bar, advance=1, rate=rate, failed=failed)

        yield show


def store_for(options: Options, runs: Path, make: Callable[[], Plan]) -> tuple[Plan, Store]:
    """Return the campaign to go on with, or a new one."""
    if options.resume:
        store = Store.find(runs, options.resume)
        return store.plan(), store
    made = make()
    return made, Store.create(runs.resolve(), made)
