"""Pair the packets of flows that both captures have: the strongest evidence first, never the position in the file.

Packets are the same when all is the same that a network leaves alone; what remains is tried with weaker keys. The
payload is in no key of TCP, so that a packet whose payload was changed is found as itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import numpy as np

from testbed.model.arrays import Bool, Int64, UInt64
from testbed.model.ip import TCP
from testbed.pairing.duplicates import IdenticalPackets, UsualDelays, find_groups, resolve
from testbed.pairing.flow_packets import FlowPackets
from testbed.pairing.passes import BY_NUMPY, Passes
from testbed.pairing.resegmentation import SharedRange, find_pieces, positions_of
from testbed.pairing.travel_direction import Directions
from testbed.pairing.usual_delays import KeyedPackets, KnownDelays

# what must be equal, beside flow and direction; "!x": and must not be 0; "1": only where there is no choice
_LEVELS: tuple[tuple[str, ...], ...] = (
    ("id", "seq", "ack", "flags", "window", "stamps", "options", "length", "icmp", "content"),
    ("id", "seq", "ack", "flags", "stamps", "length", "icmp", "content"),
    ("seq", "ack", "flags", "window", "stamps", "length", "icmp", "content"),
    ("id", "seq", "ack", "flags", "length", "icmp", "content"),
    ("!id", "seq", "flags", "length", "icmp"),
    ("seq", "ack", "flags", "window", "length", "icmp", "content"),
    ("seq", "ack", "flags", "length", "icmp", "content"),
    ("!stamps", "seq", "flags", "length"),
    ("!stamps", "seq", "ack", "length"),
    ("!stamps", "ack", "flags", "length", "payload"),
    ("ranges",),  # segments of another size; below, packets may have changed theirs
    ("!id", "seq", "ack", "flags", "icmp"),
    ("!id", "ack", "flags", "length", "payload", "icmp"),
    ("!id", "length", "icmp"),
    ("1", "seq", "ack", "flags", "icmp"),
    ("1", "seq", "length", "!payload", "icmp"),
    ("1", "ack", "flags", "length", "payload", "icmp"),
    ("1", "!id", "icmp"),
    ("1", "!id", "length"),
)
_WEAK = _LEVELS[_LEVELS.index(("ranges",)) + 1 :]
_TCP_ONLY = {"seq", "ack", "flags", "stamps"}
_MANY = 1 << 17  # packets; a thread for fewer takes longer than their keys


@dataclass(slots=True)
class PacketPairs:
    """Which packet of one capture is which of the other: positions ``one`` and ``two``, int64[n], aligned.

    ``copies`` are positions of more copies of a packet than the other side has (which side, position, pair), ``again``
    those of packets that a tap captured once more (which side, position). ``by_delay`` are identical packets (positions
    in both sides) of which some are missing, resolved by their delay; ``unresolved`` those where it is not clear which
    are missing. ``ways`` are the directions of the places. ``usual`` is the range of differences in time (ns) of
    packets from the first end, and to it. ``pieces`` are segments that were split or merged.
    """

    one: Int64
    two: Int64
    ways: Directions
    usual: UsualDelays = (None, None)
    pieces: list[SharedRange] = field(default_factory=list)
    copies: list[tuple[int, int, int]] = field(default_factory=list)
    again: list[tuple[int, int]] = field(default_factory=list)
    by_delay: IdenticalPackets = field(default_factory=list)
    unresolved: IdenticalPackets = field(default_factory=list)

    @property
    def from_one(self) -> Bool:
        """Whether the packets of each place pass the first capture's tap first: bool[places]."""
        return self.ways.from_one

    def unresolved_in(self, side: int) -> Int64:
        """Return the positions in one side of all that is unresolved."""
        return np.concatenate([np.zeros(0, np.int64), *(group[side] for group in self.unresolved)])

    def again_in(self, side: int) -> Int64:
        """Return the positions in one side of what was captured once more."""
        return np.array([position for each, position in self.again if each == side], np.int64)

    def mirrored(self) -> PacketPairs:
        """Return the pairs as those of the captures in the other order."""
        ways = self.ways
        low, high = (None if each is None else (-each[1], -each[0]) for each in self.usual[::-1])
        return PacketPairs(
            self.two,
            self.one,
            # of one place there is no order: the first is as sent, the second as it became
            Directions(~ways.from_one | ways.same_place, ways.two_way, ways.same_place, ways.in_line),
            (low, high),
            [SharedRange(each.two, each.one, each.skip_two, each.skip_one, each.length, each.same)
             for each in self.pieces],
            [(1 - side, position, pair) for side, position, pair in self.copies],
            [(1 - side, position) for side, position in self.again],
            [group[::-1] for group in self.by_delay],
            [group[::-1] for group in self.unresolved],
        )  # fmt: skip


def pair_packets(
    one: FlowPackets, two: FlowPackets, from_one: Bool | None = None, *, passes: Passes = BY_NUMPY
) -> PacketPairs:
    """Pair the packets of two captures.

    ``from_one``: bool[places], whether the packets of a place are sent at the first end, where that is known
    beforehand; then all of them have crossed that are in both captures.
    """
    left, right = one.once(), two.once()
    none = np.zeros(0, np.int64)
    unknown = np.zeros(one.places, np.bool_)
    ways = Directions(np.arange(one.places) & 1 == 0, unknown, unknown, unknown)
    if from_one is not None:
        ways = Directions(from_one, ~unknown, unknown, unknown)
    found = PacketPairs(none, none, ways)
    found.again = [
        (k, position) for k, side in enumerate((one, two)) for position in np.flatnonzero(side.again).tolist()
    ]
    parts: tuple[list[Int64], list[Int64]] = ([], [])
    delays: KnownDelays | None = None
    for names in _LEVELS:
        if not len(left) or not len(right):
            break
        if names == ("ranges",):
            usual = delays.usual if delays else (None, None)
            found.pieces = find_pieces(one.parts(), two.parts(), left, right, found.from_one, usual)
            left = _without(left, len(one), positions_of(found.pieces, at_one=True))
            right = _without(right, len(two), positions_of(found.pieces, at_one=False))
            continue
        ours, theirs = _given(one, left, names), _given(two, right, names)
        wanted = tuple(name.strip("!") for name in names if name != "1")
        a, b = _keys(passes, (one, ours), (two, theirs), wanted)
        if "1" in names:
            single_a, single_b = _single(a), _single(b)
            ours, theirs, a, b = ours[single_a], theirs[single_b], a[single_a], b[single_b]
        x, y, several = passes.join(a, b)
        if not len(x):
            continue
        level = KeyedPackets(one, two, ours, theirs)
        if delays is None:
            delays = KnownDelays.found(
                level, (a, b), (x, y), several, ways if from_one is not None else None, passes.sums
            )
        elif not (kept := delays.possible(level, x, y, weak=names in _WEAK)).all():
            ours, theirs = _without_some(ours, x[~kept]), _without_some(theirs, y[~kept])
            a, b = _keys(passes, (one, ours), (two, theirs), wanted)
            x, y, several = passes.join(a, b)
            level = KeyedPackets(one, two, ours, theirs)
            kept = delays.possible(level, x, y, weak=names in _WEAK)
            x, y, several = x[kept], y[kept], several[kept]
        alike = np.flatnonzero(several)
        several[alike] = delays.doubtful(level, x[alike], y[alike])
        groups = find_groups(a, b, x, y, several)
        done = resolve(groups, x, y, level.taps, delays.expected(level), all_crossed=from_one is not None)
        if not delays.settled:
            delays.settle(level, done.x, done.y)
            found.ways = delays.ways
        base = sum(map(len, parts[0]))
        parts[0].append(ours[done.x])
        parts[1].append(theirs[done.y])
        found.copies.extend(
            (side, int((ours, theirs)[side][position]), base + which) for side, position, which in done.copies
        )
        found.again.extend((side, int((ours, theirs)[side][position])) for side, position in done.again)
        found.by_delay.extend((ours[i], theirs[j]) for i, j in done.by_delay)
        found.unresolved.extend((ours[i], theirs[j]) for i, j in done.unresolved)
        left = _without(left, len(one), parts[0][-1], found.unresolved_in(0), _of(found.copies, 0), found.again_in(0))
        right = _without(right, len(two), parts[1][-1], found.unresolved_in(1), _of(found.copies, 1), found.again_in(1))
    found.one, found.two = (np.concatenate([*each, np.zeros(0, np.int64)]) for each in parts)
    found.usual = delays.usual if delays else (None, None)
    return found


def _keys(
    passes: Passes, ours: tuple[FlowPackets, Int64], theirs: tuple[FlowPackets, Int64], parts: tuple[str, ...]
) -> tuple[UInt64, UInt64]:
    """Return the keys of some packets of both sides; those of many at once."""
    if len(ours[1]) < _MANY:
        return passes.keys(*ours, parts), passes.keys(*theirs, parts)
    other = passes.aside(partial(passes.keys, *theirs, parts))
    return passes.keys(*ours, parts), other()


def _without_some(positions: Int64, some: Int64) -> Int64:
    """Return positions without those at some places."""
    keep = np.ones(len(positions), np.bool_)
    keep[some] = False
    return positions[keep]


def _of(copies: list[tuple[int, int, int]], side: int) -> Int64:
    return np.array([position for each, position, _ in copies if each == side], np.int64)


def _without(positions: Int64, count: int, *used: Int64) -> Int64:
    keep = np.zeros(count, np.bool_)
    keep[positions] = True
    for each in used:
        keep[each] = False
    return np.flatnonzero(keep)


def _given(side: FlowPackets, items: Int64, names: tuple[str, ...]) -> Int64:
    """Return the packets that have what a key asks for."""
    if _TCP_ONLY & {name.strip("!") for name in names} and "icmp" not in names:
        items = items[side.packets.protocol[side.item[items]] == TCP]
    for name in names:
        if name.startswith("!"):
            items = items[side.column(name[1:], items) != 0]
    return items


def _single(keys: UInt64) -> Bool:
    _, place, counts = np.unique(keys, return_inverse=True, return_counts=True)
    return np.asarray(counts[place] == 1)
