"""What goes over all packets of both captures, by NumPy or by whatever does the same faster."""

from __future__ import annotations

from dataclasses import dataclass

from testbed.pairing.changes import Differences, differences
from testbed.pairing.equal_keys import Join, in_order
from testbed.pairing.packet_keys import Keys, key_packets
from testbed.pairing.pair_sums import SumPairs, sum_pairs


@dataclass(frozen=True, slots=True)
class Passes:
    """The passes, each as the function does it that is named here."""

    keys: Keys = key_packets
    join: Join = in_order
    sums: SumPairs = sum_pairs
    differences: Differences = differences


BY_NUMPY = Passes()
