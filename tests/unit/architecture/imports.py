"""Imports between the modules of a source tree, as a graph: what the tests of the architecture look at."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from pathlib import Path

Graph = Mapping[str, frozenset[str]]
"""A module's full name -> the modules of the same tree that it imports anywhere, for the type checker too."""


def modules(root: Path, packages: Iterable[str]) -> dict[str, Path]:
    """Return every Python module below some packages of a source tree, by full name."""
    return {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path
        for package in packages
        for path in sorted((root / package).rglob("*.py"))
    }


def import_graph(root: Path, packages: Iterable[str]) -> dict[str, frozenset[str]]:
    """Return who imports whom. ``from package import name`` is an import of the module if there is one of that name.

    Importing a module also runs its packages' ``__init__``; these edges are left out, since a package's face that
    imports its own modules would then be a circle by itself.
    """
    found = modules(root, packages)
    return {name: frozenset(_imported(path, found) - {name}) for name, path in found.items()}


def _imported(path: Path, found: Mapping[str, Path]) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names if alias.name in found)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: the project imports by full name"
            for alias in node.names:
                module = f"{node.module}.{alias.name}"
                names.add(module if module in found else str(node.module))
    return names & set(found)


def circles(graph: Graph) -> list[list[str]]:
    """Return the groups of modules that import each other in a circle (strongly connected components, Tarjan 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in sorted(graph[name]):
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            group = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(group) > 1:
                found.append(sorted(group))

    for name in sorted(graph):
        if name not in index:
            visit(name)
    return found
