"""Whether two runs are the same to the last bit: what both recorded, byte by byte, times and numbers included.

Only a run in virtual time with seeded chance can be the same twice (``deterministic`` in its manifest). What a run
recorded are its captures, call logs, the link's journal, the kernel trace and the programs' output; the manifest and
what was worked out of them are not compared.
"""

from __future__ import annotations

import filecmp
import json
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from testbed.model.errors import CaptureError
from testbed.rundir.layout import RunDirectory

RECORDED = ("*.pcap", "*.calls.jsonl", "link.jsonl", "kernel.jsonl", "*.out", "*.err")


@dataclass(frozen=True, slots=True)
class ArtefactDifference:
    """The first place in which an artefact of two runs differs.

    ``artefact`` is its name. ``unit`` is what ``place`` (from 1) counts: ``frame`` or ``line``; empty where the whole
    differs or one run has none. ``what`` are the names of what differs there, ``apart`` by how much later (ns) it is
    in the second run where a time differs.
    """

    artefact: str
    unit: str = ""
    place: int = 0
    what: tuple[str, ...] = ()
    apart: int | None = None


def exact_differences(one: RunDirectory, other: RunDirectory) -> tuple[ArtefactDifference, ...]:
    """Return each artefact that is not the same in two runs, by name; none where they are the same."""
    names = {path.name for run in (one, other) for pattern in RECORDED for path in run.path.glob(pattern)}
    found = []
    for name in sorted(names):
        paths = one.file(name), other.file(name)
        if not all(path.exists() for path in paths):
            found.append(ArtefactDifference(name, what=("present",)))
        elif not filecmp.cmp(*paths, shallow=False):
            found.append(_first(name, *paths))
    return tuple(found)


def _first(name: str, one: Path, other: Path) -> ArtefactDifference:
    """Return the first difference of two files that are not the same."""
    try:
        if name.endswith(".pcap"):
            return _first_frame(name, one, other)
        if name.endswith(".jsonl"):
            return _first_line(name, one, other)
    except (CaptureError, ValueError):  # one of them is damaged: then it differs as a whole
        pass
    return ArtefactDifference(name, what=("content",))


def _first_frame(name: str, one: Path, other: Path) -> ArtefactDifference:
    from testbed.capture.read_file import read

    left, right = read(one), read(other)
    for row in range(min(len(left), len(right))):
        what = []
        apart = int(right.time_ns[row]) - int(left.time_ns[row])
        if apart:
            what.append("time")
        if left.frame(row) != right.frame(row) or left.wire[row] != right.wire[row]:
            what.append("bytes")
        if what:
            return ArtefactDifference(name, "frame", row + 1, tuple(what), apart or None)
    if len(left) != len(right):
        return ArtefactDifference(name, "frame", min(len(left), len(right)) + 1, ("present",))
    return ArtefactDifference(name, what=("content",))


def _first_line(name: str, one: Path, other: Path) -> ArtefactDifference:
    lines = zip_longest(one.read_text(encoding="utf-8").splitlines(), other.read_text(encoding="utf-8").splitlines())
    for place, (left, right) in enumerate(lines, start=1):
        if left is None or right is None:
            return ArtefactDifference(name, "line", place, ("present",))
        if left != right:
            before, after = json.loads(left), json.loads(right)
            what = tuple(key for key in before | after if before.get(key) != after.get(key))
            return ArtefactDifference(name, "line", place, what, _apart(before, after))
    return ArtefactDifference(name, what=("content",))


def _apart(before: dict[str, Any], after: dict[str, Any]) -> int | None:
    for key in ("start", "time", "end", "left"):
        if isinstance(before.get(key), int) and isinstance(after.get(key), int) and before[key] != after[key]:
            return int(after[key]) - int(before[key])
    return None
