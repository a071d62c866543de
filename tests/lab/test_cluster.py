"""Campaigns on a Dask cluster: a real scheduler and two worker processes, one of which is killed in mid-campaign."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from testbed.campaign.cluster import Cluster as ClusterConnection
from testbed.campaign.cluster import ClusterPool
from testbed.campaign.task_list import Plan, ScenarioSource
from testbed.model.errors import EngineError

from .conftest import LIMIT, ROOT, Invoke, command
from .hanging import wait_until

pytestmark = pytest.mark.usefixtures("namespaces")

RUNS = 40


@dataclass
class Cluster:
    """A scheduler and its workers, each a process of its own; ``place`` is theirs."""

    address: str
    place: Path
    scheduler: subprocess.Popen[bytes]
    workers: list[subprocess.Popen[bytes]]


def _start(place: Path, module: str, *words: str, cwd: Path = ROOT) -> subprocess.Popen[bytes]:
    log = (place / f"{module}-{time.monotonic_ns()}.log").open("wb")
    with log:
        return subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.{module}", "--no-dashboard", *words],
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # A worker's own engine: not the one that answers to the caller.
            env={**os.environ, "DOCKER_HOST": "unix:///nonexistent.sock"},
        )


def _worker(place: Path, address: str, *words: str) -> subprocess.Popen[bytes]:
    return _start(place, "dask_worker", address, "--no-nanny", "--local-directory", str(place), *words)


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A scheduler, which knows nothing of this program, and two workers with a lab each."""
    place = Path(tempfile.mkdtemp(prefix="cluster-"))
    told = place / "scheduler.json"
    scheduler = _start(
        place, "dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(told), cwd=place
    )
    wait_until(lambda: told.exists() and told.stat().st_size > 0)
    address = str(json.loads(told.read_text())["address"])
    made = Cluster(address, place, scheduler, [_worker(place, address, "--resources", "lab=1") for _ in range(2)])
    wait_until(lambda: _registered(made) == 2)
    yield made
    for process in (*made.workers, scheduler):
        process.terminate()
        process.wait(LIMIT)
    shutil.rmtree(place)


def _registered(cluster: Cluster) -> int:
    return sum(b"Registered to" in path.read_bytes() for path in cluster.place.glob("dask_worker-*.log"))


def _results(root: Path) -> list[dict[str, Any]]:
    found = []
    for path in root.glob("runs/campaigns/*/results.jsonl"):
        found += [json.loads(line) for line in path.read_text().splitlines()]
    return found


def test_a_worker_is_killed(cluster: Cluster, tmp_path: Path) -> None:
    """Its runs are made again elsewhere: every run counts once, has its directory at the caller, and nothing stays."""
    words = ("run", "echo", "--repeat", str(RUNS), "--keep", "all", "--on", cluster.address, "--json")
    with subprocess.Popen(
        command(*words, "--engine", "namespace", "--runs", str(tmp_path)),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as runner:
        wait_until(lambda: len(_results(tmp_path)) > 2)
        victim = cluster.workers.pop()
        labs = _children(victim.pid)
        victim.send_signal(signal.SIGKILL)
        victim.wait(LIMIT)
        assert len(_results(tmp_path)) < RUNS, "it was killed too late to prove anything"
        out, err = runner.communicate(timeout=LIMIT)
    assert runner.returncode == 0, out + err
    assert "workers: 2, labs: 2" in err
    (variant,) = json.loads(out)["variants"]
    assert (variant["runs"], variant["outcomes"]) == (RUNS, {"pass": RUNS})
    results = _results(tmp_path)
    assert sorted(result["task"]["repeat"] for result in results) == list(range(RUNS))
    directories = {path for path in tmp_path.glob("runs/campaigns/*/runs/echo/2*") if path.is_dir()}
    assert {path.name for path in directories} == {result["directory"].rpartition("/")[2] for result in results}
    for path in directories:
        assert json.loads((path / "result.json").read_text())["outcome"] == "pass"
        assert (path / "client.pcap").stat().st_size
    assert cluster.workers[0].poll() is None
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in labs))


def test_equal_runs_stay_where_they_were_made(cluster: Cluster, invoke: Invoke, tmp_path: Path) -> None:
    """Each worker's own engine; of equal runs one directory comes back; a stopped campaign's rest is made."""
    done = invoke("run", "echo", "connect-send-close", "--repeat", "6", "--on", cluster.address, "--json")
    assert done.code == 0, done.out + done.err
    assert [variant["runs"] for variant in done.json["variants"]] == [6, 6]
    kept = [kind["kept"] for variant in done.json["variants"] for kind in variant["kinds"]]
    assert all(len(each) == 1 for each in kept)
    (campaign,) = tmp_path.glob("runs/campaigns/*")
    manifests = [json.loads(path.read_text()) for path in campaign.glob("runs/*/2*/manifest.json")]
    assert [manifest["engine"]["name"] for manifest in manifests] == ["namespace"] * len(kept)
    assert not list(cluster.place.glob("*/*/bothends-*")), "a run stayed with a worker"
    results = (campaign / "results.jsonl").read_text().splitlines(keepends=True)
    (campaign / "results.jsonl").write_text("".join(results[:9]))
    rest = invoke("run", "--resume", str(campaign), "--json", "--on", cluster.address)
    assert rest.code == 0, rest.err
    assert [variant["runs"] for variant in rest.json["variants"]] == [6, 6]


@pytest.mark.slow
def test_what_a_cluster_lacks_is_said(cluster: Cluster, invoke: Invoke, tmp_path: Path) -> None:
    """No labs, no scheduler, no address: each its own message and exit code, and no campaign is begun."""
    for worker in cluster.workers:
        worker.terminate()
        worker.wait(LIMIT)
    cluster.workers[:] = [_worker(cluster.place, cluster.address)]
    wait_until(lambda: _registered(cluster) == 3)
    done = invoke("run", "echo", "--on", cluster.address)
    assert done.code == 3
    assert "offers no labs" in done.err
    assert f'`dask worker {cluster.address} --resources "lab=2"`' in done.err
    done = invoke("run", "echo", "--on", "nonsense:x")
    assert done.code == 2
    assert "no address of a scheduler" in done.err
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_the_scheduler_is_lost(cluster: Cluster, tmp_path: Path) -> None:
    """What has ended is kept, and the way to go on is said; exit 3."""
    with subprocess.Popen(
        command("run", "echo", "--repeat", "500", "--on", cluster.address, "--runs", str(tmp_path)),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as runner:
        wait_until(lambda: bool(_results(tmp_path)))
        os.kill(cluster.scheduler.pid, signal.SIGKILL)
        out, err = runner.communicate(timeout=LIMIT)
    assert runner.returncode == 3, out + err
    assert "is gone" in err
    assert "Traceback" not in err
    assert "--resume" in err
    assert _results(tmp_path)


def _fail_on(cluster: Cluster, worker: str, tmp_path: Path) -> None:
    """Give one task to the cluster, whose workers call ``worker``, and raise what comes of it."""
    connected = ClusterConnection(cluster.address)
    plan = Plan((ScenarioSource("echo", "echo.yaml", "echo.yaml", ""),), {"echo": ({},)}, 1, "namespace", "all")
    pool = ClusterPool(connected, plan, tmp_path, 1, worker=worker)
    try:
        pool.submit(next(iter(plan.tasks())), ())
        while not pool.wait(1.0):
            pass
    finally:
        pool.close()


@pytest.mark.slow
def test_a_bug_on_a_worker_shows_its_traceback(cluster: Cluster, tmp_path: Path) -> None:
    """A bug of ours is not taken for a worker that lacks our program."""
    with pytest.raises(KeyError, match="a bug of ours") as caught:
        _fail_on(cluster, "tests.lab.broken_worker", tmp_path)
    assert any(entry.name == "carry_out_order" for entry in caught.traceback)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("worker", "state"),
    [
        ("testbed.no_such_module", "ModuleNotFoundError: No module named 'testbed.no_such_module'"),
        ("json", "ImportError: json has no function carry_out_order"),
    ],
)
def test_a_worker_without_our_program_is_named(cluster: Cluster, tmp_path: Path, worker: str, state: str) -> None:
    with pytest.raises(EngineError, match="cannot carry out a run") as caught:
        _fail_on(cluster, worker, tmp_path)
    assert caught.value.state == state
    assert "the same state of the repository" in caught.value.hint


def _children(pid: int) -> set[int]:
    found = set()
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        direct = {int(word) for word in task.read_text().split()}
        found |= direct
        for child in direct:
            found |= _children(child)
    return found
