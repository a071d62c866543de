"""Evidence on a page: its references become links to the calls and packets that the page holds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from testbed.model import HOSTS, CallRef, Evidence
from testbed.report.evidence_text import Reference, pieces, sentence
from testbed.report.html.pack import Packer


class LinkedPiece(NamedTuple):
    """A piece of a sentence; ``target`` is what it leads to (``p9``, ``server:7``), empty for plain words."""

    text: str
    target: str = ""


class Links:
    """What a page holds: every call, and the packets of these numbers."""

    def __init__(self, packets: Iterable[int]) -> None:
        self._packets = frozenset(packets)

    def target(self, reference: Reference) -> str:
        """Return where a call or a packet is, empty if nowhere in the page."""
        if isinstance(reference, CallRef):
            return f"{reference.host}:{reference.n}"
        return f"p{reference.n}" if reference.n in self._packets else ""

    def linked(self, evidence: Evidence) -> list[LinkedPiece]:
        """Return a sentence in pieces; what is not in the page is plain words."""
        return [
            LinkedPiece(text, "" if reference is None else self.target(reference))
            for text, reference in pieces(evidence)
        ]


def put_sentences(packer: Packer, name: str, rows: Sequence[Evidence]) -> None:
    """Add a column of sentences, and beside it (``NAME.links``) for each its links, three integers a link.

    Where it begins (UTF-16 units, as JavaScript counts), how long it is, and what it leads to: a packet's number, or
    ``-1 - (2 * number + host)`` for a call.
    """
    packer.texts(name, [sentence(row) if row else "" for row in rows])
    packer.lists(f"{name}.links", [_links(row) if row else [] for row in rows])


def _links(evidence: Evidence) -> list[int]:
    found: list[int] = []
    at = 0
    for text, reference in pieces(evidence):
        size = len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2
        if reference is not None:
            found += (at, size, _place(reference))
        at += size
    return found


def _place(reference: Reference) -> int:
    if isinstance(reference, CallRef):
        return -1 - (len(HOSTS) * reference.n + HOSTS.index(reference.host))
    return reference.n
