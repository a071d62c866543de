"""Whether two captures are the same: what differs, in categories that a person can choose from."""

from __future__ import annotations

import numpy as np

from testbed.model.arrays import Bool
from testbed.pairing.compare_captures import Comparison
from testbed.pairing.fates import RowFate

_OF_FATES = {
    "lost": (RowFate.LOST,),
    "appeared": (RowFate.APPEARED,),
    "duplicated": (RowFate.DUPLICATED,),
    "ambiguous": (RowFate.AMBIGUOUS,),
    "captured-again": (RowFate.AGAIN,),
    "split": (RowFate.SPLIT,),
    "merged": (RowFate.MERGED,),
    "not-captured": (RowFate.BEFORE_START, RowFate.AFTER_END, RowFate.NOT_CAPTURED),
}
CATEGORIES = (*_OF_FATES, "altered", "reordered", "rewritten", "terminated", "alone")
"""``rewritten`` counts flows whose addresses, ports, sequence numbers, options or the like are others; ``terminated``
those that something in between ends and opens anew; ``alone`` those that only one capture has, or of which it is not
clear which they are; all others count packets, or ranges of them."""

USUAL = ("lost", "appeared", "duplicated", "ambiguous", "altered", "reordered", "rewritten", "terminated", "alone")
"""What makes two captures differ unless other categories are named: not what a tap did or offload does."""


def count_differences(compared: Comparison) -> dict[str, int]:
    """Return how much there is of each category."""
    statistics = compared.statistics
    fates = statistics.fates.sum(axis=0) if len(statistics.fates) else np.zeros(len(RowFate), np.int64)
    result = {name: int(sum(fates[fate] for fate in chosen)) for name, chosen in _OF_FATES.items()}
    result["altered"] = int(statistics.altered.sum())
    result["reordered"] = int(statistics.reordered.sum())
    result["rewritten"] = int(rewritten(compared).sum())
    result["terminated"] = len(compared.terminated)
    unclear = len(compared.pairs.ambiguous[0]) + len(compared.pairs.ambiguous[1])
    result["alone"] = len(compared.alone[0]) + len(compared.alone[1]) + unclear
    return result


def rewritten(compared: Comparison) -> Bool:
    """Tell which pairs of flows look different at both ends, beyond a TTL that fell on the way."""
    pairs, (one, two), (first, second) = compared.pairs, compared.packets, compared.flows
    other = np.asarray(one.names[first.conversation[pairs.a]] != two.names[second.conversation[pairs.b]])
    other |= (pairs.flip != 0) | pairs.shift.any(axis=1)
    if not len(pairs):
        return other
    sent_at_one = compared.statistics.sent_at_one
    rose = np.where(sent_at_one, -compared.usual.ttl, compared.usual.ttl) > 0
    other[[each.place >> 1 for each in compared.usual.facts]] = True
    return np.asarray(other | (rose | compared.usual.new_ids).reshape(-1, 2).any(axis=1))


def nothing_to_compare(compared: Comparison) -> bool:
    """Say whether neither capture has an IP packet: what else is in them is not compared."""
    return not any(len(packets) for packets in compared.packets)


def inconclusive(compared: Comparison) -> int:
    """Return how many packets, or flows, may be lost or anything else: nothing in the captures tells."""
    counts = count_differences(compared)
    return counts["ambiguous"] + sum(map(len, compared.pairs.ambiguous))
