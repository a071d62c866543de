"""References in sentences: `close #7` is a call, `RST #9` a packet; on a page both are links."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from testbed.model import Call, Host

_REFERENCE = re.compile(r"(\w+ )?#(\d+)")


@dataclass(frozen=True, slots=True)
class SentencePiece:
    """A piece of a sentence; ``target`` is what it refers to (``p9``, ``server:7``), empty for plain words."""

    text: str
    target: str = ""


def pieces(text: str, host: Host, calls: Sequence[Call], packets: int) -> list[SentencePiece]:
    """Cut a sentence about ``host`` at its references; ``packets`` is how many crossings there are.

    ``NAME #N`` is a call where the host's call N has that name, any other ``#N`` a packet.
    """
    found: list[SentencePiece] = []
    at = 0
    for match in _REFERENCE.finditer(text):
        name, number = (match[1] or "").strip(), int(match[2])
        if name and number < len(calls) and calls[number].name == name:
            start, target = match.start(), f"{host}:{number}"
        elif number < packets:
            start, target = match.end() - len(match[2]) - 1, f"p{number}"
        else:
            continue
        if start > at:
            found.append(SentencePiece(text[at:start]))
        found.append(SentencePiece(text[start : match.end()], target))
        at = match.end()
    if at < len(text):
        found.append(SentencePiece(text[at:]))
    return found
