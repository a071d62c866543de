"""Facts travel as values: no module outside report and cli compares, searches or splits a text of another."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import testbed

ROOT = Path(testbed.__file__).parent
TEXTS = {
    *("actual", "cut_short", "evidence", "failures", "incomplete", "note", "reasons"),
    *("no_packet", "unmatched", "why"),
}
"""Members that hold text for people, or the evidence of which it is made, in the model."""
MAY = ("report", "cli")
"""Packages that make text, and so may look at their own."""
METHODS = {
    *("startswith", "endswith", "removeprefix", "removesuffix", "partition", "rpartition", "split", "rsplit"),
    *("find", "rfind", "index", "rindex", "replace"),
}
SEARCHES = {"search", "match", "fullmatch", "findall", "finditer", "sub", "split"}
"""Functions of ``re`` and methods of its patterns."""


class Finder(ast.NodeVisitor):
    """Finds comparisons and searches of a text member, of what is taken from it, or of a name that stands for it."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self._names: set[str] = set()

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        """Look at a function by itself: names are its own."""
        before = self._names
        self._names = set(before)
        for _ in range(2):  # a name may stand for a name
            for target, value in assignments(node):
                if self._is_text(value):
                    self._names |= {each.id for each in ast.walk(target) if isinstance(each, ast.Name)}
        self.generic_visit(node)
        self._names = before

    def visit_Compare(self, node: ast.Compare) -> None:
        """A text beside a constant or a text that is made: ``==``, ``in``; None and other values are no text."""
        sides = [node.left, *node.comparators]
        compares = all(isinstance(op, (ast.Eq, ast.NotEq, ast.In, ast.NotIn)) for op in node.ops)
        if compares and any(map(self._is_text, sides)) and any(map(is_words, sides)):
            self.found.append(ast.unparse(node))
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        """A text that is cut or searched."""
        function = node.func
        if isinstance(function, ast.Attribute) and (
            (function.attr in METHODS and self._is_text(function.value))
            or (function.attr in SEARCHES and any(map(self._is_text, node.args)))
        ):
            self.found.append(ast.unparse(node))
        self.generic_visit(node)

    def _is_text(self, node: ast.expr) -> bool:
        match node:
            case ast.Attribute(attr=name) if name in TEXTS:
                return True
            case ast.Name(id=name):
                return name in self._names
            case ast.Subscript(value=value) | ast.Starred(value=value):
                return self._is_text(value)
            case ast.Call(func=ast.Attribute(value=value, attr="get" | "lower" | "strip")):
                return self._is_text(value)
            case ast.BoolOp(values=values):
                return any(map(self._is_text, values))
        return False


def is_words(node: ast.expr) -> bool:
    """Whether an expression is words: a string that is not empty, a formatted one, or one or the other."""
    match node:
        case ast.Constant(value=str(value)):
            return value != ""
        case ast.JoinedStr():
            return True
        case ast.BoolOp(values=values) | ast.Tuple(elts=values) | ast.Set(elts=values):
            return any(map(is_words, values)) or any(isinstance(each, ast.Constant) for each in values)
    return False


def assignments(function: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    for node in ast.walk(function):
        match node:
            case ast.Assign(targets=[target], value=value) | ast.NamedExpr(target=target, value=value):
                yield target, value
            case ast.For(target=target, iter=value) | ast.comprehension(target=target, iter=value):
                yield target, value


def matches(source: str) -> list[str]:
    finder = Finder()
    finder.visit(ast.parse(source))
    return finder.found


MODULES = [path for path in sorted(ROOT.rglob("*.py")) if path.relative_to(ROOT).parts[0] not in MAY]


def test_no_module_reads_a_text_that_another_made() -> None:
    assert len(MODULES) > 200
    found = {path.relative_to(ROOT).as_posix(): matches(path.read_text(encoding="utf-8")) for path in MODULES}
    assert not {name: each for name, each in found.items() if each}


@pytest.mark.parametrize(
    "line",
    [
        "if 'nothing' in cause.evidence: ...",
        "if row.note == f'copy of #{n}': ...",
        "found = _COPY.fullmatch(crossing.note)",
        "why = analysis.no_packet.get((host, n), '')\n    if 'listening' not in why: ...",
        "if any(reason.startswith('client:') for reason in analysis.reasons): ...",
        "first, _, rest = check.actual.partition(': ')",
        "for text in inputs.incomplete:\n        if re.search('tap', text): ...",
        "if analysis.cut_short in ('the link died', 'timeout'): ...",
    ],
)
def test_a_text_that_is_matched_is_found(line: str) -> None:
    assert matches(f"def function(cause, row):\n    {line}\n")


@pytest.mark.parametrize(
    "line",
    [
        "if cause.evidence: ...",
        "if analysis.reasons != other.reasons: ...",
        "if cause.rule == 'data' or 'S' in packet.flags: ...",
        "lines = [f'note: {text}' for text in analysis.reasons]",
        "if inputs.cut_short: return (inputs.cut_short, *inputs.incomplete)",
    ],
)
def test_a_text_that_is_only_passed_on_is_not(line: str) -> None:
    assert matches(f"def function(cause, row):\n    {line}\n") == []
