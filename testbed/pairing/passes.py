"""What goes over all packets of both captures, by NumPy or by whatever does the same faster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from testbed.pairing.changes import Differences, differences
from testbed.pairing.equal_keys import Join, in_order
from testbed.pairing.packet_keys import Keys, key_packets
from testbed.pairing.pair_sums import SumPairs, sum_pairs

Made = TypeVar("Made")


class Aside(Protocol):
    """Has a function called beside what is done meanwhile, or later; returns what gives its result."""

    def __call__(self, make: Callable[[], Made], /) -> Callable[[], Made]:
        """Take a function that depends on nothing that is done meanwhile."""


def when_asked(make: Callable[[], Made], /) -> Callable[[], Made]:
    """Leave a function until its result is asked for."""
    return make


@dataclass(frozen=True, slots=True)
class Passes:
    """The passes, each as the function does it that is named here; ``aside`` is where there may be another core."""

    keys: Keys = key_packets
    join: Join = in_order
    sums: SumPairs = sum_pairs
    differences: Differences = differences
    aside: Aside = when_asked


BY_NUMPY = Passes()
