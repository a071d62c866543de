"""``invoke bench campaign``: many runs in namespaces, what a second job gains, and Docker campaigns against bare labs.

Beside the runs in namespaces the shell script of ``namespace_lab.py`` is timed, which makes and removes a lab and runs
nothing. The bare labs are those of ``bare_lab.py``, made by as many processes as the campaign has jobs.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path

from dev.bench import bare_lab
from dev.bench.namespace_lab import floor_seconds
from dev.bench.ratio import Ratio, Say, in_turns, of_pairs, spread
from testbed.api.campaign_worker import MODULE as WORKER
from testbed.campaign.campaign import plan
from testbed.campaign.campaign_options import Options
from testbed.campaign.conduct import Stop, conduct
from testbed.campaign.pool import ProcessPool
from testbed.campaign.store import Store
from testbed.campaign.work import Report
from testbed.lab.choose_engine import DOCKER, NAMESPACE, choose
from testbed.lab.identity import OWNER_LABEL, RUN_LABEL, new_run_id, owner
from testbed.model.errors import BothendsError
from testbed.scenario.load import load

ROOT = Path(__file__).parents[2]
RUNS = 1000
"""Runs in namespaces, all of them analysed."""
JOBS = 2
"""Runs at the same time."""
FLOORS = 10
"""How often the script is timed before the campaign, and after it."""
FLOOR_SHARE = 0.55
"""How long the campaign may take, of what the script alone would take so many times."""
SCALING = 0.9
"""The share of twice the rate of one job that two jobs must reach."""
LABS = 6
"""Labs of one turn on Docker."""
RATE = 0.8
"""The share of the bare labs' rate that a Docker campaign must reach."""
GROWTH = 1.2
"""How much larger a worker may be after all runs than after a tenth of them."""


def measure(*, repeat: int, say: Say) -> list[Ratio]:
    """Measure ``RUNS`` runs in namespaces, then in ``repeat`` pairs what two jobs gain and what Docker costs.

    BOTHENDS_BENCH_RUNS sets another number of runs in namespaces.
    """
    runs = int(os.environ.get("BOTHENDS_BENCH_RUNS", RUNS))
    floors = [floor_seconds() for _ in range(FLOORS + 1)][1:]
    processor = _processor_seconds()
    times, sizes = _campaign(NAMESPACE, runs, JOBS, say)
    processor = _processor_seconds() - processor
    floors += [floor_seconds() for _ in range(FLOORS)]
    floor = statistics.median(floors)
    say(f"{runs:,} runs in namespaces, {JOBS} at a time: {times[-1]:.0f} s, {processor:.0f} s of processor time")
    say(f"the shell script: {spread(floors, 'ms', 1000, 0)}")
    growth = max(sizes[len(sizes) // 10 :]) / max(sizes[: len(sizes) // 10 or 1])
    each = max(runs // 10, 10 * JOBS)
    taken = in_turns({"one": lambda: _namespace_rate(each, 1), "two": lambda: _namespace_rate(each, JOBS)}, repeat)
    say(f"one job {spread(taken['one'], 'runs/s', 1, 1)}, two jobs {spread(taken['two'], 'runs/s', 1, 1)}")
    rates = in_turns({"ours": _docker_rate, "bare": _bare_rate}, repeat, warm_up=0)
    say(f"Docker, {JOBS} at a time: {spread(rates['ours'], 'runs/s')}, bare labs {spread(rates['bare'], 'labs/s')}")
    doubled = [JOBS * rate for rate in taken["one"]]
    share = times[-1] / (runs * floor)
    return [
        Ratio("campaign", f"{runs:,} runs in namespaces", "the script, so many times", share, FLOOR_SHARE),
        Ratio("campaign", "memory of a worker at the end", "after a tenth of the runs", growth, GROWTH),
        of_pairs(
            "campaign", "the rate of two jobs", "twice that of one", (taken["two"], doubled), SCALING, at_least=True
        ),
        of_pairs(
            "campaign", "the rate of runs on Docker", "bare labs", (rates["ours"], rates["bare"]), RATE, at_least=True
        ),
    ]


def _namespace_rate(runs: int, jobs: int) -> float:
    return _rate(_campaign(NAMESPACE, runs, jobs)[0], jobs)


def _docker_rate() -> float:
    return _rate(_campaign(DOCKER, LABS, JOBS)[0], JOBS)


def _bare_rate() -> float:
    return _rate(_bare_labs(LABS, JOBS), JOBS)


@contextmanager
def _scratch() -> Iterator[Path]:
    root = Path(tempfile.mkdtemp(prefix="bothends-bench-"))
    try:
        yield root
    finally:
        shutil.rmtree(root)


def _campaign(engine: str, runs: int, jobs: int, say: Say = lambda _: None) -> tuple[list[float], list[int]]:
    """Return when each run had ended, in seconds from the beginning, and the largest worker's size then, KiB."""
    with _scratch() as root:
        return _campaign_in(root, engine, runs, jobs, say)


def _campaign_in(root: Path, engine: str, runs: int, jobs: int, say: Say) -> tuple[list[float], list[int]]:
    choice = choose(engine)
    scenario = load(ROOT / "scenarios" / "connect-send-close.yaml")
    choice.prepare(lambda text: print(text, file=sys.stderr))
    work = plan([scenario], Options(repeat=runs, jobs=jobs), choice.name)
    store = Store.create(root, work)
    pool = ProcessPool(work, store.path, jobs, worker=WORKER)
    ended: list[float] = []
    sizes: list[int] = []
    begin = time.perf_counter()

    failed: list[Report] = []

    def told(report: Report) -> None:
        if report.outcome != "pass":  # on a busy machine an ACK may come later than the next send
            failed.append(report)
            say(f"a run did not pass: {report.error or report.facets}")
        if len(failed) > max(runs // 100, 1):
            raise BothendsError(f"{len(failed)} runs did not pass: {report.error or report.facets}")
        ended.append(time.perf_counter() - begin)
        sizes.append(max(_resident(pid) for pid in pool.pids()))
        if len(ended) % 100 == 0:
            say(f"{len(ended)} of {runs}, {ended[-1]:.0f} s")

    conduct(work, store, pool, Stop(), told)
    pool.close()
    return ended, sizes


def _processor_seconds() -> float:
    """Return what this process and those that ended below it took: on a busy machine it tells more than a clock."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def _resident(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def _bare_labs(labs: int, jobs: int) -> list[float]:
    from testbed.lab.docker import images
    from testbed.lab.docker.docker_engine import connect

    ids = images.ensure(connect(), ["own-program", "tap"], lambda text: print(text, file=sys.stderr))
    labels = json.dumps({RUN_LABEL: new_run_id(), OWNER_LABEL: owner()})
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        begin = time.perf_counter()
        made = [pool.submit(bare_lab.main, ids["own-program"], ids["tap"], labels) for _ in range(labs)]
        ended = []
        for each in as_completed(made):
            each.result()
            ended.append(time.perf_counter() - begin)
    return ended


def _rate(ended: list[float], jobs: int) -> float:
    """Return the rate once all jobs are at work: what they take to start is left out."""
    first = ended[jobs - 1]
    return (len(ended) - jobs) / (ended[-1] - first)
