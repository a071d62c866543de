"""Evidence as a sentence, whole or cut at its references.

Names that programs and kernels contributed are as they came; whoever shows them escapes them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from testbed.model import CallRef, Endpoint, Evidence, PacketRef
from testbed.model.evidence import ByteRange, Duration, Part, Quantity, References

Reference = CallRef | PacketRef
_SHOWN = 4
"""References of a list that are shown before it is cut in the middle."""


class Piece(NamedTuple):
    """A piece of a sentence, and what it refers to; None for plain words."""

    text: str
    reference: Reference | None = None


def sentence(evidence: Evidence) -> str:
    """Return ``acknowledges #3, #4, 0.4 ms after it came``."""
    return "".join(piece.text for piece in pieces(evidence))


def pieces(evidence: Evidence) -> list[Piece]:
    """Return a sentence in pieces: each reference is one, and so are the words between two of them."""
    found: list[Piece] = []
    words = ""
    for piece in _each(evidence):
        if piece.reference is None:
            words += piece.text
            continue
        if words:
            found.append(Piece(words))
            words = ""
        found.append(piece)
    return [*found, Piece(words)] if words else found


def _each(evidence: Evidence) -> Iterator[Piece]:
    for part in evidence:
        if isinstance(part, References):
            yield from _several(part)
        else:
            yield _one(part)


def _one(part: Part) -> Piece:
    match part:
        case str():
            return Piece(part)
        case CallRef():
            return Piece(f"{part.name} #{part.n}", part)
        case PacketRef():
            return Piece(f"#{part.n}", part)
        case Duration():
            return Piece(span(part.ns))
        case ByteRange():
            single = part.end - part.start == 1
            return Piece(f"byte {part.start}" if single else f"bytes {part.start}-{part.end - 1}")
        case Quantity():
            return Piece(f"{part.number:,} {part.unit}{'' if part.number == 1 else 's'}")
        case Endpoint():
            return Piece(str(part))
    raise TypeError(f"no text for {type(part).__name__}")


def _several(part: References) -> Iterator[Piece]:
    items = part.items
    shown: list[Piece] = [_one(item) for item in items[:_SHOWN]]
    if len(items) > _SHOWN:
        shown[2:] = [Piece("..."), _one(items[-1])]
    for place, piece in enumerate(shown):
        if place:
            yield Piece(", ")
        yield piece


def span(ns: int) -> str:
    """Return a span of time to two digits: ``0.4 ms``, ``12 ms``, ``1.02 s``."""
    if ns >= 1_000_000_000:
        return f"{ns / 1e9:.2f} s"
    milliseconds = ns / 1e6
    return f"{milliseconds:.0f} ms" if milliseconds >= 10 else f"{milliseconds:.2g} ms"
