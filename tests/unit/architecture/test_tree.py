"""The tree and the order of packages are those that docs/architecture.md draws."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from pathlib import Path

from tests.unit.architecture.imports import circles, import_graph

ROOT = Path(__file__).parents[3]
DRAWN = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
SAME_NAME_EVERYWHERE = {"__init__", "__main__"}


def drawn_packages() -> list[str]:
    """Return the packages of testbed/ in the order in which the page draws them, lowest first."""
    tree = re.search(r"^testbed/\n((?:  .*\n)+)", DRAWN, re.MULTILINE)
    assert tree is not None, "docs/architecture.md draws no tree of testbed/"
    return re.findall(r"^  (\w+)/", tree[1], re.MULTILINE)


def package_of(module: str) -> str:
    return module.split(".")[1] if module.count(".") else ""


ORDER = drawn_packages()


@cache
def graph() -> dict[str, frozenset[str]]:
    """Return who imports whom in testbed/: read when a test needs it, not in each process that collects tests."""
    return import_graph(ROOT, ["testbed"])


def test_the_page_draws_every_package_and_nothing_lies_loose_beside_them() -> None:
    below = {path.name for path in (ROOT / "testbed").iterdir() if path.is_file() or list(path.rglob("*.py"))}
    assert below - {"__init__.py", "py.typed"} == set(ORDER)


def test_a_package_imports_only_those_drawn_above_it() -> None:
    assert len(graph()) > 200
    rank = {package: n for n, package in enumerate(ORDER)}
    wrong = [
        f"{name} imports {other}"
        for name, others in graph().items()
        for other in others
        if package_of(name) and package_of(other) and rank[package_of(other)] > rank[package_of(name)]
    ]
    assert not wrong


def test_only_the_public_face_looks_into_packages_from_above() -> None:
    """``testbed/__init__.py`` offers the public API; a package that imported it would turn the order around."""
    assert not [name for name, others in graph().items() if "testbed" in others and name != "testbed"]


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert not circles(import_graph(ROOT, ["testbed", "dev"]))


def test_what_users_get_needs_nothing_of_the_developers() -> None:
    everything = import_graph(ROOT, ["testbed", "dev"])
    assert not [name for name, others in everything.items() if name.startswith("testbed") and "dev" in str(others)]


def test_no_file_name_means_two_things() -> None:
    names = Counter(path.stem for folder in ("testbed", "dev") for path in (ROOT / folder).rglob("*.py"))
    assert {name for name, count in names.items() if count > 1} <= SAME_NAME_EVERYWHERE


def test_no_class_name_means_two_things() -> None:
    found: dict[str, list[str]] = {}
    for path in (ROOT / "testbed").rglob("*.py"):
        for name in re.findall(r"^class (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE):
            found.setdefault(name, []).append(str(path.relative_to(ROOT)))
    assert len(found) > 200
    assert not {name: files for name, files in found.items() if len(files) > 1 and not name.startswith("_")}


def test_a_long_file_answers_why_at_its_beginning() -> None:
    files = [path for folder in ("testbed", "dev", "tests") for path in (ROOT / folder).rglob("*.py")]
    files += [path for kind in ("*.c", "*.h") for path in (ROOT / "compose").rglob(kind)]
    assert len(files) > 900
    long = {path: text for path in files if len((text := path.read_text(encoding="utf-8")).splitlines()) > 400}
    assert len(long) > 5
    assert not [str(path) for path, text in long.items() if "long because" not in text[:1000].lower()]


def test_the_search_for_circles_finds_one() -> None:
    graph = {"a": frozenset({"b"}), "b": frozenset({"c"}), "c": frozenset({"b"}), "d": frozenset({"a"})}
    assert circles(graph) == [["b", "c"]]
    assert not circles({"a": frozenset({"b"}), "b": frozenset()})
