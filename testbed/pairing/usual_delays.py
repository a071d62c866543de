"""What is known of delays, directions and TTLs while packets are paired: what those show that are like no other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from testbed.model.arrays import AnyInt, Bool, Int64, UInt64
from testbed.pairing.changes import most_frequent
from testbed.pairing.duplicates import (
    FAR,
    LATE,
    DelayRange,
    Expected,
    IdenticalPackets,
    TapPackets,
    UsualDelays,
    find_groups,
    shared_delays,
    with_slack,
)
from testbed.pairing.flow_packets import FlowPackets
from testbed.pairing.pair_sums import SumPairs, sum_pairs
from testbed.pairing.travel_direction import Directions, find_directions

_SAMPLE = 20_000  # packets that show what delays are usual
_ANY = 2**60  # ns


@dataclass(slots=True)
class KeyedPackets:
    """The packets of both sides that one key is for: ``ours`` and ``theirs`` (int64) are positions in the sides."""

    one: FlowPackets
    two: FlowPackets
    ours: Int64
    theirs: Int64

    def rows(self, x: Int64, y: Int64) -> tuple[Int64, Int64]:
        """Return the rows of pairs in the packet tables."""
        return (
            self.one.rows(_chosen(self.one, self.ours, x)),
            self.two.rows(_chosen(self.two, self.theirs, y)),
        )

    def apart(self, x: Int64, y: Int64) -> Int64:
        """Return the differences in time of pairs (ns)."""
        rows = self.rows(x, y)
        result = self.two.packets.time[rows[1]]
        result -= self.one.packets.time[rows[0]]
        return result

    def column(self, name: str, x: Int64, y: Int64) -> tuple[AnyInt, AnyInt]:
        """Return what both packets of pairs have in a column of their packet tables."""
        rows = self.rows(x, y)
        return getattr(self.one.packets, name)[rows[0]], getattr(self.two.packets, name)[rows[1]]

    def place(self, x: Int64) -> Int64:
        """Return the places of some of the first side."""
        return self.one.place[_chosen(self.one, self.ours, x)]

    def fallen(self, x: Int64, y: Int64) -> Int64:
        """Return by how much the TTLs of pairs are lower in the second capture."""
        before, after = self.column("ttl", x, y)
        result = before.astype(np.int64)
        result -= after
        return result

    def taps(self) -> tuple[TapPackets, TapPackets]:
        """Return what identical packets are told apart by."""
        first, second = (
            TapPackets(side.packets.time[side.item[chosen]], side.packets.ttl[side.item[chosen]].astype(np.int64))
            for side, chosen in ((self.one, self.ours), (self.two, self.theirs))
        )
        return first, second


@dataclass(slots=True)
class KnownDelays:
    """What is known so far.

    ``usual`` is the range of differences in time (ns) of packets from the first end, and to it; ``own`` that of single
    places, where nothing else is known. By place: ``drop`` (int64[places]), by how much TTLs are lower in the second
    capture; ``known`` (bool[places]), whether anything is known of it; ``same_ids`` and ``same_stamps``, whether
    packets keep their IP identification and their time stamps. ``settled`` says that identical packets were told apart;
    with ``given`` the directions were known beforehand.
    """

    ways: Directions
    usual: UsualDelays
    drop: Int64
    known: Bool
    same_ids: Bool
    same_stamps: Bool
    given: bool
    settled: bool = False
    own: dict[int, DelayRange] = field(default_factory=dict)
    sum_pairs: SumPairs = sum_pairs

    @classmethod
    def found(
        cls, level: KeyedPackets, keys: tuple[UInt64, UInt64], pairs: tuple[Int64, Int64], several: Bool,
        ways: Directions | None, sum_pairs: SumPairs = sum_pairs,
    ) -> KnownDelays:  # fmt: skip
        """Learn from the first pairs of equal keys; ``several``: bool[n], those that are alike with others."""
        places, (x, y) = level.one.places, pairs
        unknown = np.zeros(places, np.bool_)
        result = cls(
            ways or Directions(np.arange(places) & 1 == 0, unknown, unknown, unknown),
            (None, None),
            np.zeros(places, np.int64),
            unknown.copy(),
            unknown.copy(),
            unknown.copy(),
            given=ways is not None,
            sum_pairs=sum_pairs,
        )
        single = x, y
        if several.any():
            single = x[~several], y[~several]
        if len(single[0]):
            result._learn(level, *single)
        if not result.given and bool((rest := several & ~result.known[level.place(x)]).any()):
            result._estimate(level, find_groups(*keys, x, y, rest))
        return result

    def _estimate(self, level: KeyedPackets, groups: IdenticalPackets) -> None:
        """Learn from identical packets alone, each place for itself."""
        taps = level.taps()
        by_place: dict[int, IdenticalPackets] = {}
        for ours, theirs in groups:
            place = int(level.one.place[level.ours[ours[0]]])
            if not self.known[place]:
                by_place.setdefault(place, []).append((ours, theirs))
        for place, mine in by_place.items():
            shared = shared_delays(mine, taps[0].time, taps[1].time)
            if shared is not None:
                self.own[place] = shared
        if self.own and self.usual == (None, None):
            whole = min(low for low, _ in self.own.values()), max(high for _, high in self.own.values())
            self.usual = whole, whole

    def settle(self, level: KeyedPackets, x: Int64, y: Int64) -> None:
        """Learn from all pairs of the first key, now that identical packets are told apart."""
        self.settled = True
        if not self.known.all() and len(x):
            self._learn(level, x, y)

    def _learn(self, level: KeyedPackets, x: Int64, y: Int64) -> None:
        place, rows = level.place(x), level.rows(x, y)
        sums = self.sum_pairs(level.one.packets, rows[0], level.two.packets, rows[1], place, level.one.places)
        if not self.given:
            self.ways = find_directions(sums)
        self.known |= sums.count > 0
        if bool((sums.least < sums.greatest).any()):
            self.drop = most_frequent(level.fallen(x, y), place, level.one.places)
        else:
            self.drop = np.where(sums.count > 0, sums.least, 0)
        self.same_ids, self.same_stamps = sums.same_ids, sums.same_stamps
        sent = self.ways.from_one[place]
        self.usual = _range(level, x, y, sent), _range(level, x, y, ~sent)

    def _ranges(self) -> tuple[Int64, Int64]:
        """Return the usual differences in time of each place, those of both directions where its own is not known."""
        ahead, back = (each or other or (-_ANY, _ANY) for each, other in (self.usual, self.usual[::-1]))
        sent, known = self.ways.from_one, self.known
        low = np.where(known, np.where(sent, ahead[0], back[0]), min(ahead[0], back[0]))
        high = np.where(known, np.where(sent, ahead[1], back[1]), max(ahead[1], back[1]))
        for place, (least, most) in self.own.items():
            if not known[place]:
                low[place], high[place] = least, most
        return low, high

    def possible(self, level: KeyedPackets, x: Int64, y: Int64, *, weak: bool) -> Bool:
        """Return a mask of pairs that can be the same packet although their keys hold little of them: bool[n].

        Not where another IP identification says otherwise that the network leaves alone; of ``weak`` keys only what was
        on its way about as long as others, and no bare ACK for data that was sent at another time.
        """
        if self.given:
            return np.ones(len(x), np.bool_)
        place = level.place(x)
        ids = level.column("ip_id", x, y)
        result = np.asarray((ids[0] == ids[1]) | (ids[0] == 0) | (ids[1] == 0) | ~self.same_ids[place])
        if weak:
            lengths, stamps = level.column("length", x, y), level.column("tsval", x, y)
            other_time = (stamps[0] != stamps[1]) & self.same_stamps[place]
            result &= ((lengths[0] == 0) == (lengths[1] == 0)) | ~other_time
        if weak and self.usual != (None, None):
            (low, high), apart = self._ranges(), level.apart(x, y)
            late = (high - low) * FAR + LATE
            result &= (apart >= (low - late)[place]) & (apart <= (high + late)[place])
        return result

    def doubtful(self, level: KeyedPackets, x: Int64, y: Int64) -> Bool:
        """Return a mask of pairs whose difference in time is not a usual one: bool[n]."""
        if self.given or self.usual == (None, None):
            return np.zeros(len(x), np.bool_)
        (low, high), apart, place = self._ranges(), level.apart(x, y), level.place(x)
        least, most = with_slack(low, high)
        return np.asarray((apart < least[place]) | (apart > most[place]))

    def expected(self, level: KeyedPackets) -> Callable[[int], Expected]:
        """Return what tells what is expected of a position of a level's first side."""
        low, high = self._ranges()
        nothing = self.usual == (None, None)

        def expect(position: int) -> Expected:
            place = int(level.one.place[level.ours[position]])
            delays = None if nothing else (int(low[place]), int(high[place]))
            drop = int(self.drop[place]) if self.known[place] else None
            return Expected(delays, drop, bool(self.ways.from_one[place]))

        return expect


def _chosen(side: FlowPackets, positions: Int64, some: Int64) -> Int64:
    """Return some of the positions in a side, which are all of its in their order where they are as many."""
    return some if len(positions) == len(side) else positions[some]


def _range(level: KeyedPackets, x: Int64, y: Int64, mine: Bool) -> DelayRange | None:
    """Return the range that most differences in time have (ns), of those pairs that are chosen."""
    chosen = np.flatnonzero(mine)
    sample = chosen[:: len(chosen) // _SAMPLE + 1]
    some = np.sort(level.apart(x[sample], y[sample]))
    return (int(some[len(some) // 100]), int(some[-1 - len(some) // 100])) if len(some) else None
