"""Guess who sent a packet that appeared, from its TTL and IP identification; unknown where they do not show it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from testbed.model.arrays import Int64, UInt8
from testbed.pairing.crossing_table import CrossingTable
from testbed.pairing.fates import RowFate
from testbed.pairing.packet_table import PacketTable

UNKNOWN, DEVICE, OTHER = "unknown", "a device on the way", "another sender"
_STARTS = (64, 128, 255)  # TTLs that systems send with
_NEAR = 64  # by how much identifications of a host that counts them may be apart, for other flows count too
_MOST = 30  # hops; with more, it was sent with another TTL than those


@dataclass(frozen=True, slots=True)
class Origin:
    """``who``: UNKNOWN, DEVICE or OTHER; ``why`` is the evidence, one clause."""

    who: str
    why: str

    @property
    def text(self) -> str:
        """``another sender (TTL 200, the flow's packets arrive with 61)``."""
        return f"{self.who} ({self.why})"


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
            return Origin(DEVICE, "the rest of the segment was sent: these bytes were added to it")
        if not len(rows):
            return Origin(UNKNOWN, "no other packet of the flow crossed in this direction")
        usual, sent = _most(packets.ttl[mine]), _most(other.ttl[there[rows]])
        ttl = int(packets.ttl[item])
        evidence = []
        if ttl not in packets.ttl[mine]:
            evidence.append(f"TTL {ttl}, the flow's packets arrive with {usual}")
        if (unusual := _odd_id(packets, item, np.sort(mine))) is not None:
            evidence.append(unusual)
        if not evidence:
            number = f" and IP identification {int(packets.ip_id[item])}" if packets.ip_id[item] else ""
            return Origin(UNKNOWN, f"TTL {ttl}{number} fit the flow")
        hops, all_hops = min(start - ttl for start in _STARTS if start >= ttl), sent - usual
        if ttl != usual and hops < all_hops <= _MOST:
            return Origin(DEVICE, f"{', '.join(evidence)}: {hops} of {all_hops} hops away, if sent with {ttl + hops}")
        return Origin(OTHER, ", ".join(evidence))


def _most(values: UInt8) -> int:
    kinds, counts = np.unique(values, return_counts=True)
    return int(kinds[counts.argmax()])


def _odd_id(packets: PacketTable, item: int, mine: Int64) -> str | None:
    """Return how a packet's IP identification does not fit those of a host that counts them, None where it does.

    0 is no evidence: Linux sends resets for sockets that it does not have with it.
    """
    number = int(packets.ip_id[item])
    if not number:
        return None
    numbers = packets.ip_id[mine].astype(np.int64)
    if not numbers.any():
        return f"IP identification {number}, the flow's packets have none"
    steps = np.diff(numbers) % 65536
    if len(mine) < 4 or np.median(steps) > _NEAR:
        return None  # they do not count up
    place = int(np.searchsorted(mine, item))
    before, after = int(numbers[max(place - 1, 0)]), int(numbers[min(place, len(mine) - 1)])
    if (number - before + _NEAR) % 65536 <= (after - before) % 65536 + 2 * _NEAR:
        return None
    return f"IP identification {number}, the flow's are at {before}"
