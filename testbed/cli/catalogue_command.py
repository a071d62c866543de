"""``invoke run --all``: the whole catalogue once, several runs side by side, each an ordinary run below ``runs/``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from testbed.api.campaign_worker import MODULE as WORKER
from testbed.campaign.campaign import plan as make_plan
from testbed.campaign.campaign_options import KEEP_ALL, Options
from testbed.campaign.conduct import conduct, default_jobs, stoppable
from testbed.campaign.pool import ProcessPool
from testbed.campaign.store import Unstored
from testbed.campaign.task_list import Plan, Task, label
from testbed.campaign.work import Report
from testbed.cli.progress import tell
from testbed.lab.engine_kind import Choice
from testbed.model import Outcome
from testbed.model.errors import BothendsError, Unsupported
from testbed.report.ci.ci_cases import RunRecord
from testbed.rundir.layout import RUNS, RunDirectory
from testbed.scenario.scenario import Scenario


def run_all(
    scenarios: Sequence[Scenario], options: Options, choice: Choice, runs: Path, ended: Callable[[RunRecord], None]
) -> tuple[list[RunRecord], list[str]]:
    """Run every variant of the scenarios once; ``ended`` gets each run as it ends, without its analysis.

    Returns them in the order of the scenarios, and the names of those that were not begun because somebody wanted an
    end.
    """
    choice.prepare(tell)
    work = make_plan(scenarios, replace(options, keep=KEEP_ALL), choice.name)
    root = runs.resolve()
    pool = ProcessPool(work, root, options.jobs or default_jobs(), worker=WORKER)
    with stoppable() as stop:
        try:
            reports = conduct(work, Unstored(), pool, stop, lambda report: ended(_record(work, report, root)))
        except BaseException:
            pool.kill()
            raise
        pool.close()
    done = [reports[task.key] for task in work.tasks() if task.key in reports]
    left = [_name(work, task) for task in work.tasks() if task.key not in reports]
    return [_record(work, report, root) for report in done], left


def analysed(records: Sequence[RunRecord], scenarios: Sequence[Scenario]) -> Iterator[RunRecord]:
    """Yield the runs with what they mean, worked out again from their directories.

    An expectation is named by its place in the scenario's own file; in a variant's, by that in the run's copy.
    """
    from testbed.run.evaluate import evaluate

    plain = {scenario.name: scenario for scenario in scenarios if not scenario.settings}
    for record in records:
        if record.directory:
            directory = RunDirectory(Path(record.directory))
            yield replace(record, analysis=evaluate(directory, plain.get(record.scenario)))
        else:
            yield record


def _record(plan: Plan, report: Report, root: Path) -> RunRecord:
    name = _name(plan, report.task)
    if report.directory and not report.error:
        return RunRecord(name, report.seconds, str(root / RUNS / report.directory), ended=Outcome(report.outcome))
    kind = Unsupported if report.outcome == Outcome.UNSUPPORTED.value else BothendsError
    return RunRecord(name, report.seconds, error=kind(report.error))


def _name(plan: Plan, task: Task) -> str:
    variant = label(plan.variants[task.scenario][task.variant])
    return f"{task.scenario} [{variant}]" if variant else task.scenario
