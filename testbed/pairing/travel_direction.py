"""Find out in which order packets of each direction of a flow pass both taps.

Between two hosts the packets of one direction pass the first capture's tap first, those of the other the second's. Two
taps in one device may also both be passed in the same order by all. So it is found for each direction.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from testbed.model.arrays import Bool, Int64
from testbed.pairing.pair_sums import PairSums

_CLEAR = 0.6  # the share of neighbours by which one direction must be later than the other
_NEARLY_ALL = 0.9  # of a direction's packets that must have a TTL that fell, or rose
_DEVICE = 1_000_000  # ns; within one device nothing takes longer
_TURNS = 4  # changes of direction that say something


@dataclass(slots=True)
class Directions:
    """What is known of each place (pair of flows * 2 + direction): bool[places].

    ``from_one``: its packets pass the first capture's tap first. ``two_way``: that is certain, as packets of both
    directions crossed, each the other way. ``same_place``: no time passes between both captures. ``in_line``: packets
    of both directions pass the same tap first.
    """

    from_one: Bool
    two_way: Bool
    same_place: Bool
    in_line: Bool


def find_directions(sums: PairSums) -> Directions:
    """Find the directions from packets that crossed.

    Whatever the clocks are set to, a packet is later at the end that it goes to: so the difference of the two
    captures' times is greater for packets from the first end than for those to it that cross at the same time. Where
    only one direction was captured, the TTL decides, which falls on the way, or else most other flows.
    """
    places = len(sums.count)
    ttl = _ttl_votes(sums)
    seen, score = sums.turns, sums.score
    wide = sums.wide > _DEVICE * seen
    no_time = sums.at_once * 2 > seen
    # a flow captured in one direction only goes by the other flows, or by that no packet took any time
    no_time[seen == 0] = 2 * int(no_time.sum()) > int((seen > 0).sum()) or (sums.no_time and not seen.any())
    clear = (np.abs(score) >= _CLEAR * seen) & (seen > 0) & ~no_time
    alike = (ttl[::2] != 0) & (ttl[::2] == ttl[1::2])
    judged = (seen >= _TURNS) & ~no_time
    mixed = judged & ~clear
    # one flow may be mixed by chance, as when taps stamp late: most must be
    mixed &= 2 * int(mixed.sum()) > int(judged.sum())
    in_line = ((alike & ~(clear & wide)) | (mixed & ~(ttl[::2] * ttl[1::2] < 0))) & ~no_time
    order = np.where(alike, ttl[::2], np.where(sums.later >= 0, 1, -1))
    one_way = np.sign(np.sign(ttl[::2]) - np.sign(ttl[1::2]))
    vote = np.where(clear, np.sign(score), one_way)
    most = 1.0 if vote[~in_line].sum() >= 0 else -1.0
    at_one = np.where(vote == 0, most, vote) > 0
    from_one = np.empty(places, np.bool_)
    # no time between them: both captures are of one place, the first as sent, the second as it became
    from_one[::2], from_one[1::2] = at_one | no_time, ~at_one | no_time
    rows = np.repeat(in_line, 2)
    from_one[rows] = np.repeat(order > 0, 2)[rows]
    return Directions(from_one, np.repeat((seen > 0) & ~no_time & ~in_line, 2), np.repeat(no_time, 2), rows)


def passed_in_line(ways: Directions, place: Int64, apart: Int64) -> bool:
    """Take packets of both directions to pass the same tap first, where times of one device say so; False if not.

    For directions that no clock fits: within one device the differences in time are all small and of one sign.
    """
    if not len(apart) or int(np.abs(apart).max()) > 100 * _DEVICE or bool((apart > 0).any() and (apart < 0).any()):
        return False
    ways.from_one[place] = bool(apart.sum() >= 0)
    ways.two_way[place] = False
    ways.in_line[place] = True
    return True


def _ttl_votes(sums: PairSums) -> Int64:
    """Return 1 for places whose packets arrive at the second capture with a lower TTL, -1 with a higher one, else 0."""
    least = np.maximum(_NEARLY_ALL * sums.count, 1)
    result: Int64 = (sums.fell >= least).astype(np.int64) - (sums.rose >= least)
    return result
