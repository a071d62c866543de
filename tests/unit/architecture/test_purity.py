"""The analysis takes values and gives values: nothing that it imports does I/O or reads a clock."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import testbed

ROOT = Path(testbed.__file__).parent.parent
FACES = {"testbed.model"}
"""Faces of packages that import a name when it is first used."""
PURE = ("model", "wireshark", "pairing", "crossings", "analysis", "diagnosis")
FORBIDDEN = {
    *("asyncio", "docker", "fcntl", "http", "io", "mmap", "multiprocessing", "os", "pathlib", "requests", "rich"),
    *("scapy", "select", "shutil", "signal", "socket", "ssl", "subprocess", "tempfile", "threading", "time", "urllib"),
}


def is_type_checking(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def statements(nodes: list[ast.stmt]) -> list[ast.stmt]:
    """Return statements that run, at any depth; what only the type checker sees is left out."""
    found = []
    for node in nodes:
        if is_type_checking(node):
            continue
        found.append(node)
        for field in ("body", "orelse", "finalbody"):
            found += statements(getattr(node, field, []))
        for handler in getattr(node, "handlers", []):
            found += statements(handler.body)
    return found


def imported(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in statements(tree.body):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "the project imports by full name"
            assert node.module is not None
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def source_of(module: str) -> Path | None:
    path = ROOT.joinpath(*module.split("."))
    if (path / "__init__.py").is_file():
        return path / "__init__.py"
    return path.with_suffix(".py") if path.with_suffix(".py").is_file() else None


def reached() -> dict[str, ast.Module]:
    """Return every module of the project that the analysis imports, directly or not, with those of the analysis."""
    folders = [ROOT / "testbed" / name for name in PURE[1:]]
    files = [
        path.relative_to(ROOT).with_suffix("")
        for folder in folders
        for path in folder.rglob("*.py")
        if path.stem != "__init__"
    ]
    todo = [".".join(path.parts) for path in files]
    found: dict[str, ast.Module] = {}
    while todo:
        name = todo.pop()
        path = source_of(name)
        if path is None or name in found:
            continue
        found[name] = ast.parse(path.read_text(encoding="utf-8"))
        # The root package is none of theirs: it exports the API, each name imported when it is first used.
        parents = [name.rsplit(".", k)[0] for k in range(1, name.count("."))]
        todo += [*parents, *(each for each in imported(found[name]) if each.startswith("testbed."))]
    return found


MODULES = reached()


def test_the_walk_reaches_the_analysis_and_what_it_uses() -> None:
    """So that the tests below are about something."""
    assert {
        "testbed.analysis.causes.find_causes",
        "testbed.pairing.clock",
        "testbed.analysis.join.join",
        "testbed.model",
        "testbed.model.expect",
    } <= set(MODULES)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_no_module_imports_input_or_output(name: str) -> None:
    outside = {each.split(".")[0] for each in imported(MODULES[name])}
    assert not outside & FORBIDDEN


@pytest.mark.parametrize("name", sorted(MODULES))
def test_no_module_opens_or_prints(name: str) -> None:
    called = {
        node.func.id if isinstance(node.func, ast.Name) else node.func.attr
        for node in ast.walk(MODULES[name])
        if isinstance(node, ast.Call) and isinstance(node.func, (ast.Name, ast.Attribute))
    }
    if name in FACES:
        called -= {"import_module"}
    assert not called & {"open", "print", "input", "exec", "eval", "__import__", "import_module", "read_text"}


def test_the_analysis_needs_no_package_that_reads_scenarios() -> None:
    """`invoke show` and other readers of a run do not pay for pydantic and PyYAML."""
    code = "import sys, testbed.analysis.analyse; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "testbed" in loaded
    assert not loaded & {"pydantic", "yaml"}
    assert not [name for name in MODULES if name.startswith("testbed.scenario")]


def test_the_checker_itself_sees_imports_at_any_depth() -> None:
    code = "def f():\n    try:\n        import socket\n    except ImportError:\n        from os import path\n"
    assert {"socket", "os"} <= imported(ast.parse(code))
    hidden = "if TYPE_CHECKING:\n    import subprocess\n"
    assert not imported(ast.parse(hidden))
