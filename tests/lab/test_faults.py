"""Bad input and bad luck: each gets a clear message and the right exit code, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import docker.types
import pytest

from testbed.lab.identity import OWNER_LABEL, RUN_LABEL

from .conftest import LIMIT, ROOT, Invoke, both_engines, command

Scenario = Callable[..., str]

ENGINE = "/var/run/docker.sock"
at_default_socket = pytest.mark.skipif(not Path(ENGINE).exists(), reason="the engine is not at its default socket")

HANGS = """
summary: The client waits for ever
timeout: {timeout}
server: {{steps: [{{listen: 10011}}, {{accept: }}, {{recv_all: }}]}}
client: {{steps: [{{connect: "server:10011"}}, {{send: hello}}, {{recv: 100}}]}}
"""


def _of_run(engine: docker.DockerClient, run_id: str) -> list[str]:
    only = {"label": f"{RUN_LABEL}={run_id}"}
    containers = [c["Names"][0] for c in engine.api.containers(all=True, filters=only)]
    volumes = [volume["Name"] for volume in engine.api.volumes(filters=only)["Volumes"] or []]
    return containers + volumes + [network["Name"] for network in engine.api.networks(filters=only)]


def _run_directory(runs: Path, scenario: str = "made-by-test") -> Path:
    (directory,) = (runs / "runs" / scenario).glob("2*")
    return directory


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.05)


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
            _wait(lambda: any(b'"call":"send"' in out.read_bytes() for out in tmp_path.glob("runs/*/2*/client.out")))
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
        "from testbed.errors import BothendsError\n"
        "from testbed.lab.docker_engine import connect\n"
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


def test_unknown_scenario(invoke: Invoke) -> None:
    """A name that does not exist is bad use; the nearest one is suggested."""
    done = invoke("run", "conect-send-close")
    assert done.code == 2
    assert "did you mean connect-send-close" in done.err


@pytest.mark.parametrize(
    ("text", "places", "says"),
    [
        (
            "summary: x\nserver: {steps: [{lisen: 10011}]}\nclient: {steps: [{send: no}]}\n",
            [":2:19", ":3:25"],
            "did you mean `listen`?",
        ),
        ("summary: x\nserver: {steps: [{listen: 10011}\nclient: {steps: []}\n", [":3:"], "expected"),
    ],
    ids=["two wrong steps", "syntax"],
)
def test_broken_yaml(
    invoke: Invoke, scenario: Scenario, tmp_path: Path, text: str, places: list[str], says: str
) -> None:
    """A scenario that cannot be read is bad use; every problem with line, column and caret; nothing was started."""
    done = invoke("run", scenario(text))
    assert done.code == 2
    for place in places:
        assert f".yaml{place}" in done.err
    assert "^" in done.err
    assert says in done.err
    assert not (tmp_path / "runs").exists()


@both_engines
def test_program_not_found(invoke: Invoke, scenario: Scenario, tmp_path: Path) -> None:
    """A program that the image lacks: named with its image, exit 2; the manifest keeps the error."""
    done = invoke(
        "run",
        scenario(
            "summary: x\nserver: {steps: [{listen: 10011}, {accept: }]}\nclient: {command: [no-such-program, --x]}\n"
        ),
    )
    assert done.code == 2
    assert "cannot execute `no-such-program` in image `host`" in done.err
    assert "`invoke shell client`" in done.err
    assert "no-such-program" in (_run_directory(tmp_path) / "manifest.json").read_text()


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
        "import sys\nfrom pathlib import Path\nfrom invoke import Collection, Program\nimport tasks\n"
        "from testbed.lab import images\n"
        "images.FOLDERS = Path(sys.argv[1])\n"
        "images.DEFINITIONS = {**images.DEFINITIONS, 'broken': images.Definition('broken')}\n"
        "words = ['invoke', 'run', sys.argv[2], '--engine', 'docker', '--runs', sys.argv[3]]\n"
        "Program(namespace=Collection.from_module(tasks)).run(words)\n"
    )
    argv = [sys.executable, "-c", script, str(folders), path, str(tmp_path)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT, check=False)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "ended with 7" in done.stderr
    assert "RUN echo no such luck" in done.stderr
    assert "no such luck" in [line.strip(" |") for line in done.stderr.splitlines()]
    assert "compose/broken/Dockerfile" in done.stderr
    directory = _run_directory(tmp_path, "unbuildable")
    run_id = json.loads((directory / "manifest.json").read_text())["run"]
    assert _of_run(engine, run_id) == []
    assert not any(tag.startswith("bothends/broken:") for image in engine.images.list() for tag in image.tags)


@both_engines
def test_crash(invoke: Invoke, scenario: Scenario) -> None:
    """A program killed by a signal: fail, with the signal; the bytes it had sent are in the ledger."""
    done = invoke(
        "run",
        "--json",
        scenario(
            "summary: x\nserver: {steps: [{listen: 10011}, {accept: }, {recv_all: }]}\n"
            "client: {command: [bash, -c, 'exec 3<>/dev/tcp/{server}/10011; echo hello >&3; kill -SEGV $$']}\n"
        ),
    )
    assert done.code == 1
    assert any("SIGSEGV" in reason for reason in done.json["reasons"])
    assert [row["read"]["bytes"] for row in done.json["ledger"] if row["sender"] == "client"] == [6]


@both_engines
def test_hang(invoke: Invoke, scenario: Scenario) -> None:
    """A program that hangs is stopped at the scenario's time limit: fail, and still everything is captured."""
    done = invoke("run", "--json", scenario(HANGS.format(timeout="4s")))
    assert done.code == 1
    assert any("still running when the time was over" in reason for reason in done.json["reasons"])
    assert [row["arrived"]["bytes"] for row in done.json["ledger"] if row["sender"] == "client"] == [5]
    blocked = [call["name"] for call in done.json["hosts"]["server"]["calls"] if call["end_ns"] is None]
    assert blocked == ["recv"]


@both_engines
def test_flood_of_output(invoke: Invoke, scenario: Scenario, tmp_path: Path) -> None:
    """40 MiB of output neither block the program nor fill the disk: 16 MiB are kept, and it is said."""
    done = invoke(
        "run",
        "--json",
        scenario(
            "summary: x\nserver: {steps: [{listen: 10011}, {accept: }, {recv_all: }]}\n"
            "client: {command: [bash, -c, 'head -c 41943040 /dev/zero; exec 3<>/dev/tcp/{server}/10011']}\n"
        ),
    )
    assert done.code == 0, done.err
    assert (_run_directory(tmp_path) / "client.out").stat().st_size == 16 << 20
    assert [program["output_truncated"] for program in done.json["programs"] if program["host"] == "client"] == [True]


@both_engines
def test_port_in_use(invoke: Invoke, scenario: Scenario) -> None:
    """A step that fails is named with its errno and what the scenario expected."""
    done = invoke(
        "run",
        scenario(
            "summary: x\nserver: {steps: [{listen: 10011}, {listen: {port: 10011}, as: again}]}\n"
            'client: {steps: [{connect: "server:10011"}]}\n'
        ),
    )
    assert done.code == 1
    assert "EADDRINUSE" in done.out
    assert "expected success" in done.out


@both_engines
def test_barrier_where_nobody_comes(invoke: Invoke, scenario: Scenario) -> None:
    """A host whose peer dies before the barrier is not left waiting until the time is over."""
    done = invoke(
        "run",
        scenario(
            "summary: x\ntimeout: 3m\nserver: {steps: [{listen: 10011}, {barrier: here}]}\n"
            'client: {steps: [{connect: "server:10011"}, {send: x, error: EPIPE}, {barrier: here}]}\n'
        ),
    )
    assert done.code == 1, done.out + done.err
    assert "expected EPIPE" in done.out
    assert "the other program had failed" in done.out


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
        _wait(lambda: any(b"hello" in capture.read_bytes() for capture in tmp_path.glob("runs/*/2*/client.pcap")))
        run_id = _run_directory(tmp_path).name[-8:]
        tap = engine.containers.get(f"bothends-{run_id}-client-tap")
        kill = "kill -9 $(grep -l tcpdump /proc/[0-9]*/comm | cut -d/ -f3)"
        assert tap.exec_run(["sh", "-c", kill]).exit_code == 0
        out, _ = runner.communicate(timeout=LIMIT)
    assert runner.returncode == 3, out
    assert "tcpdump on the client ended during the run" in out
    assert "SIGKILL" in out
    for host in ("client", "server"):
        assert b"hello" in (_run_directory(tmp_path) / f"{host}.pcap").read_bytes()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(
    engine: docker.DockerClient, hanging: subprocess.Popen[str], tmp_path: Path, number: signal.Signals
) -> None:
    """Ctrl-C and a cancelled CI job: exit 3, nothing left on the engine, captures and call logs kept."""
    directory = _run_directory(tmp_path)
    hanging.send_signal(number)
    _, err = hanging.communicate(timeout=LIMIT)
    assert hanging.returncode == 3, err
    assert "interrupted" in err
    assert _of_run(engine, directory.name[-8:]) == []
    assert b"hello" in (directory / "client.pcap").read_bytes()
    assert b"hello" in (directory / "server.pcap").read_bytes()
    assert '"send"' in (directory / "client.calls.jsonl").read_text()
    assert "KeyboardInterrupt" in (directory / "manifest.json").read_text()


def test_killed_runner(
    engine: docker.DockerClient, hanging: subprocess.Popen[str], tmp_path: Path, invoke: Invoke
) -> None:
    """After kill -9 `invoke clean` removes everything of that run and nothing of a run that lives."""
    run_id = _run_directory(tmp_path).name[-8:]
    spared = invoke("clean")
    assert run_id in spared.out
    assert "still running" in spared.out
    assert len(_of_run(engine, run_id)) == 5
    hanging.kill()
    hanging.wait(LIMIT)
    next_run = invoke("run", "connect-send-close")
    assert next_run.code == 0, next_run.err
    cleaned = invoke("clean")
    assert cleaned.code == 0
    assert f"network bothends-{run_id}" in cleaned.out
    assert _of_run(engine, run_id) == []


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


@both_engines
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system")
def test_disk_full(invoke: Invoke, tmp_path: Path) -> None:
    """A capture that no longer fits on the disk: never pass, the reason is said, what fitted is kept."""
    small = tmp_path / "runs"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(small)], check=True)
    try:
        done = invoke("run", "large-transfer")
        assert done.code == 3
        assert "No space left" in done.out + done.err
        captures = [_run_directory(tmp_path, "large-transfer") / f"{host}.pcap" for host in ("client", "server")]
        assert sum(capture.stat().st_size for capture in captures) > 500_000
    finally:
        subprocess.run(["umount", str(small)], check=True)


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
        _wait(lambda: any(b'"call":"send"' in out.read_bytes() for out in tmp_path.glob("runs/*/2*/client.out")))
        forwarder.cut()
        _, err = runner.communicate(timeout=LIMIT)
    assert runner.returncode == 3, err
    assert "went away" in err
    directory = _run_directory(tmp_path)
    assert b"hello" in (directory / "client.pcap").read_bytes()
    run_id = directory.name[-8:]
    only = {"label": f"{RUN_LABEL}={run_id}"}
    _wait(lambda: engine.api.containers(filters=only) == [])  # agents end by themselves when nobody listens
    assert invoke("clean").code == 0
    assert _of_run(engine, run_id) == []


@at_default_socket
def test_engine_over_tcp(invoke: Invoke) -> None:
    """A DOCKER_HOST that is a TCP address works as well: nothing depends on the engine's machine being this one."""
    listener = socket.create_server(("127.0.0.1", 0))
    forwarder = Forwarder(listener)
    forwarder.start()
    done = invoke("run", "echo", env={"DOCKER_HOST": f"tcp://127.0.0.1:{listener.getsockname()[1]}"})
    forwarder.cut()
    assert done.code == 0, done.out + done.err
