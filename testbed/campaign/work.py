"""One task of a campaign: run it, and say what came of it in a few words that travel well."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from testbed.campaign.signature import facets, key
from testbed.campaign.task_list import Plan, ScenarioSource, Task
from testbed.lab.choose_engine import choose
from testbed.lab.engine_kind import EngineFactory, keep_up, may_overlap
from testbed.model import Analysis, Outcome
from testbed.model.errors import BothendsError, Unsupported
from testbed.run import live_lab
from testbed.run.finish import Finish
from testbed.rundir.layout import RUNS, RunDirectory
from testbed.scenario.load import parse
from testbed.scenario.scenario import Scenario

PLAN_FORMAT = "bothends-plan/1"


@dataclass(frozen=True, slots=True)
class Report:
    """What came of one task. ``directory`` is below the campaign's; empty when there is none or it was thinned out.

    ``signature`` names what this run has in common with others, ``facets`` are it in words. ``shares`` are the
    expectations that are judged over many runs: ``text``, ``where``, ``share``, ``ok``.
    """

    task: Task
    outcome: str
    signature: str
    facets: dict[str, list[str]]
    directory: str
    seconds: float
    shares: list[dict[str, Any]] = field(default_factory=list)
    error: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Report:
        """Read what :meth:`to_json` gave."""
        return cls(**{**value, "task": Task(**value["task"])})


def failed(task: Task, error: str, outcome: Outcome, seconds: float, *, full: str = "", directory: str = "") -> Report:
    """Return the report of a task that gave no result; ``full`` is the error with its state and hint."""
    what = {"outcome": [outcome.value], "error": [error]}
    return Report(task, outcome.value, key(what), what, directory, seconds, error=full or error)


def load(source: ScenarioSource, settings: Mapping[str, Any]) -> Scenario:
    """Return a variant of a scenario. Raises ScenarioError."""
    return parse(source.text.encode(), name=source.name, path=Path(source.path), shown=source.shown, settings=settings)


def carry_out(
    task: Task, scenario: Scenario, *, root: Path, make_engine: EngineFactory, known: Collection[str], finish: Finish
) -> Report:
    """Run one task below ``root``; what goes wrong with it is in its report. ``finish`` is what is done with each run.

    ``known`` are the signatures of which a run is kept already: one more that has such a signature keeps no directory.
    """
    return begin(task, scenario, root=root, make_engine=make_engine, known=known, finish=finish)()


def begin(
    task: Task, scenario: Scenario, *, root: Path, make_engine: EngineFactory, known: Collection[str], finish: Finish
) -> Callable[[], Report]:
    """Carry a task out until its lab is no longer needed; call the answer for the rest, which gives the report."""
    start = time.perf_counter()
    rest = _begin(task, scenario, root, make_engine, finish, known)

    def end() -> Report:
        report = rest()
        if report.signature in known and report.directory:
            shutil.rmtree(root / RUNS / report.directory, ignore_errors=True)  # what stays the campaign sweeps away
            report = replace(report, directory="")
        return replace(report, seconds=time.perf_counter() - start)

    return end


def _begin(
    task: Task, scenario: Scenario, root: Path, make_engine: EngineFactory, finish: Finish, known: Collection[str]
) -> Callable[[], Report]:
    found: dict[str, list[str]] = {}

    def write(directory: RunDirectory, analysis: Analysis) -> None:
        """Finish a run that is kept: of any other the report is enough."""
        found.update(facets(analysis))
        if key(found) not in known:
            finish.write(directory, analysis)

    def end() -> Report:
        try:
            return _report(task, rest(), found, root)
        except BothendsError as error:
            return _broken(task, error, root)

    try:
        rest = live_lab.begin(
            scenario,
            root=root,
            make_engine=make_engine,
            progress=lambda _: None,
            finish=Finish(write, finish.modules),
        )
    except BothendsError as error:
        broken = _broken(task, error, root)
        return lambda: broken
    return end


def _broken(task: Task, error: BothendsError, root: Path) -> Report:
    outcome = Outcome.UNSUPPORTED if isinstance(error, Unsupported) else Outcome.INCONCLUSIVE
    directory = str(Path(error.kept).resolve().relative_to(root.resolve() / RUNS)) if error.kept else ""
    return failed(task, error.what, outcome, 0.0, full=str(error), directory=directory)


def _report(task: Task, finished: live_lab.Finished, found: dict[str, list[str]], root: Path) -> Report:
    analysis = finished.analysis
    return Report(
        task=task,
        outcome=analysis.outcome.value,
        signature=key(found),
        facets=found,
        directory=str(finished.directory.path.relative_to(root / RUNS)),
        seconds=0.0,
        shares=[
            {"text": check.text, "where": check.where, "share": check.share, "ok": check.ok}
            for check in analysis.checks
            if check.share is not None and check.applies
        ],
    )


class Worker:
    """Carries tasks out one after the other, keeping what does not change between them.

    ``root`` is the campaign's directory, ``finish`` what is done with each run.
    """

    def __init__(self, plan: Plan, root: Path, finish: Finish) -> None:
        self._plan = plan
        self._root = root
        self._finish = finish
        self._sources = {source.name: source for source in plan.sources}
        self._scenarios: dict[tuple[str, int], Scenario] = {}
        self._make_engine: EngineFactory | None = None

    def begin(self, task: Task, known: Collection[str]) -> Callable[[], Report]:
        """Carry one task out until the next one can be begun; call the answer for the rest, from any thread.

        What goes wrong with it is in its report.
        """
        if self._make_engine is None:
            try:
                self._make_engine = choose(self._plan.engine).make
                keep_up(self._make_engine)
            except BothendsError as error:
                report = failed(task, error.what, Outcome.INCONCLUSIVE, 0.0, full=str(error))
                return lambda: report
        end = begin(
            task,
            self._scenario(task),
            root=self._root,
            make_engine=self._make_engine,
            known=known,
            finish=self._finish,
        )
        if may_overlap(self._make_engine):
            return end
        report = end()
        return lambda: report

    def _scenario(self, task: Task) -> Scenario:
        at = (task.scenario, task.variant)
        if at not in self._scenarios:
            settings = self._plan.variants[task.scenario][task.variant]
            self._scenarios[at] = load(self._sources[task.scenario], settings)
        return self._scenarios[at]


def plan_to_json(plan: Plan) -> dict[str, Any]:
    """Return a plan as a JSON object."""
    return {
        "format": PLAN_FORMAT,
        "sources": [asdict(source) for source in plan.sources],
        "variants": {name: [dict(settings) for settings in found] for name, found in plan.variants.items()},
        "repeat": plan.repeat,
        "engine": plan.engine,
        "keep": plan.keep,
    }


def plan_from_json(value: Mapping[str, Any]) -> Plan:
    """Read what :func:`plan_to_json` gave; ValueError where a version to come has made it."""
    made = value.get("format", PLAN_FORMAT)  # the first version did not say
    if made != PLAN_FORMAT:
        raise ValueError(f"its format is {made}, and this version reads {PLAN_FORMAT}")
    return Plan(
        sources=tuple(ScenarioSource(**source) for source in value["sources"]),
        variants={name: tuple(found) for name, found in value["variants"].items()},
        repeat=value["repeat"],
        engine=value["engine"],
        keep=value["keep"],
    )


def encode(value: Mapping[str, Any]) -> bytes:
    """Return one line of JSON."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
