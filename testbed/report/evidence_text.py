"""Evidence as a sentence, whole or cut at its references.

Names that programs and kernels contributed are as they came; whoever shows them escapes them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from testbed.model import CallRef, Endpoint, Evidence, PacketRef
from testbed.model.absences import NoPacket
from testbed.model.evidence import ByteRange, Duration, Part, Quantity
from testbed.model.references import References
from testbed.report.no_packet_text import no_packet

Reference = CallRef | PacketRef
_SinglePart = str | Reference | Duration | ByteRange | Quantity | Endpoint
_SHOWN = 4
"""References of a list that are shown before it is cut in the middle."""


class SentencePiece(NamedTuple):
    """A piece of a sentence, and what it refers to; None for plain words."""

    text: str
    reference: Reference | None = None


def sentence(evidence: Evidence) -> str:
    """Return ``acknowledges #3, #4, 0.4 ms after it came``."""
    return "".join(piece.text for piece in pieces(evidence))


def without_numbers(evidence: Evidence) -> str:
    """Return a sentence that two runs can share: ``acknowledges #N, N after it came``."""
    return "".join(_unnumbered(part) for part in evidence)


def pieces(evidence: Evidence) -> list[SentencePiece]:
    """Return a sentence in pieces: each reference is one, and so are the words between two of them."""
    found: list[SentencePiece] = []
    words = ""
    for piece in _each(evidence):
        if piece.reference is None:
            words += piece.text
            continue
        if words:
            found.append(SentencePiece(words))
            words = ""
        found.append(piece)
    return [*found, SentencePiece(words)] if words else found


def _each(evidence: Evidence) -> Iterator[SentencePiece]:
    for part in evidence:
        if isinstance(part, References):
            yield from _several(part)
        elif isinstance(part, NoPacket):
            yield from _each(no_packet(part))
        else:
            yield _one(part)


def _one(part: _SinglePart) -> SentencePiece:
    match part:
        case str():
            return SentencePiece(part)
        case CallRef():
            return SentencePiece(f"{part.name} #{part.n}", part)
        case PacketRef():
            return SentencePiece(f"#{part.n}", part)
        case Duration():
            return SentencePiece(span(part.ns))
        case ByteRange():
            single = part.end - part.start == 1
            return SentencePiece(f"byte {part.start}" if single else f"bytes {part.start}-{part.end - 1}")
        case Quantity():
            unit = f" {part.unit}{'' if part.number == 1 else 's'}" if part.unit else ""
            return SentencePiece(f"{part.number:,}{unit}")
        case Endpoint():
            return SentencePiece(str(part))


def _unnumbered(part: Part) -> str:
    match part:
        case str():
            return part
        case CallRef():
            return f"{part.name} #N"
        case PacketRef():
            return "#N"
        case References():
            return _unnumbered(part.items[0])
        case NoPacket():
            return without_numbers(no_packet(part))
        case Quantity():
            return f"N {part.unit}s" if part.unit else "N"
    return "N"


def _several(part: References) -> Iterator[SentencePiece]:
    items = part.items
    shown: list[SentencePiece] = [_one(item) for item in items[:_SHOWN]]
    if len(items) > _SHOWN:
        shown[2:] = [SentencePiece("..."), _one(items[-1])]
    for place, piece in enumerate(shown):
        if place:
            yield SentencePiece(", ")
        yield piece


def span(ns: int) -> str:
    """Return a span of time to two digits: ``0.4 ms``, ``12 ms``, ``1.02 s``."""
    if ns >= 1_000_000_000:
        return f"{ns / 1e9:.2f} s"
    milliseconds = ns / 1e6
    return f"{milliseconds:.0f} ms" if milliseconds >= 10 else f"{milliseconds:.2g} ms"
