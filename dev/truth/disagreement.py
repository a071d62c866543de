"""One claim about a run that is wrong."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A claim that the kernel, or an actor, refutes.

    ``kind`` is the same for claims that are wrong alike: what is wrong, inferred and real, without numbers;
    ``text`` is this one in words.
    """

    kind: str
    text: str
