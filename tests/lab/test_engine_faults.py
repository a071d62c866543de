"""An engine that is not there, breaks or is full, runners that are killed: said clearly, and nothing is left behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import docker.types
import pytest

from testbed.lab.identity import OWNER_LABEL, RUN_LABEL

from .conftest import LIMIT, ROOT, Invoke, command
from .hanging import HANGS, of_run, run_directory, wait_until, wait_until_sent

Scenario = Callable[..., str]

ENGINE = "/var/run/docker.sock"


at_default_socket = pytest.mark.skipif(not Path(ENGINE).exists(), reason="the engine is not at its default socket")


@pytest.fixture
def hanging(scenario: Scenario, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A run that has sent its 5 bytes and then waits for ever."""
    path = scenario(HANGS.format(timeout="10m"))
    with subprocess.Popen(
        command("run", path, "--runs", str(tmp_path)),
        cwd=ROOT,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as runner:
        try:
            wait_until_sent(tmp_path)
            yield runner
        finally:
            runner.kill()


def test_no_engine(invoke: Invoke) -> None:
    """Docker insisted on, none at DOCKER_HOST: infrastructure failure, the reason, and what to do."""
    done = invoke("run", "connect-send-close", "--engine", "docker", env={"DOCKER_HOST": "unix:///nonexistent.sock"})
    assert done.code == 3
    assert "no Docker Engine answers" in done.err
    assert "DOCKER_HOST" in done.err


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user without permission")
def test_no_permission(tmp_path: Path) -> None:
    """A user who may not use the engine's socket is told so, and which group to join."""
    path = tmp_path / "docker.sock"
    program = (
        "import os, docker\n"
        "from testbed.model.errors import BothendsError\n"
        "from testbed.lab.docker.docker_engine import connect\n"
        "os.setuid(65534)\n"
        "try:\n    connect()\nexcept BothendsError as error:\n    print(error)\n    raise SystemExit(error.exit_code)\n"
    )
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        path.chmod(0o600)
        for parent in (tmp_path, *tmp_path.parents[:2]):
            parent.chmod(0o755)
        environment = {**os.environ, "DOCKER_HOST": f"unix://{path}"}
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
    assert done.returncode == 3, done.stderr
    assert "no permission" in done.stdout
    assert "group `docker`" in done.stdout


def test_image_that_cannot_be_had(invoke: Invoke, scenario: Scenario) -> None:
    """An image that is neither here nor can be pulled is named, with what to do."""
    done = invoke("run", scenario("summary: x\nserver: {image: 'no.such/image:1', command: x}\nclient: {command: x}\n"))
    assert done.code == 3
    assert "no.such/image:1" in done.err
    assert "docker load" in done.err


def test_image_that_cannot_be_built(scenario: Scenario, tmp_path: Path, engine: docker.DockerClient) -> None:
    """A Dockerfile that fails: exit 3, its step, the last output and what to do; no image, nothing on the engine."""
    folders = tmp_path / "compose"
    (folders / "broken").mkdir(parents=True)
    (folders / "broken/Dockerfile").write_text("ARG BASE\nFROM ${BASE}\nRUN echo no such luck >&2; exit 7\n")
    for folder in (ROOT / "compose").iterdir():
        (folders / folder.name).symlink_to(folder)
    path = scenario("summary: x\nserver: {image: broken, command: x}\nclient: {command: x}\n", "unbuildable")
    script = (
        "import sys\nfrom pathlib import Path\nfrom invoke import Program\nimport tasks\n"
        "from testbed.cli.invoke_words import adapt\n"
        "from testbed.lab.docker import images\n"
        "images.FOLDERS = Path(sys.argv[1])\n"
        "images.DEFINITIONS = {**images.DEFINITIONS, 'broken': images.Definition('broken')}\n"
        "words = ['invoke', 'run', sys.argv[2], '--engine', 'docker', '--runs', sys.argv[3]]\n"
        "program = Program(namespace=tasks.ns)\nadapt(program)\nprogram.run(words)\n"
    )
    argv = [sys.executable, "-c", script, str(folders), path, str(tmp_path)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT, check=False)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "ended with 7" in done.stderr
    assert "RUN echo no such luck" in done.stderr
    assert "no such luck" in [line.strip(" |") for line in done.stderr.splitlines()]
    assert "compose/broken/Dockerfile" in done.stderr
    directory = run_directory(tmp_path, "unbuildable")
    run_id = json.loads((directory / "manifest.json").read_text())["run"]
    assert of_run(engine, run_id) == []
    assert not any(tag.startswith("bothends/broken:") for image in engine.images.list() for tag in image.tags)


def test_tap_dies(engine: docker.DockerClient, scenario: Scenario, tmp_path: Path) -> None:
    """A tcpdump that dies in mid-run makes the run inconclusive, never pass or fail on what it did not see."""
    path = scenario(
        "summary: x\nserver: {steps: [{listen: 10011}, {accept: }, {recv_all: }]}\n"
        'client: {steps: [{connect: "server:10011"}, {send: hello}, {sleep: 4s}]}\n'
        "expect: [{segments: {client: [hello]}}]\n"
    )
    with subprocess.Popen(
        command("run", path, "--runs", str(tmp_path)), cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as runner:
        wait_until(lambda: any(b"hello" in capture.read_bytes() for capture in tmp_path.glob("runs/*/2*/client.pcap")))
        run_id = run_directory(tmp_path).name[-8:]
        tap = engine.containers.get(f"bothends-{run_id}-client-tap")
        kill = "kill -9 $(grep -l tcpdump /proc/[0-9]*/comm | cut -d/ -f3)"
        assert tap.exec_run(["sh", "-c", kill]).exit_code == 0
        out, _ = runner.communicate(timeout=LIMIT)
    assert runner.returncode == 3, out
    assert "tcpdump on the client ended during the run" in out
    assert "SIGKILL" in out
    for host in ("client", "server"):
        assert b"hello" in (run_directory(tmp_path) / f"{host}.pcap").read_bytes()


def test_a_host_that_is_stopped(engine: docker.DockerClient, hanging: subprocess.Popen[str], tmp_path: Path) -> None:
    """It is named in seconds, not when all has timed out one after the other; the other end's capture is kept."""
    directory = run_directory(tmp_path)
    engine.containers.get(f"bothends-{directory.name[-8:]}-server").pause()
    _, err = hanging.communicate(timeout=LIMIT)
    assert hanging.returncode == 3, err
    assert "the server host did not answer" in err
    assert of_run(engine, directory.name[-8:]) == []
    assert b"hello" in (directory / "client.pcap").read_bytes()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted(
    engine: docker.DockerClient, hanging: subprocess.Popen[str], tmp_path: Path, number: signal.Signals
) -> None:
    """Ctrl-C, a cancelled CI job, a closed terminal: exit 3, no lab left on the engine, captures and calls kept."""
    directory = run_directory(tmp_path)
    hanging.send_signal(number)
    _, err = hanging.communicate(timeout=LIMIT)
    assert hanging.returncode == 3, err
    assert "interrupted" in err
    assert of_run(engine, directory.name[-8:]) == []
    assert b"hello" in (directory / "client.pcap").read_bytes()
    assert b"hello" in (directory / "server.pcap").read_bytes()
    assert '"send"' in (directory / "client.calls.jsonl").read_text()
    assert "KeyboardInterrupt" in (directory / "manifest.json").read_text()


def test_interrupted_again_and_again(
    engine: docker.DockerClient, hanging: subprocess.Popen[str], tmp_path: Path
) -> None:
    """More signals hurry: they may cost what was captured, never the removal of the lab or the manifest."""
    directory = run_directory(tmp_path)
    while hanging.poll() is None:
        hanging.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            hanging.wait(0.1)
    assert hanging.returncode == 3
    assert of_run(engine, directory.name[-8:]) == []
    assert "KeyboardInterrupt" in (directory / "manifest.json").read_text()


@pytest.mark.alone  # another test's clean would find what it leaves first
def test_killed_runner(
    engine: docker.DockerClient, hanging: subprocess.Popen[str], tmp_path: Path, invoke: Invoke
) -> None:
    """After kill -9 `invoke clean` removes everything of that run and nothing of a run that lives."""
    run_id = run_directory(tmp_path).name[-8:]
    spared = invoke("clean")
    assert run_id in spared.out
    assert "still run" in spared.out
    assert len(of_run(engine, run_id)) == 6
    hanging.kill()
    hanging.wait(LIMIT)
    next_run = invoke("run", "connect-send-close")
    assert next_run.code == 0, next_run.err
    cleaned = invoke("clean")
    assert cleaned.code == 0
    assert f"network bothends-{run_id}" in cleaned.out
    assert of_run(engine, run_id) == []


def test_two_runs_at_once(tmp_path: Path) -> None:
    """Two runs of the same scenario at the same time both succeed, in directories of their own."""
    runners = [
        subprocess.Popen(
            command("run", "connect-send-close", "--runs", str(tmp_path)),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(2)
    ]
    outputs = [runner.communicate(timeout=LIMIT)[0] for runner in runners]
    assert [runner.returncode for runner in runners] == [0, 0], outputs
    assert len(list((tmp_path / "runs" / "connect-send-close").glob("2*"))) == 2


@pytest.mark.alone
def test_address_pool_exhausted(engine: docker.DockerClient, invoke: Invoke) -> None:
    """When all of 198.18.0.0/15 is taken: infrastructure failure that says so, not a traceback or a hang."""
    pool = docker.types.IPAMPool(subnet="198.18.0.0/15")
    network = engine.networks.create(
        f"bothends-test-{os.getpid()}",
        ipam=docker.types.IPAMConfig(pool_configs=[pool]),
        labels={RUN_LABEL: "pool-test", OWNER_LABEL: "test"},
    )
    try:
        done = invoke("run", "connect-send-close")
    finally:
        network.remove()
    assert done.code == 3
    assert "no free subnet" in done.err
    assert "invoke clean" in done.err


class Forwarder(threading.Thread):
    """A way to the engine that can be cut."""

    def __init__(self, listener: socket.socket) -> None:
        super().__init__(daemon=True)
        self.listener = listener
        self.listener.listen(64)
        self.open: list[socket.socket] = []
        self.copiers: list[threading.Thread] = []

    def run(self) -> None:
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            far.connect(ENGINE)
            self.open += [near, far]
            for source, sink in ((near, far), (far, near)):
                self.copiers.append(threading.Thread(target=self._copy, args=(source, sink), daemon=True))
                self.copiers[-1].start()

    def _copy(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def cut(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for end in self.open:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for copier in self.copiers:
            copier.join()
        for end in self.open:
            end.close()


@at_default_socket
def test_engine_goes_away(engine: docker.DockerClient, scenario: Scenario, tmp_path: Path, invoke: Invoke) -> None:
    """The connection to the engine breaks in mid-run: exit 3, said so, captures kept; the lab ends without a runner."""
    address = tmp_path / "engine.sock"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(address))
    forwarder = Forwarder(listener)
    forwarder.start()
    with subprocess.Popen(
        command("run", scenario(HANGS.format(timeout="10m")), "--runs", str(tmp_path)),
        cwd=ROOT,
        env={**os.environ, "DOCKER_HOST": f"unix://{address}"},
        stderr=subprocess.PIPE,
        text=True,
    ) as runner:
        wait_until_sent(tmp_path)
        wait_until(lambda: b"hello" in (run_directory(tmp_path) / "client.pcap").read_bytes())
        forwarder.cut()
        _, err = runner.communicate(timeout=LIMIT)
    assert runner.returncode == 3, err
    assert "went away" in err
    directory = run_directory(tmp_path)
    assert b"hello" in (directory / "client.pcap").read_bytes()
    run_id = directory.name[-8:]
    only = {"label": f"{RUN_LABEL}={run_id}"}
    wait_until(lambda: engine.api.containers(filters=only) == [])  # agents end by themselves when nobody listens
    assert invoke("clean").code == 0
    assert of_run(engine, run_id) == []


@at_default_socket
def test_engine_over_tcp(invoke: Invoke) -> None:
    """A DOCKER_HOST that is a TCP address works as well: nothing depends on the engine's machine being this one."""
    listener = socket.create_server(("127.0.0.1", 0))
    forwarder = Forwarder(listener)
    forwarder.start()
    done = invoke("run", "echo", env={"DOCKER_HOST": f"tcp://127.0.0.1:{listener.getsockname()[1]}"})
    forwarder.cut()
    assert done.code == 0, done.out + done.err
