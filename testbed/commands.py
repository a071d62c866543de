"""What the tasks do, one function each: call the parts, print for people or as JSON, return the exit code."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import quote

from testbed.errors import BothendsError, EngineError, UsageError
from testbed.model import HOSTS, Analysis, Host, Outcome
from testbed.rundir import RESULT, RUNS, RunDirectory
from testbed.rundir import find as find_run

if TYPE_CHECKING:
    from testbed.campaign.options import Options
    from testbed.lab.engines import Choice
    from testbed.report.ci import CiFiles, Record
    from testbed.report.difference import Told
    from testbed.run import Finished
    from testbed.scenario.model import Scenario


@dataclass(frozen=True, slots=True)
class Outputs:
    """What `invoke run` shows and writes besides the run directory.

    ``pages``: each run's page and annotated capture. ``ci``: reports for a CI system of what was run, even if it was
    interrupted.
    """

    as_json: bool = False
    quiet: bool = False
    pages: bool = False
    ci: CiFiles | None = None


def run(names: Sequence[str], *, catalogue: Path, runs: Path, engine: str, options: Options, outputs: Outputs) -> int:
    """Run scenarios in turn; the worst outcome's exit code (fail, then inconclusive, then unsupported).

    With a matrix, repeats or jobs it is a campaign.
    """
    from testbed.lab.engines import choose
    from testbed.report.ci import Record, write
    from testbed.scenario.catalogue import find
    from testbed.scenario.load import load

    options.check()
    if not names and not options.resume:
        raise UsageError("no scenario is named", hint="`invoke list` shows them")
    if names and options.resume:
        raise UsageError("--resume goes on with a campaign's own scenarios", hint="name none")
    scenarios = [load(find(name, catalogue)) for name in names]
    if options.any or any(scenario.matrix for scenario in scenarios):
        from testbed.commands_campaign import run_campaign

        return run_campaign(scenarios, runs=runs, engine=engine, options=options, outputs=outputs)
    try:
        choice = choose(engine)
    except EngineError as error:
        if outputs.ci is not None:
            write([Record(scenario.name, 0.0, error=error) for scenario in scenarios], outputs.ci)
        raise
    if choice.why:
        sys.stderr.write(f"{choice.why}\n")
    records: list[Record] = []
    try:
        for scenario in scenarios:
            with _progress(quiet=outputs.quiet) as progress, _terminable():
                records.append(_run_one(_witnessed(scenario, options), runs, choice, progress, outputs))
            if records[-1].error is not None and len(scenarios) > 1:
                sys.stderr.write(f"{scenario.name}: {records[-1].error}\n")
    finally:
        if outputs.ci is not None:
            write(records, outputs.ci)
    if len(records) == 1 and records[0].error is not None:
        raise records[0].error
    codes = [record.exit_code for record in records]
    return next((code for code in (1, 3, 4) if code in codes), 0)


def _witnessed(scenario: Scenario, options: Options) -> Scenario:
    """Return a scenario that is offered a witness if --witness asked for it and it does not demand one."""
    if not options.witness or scenario.observe.kernel:
        return scenario
    return scenario.model_copy(update={"observe": scenario.observe.model_copy(update={"kernel": "offered"})})


def run_all(*, catalogue: Path, runs: Path, engine: str, options: Options, outputs: Outputs) -> int:
    """Run the whole catalogue side by side: a line for each run, then in full what did not pass.

    Exit code: the first of 1 and 3 that occurred; what this machine cannot run is told and does not count.
    """
    from testbed.campaign.whole import analysed
    from testbed.campaign.whole import run_all as run_side_by_side
    from testbed.lab.engines import choose
    from testbed.report import whole
    from testbed.report.ci import write
    from testbed.scenario.catalogue import all_scenarios
    from testbed.scenario.load import load

    options.check()
    scenarios = [load(path) for path in all_scenarios(catalogue)]
    if options.resume or options.repeat != 1 or options.on:
        from testbed.commands_campaign import run_campaign

        return run_campaign(scenarios, runs=runs, engine=engine, options=options, outputs=outputs)
    choice = choose(engine)
    if choice.why:
        sys.stderr.write(f"{choice.why}\n")
    begin = time.monotonic()
    lines = sys.stderr if outputs.as_json else sys.stdout

    def told(record: Record) -> None:
        lines.write(f"{whole.line(record)}\n")
        lines.flush()

    records, missing = run_side_by_side(scenarios, options, choice, runs, told)
    seconds = time.monotonic() - begin
    in_full = outputs.as_json or outputs.pages or (outputs.ci is not None and outputs.ci.any)
    if in_full:
        records = list(analysed(records))
    for record in analysed([each for each in records if in_full or each.outcome is not Outcome.PASS]):
        _show_record(record, outputs)
    if outputs.ci is not None:
        write(records, outputs.ci)
    lines.write(f"{whole.closing(records, seconds, choice.name)}\n")
    if missing:
        sys.stderr.write(f"interrupted: {missing} were not run\n")
    codes = [record.exit_code for record in records] + [3] * (missing > 0)
    return next((code for code in (1, 3) if code in codes), 0)


def _show_record(record: Record, outputs: Outputs) -> None:
    """Print one run of many: all of them as JSON, for people those that did not pass."""
    if record.analysis is None:
        if record.outcome is not Outcome.UNSUPPORTED:
            sys.stderr.write(f"\n{record.scenario}: {record.error}\n")
        return
    directory = RunDirectory(Path(record.directory))
    if outputs.pages:
        from testbed.report import artefacts

        artefacts.write(directory, record.analysis)
    if outputs.as_json:
        _print_json(directory.read_json(RESULT))
    elif record.outcome is not Outcome.PASS:
        sys.stdout.write("\n")
        _show_run(directory, record.analysis, {}, as_json=False)


def _run_one(scenario: Scenario, runs: Path, choice: Choice, progress: Any, outputs: Outputs) -> Record:  # noqa: ANN401
    from testbed.report.ci import Record
    from testbed.run import run as run_scenario

    begin = time.monotonic()
    try:
        finished: Finished = run_scenario(scenario, root=runs, make_engine=choice.make, progress=progress)
    except BothendsError as error:
        return Record(scenario.name, time.monotonic() - begin, error=error)
    seconds = time.monotonic() - begin
    _show_run(finished.directory, finished.analysis, finished.result, as_json=outputs.as_json)
    if outputs.pages:
        from testbed.report import artefacts

        artefacts.write(finished.directory, finished.analysis)
        sys.stderr.write(f"{finished.directory.file(artefacts.PAGE)}\n")
    return Record(scenario.name, seconds, str(finished.directory), finished.analysis)


def compare_observers(
    names: Sequence[str], *, catalogue: Path, runs: Path, as_json: bool, quiet: bool, engine: str
) -> int:
    """Run each scenario under every observer, without its expectations, and print what that changed on the wire."""
    from testbed.lab.engines import choose
    from testbed.report.observer_effect import Effect, measure, table
    from testbed.run import run as run_scenario
    from testbed.scenario.catalogue import find
    from testbed.scenario.load import load
    from testbed.scenario.model import OBSERVERS

    if not names:
        raise UsageError("no scenario is named", hint="`invoke list` shows them")
    choice = choose(engine)
    for scenario in [load(find(name, catalogue)) for name in names]:
        effects: dict[str, Effect] = {}
        for observer in OBSERVERS:
            observe = scenario.observe.model_copy(update={"client": observer, "server": observer})
            variant = scenario.model_copy(update={"observe": observe, "expect": ()})
            with _progress(quiet=quiet) as progress, _terminable():
                progress(f"{scenario.name} under {observer}")
                finished = run_scenario(variant, root=runs, make_engine=choice.make, progress=progress)
            if finished.analysis.inputs.failures or finished.analysis.inputs.incomplete:
                reasons = "; ".join(finished.analysis.reasons)
                sys.stderr.write(f"{scenario.name} under {observer}: {finished.analysis.outcome.value}: {reasons}\n")
            effects[observer] = measure(finished.analysis)
        if as_json:
            _print_json({"scenario": scenario.name, "observers": {name: asdict(e) for name, e in effects.items()}})
        else:
            sys.stdout.write(f"{scenario.name}\n" + "\n".join(table(effects)) + "\n")
    return 0


def step(name: str, *, host: str, catalogue: Path, runs: Path, engine: str) -> int:
    """Run a scenario with one host's calls let go one by one; answers come from standard input."""
    from testbed.lab.engine import LiveLab
    from testbed.lab.engines import choose
    from testbed.run import run as run_scenario
    from testbed.scenario.catalogue import find
    from testbed.scenario.load import load
    from testbed.step import HELP, Stepper, stepped

    if host not in HOSTS:
        raise UsageError(f"there is no host `{host}`", hint="client or server")
    chosen: Host = "client" if host == "client" else "server"
    scenario = stepped(load(find(name, catalogue)), chosen)
    made: list[Stepper] = []

    def make(live: LiveLab, directory: Path) -> Stepper:
        made.append(Stepper(chosen, live, directory, sys.stdin, sys.stdout))
        return made[0]

    choice = choose(engine)
    if choice.why:
        sys.stderr.write(f"{choice.why}\n")
    sys.stdout.write(f"{HELP}\n")
    with _progress(quiet=not sys.stderr.isatty()) as progress, _terminable():
        finished = run_scenario(
            scenario,
            root=runs,
            make_engine=choice.make,
            progress=progress,
            make_stepper=make,
        )
    if made and made[0].quit:
        sys.stdout.write(f"ended; what was captured is in {finished.directory}\n")
        return 0
    _show_run(finished.directory, finished.analysis, finished.result, as_json=False)
    return finished.analysis.outcome.exit_code


def _show_run(directory: RunDirectory, analysis: Analysis, result: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        _print_json(result)
        return
    from rich.console import Console

    from testbed.evaluate import meta
    from testbed.report.summary import render

    render(analysis, meta(directory), Console())


def list_scenarios(catalogue: Path, *, as_json: bool) -> int:
    """Print the catalogue."""
    from testbed.scenario.catalogue import all_scenarios
    from testbed.scenario.load import load

    scenarios = [load(path) for path in all_scenarios(catalogue)]
    if as_json:
        _print_json([{"name": s.name, "summary": s.summary, "tags": list(s.tags)} for s in scenarios])
        return 0
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("scenario", "summary", "tags"):
        table.add_column(heading)
    for scenario in scenarios:
        table.add_row(scenario.name, scenario.summary, " ".join(scenario.tags))
    Console().print(table, markup=False)
    return 0


def show(what: str, *, catalogue: Path, runs: Path, as_json: bool) -> int:
    """Print a run's summary worked out again, or a scenario's source."""
    from testbed.evaluate import evaluate, meta
    from testbed.scenario.catalogue import find
    from testbed.scenario.load import load

    directory = find_run(what, runs)
    if directory is not None:
        from testbed.report.result_json import to_json

        analysis = evaluate(directory)
        _show_run(directory, analysis, to_json(analysis, meta(directory)), as_json=as_json)
        return analysis.outcome.exit_code
    scenario = load(find(what, catalogue))
    if as_json:
        _print_json({"name": scenario.name, "path": str(scenario.path), "source": scenario.source})
        return 0
    sys.stdout.write(f"# {scenario.path}\n{scenario.source}")
    latest = runs / RUNS / scenario.name / "latest"
    if latest.exists():
        sys.stdout.write(f"# last run: `invoke show {scenario.name}/latest`\n")
    return 0


def diff(one: str, other: str, *, runs: Path, as_json: bool, html: str = "") -> int:
    """Print where two runs differ, both worked out anew from their directories; 0 if nowhere, else 1.

    ``html`` is the file that a page of it is written to.
    """
    from testbed.report.difference import compare, lines

    told = []
    for name in (one, other):
        directory = find_run(name, runs)
        if directory is None:
            raise UsageError(f"there is no run `{name}`", hint="its directory, its id, or SCENARIO/latest")
        told.append(_told_again(directory))
    sections = compare(*told)
    if html:
        _write_difference(Path(html), *told)
    if as_json:
        _print_json([asdict(section) for section in sections])
    else:
        for line in lines(sections, *(each.name for each in told)):
            sys.stdout.write(f"{line}\n")
    return 1 if sections else 0


def _write_difference(target: Path, one: Told, other: Told) -> None:
    """Write the page of two runs; it links to their own pages where there are any."""
    from testbed.report.artefacts import PAGE
    from testbed.report.html.diff import render

    reports = [Path(each.name).resolve() / PAGE for each in (one, other)]
    here = target.resolve().parent
    links = [quote(os.path.relpath(page, here)) if page.exists() else "" for page in reports]
    try:
        target.write_text(render(one, other, (links[0], links[1])), encoding="utf-8")
    except OSError as problem:
        raise UsageError(f"{target}: {problem.strerror or problem}") from problem


def _told_again(directory: RunDirectory) -> Told:
    from testbed.evaluate import evaluate, meta
    from testbed.report.difference import Told
    from testbed.report.result_json import to_json
    from testbed.rundir import MANIFEST

    result = to_json(evaluate(directory), meta(directory))
    return Told(str(directory), result, directory.read_json(MANIFEST))


def doctor(*, as_json: bool) -> int:
    """Print the findings; 0 if everything works that one of the engines needs, else 4."""
    from testbed.lab.doctor import examine
    from testbed.lab.engines import NAMES
    from testbed.lab.finding import usable

    found = []
    for finding in examine():
        found.append(finding)
        if not as_json:
            sign = {True: "ok     ", False: "MISSING", None: "-      "}[finding.works]
            todo = f"  -> {finding.to_do}" if finding.to_do and not finding.works else ""
            sys.stdout.write(f"{sign} {finding.what:<27} {finding.detail}{todo}\n")
    if as_json:
        _print_json([asdict(finding) for finding in found])
    return 0 if usable(found, NAMES) else 4


def images(*, as_json: bool, check: bool) -> int:
    """Make what is missing (unless ``check``) and print what is there; 4 if something is missing then."""
    from testbed.lab import images as lab_images
    from testbed.lab.docker_engine import connect

    client = connect()
    if not check:
        with _progress(quiet=False) as progress:
            ids = lab_images.ensure(client, lab_images.NAMES, progress)
            lab_images.ensure_tools_volume(client, ids["tools"], progress)
    found = lab_images.status(client)
    if as_json:
        _print_json([asdict(image) for image in found])
    else:
        for image in found:
            size = f"{(image.size or 0) / 1e6:6.0f} MB" if image.id else "  missing"
            stale = f"  ({len(image.stale)} out of date: `invoke clean --images`)" if image.stale else ""
            sys.stdout.write(f"{image.name:<12} {size}  {image.tag}{stale}\n")
    return 4 if any(image.id is None for image in found) else 0


def up(name: str, *, catalogue: Path, runs: Path, engine: str) -> int:
    """Bring a lab up and say how to use it."""
    from testbed import keeper
    from testbed.lab.engines import choose
    from testbed.scenario.catalogue import find
    from testbed.scenario.load import load

    path = find(name, catalogue)
    load(path)  # a broken scenario is told here, not by the keeper
    choice = choose(engine)
    if choice.why:
        sys.stderr.write(f"{choice.why}\n")
    lab = keeper.up(path.resolve(), runs.resolve(), choice.name)
    hosts = ", ".join(f"{host} {lab.addresses[host]}" for host in HOSTS)
    sys.stdout.write(
        f"lab {lab.run_id} is up: {hosts}\n"
        f"captures grow in {lab.directory}\n"
        "`invoke shell client`, `invoke shell server`; `invoke down` ends it and shows what both ends saw\n"
    )
    return 0


def shell(host: str, *, lab: str, command: str, runs: Path) -> int:
    """Open a shell in a host of a lab that is up; the shell's exit status does not become ours."""
    from testbed import keeper
    from testbed.lab import shells

    if host not in HOSTS:
        raise UsageError(f"there is no host `{host}`", hint="client or server")
    chosen: Host = "client" if host == "client" else "server"
    kept = keeper.only(runs, lab or None)
    argv = ("sh", "-c", command) if command else shells.SHELL
    shells.open_shell(kept.engine, kept.run_id, kept.processes, chosen, argv)
    return 0


def down(*, lab: str, runs: Path, as_json: bool) -> int:
    """End a lab that is up and show its summary."""
    from testbed import keeper
    from testbed.evaluate import evaluate, meta
    from testbed.report.result_json import to_json

    directory = keeper.down(keeper.only(runs, lab or None))
    analysis = evaluate(directory)
    _show_run(directory, analysis, to_json(analysis, meta(directory)), as_json=as_json)
    return analysis.outcome.exit_code


def clean(*, stale_images: bool, foreign: bool) -> int:
    """Remove what is left; 3 if something could not be removed. Where Docker does not answer, the rest is cleaned."""
    from testbed.lab.clean import Remains
    from testbed.lab.clean import clean as clean_engine
    from testbed.lab.docker_engine import connect
    from testbed.lab.witness_instances import clean_instances, on_docker, on_this_machine

    client = None
    try:
        client = connect()
    except EngineError as error:
        if stale_images:
            raise
        sys.stderr.write(f"Docker was not reached, only this machine was cleaned: {error.state or error.what}\n")
    remains = clean_engine(client, foreign_too=foreign) if client is not None else Remains()
    for witness in (on_docker(client) if client is not None else None, on_this_machine()):
        if witness is not None:
            clean_instances(witness, remains, foreign_too=foreign)
    for removed in remains.removed:
        sys.stdout.write(f"removed {removed}\n")
    if stale_images and client is not None:
        from testbed.lab.images import remove_stale

        with _progress(quiet=False) as progress:
            stale = remove_stale(client, progress)
        for image in stale.removed:
            sys.stdout.write(f"removed {image}\n")
    if remains.alive:
        sys.stdout.write(f"left alone, still running: {', '.join(sorted(remains.alive))}\n")
    if remains.foreign:
        sys.stdout.write(f"left alone, of another machine (--foreign removes): {', '.join(sorted(remains.foreign))}\n")
    for failure in remains.failed:
        sys.stderr.write(f"{failure}\n")
    if not remains.removed and not remains.failed:
        sys.stdout.write("nothing of ours was left behind\n")
    return 3 if remains.failed else 0


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Any]:
    """Yield a function that shows what is going on: one changing line on a terminal, plain lines elsewhere."""
    if quiet:
        yield lambda _: None
        return
    if not sys.stderr.isatty():
        yield lambda text: sys.stderr.write(f"{text}\n")
        return

    def show_line(text: str) -> None:
        sys.stderr.write(f"\r\x1b[K{text[:100]}")
        sys.stderr.flush()

    try:
        yield show_line
    finally:
        sys.stderr.write("\r\x1b[K")


@contextmanager
def _terminable() -> Iterator[None]:
    """Treat SIGTERM (a cancelled CI job) like Ctrl-C: the lab is removed, what was captured is kept."""

    def interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _print_json(value: Any) -> None:  # noqa: ANN401 - anything JSON can hold
    sys.stdout.write(json.dumps(value, indent=1, ensure_ascii=False) + "\n")
