"""``invoke run``: scenarios in turn, or the whole catalogue side by side; a campaign where one is asked for."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.cli.outputs import Outputs
from testbed.cli.progress import print_json, say_why, show_progress, show_run
from testbed.model import Outcome
from testbed.model.errors import BothendsError, EngineError, UsageError
from testbed.run.interruption import ended_by_signals
from testbed.rundir.layout import RESULT, RunDirectory

if TYPE_CHECKING:  # each task imports what it needs
    from testbed.campaign.campaign_options import Options
    from testbed.lab.engine_kind import Choice
    from testbed.model import Analysis
    from testbed.report.ci.ci_cases import RunRecord
    from testbed.scenario.scenario import Scenario


def run(names: Sequence[str], *, catalogue: Path, runs: Path, engine: str, options: Options, outputs: Outputs) -> int:
    """Run scenarios in turn; the worst outcome's exit code (fail, then inconclusive, then unsupported).

    With a matrix, repeats or jobs it is a campaign.
    """
    options.check()
    if not names and not options.resume:
        raise UsageError("no scenario is named", hint="`invoke list` shows them")
    if names and options.resume:
        raise UsageError(
            "--resume continues a campaign with its own scenarios", hint="leave the names of scenarios out"
        )
    with show_progress(quiet=outputs.quiet or not names) as progress:
        progress(f"reading {', '.join(names)}")  # at once: much has to be imported for it
        chosen = None if options.any else _choose_early(engine, options)
        scenarios = _load(names, catalogue, options)
    if chosen is None or any(scenario.matrix for scenario in scenarios):
        from testbed.cli.campaign_command import run_campaign

        return run_campaign(scenarios, runs=runs, engine=engine, options=options, outputs=outputs)
    if isinstance(chosen, BothendsError):
        if isinstance(chosen, EngineError) and outputs.ci is not None:
            from testbed.report.ci.ci_cases import RunRecord
            from testbed.report.ci.ci_files import write_ci_files

            write_ci_files([RunRecord(scenario.name, 0.0, error=chosen) for scenario in scenarios], outputs.ci)
        raise chosen
    choice = chosen
    say_why(choice)
    records: list[RunRecord] = []
    try:
        for scenario in scenarios:
            with show_progress(quiet=outputs.quiet) as progress, ended_by_signals():
                records.append(_run_one(_witnessed(scenario, options), runs, choice, progress, outputs))
            if records[-1].error is not None and len(scenarios) > 1:
                sys.stderr.write(f"{scenario.name}: {records[-1].error}\n")
    finally:
        if outputs.ci is not None:
            from testbed.report.ci.ci_cases import not_made
            from testbed.report.ci.ci_files import write_ci_files

            write_ci_files([*records, *(not_made(each.name) for each in scenarios[len(records) :])], outputs.ci)
    if len(records) == 1 and records[0].error is not None:
        raise records[0].error
    codes = [record.exit_code for record in records]
    return next((code for code in (1, 3, 4) if code in codes), 0)


def _choose_early(engine: str, options: Options) -> Choice | BothendsError:
    """Choose an engine, which can then be busy while the scenarios are read; or return why there is none.

    What is wrong with a scenario is told before that.
    """
    from testbed.lab.choose_engine import choose
    from testbed.lab.engine_kind import begin_early

    try:
        choice = choose(engine)
    except BothendsError as error:
        return error
    begin_early(choice.make, witness=options.witness is not False)
    return choice


def _load(names: Sequence[str], catalogue: Path, options: Options) -> list[Scenario]:
    from testbed.scenario.catalogue import find
    from testbed.scenario.load import load

    return [load(find(name, catalogue), settings=options.fixed) for name in names]


def _witnessed(scenario: Scenario, options: Options) -> Scenario:
    """Return a scenario that demands a witness, or has none, where the command line says so."""
    if options.witness is None:
        return scenario
    return scenario.model_copy(update={"observe": scenario.observe.model_copy(update={"kernel": options.witness})})


def run_all(
    *, catalogue: Path, tags: Sequence[str], runs: Path, engine: str, options: Options, outputs: Outputs
) -> int:
    """Run the catalogue side by side: a line for each run, then in full what did not pass.

    ``tags``: only the scenarios with one of these.

    Exit code: the first of 1 and 3 that occurred; what this machine cannot run is listed and does not count.
    """
    from testbed.cli.catalogue_command import analysed
    from testbed.cli.catalogue_command import run_all as run_side_by_side
    from testbed.lab.choose_engine import choose
    from testbed.report.ci.ci_cases import not_made
    from testbed.report.ci.ci_files import write_ci_files
    from testbed.report.text import catalogue_text
    from testbed.scenario.catalogue import all_scenarios, tagged
    from testbed.scenario.load import load

    options.check()
    scenarios = tagged([load(path) for path in all_scenarios(catalogue)], tags)
    if options.resume or options.repeat != 1 or options.on:
        from testbed.cli.campaign_command import run_campaign

        return run_campaign(scenarios, runs=runs, engine=engine, options=options, outputs=outputs)
    choice = choose(engine)
    say_why(choice)
    begin = time.monotonic()
    lines = sys.stderr if outputs.as_json else sys.stdout

    def show_line(record: RunRecord) -> None:
        lines.write(f"{catalogue_text.line(record)}\n")
        lines.flush()

    records, missing = run_side_by_side(scenarios, options, choice, runs, show_line)
    seconds = time.monotonic() - begin
    in_full = outputs.as_json or outputs.pages or (outputs.ci is not None and outputs.ci.any)
    if in_full:
        records = list(analysed(records, scenarios))
    for record in analysed([each for each in records if in_full or each.outcome is not Outcome.PASS], scenarios):
        _show_record(record, outputs)
    if outputs.ci is not None:
        write_ci_files([*records, *map(not_made, missing)], outputs.ci)
    lines.write(f"{catalogue_text.closing(records, seconds, choice.name)}\n")
    if missing:
        sys.stderr.write(f"interrupted: {len(missing)} runs were not made\n")
    codes = [record.exit_code for record in records] + [3] * bool(missing)
    return next((code for code in (1, 3) if code in codes), 0)


def _show_record(record: RunRecord, outputs: Outputs) -> None:
    """Print one run of many: all of them as JSON, for people those that did not pass."""
    if record.analysis is None:
        if record.outcome is not Outcome.UNSUPPORTED:
            sys.stderr.write(f"\n{record.scenario}: {record.error}\n")
        return
    from testbed.api.runs import RunResult

    directory = RunDirectory(Path(record.directory))
    if outputs.pages:
        from testbed.report import run_files

        run_files.write(directory, record.analysis)
    if outputs.as_json:
        print_json(directory.read_json(RESULT))
    elif record.outcome is not Outcome.PASS:
        sys.stdout.write("\n")
        show_run(RunResult(directory.path, record.analysis), as_json=False)


def _run_one(
    scenario: Scenario, runs: Path, choice: Choice, progress: Callable[[str], None], outputs: Outputs
) -> RunRecord:
    from testbed.api.runs import run_scenario

    begin = time.monotonic()
    try:
        result = run_scenario(scenario, engine=choice, runs=runs, progress=progress)
    except BothendsError as error:
        return _record(scenario.name, time.monotonic() - begin, error=error)
    seconds = time.monotonic() - begin
    show_run(result, as_json=outputs.as_json)
    directory = RunDirectory(result.directory)
    if outputs.pages:
        from testbed.report import run_files

        run_files.write(directory, result.analysis)
        sys.stderr.write(f"{directory.file(run_files.PAGE)}\n")
    return _record(scenario.name, seconds, str(directory), result.analysis)


def _record(
    name: str, seconds: float, directory: str = "", analysis: Analysis | None = None, error: BothendsError | None = None
) -> RunRecord:
    from testbed.report.ci.ci_cases import RunRecord  # needs what the analysis needs: imported by now

    return RunRecord(name, seconds, directory, analysis, error)
