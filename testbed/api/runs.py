"""Make runs, and read those that were made: what `invoke run`, `show` and `report` call."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed.api.finish_run import FINISH
from testbed.api.ledger_view import Ledger
from testbed.api.project import read_project
from testbed.model import Analysis, Call, Cause, Crossing, Host, Outcome
from testbed.model.errors import UsageError
from testbed.rundir.layout import RunDirectory, find
from testbed.rundir.manifest import meta
from testbed.shipped.files import ROOT

if TYPE_CHECKING:  # pydantic is slow to import, and a run is read without it
    from testbed.lab.engine_kind import Choice
    from testbed.run.through_lab import Stepping
    from testbed.scenario.scenario import Scenario

CATALOGUE = ROOT
"""The directory that holds ``scenarios/``."""


@dataclass(frozen=True)
class RunResult:
    """A run: its directory and its analysis.

    Times are ns since the Unix epoch on the captures' clock, lengths are bytes, sequence numbers are relative as
    Wireshark counts (SYN 0, first data byte 1).
    """

    directory: Path
    """The run directory: captures, call logs, manifest, ``result.json``."""
    analysis: Analysis
    """Everything that was found out, as :func:`testbed.analyse` returns it."""

    @property
    def outcome(self) -> Outcome:
        """``pass``, ``fail``, ``inconclusive`` or ``unsupported``; ``outcome.exit_code`` is the command line's."""
        return self.analysis.outcome

    @property
    def verdict(self) -> tuple[str, ...]:
        """What happened in plain sentences, the most important one first."""
        from testbed.report.text.verdict_text import verdict_text

        return verdict_text(self.analysis)

    @cached_property
    def ledger(self) -> Ledger:
        """How far the bytes of each direction got, by flow (index from 0) and the host that sent them.

        ``ledger.client`` and ``ledger.server`` sum up what a host sent on all its flows.
        """
        return Ledger(self.analysis.ledger)

    @property
    def calls(self) -> Mapping[Host, tuple[Call, ...]]:
        """The socket calls of each host in the order of their start; none where no observer was there."""
        return self.analysis.inputs.calls

    @property
    def packets(self) -> tuple[Crossing, ...]:
        """The packets of both captures joined, in time order; ``packets[n].n == n``."""
        return self.analysis.inputs.joined.crossings

    @property
    def causes(self) -> tuple[Cause, ...]:
        """Why each packet was sent, aligned with :attr:`packets`."""
        return self.analysis.causes

    def summary(self, width: int = 100) -> str:
        """Return the summary that `invoke run` prints into a file: whole sentences, lines of at most ``width``.

        Raises UsageError if the run's manifest cannot be read.
        """
        from rich.console import Console

        from testbed.report.text.run_summary import Extent, render

        out = io.StringIO()
        render(self.analysis, meta(self._files), Console(file=out, width=width, color_system=None), Extent.UNCUT)
        return out.getvalue()

    def to_json(self) -> dict[str, Any]:
        """Return what ``result.json`` holds (result.schema.json). Raises UsageError if the manifest cannot be read."""
        from testbed.report.json.result_file import result_of

        return result_of(self._files, self.analysis)

    def write_reports(self) -> tuple[Path, ...]:
        """Write ``result.json``, ``report.html`` and ``annotated.pcapng`` into the run directory; return their paths.

        Raises BothendsError if the disk takes no more.
        """
        from testbed.report import run_files
        from testbed.report.json.result_file import write_result

        write_result(self._files, self.analysis)
        run_files.write(self._files, self.analysis)
        return tuple(self.directory / name for name in run_files.MADE)

    @property
    def _files(self) -> RunDirectory:
        return RunDirectory(self.directory)


def run_scenario(
    scenario: str | Path | Scenario,
    *,
    engine: str | Choice = "",
    runs: str | Path = ".",
    settings: Mapping[str, Any] | None = None,
    progress: Callable[[str], None] = lambda _: None,
    stepping: Stepping | None = None,
) -> RunResult:
    """Run a scenario once in a lab of its own, and analyse the run. The lab is removed in any case.

    ``scenario`` is a name of the catalogue, the path of a YAML file, or a scenario that was loaded. ``engine`` is
    ``docker``, ``namespace``, or empty for the first that works here. The run directory is made below
    ``runs/runs/<scenario>/``. ``settings`` replace values of the scenario: ``{"observe.client": "strace"}``.
    ``progress`` is called with what is being done, a few words at a time. ``stepping`` is for `invoke step`.

    That expectations fail is no error: see :attr:`RunResult.outcome`. Raises ScenarioError for a scenario that cannot
    be read, UsageError for a name that does not exist, Unsupported for what this machine lacks, EngineError or LabError
    where the run could not be carried through; ``kept`` then names the run directory, if there is one.
    """
    from testbed.lab.choose_engine import choose
    from testbed.run.live_lab import run

    loaded = load_scenario(scenario, settings)
    choice = choose(engine) if isinstance(engine, str) else engine
    finished = run(
        loaded,
        root=Path(runs),
        make_engine=choice.make,
        progress=progress,
        finish=FINISH,
        stepping=stepping,
    )
    return RunResult(finished.directory.path, finished.analysis)


def load_scenario(scenario: str | Path | Scenario, settings: Mapping[str, Any] | None = None) -> Scenario:
    """Return a scenario by its name or path, with settings. Raises ScenarioError, UsageError."""
    from testbed.scenario.catalogue import find as find_scenario
    from testbed.scenario.language.yaml_source import shown_path
    from testbed.scenario.load import load, parse

    if isinstance(scenario, str | Path):
        return load(find_scenario(read_project().path_of(str(scenario)), CATALOGUE), settings=settings or {})
    if not settings:
        return scenario
    chosen = {**scenario.settings, **settings}
    source = scenario.source.encode()
    return parse(source, name=scenario.name, path=scenario.path, shown=shown_path(scenario.path), settings=chosen)


def load_run(run: str | Path, *, runs: str | Path = ".") -> RunResult:
    """Read a run that was made before, and analyse it again from its directory.

    ``run`` is the run directory, the run's id, or ``<scenario>/latest``; the latter two are looked for below
    ``runs/runs/``. Raises UsageError where there is no such run or its manifest is of an unknown format.
    """
    directory = find(str(run), Path(runs))
    if directory is None:
        raise UsageError(f"there is no run `{run}`", hint="its directory, its id, or SCENARIO/latest")
    return analyse_again(directory)


def analyse_again(directory: RunDirectory) -> RunResult:
    """Return a run as its directory shows it. Raises UsageError where the directory holds no run."""
    from testbed.run.evaluate import evaluate
    from testbed.rundir.broken_files import read_from

    with read_from(directory):
        return RunResult(directory.path, evaluate(directory))
