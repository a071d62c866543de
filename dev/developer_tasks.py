"""The tasks for developers: tests, style, benchmarks, many runs, pictures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from invoke import Collection, Context, task

from dev.benchmark_names import BESIDE_SPEED, SPEED
from testbed.cli.invoke_words import takes_words
from testbed.cli.report_errors import report_errors

ROOT = Path(__file__).parents[1]


@task(
    help={
        "unit": "only the tests that need no Docker Engine",
        "select": "pytest's -k expression",
        "jobs": "how many test files to run at the same time (default 3: most of them wait for labs)",
        "slow": "also every scenario on Docker and both engines compared, more seeds, 100,000 broken captures",
    }
)
@report_errors
def test(context: Context, unit: bool = False, select: str = "", jobs: int = 3, slow: bool = False) -> int:
    """Run the tests: unit and native, then on the real engine."""
    command = [sys.executable, "-m", "pytest"]
    chosen = "slow or not slow" if slow else "not slow"
    if unit or select or jobs < 2:
        command += ["tests/unit", "tests/native"] if unit else ["tests"]
        return _command(context, [*command, "-m", chosen, *(["-k", select] if select else [])])
    side_by_side = ["-m", f"({chosen}) and not alone", "-n", str(jobs)]
    side_by_side += ["--dist", "loadfile", "--no-loadscope-reorder"]  # in the order of tests/conftest.py
    return max(
        _command(context, [*command, "tests/lab", "-m", f"({chosen}) and alone"]),
        _command(context, [*command, "tests", *side_by_side]),
    )


@task
@report_errors
def setup(context: Context) -> int:
    """Install what the tests need of this machine beside Python: says what it does; as a plain user, what to type."""
    from dev import machine_setup

    return machine_setup.set_up(print, lambda command: _command(context, list(command)))


@task(help={"fix": "also fix what can be fixed"})
@report_errors
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
        "names": "run: a whole run against a bare script; start: until a command answers; link: what the link program "
        "costs; namespace: the embedded engine; campaign: many runs, on both engines; report: pages; "
        "probe: what a call costs under the probe and under strace, and iperf3's throughput; "
        "compare: two captures of a million packets; witness: what recording the kernel's tracepoints costs; "
        "watch: requests a second of a server that is watched (default: all of these); beside speed: "
        "pairs: joins in generated pairs of captures against the truth (--count, --seed); "
        "truth: what is inferred of random scenarios against what the kernel says; "
        "healthy: transfers without a fault, in which nothing may be found to be wrong (--count)",
        "repeat": "how often each of the two is measured (default 7)",
        "json": "print JSON",
        "page": "also write the table of ratios to this file: docs/performance.md is made so",
        "seed": "truth, pairs: the seed (default 1); a campaign of truth goes on where it ended",
        "count": "truth, healthy: how many scenarios to run; pairs: how many pairs to judge (default 200)",
        "jobs": "truth: how many runs to make at the same time (default: three for each processor)",
        "tries": "truth: how many runs may go into making each kind's smallest scenario smaller (default 40)",
        "directory": "truth: where its state and the smallest scenarios are kept (default: truth)",
        "keep": "truth: keep all runs there, some 200 KB each",
        "again": "truth: make no run, compare those that were kept by the rules as they are now",
    },
)
@takes_words((*SPEED, *BESIDE_SPEED))
@report_errors
def bench(
    _: Context,
    names: list[str],
    repeat: int = 7,
    json: bool = False,
    page: str = "",
    seed: int = 1,
    count: int = 200,
    jobs: int = 0,
    tries: int = 40,
    directory: str = "truth",
    keep: bool = False,
    again: bool = False,
) -> int:
    """Measure beside a floor, in turn with it: one table of ratios with their limits. Exit code: 1 beyond a limit.

    Seconds are printed and not judged: other programs on the machine change them.

    Examples: invoke bench run start --repeat 11
              invoke bench run report --page docs/performance.md
              invoke bench --page docs/performance.md
              invoke bench truth --seed 7 --count 1000
    """
    from dev import bench
    from dev.bench import healthy_transfers
    from dev.pairs import measure_pairs
    from dev.truth import measure_truth

    codes = []
    speed = [name for name in names if name not in BESIDE_SPEED]
    if speed or not names:
        codes.append(bench.main(speed, repeat=repeat, as_json=json, page=page))
    if "truth" in names:
        codes.append(
            measure_truth.main(
                seed=seed,
                count=count,
                jobs=jobs,
                directory=Path(directory),
                tries=tries,
                json_only=json,
                keep=keep,
                again=again,
            )
        )
    if "healthy" in names:
        codes.append(healthy_transfers.main(count=count, jobs=jobs or 2))
    if "pairs" in names:
        codes.append(measure_pairs.main(count=count, seed=seed, as_json=json))
    return max(codes)


@task(
    help={
        "repeat": "how often each variant of each scenario is run",
        "engine": "docker or namespace (default)",
        "jobs": "how many runs to make at the same time (default: one per processor)",
        "runs": "directory in which runs/ is made (default: here)",
        "leaks": "instead: make this many runs in one process on both engines, and check that nothing is left behind",
    }
)
@report_errors
def soak(
    _: Context, repeat: int = 200, engine: str = "namespace", jobs: int = 0, runs: str = ".", leaks: int = 0
) -> int:
    """Run every scenario many times: none may fail. One run directory of each kind of result is kept.

    Runs that did not pass are listed at the end with their directories; `invoke run --resume latest` continues after
    a stop.

    Examples: invoke soak --repeat 200
              invoke soak --leaks 2000
    """
    if leaks:
        from dev.bench import leaks as soaking

        return soaking.main(runs=leaks)
    from dev import soak_catalogue as soaking_each
    from testbed.campaign.campaign_options import Options

    options = Options(repeat=repeat, jobs=jobs)
    return soaking_each.main(catalogue=ROOT, runs=Path(runs), engine=engine, options=options)


@task(name="docs-images")
@report_errors
def docs_images(_: Context) -> int:
    """Make the pictures in docs/images from real runs and a real campaign, in Chromium."""
    from dev import docs_images
    from testbed.campaign.campaign_options import Options
    from testbed.cli import run_command
    from testbed.cli.outputs import Outputs

    quiet = Outputs(quiet=True)
    for witness in (False, True):
        names = [name for name in docs_images.SCENARIOS if (name in docs_images.WITNESSED) == witness]
        options = Options(witness=witness)
        code = run_command.run(names, catalogue=ROOT, runs=ROOT, engine="docker", options=options, outputs=quiet)
        if code:
            return code
    run_command.run(
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


def with_developers(users: Collection) -> Collection:
    """Return the users' tasks and those of this module as one Collection."""
    return Collection(*users.tasks.values(), setup, test, lint, bench, soak, docs_images)


def _command(context: Context, argv: list[str]) -> int:
    """Run a developer's tool here, its output passed through; return its exit code."""
    del context  # invoke's own runner takes a shell string; ours is a list
    return subprocess.run(argv, cwd=ROOT, check=False).returncode
