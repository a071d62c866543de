"""Why a packet exists. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class CauseKind(StrEnum):
    """Families of causes."""

    CALL = "call"
    ANSWER = "answer"
    TIMER = "timer"
    EXIT = "exit"
    LINK = "link"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a packet exists, with its evidence.

    ``rule`` is the rule's name in ``analysis/causes/find_causes.py``; ``calls`` are indexes into the sender's calls
    (``Call.n``); ``packets`` are crossing numbers that it answers or repeats; ``evidence`` is one plain sentence.
    """

    kind: CauseKind
    rule: str
    evidence: str
    calls: tuple[int, ...] = ()
    packets: tuple[int, ...] = ()
