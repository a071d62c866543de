"""Labs on Docker Engine and Podman of other releases of Debian: unpacked, started beside the machine's own engine.

Each has a network namespace, a socket and a data folder of its own; what differs between engines is in
``testbed/lab/docker/engine_facts.py``. The catalogue on each:
``python -m dev.other_engines podman sid invoke run --all --engine docker``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import docker
import pytest

from dev.other_engines.give_images import give
from dev.other_engines.start_engine import RunningEngine, running
from dev.other_engines.unpack_engine import ROOTLESS, unpacked
from testbed.lab.choose_engine import DOCKER
from testbed.lab.identity import RUN_LABEL

from .conftest import ROOT, Invoke, command, invoke_in
from .hanging import HANGS, wait_until_sent

SUITES = ("bookworm", "trixie", "sid")
CHEAP = [("podman", "bookworm")]
"""The one that differs most from the machine's own, in every run of the tests: some 20 s, 35 MB of packages."""
ALL = [*((kind, suite) for kind in ("docker", "podman") for suite in SUITES), (ROOTLESS, "trixie"), (ROOTLESS, "sid")]
SCENARIOS = ("connect-send-close", "nagle")
MORE_SCENARIOS = ("keepalive-lookalike", "curl-nginx")
IMAGES = ("tools", "host", "tap", "link", "witness")
MORE_IMAGES = ("nginx", "curl", "debugger")

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
