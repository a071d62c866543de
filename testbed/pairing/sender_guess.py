"""Guess who sent a packet that appeared, from its TTL and IP identification; unknown where they do not show it.

The guess and what it rests on are values; ``report/text/comparison_reasons.py`` says them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from testbed.model.arrays import Int64, UInt8, median
from testbed.pairing.crossing_table import CrossingTable
from testbed.pairing.fates import RowFate
from testbed.pairing.packet_table import PacketTable

_STARTS = (64, 128, 255)  # TTLs that systems send with
_NEAR = 64  # by how much identifications of a host that counts them may be apart, for other flows count too
_MOST = 30  # hops; with more, it was sent with another TTL than those


class Sender(StrEnum):
    """Who sent a packet that appeared, as results write it."""

    UNKNOWN = "unknown"
    DEVICE = "a device on the way"
    OTHER = "another sender"


@dataclass(frozen=True, slots=True)
class BytesAdded:
    """The rest of the segment was sent: the bytes were added to it."""


@dataclass(frozen=True, slots=True)
class NothingCrossed:
    """No other packet of the flow crossed in this direction, to hold it against."""


@dataclass(frozen=True, slots=True)
class FitsFlow:
    """TTL and IP identification (0: it has none) fit the flow."""

    ttl: int
    ip_id: int


@dataclass(frozen=True, slots=True)
class UnlikeFlow:
    """What does not fit the flow's packets: the TTL (``odd_ttl``), the IP identification ``ip_id`` (None: it fits).

    ``ttl`` is the packet's, ``usual_ttl`` that with which the flow's packets arrive; those before it have the
    identification ``usual_id``, None where they have none at all. ``hops`` is how many of ``all_hops`` it came, if it
    was sent with the next common TTL; None where that says nothing.
    """

    ttl: int
    usual_ttl: int
    odd_ttl: bool
    ip_id: int | None = None
    usual_id: int | None = None
    hops: int | None = None
    all_hops: int = 0


@dataclass(frozen=True, slots=True)
class Origin:
    """Who sent a packet, and the evidence."""

    who: Sender
    evidence: BytesAdded | NothingCrossed | FitsFlow | UnlikeFlow


class Origins:
    """What the packets that crossed show of each place, to hold those that appeared against."""

    def __init__(self, one: PacketTable, two: PacketTable, table: CrossingTable) -> None:
        self._tracks = one, two
        self._table = table
        crossed = np.flatnonzero(table.fate <= RowFate.MERGED)
        self._rows = crossed[np.argsort(table.place[crossed], kind="stable")]
        self._places = table.place[self._rows]

    def of(self, row: int) -> Origin | None:
        """Return who sent the packet of a row, None if it did not appear."""
        table = self._table
        if table.fate[row] != RowFate.APPEARED:
            return None
        at_one = not table.sent_at_one[row]
        packets, other = self._tracks if at_one else self._tracks[::-1]
        here, there = (table.one, table.two) if at_one else (table.two, table.one)
        item = int(here[row])
        low, high = np.searchsorted(self._places, table.place[row] + np.array([0, 1]))
        rows = self._rows[low:high]
        mine = here[rows].astype(np.int64)
        if item in mine:
            return Origin(Sender.DEVICE, BytesAdded())
        if not len(rows):
            return Origin(Sender.UNKNOWN, NothingCrossed())
        usual, sent = _most(packets.ttl[mine]), _most(other.ttl[there[rows]])
        ttl, number = int(packets.ttl[item]), int(packets.ip_id[item])
        odd_ttl = ttl not in packets.ttl[mine]
        odd_id, usual_id = _odd_id(packets, item, np.sort(mine))
        if not odd_ttl and odd_id is None:
            return Origin(Sender.UNKNOWN, FitsFlow(ttl, number))
        hops, all_hops = min(start - ttl for start in _STARTS if start >= ttl), sent - usual
        if ttl != usual and hops < all_hops <= _MOST:
            return Origin(Sender.DEVICE, UnlikeFlow(ttl, usual, odd_ttl, odd_id, usual_id, hops, all_hops))
        return Origin(Sender.OTHER, UnlikeFlow(ttl, usual, odd_ttl, odd_id, usual_id))


def _most(values: UInt8) -> int:
    kinds, counts = np.unique(values, return_counts=True)
    return int(kinds[counts.argmax()])


def _odd_id(packets: PacketTable, item: int, mine: Int64) -> tuple[int | None, int | None]:
    """Return a packet's IP identification if it does not fit those of a host that counts them, and that before it.

    The second is None where the flow's packets have none. 0 is no evidence: Linux sends resets for sockets that it does
    not have with it.
    """
    number = int(packets.ip_id[item])
    if not number:
        return None, None
    numbers = packets.ip_id[mine].astype(np.int64)
    if not numbers.any():
        return number, None
    steps = np.diff(numbers) % 65536
    if len(mine) < 4 or median(steps) > _NEAR:
        return None, None  # they do not count up
    place = int(np.searchsorted(mine, item))
    before, after = int(numbers[max(place - 1, 0)]), int(numbers[min(place, len(mine) - 1)])
    fits = (number - before + _NEAR) % 65536 <= (after - before) % 65536 + 2 * _NEAR
    return (None, None) if fits else (number, before)
