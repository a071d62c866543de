"""What ``--set`` holds: paths of settings and the values to try, each as a scenario file would write it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from testbed.model.errors import UsageError
from testbed.scenario.language.yaml_source import Node, Position, Problem, SourceText, read

_OPTION = "--set"
_TEXTS = frozenset({"kernel"})
"""Settings whose values are taken as written: 6.10 is a version and no number."""
_ENCLOSED = ("[", "{", '"', "'")
"""How a value begins that may hold commas of its own."""


def read_settings(words: Iterable[str]) -> dict[str, list[Any]]:
    """Read ``key=a,b`` words. Raises UsageError: for a value that is no YAML with its column and a caret.

    Commas are between the values; those within a list, a mapping or quotes belong to it: ``ip=4,[4, 6]`` are two.
    """
    found: dict[str, list[Any]] = {}
    for word in words:
        path, equals, values = word.partition("=")
        if not path or not equals or not values:
            raise UsageError(f"`{word}` is not a setting and its values", hint="--set observe.client=probe,none")
        if path in _TEXTS:
            found[path] = values.split(",")
        else:
            found[path] = [node.plain() for node in _values(word, len(path) + 1)]
    return found


def _values(word: str, begin: int) -> Iterator[Node]:
    """Yield the values in a word from this column on."""
    at = begin
    while at <= len(word):
        end = _end(word, at)
        root, problems = read(word[at:end])
        if root is None and not problems:
            problems = [Problem(Position(0, 0), "a value is missing here", "values have one comma between them")]
        if root is None or problems:
            raise UsageError(SourceText(_OPTION, word).report(_moved(problem, at) for problem in problems))
        yield root
        at = end + 1


def _end(word: str, at: int) -> int:
    """Return where the value that begins at a column ends: at the first comma behind which it is whole."""
    end = _comma(word, at)
    if word[at:].lstrip().startswith(_ENCLOSED):
        while end < len(word) and read(word[at:end])[0] is None:
            end = _comma(word, end + 1)
    return end


def _comma(word: str, at: int) -> int:
    found = word.find(",", at)
    return len(word) if found < 0 else found


def _moved(problem: Problem, by: int) -> Problem:
    """Return a problem of a value as one of the word that it is in, which is no file."""
    line, column = problem.mark
    message, hint = (text.replace("the end of the file", "the end") for text in (problem.message, problem.hint))
    return Problem(Position(line, column + (0 if line else by)), message, hint)
