"""Tests on the real engine: how to run a scenario, and a leak check around all of them."""

from __future__ import annotations

import atexit
import functools
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO

import docker
import pytest

from testbed.lab.choose_engine import DOCKER, NAMESPACE, UML
from testbed.lab.docker.docker_engine import connect
from testbed.lab.engine import LabHost, LabSpec
from testbed.lab.identity import OWNER_LABEL, RUN_LABEL, is_alive, new_run_id, owner
from testbed.lab.namespace.namespace_engine import Namespaces
from testbed.lab.pinned_sysctls import DEFAULT_CONGESTION_CONTROL
from testbed.lab.uml import kernel_build, kernel_store
from testbed.model import HOSTS
from testbed.model.errors import BothendsError, Unsupported

from .starter import Starter, needs_own_start

ROOT = Path(__file__).parents[2]
LIMIT = 240.0
"""Seconds after which a command has hung; nothing here is measured."""


KERNEL_LIMIT = 1200.0
"""Seconds that a kernel may take to build, beside everything else."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.lab)
        if item.path.stem.startswith("test_uml"):
            item.add_marker(pytest.mark.timeout(KERNEL_LIMIT))  # one of them waits for the kernel


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    """The engine; a machine without one skips these tests, but CI must have it."""
    try:
        client = connect()
    except BothendsError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    yield client
    client.close()


@pytest.fixture(scope="session")
def namespaces() -> None:
    """That labs can be made of namespaces here; a machine that cannot skips these tests, but CI must."""
    host = LabHost("host", {}, DEFAULT_CONGESTION_CONTROL)
    try:
        with Namespaces()(lambda _: None) as lab:
            lab.bring_up(LabSpec(new_run_id(), dict.fromkeys(HOSTS, host), (4,)))
    except Unsupported as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


OWN_KERNEL = "6.12"
"""The kernel of our own that tests run on; .ci/run builds it."""


@pytest.fixture(scope="session")
def own_kernel() -> kernel_store.Kernel:
    """A kernel in the user's cache; a machine without one skips these tests. CI builds one and waits for it."""
    if os.environ.get("CI"):
        return kernel_build.build(OWN_KERNEL, None, lambda _: None)  # .ci/run does so already, beside other tests
    found = kernel_store.find(OWN_KERNEL)
    if found is None:
        pytest.skip(f"no kernel of our own: `invoke kernels build {OWN_KERNEL}`")
    return found


both_engines = pytest.mark.parametrize("invoke", [DOCKER, NAMESPACE], indirect=True)
"""Runs a test on either engine: what `invoke run` and `invoke up` bring up is made by it."""
on_own_kernel = pytest.mark.parametrize("invoke", [UML], indirect=True)
"""Runs a test on a kernel of our own."""
docker_slow = pytest.mark.parametrize(
    "invoke", [pytest.param(DOCKER, marks=pytest.mark.slow), NAMESPACE], indirect=True
)
"""The same where what is shown hardly depends on the engine, and takes long on Docker: there with `--slow` only."""


@pytest.fixture(scope="session", autouse=True)
def nothing_left() -> Iterator[None]:
    """Around the whole suite: no container, network, volume, interface or process of ours stays."""
    before = _interfaces()
    yield
    try:
        engine = connect()
    except BothendsError:
        assert _lasting(_processes) == set()
        return
    assert _left_on(engine) == []
    engine.close()
    assert _lasting(lambda: _interfaces() - before) == set(), "interfaces stayed on the engine's machine"
    assert _lasting(_processes) == set(), "processes stayed"


def _lasting(look: Callable[[], set[str]]) -> set[str]:
    """Return what stays: labs that others make on this machine at the same time end, what was left behind does not."""
    left, deadline = look(), time.monotonic() + LIMIT
    while left and time.monotonic() < deadline:
        time.sleep(0.5)
        left &= look()
    return left


def _labelled(engine: docker.DockerClient) -> list[tuple[str, str]]:
    """What runs made: name and owner."""
    api, only = engine.api, {"label": RUN_LABEL}
    found = [(c["Names"][0], c["Labels"]) for c in api.containers(all=True, filters=only)]
    found += [(n["Name"], n["Labels"]) for n in api.networks(filters=only)]
    found += [(v["Name"], v["Labels"]) for v in api.volumes(filters=only)["Volumes"] or []]
    return [(name, labels.get(OWNER_LABEL, "")) for name, labels in found]


def _left_on(engine: docker.DockerClient) -> list[str]:
    return [name for name, made_by in _labelled(engine) if made_by == owner() or not is_alive(made_by)]


def _interfaces() -> set[str]:
    found = Path("/sys/class/net")
    return {path.name for path in found.iterdir() if path.name.startswith(("veth", "br-"))} if found.exists() else set()


def _processes() -> set[str]:
    """Processes of labs on this machine (where the engine is local)."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/comm"):
        try:
            name = path.read_text().strip()
            executable = str((path.parent / "exe").readlink())
        except OSError:
            continue
        if name in {"agent", "actor"} and executable.startswith("/opt/bothends"):
            found.add(f"{path.parent.name} {executable}")
    return found


@dataclass(frozen=True)
class Invoked:
    """One finished `invoke`."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Invoke = Callable[..., Invoked]


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "invoke", *words]


WITH_RUNS = frozenset({"run", "step", "show", "up", "down", "shell", "watch"})


@pytest.fixture
def invoke(tmp_path: Path, request: pytest.FixtureRequest) -> Invoke:
    """Run a task as a user does, with runs/ in the test's own directory; on the parameter's engine, else on Docker."""
    on = getattr(request, "param", "")
    request.getfixturevalue({NAMESPACE: "namespaces", UML: "own_kernel"}.get(on, "engine"))
    return invoke_in(tmp_path, on)


def invoke_in(runs: Path, on: str = "") -> Invoke:
    """Return what runs a task with runs/ in that directory, on that engine."""

    def call(*words: str, env: dict[str, str] | None = None, stdin: str | None = None) -> Invoked:
        with_runs = [*words, "--runs", str(runs)] if words[0] in WITH_RUNS else words
        with_runs = [*with_runs, "--engine", on] if on and words[0] in {"run", "step", "up"} else with_runs
        return _invoked(with_runs, {**os.environ, "COLUMNS": "120", **(env or {})}, stdin)

    return call


@functools.cache
def _starter() -> Starter:
    starter = Starter(ROOT)
    atexit.register(starter.close)
    return starter


def _invoked(words: Sequence[str], env: Mapping[str, str], stdin: str | None) -> Invoked:
    """Run a command with its output in files: what it leaves running may keep them open."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, ExitStack() as stack:
        given = stack.enter_context(open(os.devnull, "rb")) if stdin is None else stack.enter_context(_piped(stdin))  # noqa: PTH123
        streams = [each.fileno() for each in (given, out, err)]
        if needs_own_start(env):
            done = subprocess.run(
                command(*words),
                cwd=ROOT,
                env=env,
                stdin=given,
                stdout=out,
                stderr=err,
                timeout=LIMIT,
                check=False,
            )
            code = done.returncode
        else:
            code = _starter().run(words, env, streams, LIMIT)
        return Invoked(code, _text(out), _text(err))


def _piped(text: str) -> BinaryIO:
    """Return the end of a pipe from which this can be read."""
    data = text.encode()
    assert len(data) <= select.PIPE_BUF * 16, "a pipe that nobody reads yet holds 64 KiB"
    reading, writing = os.pipe()
    os.write(writing, data)
    os.close(writing)
    return os.fdopen(reading, "rb")


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode().replace("\r\n", "\n")


@pytest.fixture
def scenario(tmp_path: Path) -> Callable[[str], str]:
    """Write a scenario and return its path."""

    def write(text: str, name: str = "made-by-test") -> str:
        path = tmp_path / f"{name}.yaml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write
