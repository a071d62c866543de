"""Tasks: parse, call one function, print, exit code. ``invoke --list`` shows them, ``invoke --help TASK`` explains.

Exit codes: 0 pass, 1 fail, 2 bad use or bad scenario, 3 inconclusive or infrastructure failure, 4 unsupported here.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from invoke import Context, Exit, ParseError, Program, task
from invoke.parser.parser import ParseMachine

from testbed.errors import BothendsError, UsageError
from testbed.terminal import never_fail

ROOT = Path(__file__).parent

# Modules make objects that stay: looking for garbage after every 700 of them takes a tenth of a short run.
gc.set_threshold(100_000)


def _take_words(machine: ParseMachine, token: str) -> None:
    """Let a positional list argument take every word that is no flag, flag's value or task: `invoke run A B C`.

    Invoke's parser (up to 3.0) knows only positional arguments of one word and refuses the second. The first word is
    taken even if a task has that name: `invoke bench report`.
    """
    context = machine.context
    words = next((argument for argument in context.positional_args if argument.kind is list), None) if context else None
    other_task = words is not None and words.got_value and token in machine.contexts
    if words is None or token.startswith("-") or machine.waiting_for_flag_value or other_task:
        _invokes_own_handle(machine, token)
    else:
        words.value = token


_invokes_own_handle = ParseMachine.handle
ParseMachine.handle = _take_words  # type: ignore[method-assign, assignment]


def _parse_or_bad_use(program: Program) -> None:
    """End with exit code 2, bad use, where invoke's own would be 1: to us a 1 says that a scenario failed."""
    try:
        _invokes_own_parse(program)
    except ParseError as error:
        to_do = "to do: `invoke --list` shows the tasks, `invoke --help TASK` a task's options"
        raise Exit(f"{error}\n{to_do}", code=2) from error


_invokes_own_parse = Program.parse_tasks
Program.parse_tasks = _parse_or_bad_use  # type: ignore[method-assign, assignment]


def _told(function: Callable[..., int]) -> Callable[..., None]:
    """Print our errors as people read them, and end with the right exit code."""

    @wraps(function)
    def told(*args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - invoke passes whatever the task declares
        never_fail(sys.stdout, sys.stderr)
        try:
            code = function(*args, **kwargs)
        except BothendsError as error:
            sys.stdout.flush()
            sys.stderr.write(f"{error}\n")
            code = error.exit_code
        except KeyboardInterrupt:
            sys.stderr.write("interrupted\n")
            code = 3
        gc.freeze()  # the process ends here: the interpreter need not look through all that it has loaded once more
        if code:
            raise Exit(code=code)

    return told


@task(
    positional=["scenarios"],
    iterable=["scenarios", "set"],
    help={
        "scenarios": "names from scenarios/ (`invoke list`), or paths of YAML files; several are run in turn",
        "all": "run the whole catalogue side by side: a line for each run, then in full what did not pass",
        "runs": "directory in which runs/ is made (default: here)",
        "json": "print one JSON object a run (result.json) instead of the summary",
        "quiet": "no progress on standard error",
        "engine": "docker or namespace (default: docker if a Docker Engine answers, else namespace)",
        "set": "try these values of a setting, each in a variant: --set observe.client=probe,none (may be repeated)",
        "repeat": "run each variant so often and show the distribution",
        "jobs": "runs at the same time (default: one for each processor)",
        "keep": "differing (default): one run directory of each kind of run; all: every one",
        "resume": "go on with a campaign that was stopped: its id, its directory, or latest",
        "on": "make the runs on a Dask cluster: its scheduler's address, tcp://HOST:8786",
        "report": "also write each run's report.html and annotated.pcapng; of a campaign its page",
        "witness": "also record what the kernel's tracepoints say, where that can be",
        "junit": "write JUnit XML of all runs to this file",
        "tap": "write TAP of all runs to this file",
        "markdown": "write a Markdown summary of all runs to this file",
        "compare-observers": "run under none, probe, strace and gdb, and say what that changed on the wire",
    },
)
@_told
def run(
    _: Context,
    scenarios: list[str],
    set: list[str],  # noqa: A002 - the option's name
    all: bool = False,  # noqa: A002 - the option's name
    runs: str = ".",
    json: bool = False,
    quiet: bool = False,
    engine: str = "",
    repeat: int = 1,
    jobs: int = 0,
    keep: str = "differing",
    resume: str = "",
    on: str = "",
    report: bool = False,
    witness: bool = False,
    junit: str = "",
    tap: str = "",
    markdown: str = "",
    compare_observers: bool = False,
) -> int:
    """Run scenarios: lab up, programs, both captures joined, lab down, summary. Leaves runs/<scenario>/<time>-<id>/.

    Exit code: 0 pass, 1 fail, 2 bad scenario, 3 inconclusive or infrastructure failure, 4 unsupported here; of several
    scenarios the first of 1, 3, 4 that occurred.

    Examples: invoke run connect-send-close
              invoke run echo ./my/scenario.yaml --json
              invoke run connect-send-close --engine namespace --repeat 1000
              invoke run echo --set observe.client=probe,none
              invoke run echo --report --junit results.xml
              invoke run --all --engine namespace --jobs 2
    """
    from testbed import commands
    from testbed.campaign.options import Options

    if compare_observers:
        return commands.compare_observers(
            scenarios, catalogue=ROOT, runs=Path(runs), as_json=json, quiet=quiet, engine=engine
        )
    options = Options(repeat=repeat, jobs=jobs, keep=keep, settings=set, resume=resume, on=on, witness=witness)
    outputs = commands.Outputs(as_json=json, quiet=quiet, pages=report, ci=_ci_files(junit, tap, markdown))
    if all:
        if scenarios:
            raise UsageError("--all runs every scenario", hint="name none")
        return commands.run_all(catalogue=ROOT, runs=Path(runs), engine=engine, options=options, outputs=outputs)
    return commands.run(scenarios, catalogue=ROOT, runs=Path(runs), engine=engine, options=options, outputs=outputs)


@task(
    help={
        "scenario": "name or path",
        "host": "whose calls are stepped through: client or server",
        "runs": "directory in which runs/ is made (default: here)",
        "engine": "docker or namespace, as for `run`",
    }
)
@_told
def step(_: Context, scenario: str, host: str = "client", runs: str = ".", engine: str = "") -> int:
    r"""Step through the calls of one host: each is shown, made on Enter, and its packets are printed from both ends.

    At the prompt: Enter, `continue`, `skip to NAME`, `quit`. Answers can also come from a file or a pipe.

    Examples: invoke step connect-send-close
              printf '\n\nskip to close\n' | invoke step own-program
    """
    from testbed import commands

    return commands.step(scenario, host=host, catalogue=ROOT, runs=Path(runs), engine=engine)


@task(name="list", help={"json": "print JSON"})
@_told
def list_(_: Context, json: bool = False) -> int:
    """List the scenarios: name, summary, tags."""
    from testbed import commands_runs

    return commands_runs.list_scenarios(ROOT, as_json=json)


@task(
    help={
        "what": "a scenario's name or path, or a run: its directory, its id, or SCENARIO/latest",
        "runs": "directory that holds runs/ (default: here)",
        "json": "print JSON",
    }
)
@_told
def show(_: Context, what: str, runs: str = ".", json: bool = False) -> int:
    """Show a scenario, or the summary of a run worked out again from its directory.

    Examples: invoke show echo
              invoke show echo/latest
    """
    from testbed import commands_runs

    return commands_runs.show(what, catalogue=ROOT, runs=Path(runs), as_json=json)


@task(
    help={
        "one": "a run: its directory, its id, or SCENARIO/latest",
        "other": "another one, of this machine or copied from elsewhere",
        "runs": "directory that holds runs/ (default: here)",
        "json": "print JSON",
        "html": "write a page with both runs side by side to this file",
    }
)
@_told
def diff(_: Context, one: str, other: str, runs: str = ".", json: bool = False, html: str = "") -> int:
    """Show where two runs differ: calls, packets, causes, ledger, and the conditions (which sysctl or version).

    Exit code: 0 if nothing but times, addresses and ids differs, else 1.

    Example: invoke diff echo/latest 3f9a01bc
    """
    from testbed import commands_runs

    return commands_runs.diff(one, other, runs=Path(runs), as_json=json, html=html)


@task(
    help={
        "run": "its directory, its id, or SCENARIO/latest; or a campaign: its directory, its id, or latest",
        "runs": "directory that holds runs/ (default: here)",
        "junit": "also write JUnit XML to this file",
        "tap": "also write TAP to this file",
        "markdown": "also write a Markdown summary to this file",
    }
)
@_told
def report(_: Context, run: str, runs: str = ".", junit: str = "", tap: str = "", markdown: str = "") -> int:
    """Make report.html, annotated.pcapng and result.json of a run from its directory alone; or the page of a campaign.

    Examples: invoke report echo/latest
              invoke report latest
    """
    from testbed import commands_report

    return commands_report.report(run, runs=Path(runs), ci=_ci_files(junit, tap, markdown))


@task(
    name="open",
    help={
        "run": "its directory, its id, or SCENARIO/latest; or a campaign: its directory, its id, or latest",
        "runs": "directory that holds runs/ (default: here)",
        "serve": "serve the page on 127.0.0.1 instead of opening a browser",
        "port": "serve on this port (default: a free one)",
    },
)
@_told
def open_(_: Context, run: str, runs: str = ".", serve: bool = False, port: int = 0) -> int:
    """Show the page of a run or a campaign in a browser, or serve it where there is none."""
    from testbed import commands_report

    return commands_report.open_page(run, runs=Path(runs), serve=serve, port=port)


@task(
    help={
        "client": "the capture made at the client's end (pcap or pcapng, also gz or zstd; `-`: standard input)",
        "server": "the capture made at the server's end",
        "json": "print JSON instead of the summary",
        "csv": "write every packet's crossing to this file",
        "merged": "write both captures to this pcapng file, interfaces `client` and `server`, on one clock",
        "html": "write a page with both captures as a ladder to this file",
        "fail-on": "what makes the exit code 1: lost,appeared,altered,... (default: all that is no offload or tap)",
        "filter": "only flows like `host 10.0.0.5 and port 80`",
        "one-clock": "both captures were made with one clock: delays are exact",
    }
)
@_told
def compare(
    _: Context,
    client: str,
    server: str,
    json: bool = False,
    csv: str = "",
    merged: str = "",
    html: str = "",
    fail_on: str = "",
    filter: str = "",  # noqa: A002 - the option's name
    one_clock: bool = False,
) -> int:
    """Compare two captures: lost, altered, reordered, delays, clocks. Exit code: 0 same, 1 differs, 2 error."""
    from testbed.compare_command import compare

    return compare(
        client,
        server,
        as_json=json,
        csv=csv,
        merged=merged,
        html=html,
        fail_on=fail_on,
        choose=filter,
        one_clock=one_clock,
    )


@task(help={"json": "print JSON"})
@_told
def doctor(_: Context, json: bool = False) -> int:
    """Say what works here, what is missing, and what to do."""
    from testbed import commands_lab

    return commands_lab.doctor(as_json=json)


@task(help={"json": "print JSON", "check": "only say what is there; make nothing"})
@_told
def images(_: Context, json: bool = False, check: bool = False) -> int:
    """Make all images that are missing, and say what is there."""
    from testbed import commands_lab

    return commands_lab.images(as_json=json, check=check)


@task(
    help={
        "scenario": "name or path; its programs are not started",
        "runs": "directory in which runs/ is made",
        "engine": "docker or namespace, as for `run`",
    }
)
@_told
def up(_: Context, scenario: str, runs: str = ".", engine: str = "") -> int:
    """Bring a scenario's lab up to play in by hand, both taps running; `shell` goes in, `down` ends it.

    Example: invoke up echo
             invoke shell server     # nc -l 5000
             invoke shell client     # echo hello | nc -N server 5000
             invoke down             # what both ends saw
    """
    from testbed import commands_lab

    return commands_lab.up(scenario, catalogue=ROOT, runs=Path(runs), engine=engine)


@task(
    help={
        "host": "client or server",
        "lab": "the lab's id, if several are up",
        "command": "run this with `sh -c` instead of a shell",
        "runs": "directory that holds runs/",
    }
)
@_told
def shell(_: Context, host: str, lab: str = "", command: str = "", runs: str = ".") -> int:
    """Open a shell in a host of the lab that is up. What you start there is observed.

    Examples: invoke shell client
              invoke shell server --command "ss -tan"
    """
    from testbed import commands_lab

    return commands_lab.shell(host, lab=lab, command=command, runs=Path(runs))


@task(help={"lab": "the lab's id, if several are up", "runs": "directory that holds runs/", "json": "print JSON"})
@_told
def down(_: Context, lab: str = "", runs: str = ".", json: bool = False) -> int:
    """End the lab that is up and show what both ends saw."""
    from testbed import commands_lab

    return commands_lab.down(lab=lab, runs=Path(runs), as_json=json)


@task(
    help={
        "images": "also remove images of ours that are out of date",
        "foreign": "also remove what belongs to runs of other machines on the same engine",
    }
)
@_told
def clean(_: Context, images: bool = False, foreign: bool = False) -> int:
    """Remove everything of ours that runs have left behind, and nothing else.

    Runs that are still going on are left alone, and so are those of other machines on the same engine. Where Docker
    does not answer, that is said in a line, and what this machine has is cleaned.

    Exit code: 0, or 3 if something could not be removed; with --images also if Docker does not answer.
    """
    from testbed import commands_lab

    return commands_lab.clean(stale_images=images, foreign=foreign)


@task(
    help={
        "unit": "only the tests that need no Docker Engine",
        "select": "pytest's -k expression",
        "jobs": "files of tests at the same time (default 2)",
        "slow": "also every scenario on Docker and both engines compared, more seeds, 100,000 broken captures",
    }
)
@_told
def test(context: Context, unit: bool = False, select: str = "", jobs: int = 2, slow: bool = False) -> int:
    """Run the tests: unit and native, then on the real engine."""
    command = [sys.executable, "-m", "pytest"]
    chosen = "slow or not slow" if slow else "not slow"
    if unit or select or jobs < 2:
        command += ["tests/unit", "tests/native"] if unit else ["tests"]
        return _command(context, [*command, "-m", chosen, *(["-k", select] if select else [])])
    side_by_side = ["-m", f"({chosen}) and not alone", "-n", str(jobs), "--dist", "loadfile"]
    return max(
        _command(context, [*command, "tests/lab", "-m", f"({chosen}) and alone"]),
        _command(context, [*command, "tests", *side_by_side]),
    )


@task(help={"fix": "also mend what can be mended"})
@_told
def lint(context: Context, fix: bool = False) -> int:
    """Check style, formatting and types; that generated files are current is a test."""
    python = [sys.executable, "-m"]
    return max(
        _command(context, [*python, "ruff", "check", *(["--fix"] if fix else [])]),
        _command(context, [*python, "ruff", "format", *([] if fix else ["--check"])]),
        _command(context, [*python, "mypy"]),
    )


@task(
    positional=["names"],
    iterable=["names"],
    help={
        "names": "run: a whole run against a bare script (default); link: what the link program costs; namespace: the "
        "embedded engine; campaign: many runs, on both engines; report: pages; "
        "probe: what a call costs under the probe and under strace, and iperf3's throughput; "
        "compare: two captures of a million packets; "
        "witness: what recording the kernel's tracepoints costs",
        "repeat": "how often each side is measured (default 7)",
        "json": "print JSON",
    },
)
@_told
def bench(_: Context, names: list[str], repeat: int = 7, json: bool = False) -> int:
    """Measure against a floor that is measured in the same run; fails beyond the limits that it prints."""
    from testbed import benchmarks

    return max(benchmarks.main(name, repeat=repeat, as_json=json) for name in names or ["run"])


@task(
    help={
        "repeat": "how often each variant is run (default 3): what TCP may do in several ways is shown as such",
        "against": "compare with an earlier atlas.json, of another kernel for instance",
        "out": "where atlas.md, atlas.html and atlas.json are written (default: atlas/)",
        "engine": "docker or namespace, as for `run`",
        "jobs": "runs at the same time (default: one for each processor)",
        "runs": "directory in which runs/ is made (default: here)",
    }
)
@_told
def atlas(
    _: Context,
    repeat: int = 3,
    against: str = "",
    out: str = "atlas",
    engine: str = "",
    jobs: int = 0,
    runs: str = ".",
) -> int:
    """Run the catalogue and write what each socket call put on the wire, as Markdown, HTML and JSON.

    Exit code: 0; 1 if a run failed, or if the Atlas differs from that of --against (in packets, causes, results; not
    in times).

    Examples: invoke atlas --engine namespace
              invoke atlas --against docs/atlas.json
    """
    from testbed.atlas import command

    return command.main(
        catalogue=ROOT, runs=Path(runs), out=Path(out), against=against, engine=engine, jobs=jobs, repeat=repeat
    )


@task(
    help={
        "repeat": "how often each variant of each scenario is run",
        "engine": "docker or namespace (default)",
        "jobs": "runs at the same time (default: one for each processor)",
        "runs": "directory in which runs/ is made (default: here)",
        "leaks": "instead: so many runs in one process on both engines, and whether the machine is left as it was",
    }
)
@_told
def soak(
    _: Context, repeat: int = 200, engine: str = "namespace", jobs: int = 0, runs: str = ".", leaks: int = 0
) -> int:
    """Run every scenario many times: none may fail. One run directory of each kind of result is kept.

    What did not pass is told at the end with its directory; `invoke run --resume latest` goes on after a stop.

    Examples: invoke soak --repeat 200
              invoke soak --leaks 2000
    """
    if leaks:
        from testbed.benchmarks import soak as soaking

        return soaking.main(runs=leaks)
    from testbed.campaign import soak as soaking_each
    from testbed.campaign.options import Options

    options = Options(repeat=repeat, jobs=jobs)
    return soaking_each.main(catalogue=ROOT, runs=Path(runs), engine=engine, options=options)


@task(name="docs-images")
@_told
def docs_images(_: Context) -> int:
    """Make the pictures in docs/images from real runs and a real campaign, in Chromium."""
    from testbed import commands, docs_images
    from testbed.campaign.options import Options

    quiet = commands.Outputs(quiet=True)
    for witness in (False, True):
        names = [name for name in docs_images.SCENARIOS if (name in docs_images.WITNESSED) == witness]
        options = Options(witness=witness)
        code = commands.run(names, catalogue=ROOT, runs=ROOT, engine="docker", options=options, outputs=quiet)
        if code:
            return code
    commands.run(
        docs_images.CAMPAIGN_SCENARIOS,
        catalogue=ROOT,
        runs=ROOT,
        engine="namespace",
        options=docs_images.CAMPAIGN_OPTIONS,
        outputs=quiet,
    )
    for picture in docs_images.make(ROOT / "docs/images", ROOT):
        sys.stdout.write(f"{picture.relative_to(ROOT)}  {picture.stat().st_size / 1000:.0f} kB\n")
    return 0


def _ci_files(junit: str, tap: str, markdown: str) -> Any:  # noqa: ANN401 - imported in the task
    """Return where reports for a CI system go."""
    from testbed.report.ci import CiFiles

    return CiFiles(*(Path(name) if name else None for name in (junit, tap, markdown)))


def _command(context: Context, argv: list[str]) -> int:
    """Run a developer's tool here, its output passed through; return its exit code."""
    import subprocess

    del context  # invoke's own runner takes a shell string; ours is a list
    return subprocess.run(argv, cwd=ROOT, check=False).returncode
