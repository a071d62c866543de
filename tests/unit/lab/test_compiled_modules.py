"""Modules are compiled for a kernel of our own where the machine's Python writes none."""

from __future__ import annotations

import py_compile
import shutil
import sys
from pathlib import Path

import pytest

from testbed.lab.uml import compiled_modules

MODULES = ("testbed.model.ip",)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "bothends" / "bytecode"


def test_where_python_writes_modules_nothing_is_done(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once it has written them: what nobody has imported yet is compiled like where it writes none."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    Path(tmp_path, "module_of_this_test.py").write_text("")
    assert compiled_modules.environment(["module_of_this_test"], lambda _: None) == {"PYTHONPYCACHEPREFIX": str(cache)}
    shutil.rmtree(cache)
    py_compile.compile(str(tmp_path / "module_of_this_test.py"))
    assert compiled_modules.environment(["module_of_this_test"], lambda _: None) == {}
    assert not cache.exists()


def test_where_it_writes_none_they_are_compiled_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even with PYTHONDONTWRITEBYTECODE set, and into the cache alone."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    told: list[str] = []
    for _ in range(2):
        assert compiled_modules.environment(MODULES, told.append) == {"PYTHONPYCACHEPREFIX": str(cache)}
    assert told == ["compiling Python modules, once"]
    assert [path.name.partition(".")[0] for path in cache.rglob("testbed/model/ip.*.pyc")] == ["ip"]


def test_a_module_that_is_not_there_is_left_to_the_kernel(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    assert compiled_modules.environment(("testbed.no_such_module",), lambda _: None)
    assert not list(cache.glob(".*"))
