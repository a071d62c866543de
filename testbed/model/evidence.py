"""Evidence as values: what a finding rests on, as words, references and figures in order. Pure data.

Analysis composes it, ``report/evidence_text.py`` makes the sentence, and a page makes links of its references. Nothing
reads the words.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from testbed.model.calls import Call
from testbed.model.hosts import Endpoint, Host


@dataclass(frozen=True, slots=True)
class CallRef:
    """A call of a host: ``n`` is its ``Call.n``, ``name`` what it is called."""

    host: Host
    n: int
    name: str


@dataclass(frozen=True, slots=True)
class PacketRef:
    """A packet, by its crossing's number."""

    n: int


@dataclass(frozen=True, slots=True)
class References:
    """Several calls or packets in order, at least one; whoever shows them may leave some out."""

    items: tuple[CallRef | PacketRef, ...]


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
    """How many of what; ``unit`` is a noun in the singular."""

    number: int
    unit: str


Part = str | CallRef | PacketRef | References | Duration | ByteRange | Quantity | Endpoint
"""One part of evidence; a ``str`` holds words, with the blanks between it and its neighbours."""

Evidence = tuple[Part, ...]


def call_ref(call: Call) -> CallRef:
    """Return the reference to a call."""
    return CallRef(call.host, call.n, call.name)


def call_refs(calls: Iterable[Call]) -> References:
    """Return the references to several calls."""
    return References(tuple(map(call_ref, calls)))


def packet_refs(numbers: Iterable[int]) -> References:
    """Return the references to several packets by their numbers."""
    return References(tuple(map(PacketRef, numbers)))
