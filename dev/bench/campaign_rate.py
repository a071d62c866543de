"""``invoke bench campaign``: many runs in namespaces, and the rate of a Docker campaign against bare labs.

The bare labs are those of ``bare_lab.py``, made by as many processes as the campaign has jobs, in turn with it.
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path

from dev.bench import bare_lab
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
RUNS, SECONDS = 1000, 120.0
"""So many runs in namespaces may take so long, on two processors."""
JOBS = 2
"""Runs at the same time."""
RATE = 0.8
"""The share of the bare labs' rate that a Docker campaign must reach."""
GROWTH = 1.2
"""How much larger a worker may be after all runs than after a tenth of them."""


def main(*, repeat: int, as_json: bool) -> int:
    """Measure both; 0 if all is within its limits. On Docker each job makes ``repeat`` runs and as many bare labs."""
    jobs, labs = JOBS, JOBS * repeat
    processor = _processor_seconds()
    with _scratch() as root:
        times, sizes = _campaign(root, NAMESPACE, RUNS, jobs)
    processor = _processor_seconds() - processor
    seconds = times[-1]
    growth = max(sizes[len(sizes) // 10 :]) / max(sizes[: len(sizes) // 10 or 1])
    bare = _rate(_bare_labs(labs, jobs), jobs)
    with _scratch() as root:
        ours = _rate(_campaign(root, DOCKER, labs, jobs)[0], jobs)
    result = {
        "jobs": jobs,
        "namespace_runs": RUNS,
        "namespace_s": seconds,
        "namespace_processor_s": processor,
        "limit_s": SECONDS,
        "worker_growth": growth,
        "docker_runs_per_s": ours,
        "bare_labs_per_s": bare,
        "ratio": ours / bare,
        "limit_ratio": RATE,
    }
    if as_json:
        print(json.dumps(result, indent=1))
    else:
        print(f"{RUNS:,} runs in namespaces, {jobs} at a time: {seconds:.0f} s (limit {SECONDS:g} s)")
        print(f"processor time that they took, all processes: {processor:.0f} s")
        print(f"largest worker at the end against after a tenth: {growth:.2f} (limit {GROWTH})")
        rates = f"{ours:.2f} runs/s, {bare:.2f} bare labs/s"
        print(f"Docker, {jobs} at a time: {rates}, ratio {ours / bare:.2f} (at least {RATE})")
    return 0 if seconds <= SECONDS and growth <= GROWTH and ours / bare >= RATE else 1


@contextmanager
def _scratch() -> Iterator[Path]:
    root = Path(tempfile.mkdtemp(prefix="bothends-bench-"))
    try:
        yield root
    finally:
        shutil.rmtree(root)


def _campaign(root: Path, engine: str, runs: int, jobs: int) -> tuple[list[float], list[int]]:
    """Return when each run had ended, in seconds from the beginning, and the largest worker's size then, KiB."""
    choice = choose(engine)
    scenario = load(ROOT / "scenarios" / "connect-send-close.yaml")
    choice.prepare(lambda text: print(text, file=sys.stderr))
    work = plan([scenario], Options(repeat=runs, jobs=jobs), choice.name)
    store = Store.create(root, work)
    pool = ProcessPool(work, store.path, jobs, worker=WORKER)
    ended: list[float] = []
    sizes: list[int] = []
    begin = time.perf_counter()

    def told(report: Report) -> None:
        if report.outcome != "pass":
            raise BothendsError(f"a run did not pass: {report.error or report.facets}")
        ended.append(time.perf_counter() - begin)
        sizes.append(max(_resident(pid) for pid in pool.pids()))
        if len(ended) % 100 == 0:
            print(f"{len(ended)} of {runs}, {ended[-1]:.0f} s", file=sys.stderr)

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
