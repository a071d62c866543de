"""Programs that already run are watched, containers and processes, and nothing of them changes."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

import docker
import pytest

from testbed.lab.docker import images
from testbed.lab.identity import RUN_LABEL
from testbed.observe.kernel.observed_interface import SeenInterface
from testbed.watch.seen_interface import seen_interface
from tests.lab.conftest import LIMIT, ROOT, Invoke, command

SERVER = """
import socket, struct
listener = socket.create_server(("", 7000))
for n in range(1, 10_000):
    connection, _ = listener.accept()
    data = connection.recv(100)
    if n % 20 == 0:  # now and then it closes with bytes unread
        while len(data) + len(connection.recv(100, socket.MSG_PEEK)) < 150:
            pass
    else:
        while len(data) < 150:
            data += connection.recv(100)
        connection.sendall(data)
    connection.close()
"""
CLIENT = """
import socket, sys, time
while True:
    try:
        with socket.create_connection((sys.argv[1], 7000)) as connection:
            connection.sendall(b"x" * 150)
            while connection.recv(100):
                pass
    except OSError:
        pass
    time.sleep(0.02)
"""


SERVICE = "com.docker.compose.service"


@pytest.fixture
def two_containers(engine: docker.DockerClient) -> Iterator[tuple[Any, Any]]:
    """A client and a server that were started by somebody else, on a network of theirs."""
    image = images.ensure(engine, ["programs"], lambda _: None)["programs"]
    network = engine.networks.create(f"watched-{token_hex(4)}")
    made: list[Any] = []
    services = f"watched-{token_hex(4)}"
    try:
        for name, script in (("server", SERVER), ("client", CLIENT)):
            made.append(
                engine.containers.run(
                    image,
                    ["python3", "-c", script, *(str(container.name) for container in made)],
                    name=f"watched-{name}-{token_hex(4)}",
                    network=str(network.name),
                    detach=True,
                    labels={SERVICE: f"{services}-{name}"},
                )
            )
        yield made[1], made[0]
    finally:
        for container in made:
            container.remove(force=True)
        network.remove()


def test_a_reset_that_happens_now_and_then_is_caught(
    engine: docker.DockerClient, invoke: Invoke, two_containers: tuple[Any, Any]
) -> None:
    """By name and by compose service; the run tells how far the bytes of that connection came."""
    client, server = two_containers
    before = [container.attrs["State"]["StartedAt"] for container in map(_again, two_containers)]
    words = ("--until", "reset", "--after", "100ms", "--for", "60s", "--json")
    done = invoke("watch", f"server={server.labels[SERVICE]}", client.name, *words)
    assert done.code == 0, done.err
    assert "it happened: a RST, from " in done.err
    result = done.json
    assert result["outcome"] == "pass"
    assert result["hosts"]["client"]["observer"] == "trace", done.err
    resets = [packet for packet in result["crossings"] if "R" in packet["flags"]]
    assert resets[0]["sender"] == "server"
    (row,) = (row for row in result["ledger"] if row["flow"] == resets[0]["flow"] and row["sender"] == "client")
    assert (row["sent"]["bytes"], row["arrived"]["bytes"], row["written"]["bytes"]) == (150, 150, 150)
    assert {packet["fate"] for packet in result["crossings"]} == {"crossed"}
    assert [container.attrs["State"]["StartedAt"] for container in map(_again, two_containers)] == before
    assert not _ours_beside(engine, client)


def test_a_command_meanwhile_and_a_server_that_ends(invoke: Invoke, two_containers: tuple[Any, Any]) -> None:
    """The exit code is the command's; a target that goes away is told, and what came before is kept."""
    client, server = two_containers
    done = invoke("watch", client.name, server.name, "--headers", "--quiet", "--", sys.executable, "-c", "exit(7)")
    assert done.code == 7, done.err
    ends = f"import subprocess, time; subprocess.check_output(['docker', 'kill', '{server.name}']); time.sleep(60)"
    done = invoke("watch", client.name, server.name, "--json", "--", sys.executable, "-c", ends)
    assert f"`{server.name}` ended while it was watched (exited, exit 137)" in done.err
    assert done.json["crossings"]


@pytest.mark.slow
def test_a_target_that_is_restarted_ends_watching(invoke: Invoke, two_containers: tuple[Any, Any]) -> None:
    """Its network is another one since; what was captured until then is kept."""
    client, server = two_containers
    restart = f"subprocess.check_output(['docker', 'restart', '-t', '0', '{server.name}'])"
    again = f"import subprocess, time; time.sleep(1); {restart}; time.sleep(60)"
    done = invoke("watch", client.name, server.name, "--json", "--", sys.executable, "-c", again)
    # between its end and its new beginning it has ended
    assert re.search(f"`{server.name}` (was restarted|ended) while it was watched", done.err)
    assert done.json["crossings"]


def test_what_cannot_be_watched_is_told(invoke: Invoke, two_containers: tuple[Any, Any]) -> None:
    client, _ = two_containers
    for words, said in (
        (("nonesuch", client.name), "no running container or compose service is called `nonesuch`"),
        ((client.name, client.name), "in one network namespace"),
        ((client.name,), "at least two"),
    ):
        done = invoke("watch", *words, "--for", "1s")
        assert (done.code, said in done.err) == (2, True), done.err


def test_a_killed_runner_leaves_what_clean_finds(
    engine: docker.DockerClient, invoke: Invoke, two_containers: tuple[Any, Any], tmp_path: Path
) -> None:
    client, server = two_containers
    process = subprocess.Popen(
        command("watch", client.name, server.name, "--runs", str(tmp_path)), cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    assert any("watching" in line for line in process.stderr)
    process.kill()
    process.wait()
    process.stderr.close()
    _wait(lambda: not any(each["State"] == "running" for each in _ours_beside(engine, client)))
    assert invoke("clean").code == 0
    assert not _ours_beside(engine, client)


TALKS = """
import socket, sys, time
old = socket.create_connection((sys.argv[1], 7001))
while True:
    old.sendall(b"x" * 150)
    old.recv(150, socket.MSG_WAITALL)
    time.sleep(1)
"""
ECHOES = """
import socket
connection, _ = socket.create_server(("", 7001)).accept()
while data := connection.recv(1000):
    connection.sendall(data)
"""


@dataclass(frozen=True)
class TwoProcesses:
    """A client and a server in network namespaces of their own, joined by a veth."""

    client: int
    server: int
    names: tuple[str, str]
    address: str


@pytest.fixture
def two_processes(request: pytest.FixtureRequest) -> Iterator[TwoProcesses]:
    """The parameter has the scripts of client and server."""
    request.getfixturevalue("namespaces")
    scripts = getattr(request, "param", (CLIENT, SERVER))
    names = [f"w{token_hex(3)}{end}" for end in "cs"]
    ends = [f"{name}0" for name in names]
    processes = []
    try:
        for name in names:
            _ip("netns", "add", name)
        _ip("-n", names[0], "link", "add", ends[0], "type", "veth", "peer", "name", ends[1], "netns", names[1])
        for name, end, address in zip(names, ends, ("198.18.77.1/30", "198.18.77.2/30"), strict=True):
            _ip("-n", name, "addr", "add", address, "dev", end)
            _ip("-n", name, "link", "set", end, "up")
        for name, script in zip(reversed(names), reversed(scripts), strict=True):
            words = ["ip", "netns", "exec", name, sys.executable, "-c", script, "198.18.77.2"]
            processes.append(subprocess.Popen(words, stderr=subprocess.DEVNULL))
            time.sleep(2)  # the server listens, then the client connects
        server, client = processes
        yield TwoProcesses(client.pid, server.pid, (names[0], names[1]), "198.18.77.2")
    finally:
        for process in processes:
            process.kill()
            process.wait()
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], check=False, stderr=subprocess.DEVNULL)


def test_an_interface_is_known_by_a_name_that_no_other_has(two_processes: TwoProcesses) -> None:
    """By that of the veth's other end before its own; where both have one name, by none."""
    names, path = two_processes.names, Path(f"/proc/{two_processes.client}/ns/net")
    assert seen_interface(path, f"{names[0]}0") == SeenInterface(f"{names[1]}0", by_peer=True)
    assert seen_interface(path, "lo") is None
    assert seen_interface(path, "nonesuch") is None
    for name in names:
        _ip("-n", name, "link", "set", f"{name}0", "down")
        _ip("-n", name, "link", "set", f"{name}0", "name", "w0")
    assert seen_interface(path, "w0") is None


def test_processes_of_this_machine(invoke: Invoke, two_processes: TwoProcesses) -> None:
    """By number and by network namespace; both run on."""
    names = two_processes.names
    ends = (f"pid:{two_processes.client}", f"netns:{names[1]}")
    done = invoke("watch", *ends, "--until", "close", "--sentinel", "--json")
    assert done.code == 0, done.err
    assert done.json["outcome"] == "pass", done.json["reasons"]
    assert not any("sentinel" in note for note in done.json["notes"])
    assert done.json["ledger"]
    bases = [packet["cause"]["basis"] for packet in done.json["crossings"]]
    assert bases.count("kernel") > len(bases) / 2, done.json["notes"]  # by call stacks
    for pid in (two_processes.client, two_processes.server):
        assert "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()


@pytest.mark.slow
def test_a_process_that_ends_ends_watching(invoke: Invoke, two_processes: TwoProcesses) -> None:
    """Its network namespace may go with it; what was captured until then is kept."""
    ends = f"import os, time; time.sleep(1); os.kill({two_processes.server}, 9); time.sleep(60)"
    targets = (f"pid:{two_processes.client}", f"pid:{two_processes.server}")
    done = invoke("watch", *targets, "--json", "--", sys.executable, "-c", ends)
    assert f"`pid:{two_processes.server}` ended while it was watched" in done.err
    assert done.json["crossings"]


SENDS = """
import socket, sys
connection = socket.create_connection((sys.argv[1], 7000))
while True:
    connection.sendall(bytes(1 << 16))
"""
DRAINS = """
import socket
connection, _ = socket.create_server(("", 7000)).accept()
while connection.recv(1 << 20):
    pass
"""


@pytest.mark.slow
@pytest.mark.parametrize("two_processes", [(SENDS, DRAINS)], indirect=True)
def test_what_is_kept_while_it_waits_is_bounded(two_processes: TwoProcesses, tmp_path: Path) -> None:
    """Hundreds of rings pass by: on disk there are never more than the rings, and memory does not grow with them."""
    ring = 1 << 20
    targets = (f"pid:{two_processes.client}", f"pid:{two_processes.server}")
    words = ("--until", "refused,payload:/never/", "--ring", str(ring), "--runs", str(tmp_path), "--json")
    with subprocess.Popen(
        command("watch", *targets, *words), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as watching:
        assert watching.stderr is not None
        assert any(line.startswith("watching") for line in watching.stderr)
        memory = []
        for _ in range(20):
            time.sleep(1)
            files = [path for path in (tmp_path / "runs").rglob("*") if path.is_file()]
            assert sum(map(_size, files)) <= 3 * ring + len(files) * ring // 8
            memory.append(_resident(watching.pid))
        watching.send_signal(signal.SIGINT)
        out, err = watching.communicate(timeout=LIMIT)
    assert watching.returncode == 1, err
    (dropped,) = {note for note in json.loads(out)["notes"] if note.startswith("client:") and "ring" in note}
    assert int(re.sub(r"\D", "", dropped)) > 100 * ring, dropped
    assert max(memory[10:]) < max(memory[:10]) + (64 << 20), memory


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.parametrize("two_processes", [(TALKS, ECHOES)], indirect=True)
def test_calls_on_a_connection_that_was_open_before(invoke: Invoke, two_processes: TwoProcesses) -> None:
    """Its descriptors are known from before, and it was quiet as watching began: bytes are counted from there on."""
    ends = (f"pid:{two_processes.client}", f"pid:{two_processes.server}")
    done = invoke("watch", *ends, "--calls", "trace", "--for", "4s", "--json")
    assert done.code == 0, done.err
    result = done.json
    assert not [note for note in result["notes"] if "left out" in note and "calls" in note], result["notes"]
    rows = result["ledger"]
    assert len(rows) == 2
    for row in rows:
        counted = [row[point]["bytes"] for point in ("written", "sent", "arrived", "acknowledged", "read")]
        assert counted[0] >= 150, counted
        assert len(set(counted)) == 1, counted


def test_one_end_outside_is_said(invoke: Invoke, two_processes: TwoProcesses, tmp_path: Path) -> None:
    """The server is known by its address only; what its client's capture shows is printed."""
    done = invoke("watch", f"pid:{two_processes.client}", f"{two_processes.address}:7000", "--for", "2s", "--quiet")
    assert done.code == 0, done.err
    assert "captured at the client only" in done.out
    (manifest,) = tmp_path.glob("runs/watch-*/2*/manifest.json")
    assert "only one end was captured" in manifest.read_text(encoding="utf-8")
    assert not (manifest.parent / "server.pcap").exists()


def test_the_fixture_of_pytest_watches_and_junit_names_the_report(two_processes: TwoProcesses, tmp_path: Path) -> None:
    (tmp_path / "test_made.py").write_text(
        "import time\n"
        "def test_it(bothends):\n"
        f"    with bothends.watch('pid:{two_processes.client}', 'pid:{two_processes.server}') as watched:\n"
        "        time.sleep(1)\n"
        "    assert watched.result.ledger.client.sent\n"
        "    assert not watched.runs, 'fails, so that its report is kept'\n",
        encoding="utf-8",
    )
    words = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:bothends",
        "-p",
        "testbed.plugin.pytest_plugin",
        "--junitxml",
        "junit.xml",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    junit = (tmp_path / "junit.xml").read_text(encoding="utf-8")
    (report,) = re.findall(r'<property name="bothends-report" value="([^"]+)"', junit)
    assert Path(report).is_file()
    assert "fails, so that" in done.stdout


def _again(container: Any) -> Any:
    container.reload()
    return container


def _ours_beside(engine: docker.DockerClient, container: Any) -> list[dict[str, Any]]:
    """Containers with our label that share this one's network namespace."""
    ours = engine.api.containers(all=True, filters={"label": RUN_LABEL})
    return [each for each in ours if each["HostConfig"]["NetworkMode"] == f"container:{container.id}"]


def _wait(done: Callable[[], bool]) -> None:
    for _ in range(100):
        if done():
            return
        time.sleep(0.1)
    raise AssertionError("it did not come to that")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)
