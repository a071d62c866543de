"""What breaks under a run on an engine that nobody else uses: it stops, restarts, fills up, loses a bridge, is crowded.

The engine is a Docker of Debian bookworm, unpacked and started for it, so that the machine's own is left alone.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import docker
import pytest

from dev.other_engines.give_images import give
from dev.other_engines.start_engine import RunningEngine, running
from dev.other_engines.unpack_engine import unpacked
from testbed.lab.choose_engine import DOCKER, NAMESPACE

from .conftest import LIMIT, ROOT, command, invoke_in
from .hanging import HANGS, of_run, run_directory, wait_until_sent

Scenario = Callable[..., str]
IMAGES = ("tools", "host", "tap", "link", "witness")
LITTLE_MEMORY = 64 << 20

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may start an engine"),
    pytest.mark.skipif(shutil.which("apt-get") is None, reason="engines come as packages of Debian"),
]


@pytest.fixture
def own_engine(engine: docker.DockerClient, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningEngine]:
    """An engine with our images, which `invoke` uses."""
    with running(unpacked("docker", "bookworm")) as started:
        with closing(started.client()) as client:
            give(engine, client, IMAGES)
        monkeypatch.setenv("DOCKER_HOST", started.address)
        yield started


@contextmanager
def hanging(path: str, runs: Path) -> Iterator[subprocess.Popen[str]]:
    """A run on that engine that has sent its 5 bytes and then waits for ever."""
    words = command("run", path, "--runs", str(runs), "--engine", DOCKER)
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as runner:
        try:
            wait_until_sent(runs)
            yield runner
        finally:
            runner.kill()


def left(engine: RunningEngine, run_id: str) -> list[str]:
    with closing(engine.client()) as client:
        return of_run(client, run_id)


def inside(engine: RunningEngine, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the machine in the engine's own network namespace."""
    (child,) = Path(f"/proc/{engine.process.pid}/task/{engine.process.pid}/children").read_text().split()
    return subprocess.run(["nsenter", "-t", child, "-n", *words], capture_output=True, text=True, check=True)


def test_an_engine_that_stops_for_a_while(own_engine: RunningEngine, scenario: Scenario, tmp_path: Path) -> None:
    """45 s without an answer in mid-run: inconclusive, never fail; captures are kept, `clean` finds the rest."""
    with hanging(scenario(HANGS.format(timeout="20s")), tmp_path) as runner:
        own_engine.signal(signal.SIGSTOP)
        time.sleep(45)
        own_engine.signal(signal.SIGCONT)
        out, err = runner.communicate(timeout=LIMIT)
    assert runner.returncode == 3, out + err
    assert "Traceback" not in out + err
    directory = run_directory(tmp_path)
    assert b"hello" in (directory / "client.pcap").read_bytes()
    assert (directory / "manifest.json").exists()
    assert invoke_in(tmp_path)("clean").code == 0
    assert left(own_engine, directory.name[-8:]) == []


def test_an_engine_that_restarts(own_engine: RunningEngine, scenario: Scenario, tmp_path: Path) -> None:
    """Its containers end with it: inconclusive, said so, captures kept; the restarted one is clean after `clean`."""
    with hanging(scenario(HANGS.format(timeout="10m")), tmp_path) as runner:
        own_engine.restart()
        out, err = runner.communicate(timeout=LIMIT)
    assert runner.returncode == 3, out + err
    assert "Traceback" not in out + err
    directory = run_directory(tmp_path)
    assert b"hello" in (directory / "client.pcap").read_bytes()
    done = invoke_in(tmp_path)("clean")
    assert done.code == 0, done.out + done.err
    assert left(own_engine, directory.name[-8:]) == []
    again = invoke_in(tmp_path, DOCKER)("run", "connect-send-close")
    assert again.code == 0, again.out + again.err


def test_a_bridge_that_disappears(own_engine: RunningEngine, scenario: Scenario, tmp_path: Path) -> None:
    """Somebody removes the lab's bridge: the run ends at its timeout without a pass, and nothing of it stays."""
    path = scenario(
        "summary: x\ntimeout: 15s\nserver: {steps: [{listen: 10011}, {accept: }, {recv_all: }]}\n"
        'client: {steps: [{connect: "server:10011"}, {send: hello}, {sleep: 4s}, {send: again}, {recv: 1}]}\n'
    )
    with hanging(path, tmp_path) as runner:
        directory = run_directory(tmp_path)
        with closing(own_engine.client()) as client:
            (network,) = [n["Id"] for n in client.api.networks() if directory.name[-8:] in n["Name"]]
        inside(own_engine, "ip", "link", "delete", f"br-{network[:12]}")
        out, err = runner.communicate(timeout=LIMIT)
    assert runner.returncode in {1, 3}, out + err
    assert "Traceback" not in out + err
    assert b"hello" in (directory / "client.pcap").read_bytes()
    assert b"again" not in (directory / "server.pcap").read_bytes()
    assert left(own_engine, directory.name[-8:]) == []


def test_an_engine_without_room(engine: docker.DockerClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its disk is full: infrastructure failure with the engine's word for it, and nothing half-made stays."""
    data = tmp_path / "data"
    data.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1g", "tmpfs", str(data)], check=True)
    try:
        with running(unpacked("docker", "bookworm"), state=data) as started:
            with closing(started.client()) as client:
                give(engine, client, IMAGES)
            monkeypatch.setenv("DOCKER_HOST", started.address)
            with (data / "filler").open("wb") as filler:
                os.posix_fallocate(filler.fileno(), 0, shutil.disk_usage(data).free - 4096)
            done = invoke_in(tmp_path, DOCKER)("run", "connect-send-close")
            (data / "filler").unlink()
            assert done.code == 3, done.out + done.err
            assert "no space left on device" in done.err.lower()
            assert "Traceback" not in done.err
            with closing(started.client()) as client:
                assert [c.name for c in client.containers.list(all=True)] == []
                assert [n["Name"] for n in client.api.networks() if n["Name"].startswith("bothends")] == []
            again = invoke_in(tmp_path, DOCKER)("run", "connect-send-close")
            assert again.code == 0, again.out + again.err
    finally:
        subprocess.run(["umount", "--lazy", str(data)], check=True)


@pytest.mark.parametrize("on", [DOCKER, NAMESPACE])
def test_thirty_runs_at_once(own_engine: RunningEngine, tmp_path: Path, on: str) -> None:
    """All pass or say what the machine did not give; none waits for ever, none disturbs another, nothing stays."""
    words = command("run", "connect-send-close", "--runs", str(tmp_path), "--engine", on)
    runners = [
        subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(30)
    ]
    outputs = [runner.communicate(timeout=3 * LIMIT)[0] for runner in runners]
    ends = [runner.returncode for runner in runners]
    assert ends == [0] * 30, [output for output, end in zip(outputs, ends, strict=True) if end]
    directories = list((tmp_path / "runs/connect-send-close").glob("2*"))
    assert len(directories) == 30
    assert [name for each in directories for name in left(own_engine, each.name[-8:])] == []


@pytest.mark.parametrize(
    ("which", "limit", "word"),
    [(resource.RLIMIT_AS, LITTLE_MEMORY, "memory"), (resource.RLIMIT_NOFILE, 16, r"more (open )?files")],
    ids=["memory", "files"],
)
def test_a_runner_that_gets_little(
    own_engine: RunningEngine, tmp_path: Path, which: int, limit: int, word: str
) -> None:
    """64 MiB of address space, or 16 descriptors: an end in time that says so, and nothing stays."""
    words = command("run", "connect-send-close", "--runs", str(tmp_path), "--engine", DOCKER)
    done = subprocess.run(
        words,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
        preexec_fn=lambda: resource.setrlimit(which, (limit, limit)),
    )
    assert done.returncode == 3, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert re.search(word, done.stderr.lower()), done.stderr
    assert invoke_in(tmp_path)("clean").code == 0
    with closing(own_engine.client()) as client:
        assert client.containers.list(all=True) == []
