"""The tasks that make runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from invoke import Context, task

from testbed.cli.report_errors import report_errors
from testbed.shipped.files import ROOT
from testbed.tasks.settings import project


@task(
    positional=["scenarios"],
    iterable=["scenarios", "set", "tag"],
    help={
        "scenarios": "names of your own folder or of the catalogue (`invoke list`), or paths of YAML files",
        "tag": "with --all: only the scenarios that have this tag (`invoke list`); may be repeated",
        "all": "run all of your own folder, else the catalogue, several runs at a time: a line a run, then what failed",
        "runs": "directory in which runs/ is made (default: here)",
        "json": "print one JSON object per run (result.json) instead of the summary",
        "quiet": "print no progress on standard error",
        "engine": "docker, namespace or uml (default: the first that works here)",
        "kernel": "the version of Linux to run on, 6.12: a kernel of our own (`invoke kernels`); implies --engine uml",
        "real_time": "wait for time, where the engine uml or a scenario for virtual time would jump over it",
        "set": "run one variant for each value of a setting: --set observe.client=probe,none (may be repeated); a "
        "value may be a list or a mapping of YAML: --set 'ip=4,[4, 6]'",
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
        "compare-observers": "run each scenario under each observer; show what that changed on the wire",
    },
)
@report_errors
def run(
    context: Context,
    scenarios: list[str],
    set: list[str],  # noqa: A002 - the option's name
    tag: list[str],
    all: bool = False,  # noqa: A002 - the option's name
    runs: str = "",
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

    mine = project(context)
    names = [mine.scenario(name) for name in scenarios]
    if kernel or any(word.startswith("kernel=") for word in set):
        engine = engine or "uml"
    engine = engine or mine.engine
    if compare_observers:
        from testbed.cli import observers_command

        return observers_command.compare_observers(
            names, catalogue=ROOT, runs=mine.runs_in(runs), as_json=json, quiet=quiet, engine=engine
        )
    wanted = True if witness else False if no_witness else None
    fixed = {**({"kernel": kernel} if kernel else {}), **({"clock": "real"} if real_time else {})}
    options = Options(
        repeat=repeat, jobs=jobs, keep=keep, settings=set, resume=resume, on=on, witness=wanted, fixed=fixed
    )
    outputs = Outputs(as_json=json, quiet=quiet, pages=report, ci=_ci_files(junit, tap, markdown))
    if all:
        if scenarios:
            from testbed.model.errors import UsageError

            raise UsageError("--all runs every scenario", hint="leave the names of scenarios out")
        return run_command.run_all(
            catalogue=mine.scenarios or ROOT,
            tags=tag,
            runs=mine.runs_in(runs),
            engine=engine,
            options=options,
            outputs=outputs,
        )
    if tag:
        from testbed.model.errors import UsageError

        raise UsageError("--tag chooses among all scenarios", hint="`invoke run --all --tag TAG`")
    return run_command.run(
        names, catalogue=ROOT, runs=mine.runs_in(runs), engine=engine, options=options, outputs=outputs
    )


@task(
    help={
        "scenario": "name or path",
        "host": "the host whose calls are stepped through: client or server",
        "runs": "directory in which runs/ is made (default: here)",
        "engine": "docker, namespace or uml, as for `run`",
    }
)
@report_errors
def step(context: Context, scenario: str, host: str = "client", runs: str = "", engine: str = "") -> int:
    r"""Step through the socket calls of one host: Enter makes the call that is shown and prints the packets it caused.

    At the prompt: Enter, `continue`, `skip to NAME`, `quit`. Answers can also come from a file or a pipe.

    Examples: invoke step connect-send-close
              printf '\n\nskip to close\n' | invoke step own-program
    """
    from testbed.cli import step_command

    mine = project(context)
    return step_command.step(
        mine.scenario(scenario), host=host, catalogue=ROOT, runs=mine.runs_in(runs), engine=engine or mine.engine
    )


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
    context: Context,
    tag: list[str],
    repeat: int = 3,
    kernels: str = "",
    against: str = "",
    out: str = "atlas",
    engine: str = "",
    jobs: int = 0,
    runs: str = "",
) -> int:
    """Run the catalogue and write what each socket call put on the wire, as Markdown, HTML and JSON.

    Exit code: 0; 1 if a run failed, or if packets, causes or results differ from the Atlas given with --against.

    Examples: invoke atlas --engine namespace
              invoke atlas --against docs/atlas.json
              invoke atlas --kernels 6.1,6.12 --repeat 1
    """
    mine = project(context)
    if kernels:
        from testbed.atlas import kernel_atlas

        return kernel_atlas.main(
            catalogue=ROOT,
            tags=tag,
            runs=mine.runs_in(runs),
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
        runs=mine.runs_in(runs),
        out=Path(out),
        against=against,
        engine=engine or mine.engine,
        jobs=jobs,
        repeat=repeat,
    )


def _ci_files(junit: str, tap: str, markdown: str) -> Any:  # noqa: ANN401 - imported in the task
    """Return where reports for a CI system go."""
    from testbed.report.ci.ci_files import CiFiles

    return CiFiles(*(Path(name) if name else None for name in (junit, tap, markdown)))
