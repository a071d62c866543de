"""A test that asserts only about each item of some data fails where there is no item."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]
SURE = {"nonempty", "range"}
WRAPPING = {"enumerate", "list", "reversed", "sorted", "zip", "pairwise"}


def may_be_empty(data: ast.expr) -> bool:
    """Say whether a loop's data can be empty, as far as its expression tells."""
    if isinstance(data, ast.Tuple | ast.List | ast.Set | ast.Constant | ast.Dict):
        return False
    if isinstance(data, ast.Call):
        name = data.func.attr if isinstance(data.func, ast.Attribute) else getattr(data.func, "id", "")
        if name in WRAPPING:
            return all(may_be_empty(each) for each in data.args)
        return name not in SURE
    return not (isinstance(data, ast.Name) and data.id.isupper())  # a constant of the module is what it is


def asserts(statements: list[ast.stmt], *, in_loop: bool = False) -> Iterator[bool]:
    """Yield for each assertion whether it may never be reached, since a loop's data is empty."""
    for node in statements:
        if isinstance(node, ast.Assert):
            yield in_loop or _vain(node.test)
        elif isinstance(node, ast.With) and "pytest.raises" in ast.unparse(node.items[0]):
            yield in_loop
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            yield from [in_loop] * ("assert" in ast.unparse(node.value.func) or "validate" in ast.unparse(node.value))
        loop = isinstance(node, ast.For) and may_be_empty(node.iter)
        for part in ("body", "orelse", "finalbody"):
            if not isinstance(node, ast.FunctionDef | ast.ClassDef):
                yield from asserts(getattr(node, part, []), in_loop=in_loop or loop)


def _vain(test: ast.expr) -> bool:
    """Say whether a condition is ``all(... for ... in DATA)`` and the data may be empty: then it always holds."""
    if not (isinstance(test, ast.Call) and isinstance(test.func, ast.Name) and test.func.id == "all"):
        return False
    (argument,) = test.args
    return isinstance(argument, ast.GeneratorExp) and may_be_empty(argument.generators[0].iter)


def vain_tests(text: str) -> list[str]:
    """Return the names of the tests of a module of which every assertion may be vain."""
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
    found = {each.name: list(asserts(each.body)) for each in functions if each.name.startswith("test_")}
    return [name for name, vain in found.items() if vain and all(vain)]


def test_every_test_has_an_assertion_that_is_reached() -> None:
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    assert len(files) > 100
    assert not {
        str(path.relative_to(ROOT)): vain for path in files if (vain := vain_tests(path.read_text(encoding="utf-8")))
    }


def test_a_loop_over_nothing_is_found() -> None:
    assert vain_tests("def test_a():\n    for x in found():\n        assert x\n") == ["test_a"]
    assert vain_tests("def test_a():\n    assert all(x for x in found)\n") == ["test_a"]
    assert not vain_tests("def test_a():\n    for x in nonempty(found()):\n        assert x\n")
    assert not vain_tests("def test_a():\n    assert found\n    for x in found:\n        assert x\n")
