"""Labs on Docker Engine and Podman of other releases of Debian: unpacked, started beside the machine's own engine.

Each has a network namespace, a socket and a data folder of its own; what differs between engines is in
``testbed/lab/docker/engine_facts.py``. The catalogue on each:
``python -m dev.other_engines podman sid invoke run --all --engine docker``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

import docker
import pytest

from dev.other_engines.give_images import give
from dev.other_engines.start_engine import RunningEngine, running
from dev.other_engines.unpack_engine import ROOTLESS, unpacked
from testbed.lab.choose_engine import DOCKER
from testbed.lab.docker import images
from testbed.lab.identity import RUN_LABEL

from .conftest import LIMIT, ROOT, Invoke, command, invoke_in
from .hanging import HANGS, wait_until_sent
from .test_watch import CLIENT, SERVER

SUITES = ("bookworm", "trixie", "sid")
CHEAP = [("podman", "bookworm")]
"""The one that differs most from the machine's own, in every run of the tests: some 20 s, 35 MB of packages."""
ALL = [*((kind, suite) for kind in ("docker", "podman") for suite in SUITES), (ROOTLESS, "trixie"), (ROOTLESS, "sid")]
SCENARIOS = ("connect-send-close", "nagle")
MORE_SCENARIOS = ("keepalive-lookalike", "curl-nginx")
IMAGES = ("tools", "host", "tap", "link", "witness")
CATALOGUE_LIMIT = 1800.0
"""Seconds after which a catalogue has hung; nothing here is measured."""
MORE_IMAGES = ("nginx", "curl", "debugger", "programs")

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may start an engine"),
    pytest.mark.skipif(shutil.which("apt-get") is None, reason="engines come as packages of Debian"),
]


@pytest.fixture(
    scope="module",
    params=[pytest.param(each, marks=[] if each in CHEAP else pytest.mark.slow, id="-".join(each)) for each in ALL],
)
def other(request: pytest.FixtureRequest, engine: docker.DockerClient) -> Iterator[RunningEngine]:
    """The engine, with our images."""
    with running(unpacked(*request.param)) as started:
        with closing(started.client()) as client:
            give(engine, client, IMAGES)
        yield started


@pytest.fixture
def all_images(other: RunningEngine, engine: docker.DockerClient) -> None:
    """That the other engine has those images too that only the slow tests use."""
    with closing(other.client()) as client:
        give(engine, client, MORE_IMAGES)


@pytest.fixture
def on_other(other: RunningEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """`invoke` whose Docker is the other engine."""
    monkeypatch.setenv("DOCKER_HOST", other.address)
    return invoke_in(tmp_path, DOCKER)


def traced(other: RunningEngine) -> list[str]:
    """Return the option that demands the kernel's trace, where the engine may give it."""
    return [] if other.kind == ROOTLESS else ["--witness"]


def left(engine: RunningEngine) -> list[str]:
    with closing(engine.client()) as client:
        api, only = client.api, {"label": RUN_LABEL}
        found = [c["Names"][0] for c in api.containers(all=True, filters=only)]
        found += [n["Name"] for n in api.networks(filters=only)]
        return found + [v["Name"] for v in api.volumes(filters=only)["Volumes"] or []]


@dataclass
class Watched:
    """Two containers that were started by somebody else, and the engine that they run on."""

    engine: RunningEngine
    names: tuple[str, str]


@pytest.fixture
def watched(other: RunningEngine, all_images: None) -> Iterator[Watched]:
    """A server and a client that ask each other, on a network of theirs."""
    del all_images
    made: list[str] = []
    with closing(other.client()) as client:
        network = client.networks.create(f"watched-{token_hex(4)}")
        for script in (SERVER, CLIENT):
            words = ["python3", "-c", script, *made]
            container = client.containers.run(
                images.reference("programs"), words, name=f"watched-{token_hex(4)}", network=network.name, detach=True
            )
            made.append(str(container.name))
    yield Watched(other, (made[1], made[0]))
    with closing(other.client()) as client:  # the engine may be another one meanwhile
        for name in made:
            client.containers.get(name).remove(force=True)
        client.networks.get(str(network.name)).remove()


@pytest.mark.slow
@pytest.mark.parametrize("calls", ["trace", "strace"])
def test_programs_that_run_already_are_watched(watched: Watched, on_other: Invoke, calls: str) -> None:
    """By the kernel's trace, whose stacks prove causes, or by strace; nothing of ours stays beside them."""
    words = ("--until", "reset", "--after", "100ms", "--for", "60s", "--calls", calls, "--json")
    done = on_other("watch", *watched.names, *words)
    assert done.code == 0, done.out + done.err
    assert done.json["outcome"] == "pass", done.json["reasons"]
    assert done.json["hosts"]["client"]["observer"] == calls
    proven = [packet for packet in done.json["crossings"] if packet["cause"]["basis"] == "kernel"]
    assert bool(proven) == (calls == "trace"), done.json["notes"]
    assert left(watched.engine) == []


@pytest.mark.slow
@pytest.mark.parametrize("other", [("docker", "bookworm"), ("podman", "bookworm")], indirect=True, ids="-".join)
def test_an_engine_that_is_restarted_ends_watching(watched: Watched, on_other: Invoke, tmp_path: Path) -> None:
    """That is said, what was captured is kept, and `invoke clean` finds what stayed."""
    argv = command("watch", *watched.names, "--runs", str(tmp_path))
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watching:
        assert watching.stderr is not None
        assert any(line.startswith("watching") for line in watching.stderr)
        time.sleep(2)
        watched.engine.restart()
        out, err = watching.communicate(timeout=LIMIT)
    assert watching.returncode == 0, out + err
    assert "Traceback" not in err
    assert "packets   " in out, out + err
    done = on_other("clean")
    assert done.code == 0, done.out + done.err
    assert left(watched.engine) == []


def test_scenarios(other: RunningEngine, on_other: Invoke) -> None:
    """Calls on one network, and a link between two: both pass with the kernel's trace, and nothing stays."""
    done = on_other("run", *SCENARIOS, *traced(other), "--json")
    assert done.code == 0, done.out + done.err
    assert left(other) == []


@pytest.mark.slow
@pytest.mark.usefixtures("all_images")
def test_more_scenarios(other: RunningEngine, on_other: Invoke) -> None:
    """A timer, and programs that were not made for it."""
    done = on_other("run", *MORE_SCENARIOS, *traced(other), "--json")
    assert done.code == 0, done.out + done.err
    assert left(other) == []


@pytest.mark.slow
@pytest.mark.timeout(2 * CATALOGUE_LIMIT)
def test_the_whole_catalogue(other: RunningEngine, engine: docker.DockerClient, tmp_path: Path) -> None:
    """Every scenario passes, but for those that are made for virtual time."""
    with closing(other.client()) as client:
        give(engine, client, [*images.USUAL, "winsock"])
    argv = command("run", "--all", *traced(other), "--engine", DOCKER, "--runs", str(tmp_path))
    environment = {**os.environ, "DOCKER_HOST": other.address}
    done = subprocess.run(
        argv, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=CATALOGUE_LIMIT, check=False
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert left(other) == []


@pytest.mark.slow
@pytest.mark.usefixtures("all_images")
@pytest.mark.parametrize("observer", ["gdb", "strace"])
def test_debuggers(other: RunningEngine, on_other: Invoke, observer: str) -> None:
    """Gdb and strace observe the client as on the machine's own engine."""
    done = on_other("run", "connect-send-close", "--set", f"observe.client={observer}")
    assert done.code == 0, done.out + done.err
    assert left(other) == []


@pytest.mark.slow
def test_doctor_names_the_engine(other: RunningEngine, on_other: Invoke) -> None:
    """Name, version and what differs are in the first finding, and all that a lab needs works."""
    with closing(other.client()) as client:
        version = client.version()["Version"]
    done = on_other("doctor", "--json")
    (found,) = [each for each in done.json if each["what"] == "Docker Engine"]
    assert found["detail"].startswith(f"{other.kind.rpartition('-')[2].title()} {version} on Linux ")
    assert [each for each in done.json if each["engine"] == DOCKER and each["needed"] and not each["works"]] == []


@pytest.mark.slow
def test_what_a_killed_run_left_is_removed(
    other: RunningEngine, on_other: Invoke, scenario: Callable[[str], str], tmp_path: Path
) -> None:
    """`invoke clean` removes containers, in the order that the engine wants, networks and volumes of a killed run."""
    words = command("run", scenario(HANGS.format(timeout="10m")), "--runs", str(tmp_path), "--engine", DOCKER)
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as runner:
        wait_until_sent(tmp_path)
        runner.kill()
    assert left(other) != []
    done = on_other("clean")
    assert done.code == 0, done.out + done.err
    assert left(other) == []
