"""Evidence as values: what a finding rests on, as words, references and figures in order. Pure data.

Analysis composes it, ``report/evidence_text.py`` makes the sentence, and a page makes links of its references. Nothing
reads the words.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from testbed.model.absences import NoPacket
from testbed.model.hosts import Endpoint
from testbed.model.references import CallRef, PacketRef, References


@dataclass(frozen=True, slots=True)
class Duration:
    """A span of time, ns."""

    ns: int


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes of a stream from ``start`` up to, not including, ``end``; at least one."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Quantity:
    """How many of what; ``unit`` is a noun in the singular, empty for a bare number."""

    number: int
    unit: str = ""


Part = str | CallRef | PacketRef | References | Duration | ByteRange | Quantity | Endpoint | NoPacket
"""One part of evidence; a ``str`` holds words, with the blanks between it and its neighbours."""

Evidence = tuple[Part, ...]


def concatenated(several: Iterable[Evidence], between: str) -> Evidence:
    """Return several pieces of evidence as one, with words between them."""
    return tuple(part for at, each in enumerate(several) for part in ((between, *each) if at else each))
