"""The C programs that run inside a lab, compiled here, once; without Linux and a compiler these tests skip."""

from __future__ import annotations

import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .acting import Actor, Start
from .building import make
from .probing import Probe, build_probe


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    useless = sys.platform != "linux" or None in (shutil.which("cc"), shutil.which("make"))
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.native)
            if useless:
                item.add_marker(pytest.mark.skip(reason="no Linux, or no C compiler (cc) or make on this machine"))


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where compose/Makefile has built what needs no other library than the C library's."""
    made = tmp_path_factory.mktemp("programs")
    made.chmod(0o755)
    make(made, "link", *(f"{made}/tools/{name}" for name in ("agent", "actor", "hold", "dump")))
    return made


@pytest.fixture(scope="session")
def actor_program(programs: Path) -> Path:
    return programs / "tools" / "actor"


@pytest.fixture(scope="session")
def agent_program(programs: Path) -> Path:
    return programs / "tools" / "agent"


@pytest.fixture
def start(actor_program: Path) -> Iterator[Start]:
    """Start an actor on a script; it ends with the test."""
    running: list[Actor] = []

    def begin(script: str, *, wrapper: tuple[str, ...] = ()) -> Actor:
        running.append(Actor([*wrapper, str(actor_program)], script))
        return running[-1]

    yield begin
    for actor in running:
        actor.__exit__()


@pytest.fixture(params=["inet", "inet6"])
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        made.settimeout(20)
        yield made


@pytest.fixture(scope="session")
def probe_build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the probe and the programs of its tests are built."""
    folder = tmp_path_factory.mktemp("probe", numbered=True)
    build_probe(folder)
    return folder


@pytest.fixture
def probe(probe_build: Path, tmp_path: Path) -> Probe:
    """The probe with a directory of logs for one test."""
    logs = tmp_path / "logs"
    logs.mkdir()
    logs.chmod(0o1777)
    return Probe(probe_build, logs)
