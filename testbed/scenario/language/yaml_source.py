"""YAML text as a tree of values that know where they stand, and messages that point there.

The tree is made from PyYAML's events, not from its constructors: what two YAML versions read differently (``no``,
``010``, ``22:22``, ``2024-01-01``) is a problem with a hint instead of a surprise, keys are always text, and depth and
aliases are bounded while reading.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from testbed.scenario.language.scalars import resolve

MOST_BYTES = 1 << 20
MOST_DEPTH = 32
MOST_NODES = 50_000
MOST_SHOWN = 50
WIDTH = 100

_Parser: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class Position(NamedTuple):
    """A place in the file; line and column count from 0, columns in characters."""

    line: int
    column: int


class Problem(NamedTuple):
    """Something wrong at a place."""

    mark: Position
    message: str
    hint: str = ""


@dataclass(slots=True)
class Node:
    """A value and its place. ``value`` is a scalar, a list of nodes, or a mapping of key to (key's mark, node).

    ``size`` counts the nodes below and including this one, ``height`` the levels, both with aliases followed.
    """

    mark: Position
    value: Any
    size: int = 1
    height: int = 1

    def plain(self) -> Any:  # noqa: ANN401 - whatever the YAML holds
        """Return the value without places: dict, list, str, int, float, bool or None."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, (_, node) in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def follow(self, path: Iterable[str | int]) -> Iterator[tuple[str | int, Position, Node]]:
        """Yield (part, mark of its key or item, node) along a path, as far as it goes; foreign parts are skipped."""
        node = self
        for part in path:
            if isinstance(node.value, dict) and part in node.value:
                mark, node = node.value[part]
                yield part, mark, node
            elif isinstance(node.value, list) and isinstance(part, int) and part < len(node.value):
                node = node.value[part]
                yield part, node.mark, node

    def find(self, path: Iterable[str | int], *, key: bool = False) -> Position:
        """Return the mark of the value at a path (or of its key), or of the nearest thing above it."""
        mark = self.mark
        for _, at_key, node in self.follow(path):
            mark = at_key if key or node.value is None else node.mark
        return mark


def in_one_line(value: object) -> str:
    """Return a plain value in one line of YAML, its keys in their order: ``{drop: {from: client, nth: 2}}``."""
    text: str = yaml.dump(
        value, Dumper=_Dumper, default_flow_style=True, width=1 << 20, sort_keys=False, allow_unicode=True
    )
    return text.strip()


def shown_path(path: Path) -> str:
    """Return a file's name for messages: relative to the current directory where it lies below it."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


@dataclass
class SourceText:
    """A file's text with the name under which messages speak of it."""

    name: str
    text: str
    lines: list[str] = field(init=False)

    def __post_init__(self) -> None:
        # The line breaks of YAML 1.1, section 5.4, which its marks count.
        self.lines = re.split("\r\n|[\r\n\x85\u2028\u2029]", self.text)

    def where(self, mark: Position) -> str:
        """Return ``file:line``."""
        return f"{self.name}:{mark.line + 1}"

    def report(self, problems: Iterable[Problem]) -> str:
        """Return all problems in the order of the file, the first at each place, each with its line and a caret."""
        first: dict[Position, Problem] = {}
        for problem in problems:
            first.setdefault(problem.mark, problem)
        ordered = [first[mark] for mark in sorted(first)]
        blocks = [self._block(problem) for problem in ordered[:MOST_SHOWN]]
        if len(ordered) > MOST_SHOWN:
            blocks.append(f"{self.name}: {len(ordered) - MOST_SHOWN} more problems")
        return "\n".join(blocks)

    def _block(self, problem: Problem) -> str:
        (line, column), number = problem.mark, str(problem.mark.line + 1)
        message, hint = ("".join(map(_printable, part)) for part in (problem.message, problem.hint))
        text = self.lines[line] if line < len(self.lines) else ""
        start = max(0, column - WIDTH // 2) if len(text) > WIDTH else 0
        cut = "".join(_printable(char) for char in text[start : start + WIDTH])
        before = "".join(_blank(char) for char in cut[: column - start])
        left, right = ("..." if start else ""), ("..." if start + WIDTH < len(text) else "")
        parts = [
            f"{self.name}:{number}:{column + 1}: {message}",
            f"  {number} | {left}{cut}{right}".rstrip(),
            f"  {' ' * len(number)} | {' ' * len(left)}{before}^",
        ]
        if hint:
            parts.append(f"  {' ' * len(number)} = {hint}")
        return "\n".join(parts)


def _printable(char: str) -> str:
    # Control and format characters would move the terminal's cursor or turn its direction.
    return char if char == "\t" or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co") else "\N{MIDDLE DOT}"


def _blank(char: str) -> str:
    if char == "\t":
        return char
    if unicodedata.combining(char):
        return ""
    return "  " if unicodedata.east_asian_width(char) in "WF" else " "


class _Stop(Exception):  # noqa: N818 - ends the reading at a problem after which nothing can be relied on
    def __init__(self, mark: Position, message: str, hint: str = "") -> None:
        self.problem = Problem(mark, message, hint)


def decode(data: bytes) -> tuple[str, Problem | None]:
    """Return a file's bytes as text, and the problem that makes it unreadable, if there is one."""
    text = data[:MOST_BYTES].decode("utf-8-sig", errors="replace")
    if len(data) > MOST_BYTES:
        return text, Problem(Position(0, 0), f"the file has {len(data)} bytes; a scenario has at most {MOST_BYTES}")
    try:
        data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8-sig", errors="replace")
        message = f"this is not UTF-8: byte 0x{data[error.start]:02x}"
        return text, Problem(_mark_at(before), message, "save the file in UTF-8")
    bad = re.search("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", text)
    if bad:
        message = f"the control character U+{ord(bad[0]):04X} is not allowed in YAML"
        return text, Problem(_mark_at(text[: bad.start()]), message, 'in quotes, write it as an escape: "\\x00"')
    return text, None


def _mark_at(before: str) -> Position:
    lines = re.split("\r\n|[\r\n\x85\u2028\u2029]", before)
    return Position(len(lines) - 1, len(lines[-1]))


def read(text: str, stop_at: Collection[str] = ()) -> tuple[Node | None, list[Problem]]:
    """Return the tree of a YAML text, None where there is none, and what is wrong with it.

    With ``stop_at`` the text is read only as far as its outermost mapping has these members.
    """
    reader = _TreeReader()
    try:
        return reader.read(_events(text), stop_at), reader.problems
    except _Stop as stop:
        return None, [*reader.problems, stop.problem]


def _events(text: str) -> Iterator[Any]:
    """Yield the events of a text; raise _Stop at broken syntax.

    libyaml is five times as fast as PyYAML's own parser, which gives the clearer messages and is asked for them.
    """
    try:
        yield from yaml.parse(text, Loader=_Parser)
    except yaml.YAMLError as error:
        raise _syntax(text, error) from error


def _syntax(text: str, error: yaml.YAMLError) -> _Stop:
    try:
        for _ in yaml.parse(text, Loader=yaml.SafeLoader):
            pass
    except yaml.YAMLError as clearer:
        error = clearer
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return _Stop(Position(0, 0), f"broken YAML: {error}")
    mark = Position(error.problem_mark.line, error.problem_mark.column)
    problem = (error.problem or "").replace("<stream end>", "the end of the file").replace("<", "").replace(">", "")
    hint = ""
    if "'\\t'" in problem or text[error.problem_mark.index : error.problem_mark.index + 1] == "\t":
        return _Stop(mark, "a tab where YAML allows only spaces", "indent with spaces")
    if "mapping values are not allowed" in problem:
        hint = "text that holds a colon and a blank needs quotes; or the indentation is wrong"
    elif "cannot start any token" in problem:
        hint = "text that begins with this character needs quotes"
    elif error.context_mark is not None and error.context and error.context_mark.line != mark.line:
        hint = f"{error.context}, which begins on line {error.context_mark.line + 1}"
    elif error.context:
        hint = error.context
    return _Stop(mark, f"broken YAML: {problem}", hint)


class _TreeReader:
    """Makes a tree from events, within bounds."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.anchors: dict[str, Node] = {}
        self.open: list[tuple[Node, str | None]] = []
        self.keys: list[tuple[str, Position] | None] = []
        self.nodes = 0

    def read(self, events: Iterator[Any], stop_at: Collection[str] = ()) -> Node | None:
        """Return the root; with ``stop_at`` as it is when it is a mapping that has these members."""
        root: Node | None = None
        for event in events:
            mark = Position(event.start_mark.line, event.start_mark.column)
            if isinstance(event, yaml.DocumentStartEvent) and root is not None:
                self.problems.append(Problem(mark, "a second YAML document begins here", "one scenario per file"))
                return root
            if isinstance(event, yaml.AliasEvent):
                done = self._add(self._alias(event.anchor, mark))
            elif isinstance(event, yaml.ScalarEvent):
                done = self._scalar(event, mark)
            elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
                self._begin(event, mark)
                continue
            elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
                done = self._end()
            else:
                continue
            root = root or done
            if stop_at and len(self.open) == 1 and all(name in self.open[0][0].value for name in stop_at):
                return self.open[0][0]
        return root

    def _begin(self, event: Any, mark: Position) -> None:  # noqa: ANN401 - PyYAML's events have no types
        self._no_tag(event, mark)
        is_map = isinstance(event, yaml.MappingStartEvent)
        if self._wants_key():
            raise _Stop(mark, f"a {'mapping' if is_map else 'list'} cannot be a key", "a key is plain text")
        if len(self.open) >= MOST_DEPTH:
            raise _Stop(mark, f"more than {MOST_DEPTH} levels of nesting")
        self.open.append((Node(mark, {} if is_map else []), event.anchor))
        self.keys.append(None)

    def _end(self) -> Node | None:
        node, anchor = self.open.pop()
        self.keys.pop()
        return self._add(node, anchor)

    def _scalar(self, event: Any, mark: Position) -> Node | None:  # noqa: ANN401 - PyYAML's events have no types
        self._no_tag(event, mark)
        if self._wants_key():
            if not event.style and event.value == "<<":
                self.problems.append(Problem(mark, "merge keys (`<<`) are not supported", "repeat the lines"))
            self.keys[-1] = (event.value, mark)
            return None
        value: Any = event.value
        if not event.style:
            value, message, hint = resolve(event.value)
            if message:
                self.problems.append(Problem(mark, message, hint))
        return self._add(Node(mark, value), event.anchor)

    def _alias(self, anchor: str | None, mark: Position) -> Node:
        if self._wants_key():
            raise _Stop(mark, "an alias cannot be a key", "a key is plain text")
        target = self.anchors.get(anchor or "")
        if target is None:
            raise _Stop(mark, f"`*{anchor}` refers to no complete value before it")
        if len(self.open) + target.height > MOST_DEPTH:
            raise _Stop(mark, f"more than {MOST_DEPTH} levels of nesting")
        return Node(mark, target.value, target.size, target.height)

    def _add(self, node: Node, anchor: str | None = None) -> Node | None:
        """Put a complete node where it belongs; return it if it is the root."""
        if anchor is not None:
            self.anchors[anchor] = node
        if not self.open:
            return node
        parent = self.open[-1][0]
        parent.size += node.size
        parent.height = max(parent.height, node.height + 1)
        if parent.size > MOST_NODES:
            raise _Stop(node.mark, f"more than {MOST_NODES} values with aliases followed")
        if isinstance(parent.value, list):
            parent.value.append(node)
            return None
        key = self.keys[-1]
        assert key is not None  # noqa: S101 - the parser gives a key before each value
        self.keys[-1] = None
        name, mark = key
        if name in parent.value:
            before = parent.value[name][0].line + 1
            self.problems.append(Problem(mark, f"duplicate key `{name}`", f"first on line {before}"))
        else:
            parent.value[name] = (mark, node)
        return None

    def _wants_key(self) -> bool:
        return bool(self.open) and isinstance(self.open[-1][0].value, dict) and self.keys[-1] is None

    def _no_tag(self, event: Any, mark: Position) -> None:  # noqa: ANN401 - PyYAML's events have no types
        if event.tag is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            self.problems.append(Problem(mark, f"the tag `{tag}` is not supported", "quote text instead"))
