"""What is remarkable about each packet, as bits: the presets of the page select by them."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntFlag

from testbed.analysis.label_check import contradicted, labels_of
from testbed.crossings.packet_order import reordered, retransmitted
from testbed.model import Cause, CauseKind, Crossing, Labels


class PacketMark(IntFlag):
    """One bit for each preset; ``assets/filter.js`` knows the same numbers.

    Those from DUPLICATED to LABELS_DIFFER are of two captures from anywhere: see
    :class:`testbed.pairing.fates.Fate`.
    """

    LOST = 1
    APPEARED = 2
    ALTERED = 4
    RETRANSMITTED = 8
    REORDERED = 16
    UNKNOWN = 32
    MISLABELLED = 64
    DUPLICATED = 128
    AMBIGUOUS = 256
    RESIZED = 512
    NOT_CAPTURED = 1024
    LABELS_DIFFER = 2048
    CONTRADICTED = 4096


def marks(crossings: Sequence[Crossing], causes: Sequence[Cause], labels: Labels) -> list[int]:
    """Return the bits of every crossing."""
    found = [_of_one(crossing, cause) for crossing, cause in zip(crossings, causes, strict=True)]
    probes = {n for n, cause in enumerate(causes) if cause.traits.probe}
    for n in retransmitted(crossings, probes):
        found[n] |= PacketMark.RETRANSMITTED
    for n in reordered(crossings):
        found[n] |= PacketMark.REORDERED
    if labels:
        for n, (crossing, cause) in enumerate(zip(crossings, causes, strict=True)):
            if contradicted(labels_of(crossing, labels), cause):
                found[n] |= PacketMark.MISLABELLED
    return found


def _of_one(crossing: Crossing, cause: Cause) -> int:
    bits = {"lost": PacketMark.LOST, "appeared": PacketMark.APPEARED, "crossed": PacketMark(0)}[crossing.fate]
    if crossing.changes:
        bits |= PacketMark.ALTERED
    if cause.kind is CauseKind.UNKNOWN:
        bits |= PacketMark.UNKNOWN
    return int(bits)
