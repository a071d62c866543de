"""Find the same flow in two captures although addresses, ports or sequence numbers were rewritten in between.

First by addresses, ports and initial sequence numbers. What is left is matched by what its packets share: initial
sequence numbers, payloads, time stamps. A flow that two others fit equally well stays ``ambiguous``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from testbed.model.arrays import Bool, Int64, UInt64, distinct
from testbed.model.ip import TCP
from testbed.model.tcp import SYN, seq_offset
from testbed.pairing.flow_table import Flows, chosen
from testbed.pairing.packet_table import PacketTable
from testbed.pairing.row_hash import hash_rows

_OWNERS = 8  # a token that more flows of one capture have is no evidence
_LEAST = 4  # bytes of payload that distinguish flows
_MOST = 1 << 19  # tokens; of more, a sample is taken
_ENOUGH = 3  # least weight of evidence at which two flows are matched
_ISN, _PAYLOAD, _SEGMENT, _STAMPS, _ID = 6, 4, 3, 2, 1  # what it weighs that a packet of each flow shares it
_NAME = 2  # what it weighs that both have the same addresses and ports


@dataclass(slots=True)
class FlowPairs:
    """Flows found in both captures, n pairs: ``a`` and ``b`` (int64[n]) index the flows of each.

    ``flip``: int64[n], 1 where the sides are exchanged. ``shift``: int64[n, 2], by how much the sequence numbers of
    side 0 and 1 (as in the first capture) are higher in the second, modulo 2**32. ``sides``: int64[n], a bit for each
    side (as in the first capture) that the pair is about: where the ends of a flow were rewritten differently in its
    two directions, it is two in the other capture. ``how`` names the evidence of each pair. ``ambiguous`` lists flows
    that several others fit.
    """

    a: Int64
    b: Int64
    flip: Int64
    shift: Int64
    sides: Int64
    how: list[str]
    ambiguous: tuple[list[int], list[int]] = field(default_factory=lambda: ([], []))

    def __len__(self) -> int:
        return len(self.a)

    def keep(self, wanted: Bool) -> None:
        """Keep some of the pairs."""
        self.a, self.b, self.flip, self.shift = self.a[wanted], self.b[wanted], self.flip[wanted], self.shift[wanted]
        self.sides = self.sides[wanted]
        self.how = [how for how, one in zip(self.how, wanted.tolist(), strict=True) if one]


@dataclass(slots=True)
class _Tokens:
    """What packets show: a hash, the flow, its side, the sequence number and the weight."""

    token: UInt64
    flow: Int64
    side: Int64
    seq: Int64
    weight: Int64


def match_flows(one: PacketTable, first: Flows, two: PacketTable, second: Flows) -> FlowPairs:
    """Match the flows of two tracks."""
    a, b = _by_name(one, first, two, second)
    known = ((first.isn[a] == second.isn[b]) & (first.isn[a] >= 0)).any(axis=1)
    contrary = ((first.isn[a] != second.isn[b]) & (first.isn[a] >= 0) & (second.isn[b] >= 0)).any(axis=1)
    sure = known & ~contrary
    pairs = FlowPairs(
        a[sure],
        b[sure],
        np.zeros(int(sure.sum()), np.int64),
        np.zeros((int(sure.sum()), 2), np.int64),
        np.full(int(sure.sum()), 3, np.int64),
        ["initial sequence numbers"] * int(sure.sum()),
    )
    left = np.ones(len(first), np.bool_), np.ones(len(second), np.bool_)
    left[0][pairs.a] = False
    left[1][pairs.b] = False
    if left[0].any() and left[1].any():
        named = ~sure & ~contrary
        names = set(zip(a[named].tolist(), b[named].tolist(), strict=True))
        _by_evidence(pairs, _tokens(one, first, left[0]), _tokens(two, second, left[1]), names)
    return pairs


def _by_name(one: PacketTable, first: Flows, two: PacketTable, second: Flows) -> tuple[Int64, Int64]:
    """Return pairs of flows with the same protocol, addresses and ports; of several, those with the same numbers."""
    if not len(first) or not len(second):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    place = np.minimum(np.searchsorted(two.names, one.names), len(two.names) - 1)
    there = np.where(two.names[place] == one.names, place, -1)[first.conversation]
    uses = np.bincount(second.conversation, minlength=len(two.names))
    own = np.bincount(first.conversation, minlength=len(one.names))
    only = (there >= 0) & (own[first.conversation] == 1) & (uses[there] == 1)
    flow_of = np.zeros(len(two.names), np.int64)
    flow_of[second.conversation] = np.arange(len(second))
    a = np.flatnonzero(only)
    more_a, more_b = _of_several(first, np.flatnonzero((there >= 0) & ~only), there, second)
    return np.concatenate([a, more_a]), np.concatenate([flow_of[there[a]], more_b])


def _of_several(first: Flows, left: Int64, there: Int64, second: Flows) -> tuple[Int64, Int64]:
    """Pair flows of names that were used again: those with the same initial numbers, else the next in order."""
    found: list[tuple[int, int]] = []
    by_name: dict[int, list[int]] = {}
    if len(left):
        for number, conversation in enumerate(second.conversation.tolist()):
            by_name.setdefault(conversation, []).append(number)
    numbers = second.isn
    for number in left.tolist():
        candidates = by_name.get(int(there[number]), [])
        isn = first.isn[number].tolist()
        same = [k for k in candidates if numbers[k].tolist() == isn] or [
            k for k in candidates if any(x == y >= 0 for x, y in zip(numbers[k].tolist(), isn, strict=True))
        ]
        best = same or candidates
        if best:
            found.append((number, best[0]))
            candidates.remove(best[0])
    return (
        np.array([x for x, _ in found], np.int64),
        np.array([y for _, y in found], np.int64),
    )


def _tokens(packets: PacketTable, flows: Flows, wanted: Bool) -> _Tokens:
    """Return what the packets of some flows show, each once for a flow and side."""
    items = chosen(flows.of, wanted)
    tcp = (packets.protocol[items] == TCP) & packets.decoded[items]
    parts: list[tuple[UInt64, Int64, int]] = []

    def add(kind: int, rows: Int64, columns: list[np.typing.NDArray[np.generic]], weight: int) -> None:
        protocol = packets.protocol[rows].astype(np.uint64) << np.uint64(8) | np.uint64(kind)
        parts.append((hash_rows([protocol, *columns]), rows, weight))

    syn = items[tcp & ((packets.flags[items] & SYN) != 0)]
    add(1, syn, [packets.seq[syn]], _ISN)
    data = items[packets.captured[items] >= _LEAST]
    add(2, data, [packets.payload[data], packets.length[data]], _PAYLOAD)
    data = items[tcp & (packets.length[items] > 0)]
    add(3, data, [packets.seq[data], packets.ack[data], packets.length[data], packets.flags[data]], _SEGMENT)
    stamped = items[tcp & (packets.tsval[items] > 0)]
    add(4, stamped, [packets.tsval[stamped], packets.tsecr[stamped], packets.length[stamped]], _STAMPS)
    marked = items[(packets.ip_id[items] > 0) & ~tcp]
    add(5, marked, [packets.ip_id[marked], packets.length[marked], packets.icmp[marked]], _ID)
    token = np.concatenate([part for part, _, _ in parts])
    rows = np.concatenate([part for _, part, _ in parts])
    weight = np.concatenate([np.full(len(part), each, np.int64) for part, _, each in parts])
    if len(token) > _MOST:  # the same sample in both captures, as it goes by what packets hold
        kept = (token % np.uint64(len(token) // _MOST + 1) == 0) | (weight == _ISN)
        token, rows, weight = token[kept], rows[kept], weight[kept]
    flow, side = flows.of[rows], packets.side[rows].astype(np.int64)
    _, unique = np.unique(hash_rows([token, flow << 1 | side]), return_index=True)
    rows = rows[unique]
    return _Tokens(token[unique], flow[unique], side[unique], packets.seq[rows].astype(np.int64), weight[unique])


def _common(ours: _Tokens, theirs: _Tokens) -> tuple[Int64, Int64]:
    """Return the positions of equal tokens of both, leaving out what many flows have."""
    order_a, order_b = np.argsort(ours.token, kind="stable"), np.argsort(theirs.token, kind="stable")
    a, b = ours.token[order_a], theirs.token[order_b]
    low, high = np.searchsorted(b, a), np.searchsorted(b, a, side="right")
    own = np.searchsorted(a, a, side="right") - np.searchsorted(a, a)
    usable = np.flatnonzero((high > low) & (high - low <= _OWNERS) & (own <= _OWNERS))
    repeat = (high - low)[usable]
    left = np.repeat(order_a[usable], repeat)
    offset = np.arange(len(left)) - np.repeat(np.cumsum(repeat) - repeat, repeat)
    return left, order_b[np.repeat(low[usable], repeat) + offset]


def _by_evidence(pairs: FlowPairs, ours: _Tokens, theirs: _Tokens, names: set[tuple[int, int]]) -> None:
    """Pair the flows that share most, each with one, and add them to ``pairs``."""
    x, y = _common(ours, theirs)
    if not len(x):
        return
    flip = ours.side[x] ^ theirs.side[y]
    key = ours.flow[x] << 33 | theirs.flow[y] << 1 | flip
    unique, place = np.unique(key, return_inverse=True)
    score = np.bincount(place, weights=ours.weight[x]).astype(np.int64)
    used = np.zeros((len(unique), 2), np.bool_)
    used[place, ours.side[x]] = True
    best = np.zeros(len(unique), np.int64)
    np.maximum.at(best, place, ours.weight[x])
    with_data = [set(distinct(each.flow[each.weight == _PAYLOAD]).tolist()) for each in (ours, theirs)]
    candidates = []
    for k, (number, points) in enumerate(zip(unique.tolist(), score.tolist(), strict=True)):
        a, b = number >> 33, number >> 1 & 0xFFFFFFFF
        # the same name counts a little, so that it decides between flows that share equally much
        total = int(points) + _NAME * ((a, b) in names)
        # time stamps and IP identifications alone are no proof where there are payloads, and others
        proven = best[k] >= _SEGMENT or (a, b) in names or not (a in with_data[0] and b in with_data[1])
        if total >= _ENOUGH and proven:
            candidates.append(_Candidate(total, a, b, number & 1, k, tuple(np.flatnonzero(used[k]).tolist())))
    candidates.sort(key=lambda each: (-each.points, each.a, each.b))
    made = _choose(candidates, pairs)
    shifts = [_shift(ours, theirs, x[place == each.number], y[place == each.number]) for each in made]
    pairs.a = np.append(pairs.a, np.array([each.a for each in made], np.int64))
    pairs.b = np.append(pairs.b, np.array([each.b for each in made], np.int64))
    pairs.flip = np.append(pairs.flip, np.array([each.flip for each in made], np.int64))
    pairs.sides = np.append(pairs.sides, np.array([sum(1 << side for side in each.sides) for each in made], np.int64))
    pairs.shift = np.concatenate([pairs.shift, np.array(shifts, np.int64).reshape(-1, 2)])
    pairs.how.extend(_how(ours.weight[x[place == each.number]]) for each in made)


@dataclass(slots=True)
class _Candidate:
    points: int
    a: int
    b: int
    flip: int
    number: int
    sides: tuple[int, ...]  # of the first capture's flow, those that share something


def _choose(candidates: list[_Candidate], pairs: FlowPairs) -> list[_Candidate]:
    """Take the candidates with most points, each side of a flow once; note those between which nothing decides."""
    taken: set[tuple[int, int, int]] = set()  # which capture, flow, side
    unclear: tuple[set[int], set[int]] = (set(), set())
    made: list[_Candidate] = []
    by_flow: dict[tuple[int, int], list[_Candidate]] = {}
    for each in candidates:
        by_flow.setdefault((0, each.a), []).append(each)
        by_flow.setdefault((1, each.b), []).append(each)

    def claims(each: _Candidate, sides: tuple[int, ...]) -> set[tuple[int, int, int]]:
        return {(0, each.a, side) for side in sides} | {(1, each.b, side ^ each.flip) for side in sides}

    for each in candidates:
        mine = claims(each, each.sides)
        if taken & mine:
            continue
        rivals = [
            other
            for other in by_flow[0, each.a] + by_flow[1, each.b]
            if other is not each and other.points == each.points and mine & claims(other, other.sides)
        ]
        if not rivals:
            made.append(each)
            taken |= mine
            continue
        for one in (each, *rivals):
            taken |= claims(one, one.sides)
            unclear[0].add(one.a)
            unclear[1].add(one.b)
    pairs.ambiguous = sorted(unclear[0]), sorted(unclear[1])
    for each in made:  # a side that shares nothing goes with the other
        if len(each.sides) == 1 and not taken & (other := claims(each, (1 - each.sides[0],))):
            taken |= other
            each.sides = (0, 1)
    return made


def _how(weights: Int64) -> str:
    names = {
        _ISN: "initial sequence numbers",
        _PAYLOAD: "payloads",
        _SEGMENT: "sequence numbers",
        _STAMPS: "time stamps",
        _ID: "IP identifications",
    }
    return " and ".join(name for weight, name in names.items() if (weights == weight).any())


def _shift(ours: _Tokens, theirs: _Tokens, x: Int64, y: Int64) -> list[int]:
    """Return by how much the numbers of each side are higher in the second capture, by most packets."""
    result = []
    for side in (0, 1):
        mine = ours.side[x] == side
        differences = seq_offset(theirs.seq[y[mine]], ours.seq[x[mine]])
        values, counts = np.unique(differences, return_counts=True)
        result.append(int(values[counts.argmax()]) if len(values) else 0)
    return result
