"""One run for a test: what cannot be made here skips it or fails it, what is not complete fails it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from testbed.api.finish_run import FINISH
from testbed.api.project import Project, read_project
from testbed.api.runs import RunResult, run_scenario
from testbed.model import Outcome
from testbed.model.errors import BothendsError, EngineError, Unsupported
from testbed.plugin.kept_reports import remember
from testbed.report.evidence_text import sentence

if TYPE_CHECKING:
    from testbed.lab.engine_kind import Choice

REQUIRED = "--bothends-required"


class ExpectationsFailed(AssertionError):  # noqa: N818 - what happened, as pytest's reader sees it
    """A scenario ran, and something that it expects is not so."""


def project_of(config: pytest.Config) -> Project:
    """Return the settings of the project under test."""
    return read_project(start=config.rootpath)


def runs_of(config: pytest.Config) -> Path:
    """Return the directory in which ``runs/`` is made; runs of several processes have names of their own in it."""
    option: str = config.getoption("--bothends-runs")
    project = project_of(config)
    return Path(option) if option else config.rootpath / project.runs


def engine_of(config: pytest.Config) -> Choice:
    """Return the engine of the session. Raises EngineError, Unsupported where there is none."""
    option: str = config.getoption("--bothends-engine")
    return _chosen(option or project_of(config).engine)


@cache
def _chosen(name: str) -> Choice:
    from testbed.lab.choose_engine import choose

    return choose(name)


def make_run(
    item: pytest.Item,
    scenario: str | Path,
    *,
    settings: Mapping[str, Any] | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> RunResult:
    """Run a scenario for a test. Its outcome is not judged; see :func:`judge`."""
    from testbed.run.live_lab import import_what_follows

    config = item.config
    import_what_follows(FINISH.modules)
    try:
        result = run_scenario(
            scenario, engine=engine_of(config), runs=runs_of(config), settings=settings, progress=progress
        )
    except (EngineError, Unsupported) as error:
        cannot(config, error)
    remember(item, result)
    return result


def cannot(config: pytest.Config, error: BothendsError) -> NoReturn:
    """Skip the test with the reason, or fail it where runs are required."""
    reason = "; ".join(filter(None, (error.what, error.state, error.hint)))
    if config.getoption(REQUIRED):
        pytest.fail(f"bothends: {reason}", pytrace=False)
    pytest.skip(f"bothends: {reason}")


def judge(config: pytest.Config, result: RunResult) -> None:
    """Raise ExpectationsFailed unless a run passed, with file and line of what does not hold.

    A run that is not complete says nothing, so it does not pass; one that this machine cannot make skips the test.
    """
    outcome = result.outcome
    if outcome is Outcome.UNSUPPORTED:
        cannot(config, Unsupported("; ".join(result.verdict)))
    if outcome is not Outcome.PASS:
        raise ExpectationsFailed("\n".join(said(result)))


def said(result: RunResult) -> list[str]:
    """Return what does not hold in lines, the expectations first: ``wire/my.wire.yaml:12: ...``."""
    lines = []
    for check in result.analysis.checks:
        if check.applies and check.ok is not True:
            state = "does not hold" if check.ok is False else "cannot be judged"
            lines.append(f"{check.where}: {state}: {check.text}")
            lines += [f"  expected: {check.expected}"] if check.expected else []
            lines += [f"  actual:   {sentence(check.actual)}"] if check.actual else []
    return [*lines, f"{result.outcome.value}: {next(iter(result.verdict), '')}"]
