"""Segments of one size at one end and another at the other: the same bytes, split or merged on their way.

Segmentation offload (TSO, GSO) shows the sender's tap a segment that leaves as several; receive offload (GRO) and
middleboxes put several together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from testbed.analysis.selection import Int64

if TYPE_CHECKING:
    from testbed.analysis.pairing import Side

Payload = Callable[["Side", int], bytes]


@dataclass(frozen=True, slots=True)
class Whole:
    """A segment that is several at the other end: positions in the two sides, ``parts`` in stream order."""

    position: int
    parts: tuple[int, ...]
    at_sender: bool


def find_pieces(sent: Side, arrived: Side, ours: Int64, theirs: Int64, payload: Payload) -> list[Whole]:
    """Return the segments among ``ours`` and ``theirs`` whose bytes are exactly those of several at the other end."""
    found = _split(sent, ours, arrived, theirs, payload, at_sender=True)
    used_ours = {whole.position for whole in found}
    used_theirs = {part for whole in found for part in whole.parts}
    ours = np.array([k for k in ours.tolist() if k not in used_ours], np.int64)
    theirs = np.array([k for k in theirs.tolist() if k not in used_theirs], np.int64)
    return found + _split(arrived, theirs, sent, ours, payload, at_sender=False)


def _split(big: Side, wholes: Int64, fine: Side, parts: Int64, payload: Payload, *, at_sender: bool) -> list[Whole]:
    waiting: dict[tuple[int, int, int], list[int]] = defaultdict(list)  # flow, sender, sequence number
    for part in parts[fine.fields["length"][parts] > 0].tolist():
        waiting[_place(fine, part)].append(part)
    found = []
    for whole in wholes[big.fields["length"][wholes] > 0].tolist():
        chain = _chain(big, whole, fine, waiting, payload)
        if len(chain) > 1:
            found.append(Whole(whole, tuple(chain), at_sender))
            for part in chain:
                waiting[_place(fine, part)].remove(part)
    return found


def _chain(
    big: Side, whole: int, fine: Side, waiting: dict[tuple[int, int, int], list[int]], payload: Payload
) -> Sequence[int]:
    """Return the parts that make up a segment, none if a byte is missing or differs."""
    flow, sender, first = _place(big, whole)
    length, data = int(big.fields["length"][whole]), payload(big, whole)
    chain: list[int] = []
    done = 0
    while done < length:
        for part in waiting.get((flow, sender, (first + done) % 2**32), ()):
            size, piece = int(fine.fields["length"][part]), payload(fine, part)
            common = min(len(piece), max(len(data) - done, 0))
            if size <= length - done and piece[:common] == data[done : done + common]:
                chain.append(part)
                done += size
                break
        else:
            return ()
    return chain


def _place(side: Side, position: int) -> tuple[int, int, int]:
    return int(side.flow[position]), int(side.sender[position]), int(side.fields["seq"][position])
