"""Pair the packets of flows that both captures have: the strongest evidence first, never the position in the file.

Packets are the same when all is the same that a network leaves alone; what remains is tried with weaker keys. The
payload is in no key of TCP, so that a packet whose payload was changed is found as itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from testbed.model.arrays import Bool, Int64, UInt64
from testbed.model.ip import TCP
from testbed.model.tcp import ACK, seq_add
from testbed.pairing.duplicates import DelayRange, UnevenGroups, UsualDelays, find_uneven, resolve, settled
from testbed.pairing.flow_table import Flows
from testbed.pairing.match_flows import FlowPairs
from testbed.pairing.packet_table import PacketTable
from testbed.pairing.resegmentation import SharedRange, find_pieces, positions_of
from testbed.pairing.row_hash import hash_rows

_SAMPLE = 20_000  # packets that show what delays are usual
_SAME = 100  # ns; both captures may be of one place

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
_TCP_ONLY = {"seq", "ack", "flags", "stamps"}


@dataclass(slots=True)
class FlowPackets:
    """The packets of one capture that belong to flows of both, with what they are compared by: n of them.

    ``item``: int64[n], rows of ``packets``, ascending. ``place``: int64[n], which direction of which flow: pair of
    flows * 2 + direction (0 from the end that opened the flow, 1 to it), below ``places``. ``seq`` and ``ack``:
    int64[n], as the first capture has them (the second's shifted where sequence numbers were rewritten).
    A "position" is an index into these.
    """

    packets: PacketTable
    item: Int64
    place: Int64
    seq: Int64
    ack: Int64
    places: int

    def __len__(self) -> int:
        return len(self.item)

    def parts(self) -> tuple[PacketTable, Int64, Int64, Int64]:
        """Return ``packets``, ``item``, ``place`` and ``seq``, for modules that cannot import this class."""
        return self.packets, self.item, self.place, self.seq

    def column(self, name: str, items: Int64) -> np.typing.NDArray[np.generic]:
        """Return what a key is made from, for some of the packets."""
        if name in ("seq", "ack"):
            own: Int64 = self.seq if name == "seq" else self.ack
            return own if len(items) == len(self) else own[items]
        packets = self.packets
        rows: Int64 | slice = slice(None)
        if len(items) < len(packets):  # else it is all of them, in order
            rows = self.item if len(items) == len(self) else self.item[items]
        if name == "stamps":
            return packets.tsval[rows].astype(np.uint64) << np.uint64(32) | packets.tsecr[rows]
        if name == "id":
            return packets.ip_id[rows]
        if name == "content":  # TCP's is no part of the key: its sequence number identifies it
            return np.where(packets.protocol[rows] == TCP, np.uint64(0), packets.payload[rows])
        return np.asarray(getattr(packets, name)[rows])


@dataclass(slots=True)
class PacketPairs:
    """Which packet of one capture is which of the other: positions ``one`` and ``two``, int64[n], aligned.

    ``copies`` are positions of more copies of a packet than the other side has (which side, position, pair).
    ``by_delay`` are identical packets (positions in both sides) of which some are missing, resolved by their delay;
    ``unresolved`` those where it is not clear which are missing. By place, bool[places]: ``from_one``, whether its
    packets are sent at the first capture's end; ``two_way``, whether that is certain, as packets of both directions
    crossed; ``same_place``, whether no time passes between both captures. ``usual`` is the range of differences in
    time (ns) of packets from the first end, and to it. ``pieces`` are segments that were split or merged.
    """

    one: Int64
    two: Int64
    from_one: Bool
    two_way: Bool
    same_place: Bool
    usual: UsualDelays = (None, None)
    pieces: list[SharedRange] = field(default_factory=list)
    copies: list[tuple[int, int, int]] = field(default_factory=list)
    by_delay: UnevenGroups = field(default_factory=list)
    unresolved: UnevenGroups = field(default_factory=list)

    def unresolved_in(self, side: int) -> Int64:
        """Return the positions in one side of all that is unresolved."""
        return np.concatenate([np.zeros(0, np.int64), *(group[side] for group in self.unresolved)])


def packets_of_pairs(
    one: PacketTable, first: Flows, two: PacketTable, second: Flows, pairs: FlowPairs
) -> tuple[FlowPackets, FlowPackets]:
    """Return the packets of the flows that are in both captures."""
    pair_a = np.full((len(first), 2), -1, np.int64)
    pair_b = np.full((len(second), 2), -1, np.int64)
    for side in (0, 1):
        some = np.flatnonzero(pairs.sides >> side & 1)
        pair_a[pairs.a[some], side] = some
        pair_b[pairs.b[some], side ^ pairs.flip[some]] = some
    of_a, of_b = pair_a[first.of, one.side], pair_b[second.of, two.side]
    items_a, items_b = np.flatnonzero(of_a >= 0), np.flatnonzero(of_b >= 0)
    of_a, of_b = of_a[items_a], of_b[items_b]
    opener = first.opener[pairs.a]
    side_b = two.side[items_b] ^ pairs.flip[of_b]
    acks = (two.flags[items_b] & ACK) != 0
    plain = not pairs.shift.any()
    seq, ack = two.seq[items_b].astype(np.int64), two.ack[items_b].astype(np.int64)
    if not plain:
        seq = seq_add(seq, -pairs.shift[of_b, side_b])
        ack = np.where(acks, seq_add(ack, -pairs.shift[of_b, 1 - side_b]), ack)
    return (
        FlowPackets(
            one,
            items_a,
            of_a << 1 | one.side[items_a] ^ opener[of_a],
            one.seq[items_a].astype(np.int64),
            one.ack[items_a].astype(np.int64),
            2 * len(pairs),
        ),
        FlowPackets(two, items_b, of_b << 1 | side_b ^ opener[of_b], seq, ack, 2 * len(pairs)),
    )


def pair_packets(one: FlowPackets, two: FlowPackets, from_one: Bool | None = None) -> PacketPairs:
    """Pair the packets of two captures.

    ``from_one``: bool[places], whether the packets of a place are sent at the first end, where that is known
    beforehand.
    """
    left, right = np.arange(len(one)), np.arange(len(two))
    none = np.zeros(0, np.int64)
    found = PacketPairs(none, none, np.arange(one.places) & 1 == 0, *np.zeros((2, one.places), np.bool_))
    if from_one is not None:
        found.from_one, found.two_way = from_one, np.ones(one.places, np.bool_)
    parts: tuple[list[Int64], list[Int64]] = ([], [])
    usual: UsualDelays = (None, None)
    for names in _LEVELS:
        if not len(left) or not len(right):
            break
        if names == ("ranges",):
            found.pieces = find_pieces(one.parts(), two.parts(), left, right, found.from_one, usual)
            left = _without(left, len(one), positions_of(found.pieces, at_one=True))
            right = _without(right, len(two), positions_of(found.pieces, at_one=False))
            continue
        ours, theirs = _given(one, left, names), _given(two, right, names)
        a, b = _keys(one, ours, names), _keys(two, theirs, names)
        if "1" in names:
            single_a, single_b = _single(a), _single(b)
            ours, theirs, a, b = ours[single_a], theirs[single_b], a[single_a], b[single_b]
        x, y = in_order(a, b)
        if usual == (None, None) and len(x) and from_one is None:
            found.from_one, found.two_way, found.same_place = senders(one, ours[x], two, theirs[y], one.places)
        uneven = find_uneven(a, b, x, y)
        if usual == (None, None) and len(x):
            sure = settled(uneven, x)
            usual = _usual(one, ours[x[sure]], two, theirs[y[sure]], found.from_one)
        times = one.packets.time[one.item[ours]], two.packets.time[two.item[theirs]]
        level = resolve(uneven, x, y, *times, found.from_one[one.place[ours]], usual)
        base = sum(map(len, parts[0]))
        parts[0].append(ours[level.x])
        parts[1].append(theirs[level.y])
        found.copies.extend(
            (side, int((ours, theirs)[side][position]), base + which) for side, position, which in level.copies
        )
        found.by_delay.extend((ours[i], theirs[j]) for i, j in level.by_delay)
        found.unresolved.extend((ours[i], theirs[j]) for i, j in level.unresolved)
        left = _without(left, len(one), parts[0][-1], found.unresolved_in(0), _of(found.copies, 0))
        right = _without(right, len(two), parts[1][-1], found.unresolved_in(1), _of(found.copies, 1))
    found.one, found.two = (np.concatenate([*each, np.zeros(0, np.int64)]) for each in parts)
    found.usual = usual
    return found


def senders(one: FlowPackets, x: Int64, two: FlowPackets, y: Int64, places: int) -> tuple[Bool, Bool, Bool]:
    """Find out which end sends the packets of each place.

    Returns three masks, bool[places]: sent at the first end; that is certain; both captures are of one place.

    Whatever the clocks are set to, a packet is later at the end that it goes to: so the difference of the two
    captures' times is greater for packets from the first end than for those to it that cross at the same time. Where
    only one direction was captured, the TTL decides, which falls on the way, or else most other flows.
    """
    place = one.place[x]
    apart = two.packets.time[two.item[y]] - one.packets.time[one.item[x]]
    ttl = one.packets.ttl[one.item[x]].astype(np.int64) - two.packets.ttl[two.item[y]]
    fallen = np.bincount(place, weights=ttl, minlength=places)
    if places > 2:
        by_flow = np.sort((place >> 1) << 32 | np.arange(len(x))) & 0xFFFFFFFF
        place, apart = place[by_flow], apart[by_flow]
    turns = np.flatnonzero((place[1:] ^ place[:-1]) == 1)  # the next one of the same flow goes the other way
    later = np.where(place[turns] & 1 == 0, apart[turns] - apart[turns + 1], apart[turns + 1] - apart[turns])
    sign = np.where(np.abs(later) <= _SAME, 0, np.sign(later))
    flow = place[turns] >> 1
    score = np.bincount(flow, weights=sign, minlength=places // 2)
    seen = np.bincount(flow, minlength=places // 2)
    no_time = np.bincount(flow[sign == 0], minlength=places // 2) * 2 > seen
    # a flow captured in one direction only goes by the other flows, or by that no packet took any time
    at_once = bool((np.abs(apart) <= _SAME).all())
    no_time[seen == 0] = 2 * int(no_time.sum()) > int((seen > 0).sum()) or (at_once and not seen.any())
    vote = np.where((seen > 0) & ~no_time, np.sign(score), np.sign(fallen[::2] - fallen[1::2]))
    most = 1.0 if vote.sum() >= 0 else -1.0
    at_one = np.where(vote == 0, most, vote) > 0
    result = np.empty(places, np.bool_)
    # no time between them: both captures are of one place, the first as sent, the second as it became
    result[::2], result[1::2] = at_one | no_time, ~at_one | no_time
    return result, np.repeat((seen > 0) & ~no_time, 2), np.repeat(no_time, 2)


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


def _keys(side: FlowPackets, items: Int64, names: tuple[str, ...]) -> UInt64:
    columns = [side.column(name.strip("!"), items) for name in names if name != "1"]
    return hash_rows([side.place if len(items) == len(side) else side.place[items], *columns])


def _single(keys: UInt64) -> Bool:
    _, place, counts = np.unique(keys, return_inverse=True, return_counts=True)
    return np.asarray(counts[place] == 1)


def in_order(a: UInt64, b: UInt64) -> tuple[Int64, Int64]:
    """Pair equal keys, the first with the first, the second with the second, and so on; ascending in the first."""
    bits = max(len(a), len(b), 1).bit_length()
    low = np.uint64((1 << bits) - 1)
    # the upper bits of the key, then the place: one sort of numbers instead of one of places by key
    packed_a = _packed(a, low)
    packed_b = _packed(b, low)
    head_b = packed_b & ~low
    order_a = (packed_a & low).astype(np.int64)
    packed_a &= ~low
    places = np.arange(len(a))
    first = np.zeros(len(a), np.int64)
    first[1:] = np.where(packed_a[1:] != packed_a[:-1], places[1:], 0)
    rank = places - np.maximum.accumulate(first)
    place = np.searchsorted(head_b, packed_a) + rank
    inside = place < len(b)
    match = np.full(len(a), -1, np.int64)
    match[order_a[inside]] = (packed_b[place[inside]] & low).astype(np.int64)
    x = np.flatnonzero(match >= 0)
    y = match[x]
    same = a[x] == b[y]
    return (x, y) if same.all() else (x[same], y[same])


def _packed(keys: UInt64, low: np.uint64) -> UInt64:
    packed = keys & ~low
    packed |= np.arange(len(keys), dtype=np.uint64)
    packed.sort()
    return packed


def _usual(one: FlowPackets, x: Int64, two: FlowPackets, y: Int64, from_one: Bool) -> UsualDelays:
    """Return the range of differences in time that most packets have, for those from the first end and to it."""
    apart = two.packets.time[two.item[y]] - one.packets.time[one.item[x]]
    sent = from_one[one.place[x]]
    result: list[DelayRange | None] = []
    for which in (True, False):
        mine = apart[sent == which]
        mine = np.sort(mine[:: len(mine) // _SAMPLE + 1])
        result.append((int(mine[len(mine) // 100]), int(mine[-1 - len(mine) // 100])) if len(mine) else None)
    return result[0], result[1]
