"""What pairs of packets show of their places and flows, summed up in one go over all pairs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from testbed.model.arrays import Bool, Float64, Int64
from testbed.pairing.packet_table import PacketTable

SAME = 100  # ns; what differs by no more was captured at one time
NO_TTL = 1 << 20  # more than any TTL


@dataclass(slots=True)
class PairSums:
    """By place (pair of flows * 2 + direction), and by flow.

    ``count``: pairs; ``fell`` and ``rose``: those whose TTL is lower, or higher, in the second capture; ``least`` and
    ``greatest``: by how much it is lower (NO_TTL, -NO_TTL without a pair): int64[places]. ``same_ids`` and
    ``same_stamps``: bool[places], whether a pair has the same IP identification, or time stamp, and it is not 0.

    By flow: ``later``: int64[flows], pairs that are later in the second capture less those that are earlier. A turn is
    a pair after which the flow's next one goes the other way; ``turns`` counts them, ``at_once`` those whose
    differences in time are the same (int64[flows]). ``score`` (int64[flows]) counts turns by which packets to the
    second end have the greater difference, less the others; ``wide`` (float64[flows], ns) sums by how much.

    ``no_time``: no pair at all has a difference in time.
    """

    count: Int64
    fell: Int64
    rose: Int64
    least: Int64
    greatest: Int64
    same_ids: Bool
    same_stamps: Bool
    later: Int64
    turns: Int64
    at_once: Int64
    score: Int64
    wide: Float64
    no_time: bool

    @classmethod
    def none(cls, places: int) -> PairSums:
        """Return those of no pairs."""
        count, fell, rose = (np.zeros(places, np.int64) for _ in range(3))
        later, turns, at_once, score = (np.zeros(places // 2, np.int64) for _ in range(4))
        least, greatest = np.full(places, NO_TTL, np.int64), np.full(places, -NO_TTL, np.int64)
        same_ids, same_stamps = np.zeros(places, np.bool_), np.zeros(places, np.bool_)
        wide = np.zeros(places // 2, np.float64)
        return cls(
            count, fell, rose, least, greatest, same_ids, same_stamps, later, turns, at_once, score, wide, no_time=True
        )


SumPairs = Callable[[PacketTable, Int64, PacketTable, Int64, Int64, int], PairSums]
"""What :func:`sum_pairs` does, by whatever does it."""


def sum_pairs(one: PacketTable, a: Int64, two: PacketTable, b: Int64, place: Int64, places: int) -> PairSums:
    """Sum up pairs of packets, in the order of the first capture; ``a`` and ``b`` are their rows, ``place`` theirs."""
    result = PairSums.none(places)
    flows = places // 2
    apart = two.time[b]
    apart -= one.time[a]
    fallen = one.ttl[a].astype(np.int64)
    fallen -= two.ttl[b]
    result.count = np.bincount(place, minlength=places)
    result.fell, result.rose = (np.bincount(place[mask], minlength=places) for mask in (fallen > 0, fallen < 0))
    np.minimum.at(result.least, place, fallen)
    np.maximum.at(result.greatest, place, fallen)
    for some, before, after in (
        (result.same_ids, one.ip_id[a], two.ip_id[b]),
        (result.same_stamps, one.tsval[a], two.tsval[b]),
    ):
        some[place[(before == after) & (before > 0)]] = True
    result.later = np.bincount(place >> 1, weights=np.sign(apart), minlength=flows).astype(np.int64)
    result.no_time = bool((np.abs(apart) <= SAME).all())
    if places > 2:
        by_flow = np.sort((place >> 1) << 32 | np.arange(len(place))) & 0xFFFFFFFF
        place, apart = place[by_flow], apart[by_flow]
    turns = np.flatnonzero((place[1:] ^ place[:-1]) == 1)  # the next one of the same flow goes the other way
    later = np.diff(apart)[turns]
    np.negative(later, out=later, where=place[turns] & 1 == 0)
    sign = np.sign(later)
    sign[np.abs(later) <= SAME] = 0
    flow = place[turns] >> 1
    result.score = np.bincount(flow, weights=sign, minlength=flows).astype(np.int64)
    result.turns = np.bincount(flow, minlength=flows)
    result.wide = np.bincount(flow, weights=np.abs(later), minlength=flows).astype(np.float64)
    result.at_once = np.bincount(flow[sign == 0], minlength=flows)
    return result
