"""The C programs that run inside a lab, compiled here, once; without Linux and a compiler these tests skip."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .acting import Actor, Start

TOOLS = Path(__file__).parents[2] / "compose" / "tools"
STRICT = ["cc", "-std=gnu11", "-O2", "-g", "-Wall", "-Wextra", "-Werror"]
"""Compiling without a warning is part of the contract."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    useless = sys.platform != "linux" or shutil.which("cc") is None
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.native)
            if useless:
                item.add_marker(pytest.mark.skip(reason="no Linux, or no C compiler (cc) on this machine"))


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
