"""Conduct a campaign: give tasks out, gather reports, thin out what is equal, stop when asked to."""

from __future__ import annotations

import os
import signal
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType

from testbed.campaign.campaign_options import KEEP_ALL
from testbed.campaign.pool import Pool
from testbed.campaign.store import Store, Unstored
from testbed.campaign.task_list import Plan, Task
from testbed.campaign.work import Report, failed
from testbed.model import Outcome
from testbed.run.interruption import ENDING

MOST_TRIES = 3
_LOOK = 0.2
"""Seconds between two looks at whether to stop."""


def default_jobs() -> int:
    """Return how many runs to make at once: one for each processor that we may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Stop:
    """Whether somebody wants an end: what runs is finished, nothing new is begun."""

    def __init__(self) -> None:
        self.wanted = False


@contextmanager
def stoppable() -> Iterator[Stop]:
    """Turn the first Ctrl-C, SIGTERM or SIGHUP into a wish to stop; the second one is a KeyboardInterrupt."""
    stop = Stop()

    def note(_signal: int, _frame: FrameType | None) -> None:
        if stop.wanted:
            raise KeyboardInterrupt
        stop.wanted = True

    handled = [number for number in ENDING if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, note) for number in handled}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def conduct(
    plan: Plan, store: Store | Unstored, pool: Pool, stop: Stop, on_report: Callable[[Report], None]
) -> dict[str, Report]:
    """Carry out what is left of a plan; return all reports by task key, those of before included.

    ``on_report`` is called with each new report. A task whose worker is lost is begun again, up to MOST_TRIES times.
    """
    reports = store.reports()
    kept: dict[tuple[str, int], set[str]] = defaultdict(set)
    for report in reports.values():
        kept[_variant(report.task)].add(report.signature)
    waiting = [task for task in plan.tasks() if task.key not in reports]
    waiting.reverse()
    running = 0
    tries: Counter[str] = Counter()
    while running or (waiting and not stop.wanted):
        while waiting and not stop.wanted and pool.room():
            task = waiting.pop()
            pool.submit(task, kept[_variant(task)] if plan.keep != KEEP_ALL else ())
            running += 1
        for task, made in pool.wait(_LOOK):
            running -= 1
            if task.key in reports:  # made twice: a worker that was taken for lost has come back
                store.thin(made)
                continue
            ended = made if made is not None else _lost(task, tries)
            if ended is None:
                waiting.append(task)
                continue
            ended = _thinned(plan, store, kept[_variant(task)], ended)
            store.add(ended)
            reports[task.key] = ended
            on_report(ended)
    store.sweep(reports.values())
    return reports


def _lost(task: Task, tries: Counter[str]) -> Report | None:
    tries[task.key] += 1
    if tries[task.key] < MOST_TRIES:
        return None
    return failed(task, f"its worker died {MOST_TRIES} times", Outcome.INCONCLUSIVE, 0.0)


def _variant(task: Task) -> tuple[str, int]:
    return task.scenario, task.variant


def _thinned(plan: Plan, store: Store | Unstored, kept: set[str], report: Report) -> Report:
    """Keep the first run of each kind; of those equal to it, that ended meanwhile, the report is enough."""
    if plan.keep == KEEP_ALL or report.signature not in kept:
        kept.add(report.signature)
        return report
    store.thin(report)
    return replace(report, directory="")
