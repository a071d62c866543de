"""Tasks: parse, call one function, print, exit code. ``invoke --list`` shows them, ``invoke --help TASK`` explains.

Exit codes: 0 pass, 1 fail, 2 bad use or bad scenario, 3 inconclusive, infrastructure failure or an
error in Bothends itself, 4 unsupported here.
"""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

from invoke import Context, task
from invoke.main import program

from dev.developer_tasks import bench, docs_images, lint, soak, test
from testbed.cli.invoke_words import adapt
from testbed.cli.report_errors import report_errors

__all__ = ["bench", "docs_images", "lint", "soak", "test"]

ROOT = Path(__file__).parent

# Modules make objects that stay: looking for garbage after every 700 of them takes a tenth of a short run.
gc.set_threshold(100_000)

adapt(program)


@task(
    positional=["scenarios"],
    iterable=["scenarios", "set", "tag"],
    help={
        "scenarios": "names from scenarios/ (`invoke list`), or paths of YAML files; several are run in turn",
        "tag": "with --all: only the scenarios that have this tag (`invoke list`); may be repeated",
        "all": "run the whole catalogue, several runs at a time: one line a run, then in full what did not pass",
        "runs": "directory in which runs/ is made (default: here)",
        "json": "print one JSON object per run (result.json) instead of the summary",
        "quiet": "print no progress on standard error",
        "engine": "docker, namespace or uml (default: the first that works here)",
        "kernel": "the version of Linux to run on, 6.12: a kernel of our own (`invoke kernels`); implies --engine uml",
        "real_time": "wait for time, where the engine uml or a scenario for virtual time would jump over it",
        "set": "run one variant for each value of a setting: --set observe.client=probe,none (may be repeated)",
        "repeat": "run each variant this many times and show the distribution of results",
        "jobs": "how many runs to make at the same time (default: one per processor)",
        "keep": "which run directories to keep: differing (default), one for each distinct result, or all",
        "resume": "continue a campaign that was stopped: its id, its directory, or latest",
        "on": "make the runs on a Dask cluster, given its scheduler's address: tcp://HOST:8786",
        "report": "also write report.html and annotated.pcapng for each run, or the page of the campaign",
        "witness": "require the kernel trace, which is recorded by default where the machine allows it",
        "no-witness": "record no kernel trace",
        "junit": "write JUnit XML of all runs to this file",
        "tap": "write a Test Anything Protocol (TAP) report of all runs to this file",
        "markdown": "write a Markdown summary of all runs to this file",
        "compare-observers": "run each scenario under none, probe, strace and gdb; show what that changed on the wire",
    },
)
@report_errors
def run(
    _: Context,
    scenarios: list[str],
    set: list[str],  # noqa: A002 - the option's name
    tag: list[str],
    all: bool = False,  # noqa: A002 - the option's name
    runs: str = ".",
    json: bool = False,
    quiet: bool = False,
    engine: str = "",
    kernel: str = "",
    real_time: bool = False,
    repeat: int = 1,
    jobs: int = 0,
    keep: str = "differing",
    resume: str = "",
    on: str = "",
    report: bool = False,
    witness: bool = False,
    no_witness: bool = False,
    junit: str = "",
    tap: str = "",
    markdown: str = "",
    compare_observers: bool = False,
) -> int:
    """Run scenarios, each in a lab of its own, and print what happened. Leaves runs/<scenario>/<time>-<id>/.

    Exit code: 0 pass, 1 fail, 2 bad scenario, 3 inconclusive or infrastructure failure, 4 unsupported here. For
    several scenarios: the first of 1, 3, 4 that occurred.

    Examples: invoke run connect-send-close
              invoke run echo ./my/scenario.yaml --json
              invoke run connect-send-close --engine namespace --repeat 1000
              invoke run echo --set observe.client=probe,none
              invoke run echo --report --junit results.xml
              invoke run --all --engine namespace --jobs 2
              invoke run nagle --set kernel=6.1,6.12
              invoke run --all --tag reset
    """
    from testbed.campaign.campaign_options import Options
    from testbed.cli import run_command
    from testbed.cli.outputs import Outputs

    if compare_observers:
        from testbed.cli import observers_command

        return observers_command.compare_observers(
            scenarios, catalogue=ROOT, runs=Path(runs), as_json=json, quiet=quiet, engine=engine
        )
    wanted = True if witness else False if no_witness else None
    fixed = {**({"kernel": kernel} if kernel else {}), **({"clock": "real"} if real_time else {})}
    if kernel or any(word.startswith("kernel=") for word in set):
        engine = engine or "uml"
    options = Options(
        repeat=repeat, jobs=jobs, keep=keep, settings=set, resume=resume, on=on, witness=wanted, fixed=fixed
    )
    outputs = Outputs(as_json=json, quiet=quiet, pages=report, ci=_ci_files(junit, tap, markdown))
    if all:
        if scenarios:
            from testbed.model.errors import UsageError

            raise UsageError("--all runs every scenario", hint="leave the names of scenarios out")
        return run_command.run_all(
            catalogue=ROOT, tags=tag, runs=Path(runs), engine=engine, options=options, outputs=outputs
        )
    if tag:
        from testbed.model.errors import UsageError

        raise UsageError("--tag chooses among all scenarios", hint="`invoke run --all --tag TAG`")
    return run_command.run(scenarios, catalogue=ROOT, runs=Path(runs), engine=engine, options=options, outputs=outputs)


@task(
    help={
        "scenario": "name or path",
        "host": "the host whose calls are stepped through: client or server",
        "runs": "directory in which runs/ is made (default: here)",
        "engine": "docker, namespace or uml, as for `run`",
    }
)
@report_errors
def step(_: Context, scenario: str, host: str = "client", runs: str = ".", engine: str = "") -> int:
    r"""Step through the socket calls of one host: Enter makes the call that is shown and prints the packets it caused.

    At the prompt: Enter, `continue`, `skip to NAME`, `quit`. Answers can also come from a file or a pipe.

    Examples: invoke step connect-send-close
              printf '\n\nskip to close\n' | invoke step own-program
    """
    from testbed.cli import step_command

    return step_command.step(scenario, host=host, catalogue=ROOT, runs=Path(runs), engine=engine)


@task(name="list", help={"json": "print JSON"})
@report_errors
def list_(_: Context, json: bool = False) -> int:
    """List the scenarios: name, summary, tags."""
    from testbed.cli import list_show_diff

    return list_show_diff.list_scenarios(ROOT, as_json=json)


@task(
    help={
        "what": "a scenario's name or path, or a run: its directory, its id, or SCENARIO/latest",
        "runs": "directory that holds runs/ (default: here)",
        "json": "print JSON",
        "full": "show every call and every packet, and no sentence cut",
    }
)
@report_errors
def show(_: Context, what: str, runs: str = ".", json: bool = False, full: bool = False) -> int:
    """Show a scenario, or the summary of a run, analysed again from its directory.

    Examples: invoke show echo
              invoke show echo/latest
              invoke show echo/latest --full
    """
    from testbed.cli import list_show_diff

    return list_show_diff.show(what, catalogue=ROOT, runs=Path(runs), as_json=json, full=full)


@task(
    help={
        "one": "a run: its directory, its id, or SCENARIO/latest",
        "other": "another run, made here or copied from another machine",
        "runs": "directory that holds runs/ (default: here)",
        "json": "print JSON",
        "html": "write a page with both runs side by side to this file",
        "exact": "compare what was recorded byte by byte, times to the nanosecond",
    }
)
@report_errors
def diff(
    _: Context, one: str, other: str, runs: str = ".", json: bool = False, html: str = "", exact: bool = False
) -> int:
    """Show where two runs differ: calls, packets, causes, ledger, and conditions such as sysctls and versions.

    Exit code: 0 if only times, addresses and ids differ (with --exact: if nothing recorded differs), else 1.

    Example: invoke diff echo/latest 3f9a01bc
    """
    from testbed.cli import list_show_diff

    return list_show_diff.diff(one, other, runs=Path(runs), as_json=json, html=html, exact=exact)


@task(
    help={
        "run": "its directory, its id, or SCENARIO/latest; or a campaign: its directory, its id, or latest",
        "runs": "directory that holds runs/ (default: here)",
        "junit": "also write JUnit XML to this file",
        "tap": "also write a Test Anything Protocol (TAP) report to this file",
        "markdown": "also write a Markdown summary to this file",
    }
)
@report_errors
def report(_: Context, run: str, runs: str = ".", junit: str = "", tap: str = "", markdown: str = "") -> int:
    """Write report.html, annotated.pcapng and result.json of a run again from its directory, or a campaign's page.

    Examples: invoke report echo/latest
              invoke report latest
    """
    from testbed.cli import report_commands

    return report_commands.report(run, runs=Path(runs), ci=_ci_files(junit, tap, markdown))


@task(
    name="open",
    help={
        "run": "its directory, its id, or SCENARIO/latest; or a campaign: its directory, its id, or latest",
        "runs": "directory that holds runs/ (default: here)",
        "serve": "serve the page on 127.0.0.1 instead of opening a browser",
        "port": "serve on this port (default: a free one)",
    },
)
@report_errors
def open_(_: Context, run: str, runs: str = ".", serve: bool = False, port: int = 0) -> int:
    """Open the page of a run or a campaign in a browser; serve it where there is no browser."""
    from testbed.cli import report_commands

    return report_commands.open_page(run, runs=Path(runs), serve=serve, port=port)


@task(
    help={
        "client": "the capture made at the client's end (pcap or pcapng, also gz or zstd; `-`: standard input)",
        "server": "the capture made at the server's end",
        "json": "print JSON instead of the summary",
        "csv": "write one row per packet to this file",
        "merged": "write both captures to this pcapng file, as interfaces `client` and `server`, on one clock",
        "html": "write a page with both captures as a ladder to this file",
        "fail-on": "differences that give exit code 1: lost,appeared,altered,... (default: all but offloads and taps)",
        "filter": "compare only these flows: `host 10.0.0.5 and port 80`",
        "one-clock": "both captures were made with one clock: delays are exact",
    }
)
@report_errors
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
    from testbed.cli.compare_command import compare

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
@report_errors
def doctor(_: Context, json: bool = False) -> int:
    """Check what works on this machine, what is missing, and what to do about it."""
    from testbed.cli import lab_commands

    return lab_commands.doctor(as_json=json)


@task(help={"json": "print JSON", "check": "only list the images; build nothing"})
@report_errors
def images(_: Context, json: bool = False, check: bool = False) -> int:
    """Build the images that are missing, and list all of them."""
    from testbed.cli import lab_commands

    return lab_commands.images(as_json=json, check=check)


@task(
    positional=["words"],
    iterable=["words"],
    help={
        "words": "list (the default), build VERSION, remove VERSION, export VERSION, import",
        "source": "for build: the kernel's sources, a tarball or a directory (default: Debian's linux-source-VERSION)",
        "file": "the file that export writes or import reads",
        "jobs": "for build: how many compilers to run at the same time (default: one per processor)",
        "json": "print JSON",
    },
)
@report_errors
def kernels(_: Context, words: list[str], source: str = "", file: str = "", jobs: int = 0, json: bool = False) -> int:
    """List, build, remove, export or import the kernels of the engine `uml`: User-Mode Linux, kept in the user's cache.

    Examples: invoke kernels build 6.12
              invoke kernels build 6.18 --source linux-6.18.tar.xz
              invoke kernels export 6.12 --file linux-6.12.tar.xz
    """
    from testbed.cli import kernels_command

    return kernels_command.kernels(words, source=source, file=file, jobs=jobs, as_json=json)


@task(
    help={
        "scenario": "name or path; its programs are not started",
        "runs": "directory in which runs/ is made",
        "engine": "docker, namespace or uml, as for `run`",
    }
)
@report_errors
def up(_: Context, scenario: str, runs: str = ".", engine: str = "") -> int:
    """Bring up a scenario's lab to use by hand, with both captures running; `shell` enters it, `down` ends it.

    Example: invoke up echo
             invoke shell server     # nc -l 5000
             invoke shell client     # echo hello | nc -N server 5000
             invoke down             # shows what both ends captured
    """
    from testbed.cli import lab_commands

    return lab_commands.up(scenario, catalogue=ROOT, runs=Path(runs), engine=engine)


@task(
    help={
        "host": "client or server",
        "lab": "the lab's id, if several are up",
        "command": "run this with `sh -c` instead of a shell",
        "runs": "directory that holds runs/",
    }
)
@report_errors
def shell(_: Context, host: str, lab: str = "", command: str = "", runs: str = ".") -> int:
    """Open a shell in a host of the lab that is up. What you start there is observed.

    Examples: invoke shell client
              invoke shell server --command "ss -tan"
    """
    from testbed.cli import lab_commands

    return lab_commands.shell(host, lab=lab, command=command, runs=Path(runs))


@task(help={"lab": "the lab's id, if several are up", "runs": "directory that holds runs/", "json": "print JSON"})
@report_errors
def down(_: Context, lab: str = "", runs: str = ".", json: bool = False) -> int:
    """End the lab that is up and show what both ends captured."""
    from testbed.cli import lab_commands

    return lab_commands.down(lab=lab, runs=Path(runs), as_json=json)


@task(
    help={
        "images": "also remove our images that are out of date",
        "foreign": "also remove what runs of other machines left on the same engine",
    }
)
@report_errors
def clean(_: Context, images: bool = False, foreign: bool = False) -> int:
    """Remove what earlier runs have left behind, and nothing else.

    Runs that are still going on are left alone, and so are those of other machines on the same engine. An engine that
    does not answer is named; the others are cleaned.

    Exit code: 0, or 3 if something could not be removed; with --images also if Docker does not answer.
    """
    from testbed.cli import lab_commands

    return lab_commands.clean(stale_images=images, foreign=foreign)


@task(
    iterable=["tag"],
    help={
        "tag": "only the scenarios that have this tag (`invoke list`); may be repeated",
        "repeat": "how often each variant is run (default 3): shows where TCP may behave in several ways",
        "kernels": "measure on each of these kernels of our own, 6.1,6.12, and write only what differs: kernels.md",
        "against": "compare with an earlier atlas.json, of another kernel for instance",
        "out": "where atlas.md, atlas.html and atlas.json are written (default: atlas/)",
        "engine": "docker, namespace or uml, as for `run`",
        "jobs": "how many runs to make at the same time (default: one per processor)",
        "runs": "directory in which runs/ is made (default: here)",
    },
)
@report_errors
def atlas(
    _: Context,
    tag: list[str],
    repeat: int = 3,
    kernels: str = "",
    against: str = "",
    out: str = "atlas",
    engine: str = "",
    jobs: int = 0,
    runs: str = ".",
) -> int:
    """Run the catalogue and write what each socket call put on the wire, as Markdown, HTML and JSON.

    Exit code: 0; 1 if a run failed, or if packets, causes or results differ from the Atlas given with --against.

    Examples: invoke atlas --engine namespace
              invoke atlas --against docs/atlas.json
              invoke atlas --kernels 6.1,6.12 --repeat 1
    """
    if kernels:
        from testbed.atlas import kernel_atlas

        return kernel_atlas.main(
            catalogue=ROOT,
            tags=tag,
            runs=Path(runs),
            out=Path(out),
            kernels=kernels,
            engine=engine or "uml",
            jobs=jobs,
            repeat=repeat,
        )
    from testbed.atlas import make_atlas

    return make_atlas.main(
        catalogue=ROOT,
        tags=tag,
        runs=Path(runs),
        out=Path(out),
        against=against,
        engine=engine,
        jobs=jobs,
        repeat=repeat,
    )


def _ci_files(junit: str, tap: str, markdown: str) -> Any:  # noqa: ANN401 - imported in the task
    """Return where reports for a CI system go."""
    from testbed.report.ci.ci_files import CiFiles

    return CiFiles(*(Path(name) if name else None for name in (junit, tap, markdown)))
