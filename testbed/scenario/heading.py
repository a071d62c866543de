"""What a scenario file says of itself: its summary and tags, for lists of many."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from testbed.scenario.catalogue import name_of
from testbed.scenario.language.yaml_source import decode, read


class Heading(NamedTuple):
    """A scenario in a list."""

    name: str
    summary: str
    tags: tuple[str, ...]


def heading(path: Path) -> Heading:
    """Return a file's heading, without checking what follows it: a hundred are read in the time of one whole scenario.

    A file whose heading is not as it should be is checked as a whole: ScenarioError with every problem in it,
    UsageError where it cannot be read.
    """
    return _quickly(path) or _checked(path)


def _quickly(path: Path) -> Heading | None:
    try:
        text, unreadable = decode(path.read_bytes())
    except OSError:
        return None
    if unreadable:
        return None
    root, problems = read(text, stop_at=("summary", "tags"))
    if problems or root is None or not isinstance(root.value, dict):
        return None
    members = {key: root.value[key][1].plain() for key in ("summary", "tags") if key in root.value}
    summary, tags = members.get("summary"), members.get("tags", [])
    if not isinstance(summary, str) or not summary.strip() or not isinstance(tags, list):
        return None
    return Heading(name_of(path), summary, tuple(tags)) if all(isinstance(tag, str) for tag in tags) else None


def _checked(path: Path) -> Heading:
    from testbed.scenario.load import load

    scenario = load(path)
    return Heading(scenario.name, scenario.summary, scenario.tags)
