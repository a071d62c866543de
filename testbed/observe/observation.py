"""What an observer recorded of one host's program: the same value for every observer."""

from __future__ import annotations

from dataclasses import dataclass

from testbed.model import Call


@dataclass(frozen=True, slots=True)
class Observation:
    """The calls of one host in order of their start, and why they may not be all (``problems``, one sentence each).

    ``blind``: the observer ran and recorded nothing at all of the program.
    """

    calls: tuple[Call, ...] = ()
    problems: tuple[str, ...] = ()
    blind: bool = False
