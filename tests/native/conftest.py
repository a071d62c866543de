"""The C programs that run inside a lab, compiled here, once; without a compiler these tests skip."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .acting import Actor, Start

TOOLS = Path(__file__).parents[2] / "compose" / "tools"
STRICT = ["cc", "-std=gnu11", "-O2", "-g", "-Wall", "-Wextra", "-Werror"]
"""Compiling without a warning is part of the contract."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    no_compiler = pytest.mark.skip(reason="no C compiler (cc) on this machine")
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.native)
            if shutil.which("cc") is None:
                item.add_marker(no_compiler)


@pytest.fixture(scope="session")
def actor_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("actor") / "actor"
    subprocess.run([*STRICT, "-o", made, TOOLS / "actor.c"], check=True, timeout=60)
    return made


@pytest.fixture(scope="session")
def agent_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("agent") / "agent"
    subprocess.run([*STRICT, "-o", made, TOOLS / "agent.c"], check=True, timeout=60)
    return made


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
