"""Hold the documents of two trees against each other: values that differ, texts that differ, how much was compared."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from functools import cache
from typing import Any

from dev.sameness.known_differences import INTENDED, MISSING, PAGES, STRUCTURED, TEXTS, Known

_FIGURE = re.compile(r"\d[\d,.]*\d|\d")
_COUNTED = {
    "run.result.hosts.*.calls": "calls",
    "run.result.crossings": "packets and causes",
    "run.result.flows": "flows",
    "run.result.ledger": "ledger rows",
    "run.result.checks": "expectations",
    "run.result.kernel.state_changes": "state changes",
    "pair.compared.flows": "flows in both captures",
    "pair.packets": "packets of pairs",
}


@dataclass(frozen=True, slots=True)
class Difference:
    """A place where two documents differ: ``path`` without indices, ``at`` with them."""

    item: str
    path: str
    at: str
    old: object
    new: object


@dataclass(slots=True)
class Group:
    """Differences of one kind: how many, in how many items, the first of them."""

    count: int = 0
    items: set[str] = field(default_factory=set)
    examples: list[Difference] = field(default_factory=list)

    def add(self, found: Difference, keep: int) -> None:
        """Count one more."""
        self.count += 1
        self.items.add(found.item)
        if len(self.examples) < keep:
            self.examples.append(found)


@dataclass(slots=True)
class Findings:
    """What all documents came to.

    ``values`` and ``tally`` count what the old tree's documents hold, ``crashed`` those that it could not give.
    ``differences`` are by path; ``known`` by row of the tables; ``texts`` by whether the figures differ too, path, and
    both texts without their figures.
    """

    structured: Sequence[Known] = STRUCTURED
    intended: Sequence[Known] = INTENDED
    values: int = 0
    texts_compared: int = 0
    crashed: int = 0
    tally: Counter[str] = field(default_factory=Counter)
    items: Counter[str] = field(default_factory=Counter)
    differences: dict[str, Group] = field(default_factory=dict)
    known: dict[int, Group] = field(default_factory=dict)
    texts: dict[tuple[bool, str, str, str], Group] = field(default_factory=dict)

    def take(self, kind: str, item: str, old: Any, new: Any) -> None:  # noqa: ANN401 - JSON
        """Compare what two trees say of an item; ``kind`` is the first word of its paths."""
        self.items[kind] += 1
        if "crash" in old:
            self.crashed += 1
        else:
            self._count(old, kind)
        if "crash" in old and "crash" not in new:  # then it is one difference, whatever the new tree says
            old, new = {"crash": f"{old['crash']}: {' '.join(old['errors'])}"}, {}
        for found in differences(old, new, item, kind):
            self._sort(found)

    def _count(self, value: object, path: str) -> None:
        if isinstance(value, dict):
            for key, member in value.items():
                self._count(member, f"{path}.{key}")
        elif isinstance(value, list):
            if (name := _counted(path)) is not None:
                self.tally[name] += len(value)
            below = f"{path}[]"
            for member in value:
                self._count(member, below)
        elif is_text(path) or is_page(path.removesuffix("[]")):
            self.texts_compared += 1
        else:
            self.values += 1

    def _sort(self, found: Difference) -> None:
        for number, row in enumerate((*self.structured, *self.intended)):
            if covers(row.path, found.path) and row.holds(found.old, found.new):
                self.known.setdefault(number, Group()).add(found, 3)
                return
        worded = isinstance(found.old, str) and isinstance(found.new, str) and found.old != "" and found.new != ""
        if is_page(found.path.removesuffix("[]")) or (worded and is_text(found.path)):
            old, new = ("" if text is MISSING else str(text) for text in (found.old, found.new))
            figures = sorted(_FIGURE.findall(old)) != sorted(_FIGURE.findall(new))
            key = figures, found.path, _FIGURE.sub("N", old), _FIGURE.sub("N", new)
            self.texts.setdefault(key, Group()).add(found, 1)
        else:
            self.differences.setdefault(found.path, Group()).add(found, 3)


def differences(old: object, new: object, item: str, path: str) -> Iterator[Difference]:
    """Yield where two JSON values differ, one for each member or element; 1, 1.0 and true are not the same."""
    trail: list[str] = []

    def walk(one: object, other: object, path: str) -> Iterator[Difference]:
        if isinstance(one, dict) and isinstance(other, dict):
            for key in (*one, *(key for key in other if key not in one)):
                trail.append(f".{key}")
                yield from walk(one.get(key, MISSING), other.get(key, MISSING), f"{path}.{key}")
                trail.pop()
        elif isinstance(one, list) and isinstance(other, list):
            if is_page(path):
                yield from _page(one, other, item, path)
                return
            if len(one) != len(other):
                yield Difference(item, path, _at(trail), f"{len(one)} elements", f"{len(other)} elements")
            below = f"{path}[]"
            for index, (first, second) in enumerate(zip(one, other, strict=False)):
                trail.append(f"[{index}]")
                yield from walk(first, second, below)
                trail.pop()
        elif type(one) is not type(other) or one != other:
            yield Difference(item, path, _at(trail), one, other)

    return walk(old, new, path)


def _at(trail: Iterable[str]) -> str:
    return "".join(trail).removeprefix(".")


def _page(one: list[Any], other: list[Any], item: str, path: str) -> Iterator[Difference]:
    """Yield lines that differ; those of one place beside each other, in their order."""
    for what, begin, end, start, stop in SequenceMatcher(None, one, other, autojunk=False).get_opcodes():
        if what != "equal":
            for k in range(max(end - begin, stop - start)):
                left = one[begin + k] if begin + k < end else MISSING
                right = other[start + k] if start + k < stop else MISSING
                yield Difference(item, f"{path}[]", f"line {begin + k + 1}", left, right)


@cache
def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.escape(path).replace(r"\*", r"[^.\[\]]+"))


def covers(row: str, path: str) -> bool:
    """Tell whether a row of a table speaks of a path: that path or one above it."""
    found = _pattern(row).match(path)
    return found is not None and path[found.end() : found.end() + 1] in ("", ".", "[")


@cache
def is_text(path: str) -> bool:
    """Tell whether a path holds sentences."""
    return any(_pattern(each).fullmatch(path) for each in TEXTS)


@cache
def is_page(path: str) -> bool:
    """Tell whether a path holds lines laid out for people."""
    return any(_pattern(each).fullmatch(path) for each in PAGES)


@cache
def _counted(path: str) -> str | None:
    return next((name for row, name in _COUNTED.items() if _pattern(row).fullmatch(path)), None)
