"""Lines of `strace -f -o` as system calls: interrupted lines put together, times and results read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_LINE = re.compile(r"(\d+) +(\d+)\.(\d{9}) (.*)")
_CALL = re.compile(r"(\w+)\((.*)\) += (.*)", re.DOTALL)
_RESUMED = re.compile(r"<\.\.\. (\w+) resumed>(.*)", re.DOTALL)
_RESULT = re.compile(
    r"(-?\d+|0x[0-9a-f]+|\?)"
    r"(?:<([A-Z][\w-]*:\[.*?\]|[^<>]*(?:<[^<>]*>)?)>)?"
    r"(?: (E[A-Z0-9]+))?(?: \(.*\))?(?: <(\d+)\.(\d{9})>)?$"
)
_UNFINISHED = (" <unfinished ...>", " <detached ...>")
"""Another thread's line comes, or strace lets go: then the call has not returned as far as is known."""


@dataclass(frozen=True, slots=True)
class SystemCall:
    """One system call; times in ns, ``end`` None if it never returned. ``label`` describes a returned descriptor."""

    tid: int
    name: str
    arguments: str
    start: int
    end: int | None
    result: int
    errno: str | None
    label: str


@dataclass(slots=True)
class _Begun:
    name: str
    text: str
    start: int


class Lines:
    """A trace, read line by line; ``bad`` collects what cannot be read."""

    def __init__(self) -> None:
        self.bad: list[str] = []
        self._begun: dict[int, _Begun] = {}

    def read(self, lines: Iterable[str]) -> Iterator[SystemCall]:
        """Yield the calls in the order of their ends; at last those that never returned."""
        for line in lines:
            found = _LINE.match(line)
            if not found:
                if line.strip():
                    self.bad.append(line.rstrip())
                continue
            call = self._line(int(found[1]), int(found[2]) * 1_000_000_000 + int(found[3]), found[4].rstrip())
            if call is not None:
                yield call
        for tid, begun in self._begun.items():
            yield SystemCall(tid, begun.name, begun.text, begun.start, None, 0, None, "")

    def _line(self, tid: int, time: int, text: str) -> SystemCall | None:
        if text.startswith(("+++", "---")):  # an end, a signal
            if text.startswith("+++"):
                self._never_returned(tid)
            return None
        if text.endswith(_UNFINISHED):
            name, _, arguments = text[: text.rindex(" <")].partition("(")
            if not _RESUMED.match(text):
                self._begun[tid] = _Begun(name, arguments, time)
            return None
        start = time
        resumed = _RESUMED.match(text)
        if resumed:
            begun = self._begun.pop(tid, None)
            if begun is None:
                return None  # begun before strace was there
            text, start = f"{begun.name}({begun.text}{resumed[2]}", begun.start
        found = _CALL.match(text)
        result = _RESULT.match(found[3]) if found else None
        if found is None or result is None:
            self.bad.append(text)
            return None
        if result[3] and result[3].startswith("ERESTART"):
            return None  # a signal came; the kernel begins it again, and so does the trace
        end = start + int(result[4]) * 1_000_000_000 + int(result[5]) if result[4] else None
        if end is not None and resumed:
            # strace's clock for the time in the call starts when it has printed the arguments, which `start` does not
            # know. Another thread's line came between, so how far the call may have lasted matters.
            end = max(end, time)
        number = 0 if result[1] == "?" else int(result[1], 0)
        return SystemCall(tid, found[1], found[2], start, end, number, result[3], result[2] or "")

    def _never_returned(self, tid: int) -> None:
        """Keep a call that its thread died in: it is yielded at the end as one that never returned."""
        begun = self._begun.pop(tid, None)
        if begun is not None:
            self._begun[-len(self._begun) - 1] = begun
