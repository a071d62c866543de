"""The namespace engine's programs: compiled by compose/Makefile into the cache, whole or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from testbed.lab.namespace import toolchain
from testbed.model.errors import EngineError, Unsupported

from .building import COMPOSE


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the sources, and an empty cache."""
    copy = tmp_path / "compose"
    shutil.copytree(COMPOSE, copy)
    monkeypatch.setattr(toolchain, "SOURCES", copy)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return copy


def provide() -> toolchain.Toolchain:
    return toolchain.provide(lambda _: None)


def test_programs_are_made_once_for_each_state_of_the_sources(sources: Path) -> None:
    """All that a lab needs is there; a header's edit makes another directory, a unit test's does not."""
    made = provide()
    for path in (made.launch, made.witness, made.debugger / "held.py", made.directory / "www"):
        assert path.exists()
    assert {path.name for path in made.tools.iterdir()} == {"agent", "actor", "dump", "hold", "libprobe.so", "link"}
    assert made == provide()
    (sources / "link" / "tests" / "more.c").write_text("no C\n")
    assert made == provide()
    with (sources / "common" / "bytes.h").open("a") as header:
        header.write("/* edited */\n")
    assert made.key != provide().key


def test_sources_that_do_not_compile_leave_nothing(sources: Path, tmp_path: Path) -> None:
    """The compiler's first lines are in the error."""
    (sources / "agent" / "agent.c").write_text("no C\n")
    with pytest.raises(EngineError, match="cannot be compiled") as caught:
        provide()
    assert "agent/agent.c:1" in caught.value.last_output
    assert list((tmp_path / "cache" / "bothends").iterdir()) == []


@pytest.mark.usefixtures("sources")
def test_a_machine_without_make_is_told_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As one without a compiler is: unsupported, with one command that mends it."""
    (tmp_path / "bin").mkdir()
    for tool in ("cc", "as", "ld"):
        found = shutil.which(tool)
        assert found
        (tmp_path / "bin" / tool).symlink_to(found)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(Unsupported, match="lacks: make") as caught:
        provide()
    assert caught.value.hint.startswith("apt-get install make ")
