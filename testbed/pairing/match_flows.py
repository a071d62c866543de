"""Find the same flow in two captures although addresses, ports or sequence numbers were rewritten in between.

By addresses, ports and initial sequence numbers where both captures have them. For all else candidates are found by
what packets show (:mod:`flow_tokens`) and judged by how many of their packets agree (:mod:`flow_identity`): that the
same bytes went over both is not enough. A flow that two others fit equally well stays ``ambiguous``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from testbed.model.arrays import Bool, Int64, distinct
from testbed.model.ip import TCP
from testbed.model.tcp import seq_offset
from testbed.pairing.flow_identity import Candidates, PacketsAgreeing, verify
from testbed.pairing.flow_table import Flows
from testbed.pairing.flow_tokens import Tokens, common_tokens, find_tokens
from testbed.pairing.packet_table import PacketTable
from testbed.pairing.quoting_flows import NO_ERROR, about_the_same, between_the_same, quoted_conversations

_MOST = 8  # candidates of one flow that are looked at
_FLOW = 0xFFFFFFFF  # of a key
_NEAR = 50_000_000  # ns by which a flow's difference in time may leave that of flows that are certain


@dataclass(slots=True)
class FlowPairs:
    """Flows found in both captures, n pairs: ``a`` and ``b`` (int64[n]) index the flows of each.

    ``flip``: int64[n], 1 where the sides are exchanged. ``shift``: int64[n, 2], by how much the sequence numbers of
    side 0 and 1 (as in the first capture) are higher in the second, modulo 2**32. ``sides``: int64[n], a bit for each
    side (as in the first capture) that the pair is about: where the ends of a flow were rewritten differently in its
    two directions, it is two in the other capture. ``how`` names the evidence of each pair. ``ambiguous`` lists flows
    that several others fit. ``alike`` are pairs of TCP connections (int64[k, 3]: flow of each, flip) that carry the
    same bytes and are not the same connection. ``opener`` is the side (as in the first capture) that opened each pair.
    """

    a: Int64
    b: Int64
    flip: Int64
    shift: Int64
    sides: Int64
    how: list[str]
    ambiguous: tuple[list[int], list[int]] = field(default_factory=lambda: ([], []))
    alike: Int64 = field(default_factory=lambda: np.zeros((0, 3), np.int64))
    opener: Int64 = field(default_factory=lambda: np.zeros(0, np.int64))

    def __len__(self) -> int:
        return len(self.a)

    def keep(self, wanted: Bool) -> None:
        """Keep some of the pairs."""
        self.a, self.b, self.flip, self.shift = self.a[wanted], self.b[wanted], self.flip[wanted], self.shift[wanted]
        self.sides, self.opener = self.sides[wanted], self.opener[wanted]
        self.how = [how for how, one in zip(self.how, wanted.tolist(), strict=True) if one]

    def in_order_of_first(self) -> FlowPairs:
        """Return the pairs in the order of the first capture's flows."""
        order = np.lexsort((self.b, self.a))
        how = [self.how[k] for k in order.tolist()]
        columns = (self.a, self.b, self.flip, self.shift, self.sides)
        a, b, flip, shift, sides = (column[order] for column in columns)
        return FlowPairs(a, b, flip, shift, sides, how, self.ambiguous, self.alike, self.opener[order])

    def mirrored(self) -> FlowPairs:
        """Return the pairs as those of the captures in the other order."""
        shift, sides = self.shift.copy(), self.sides.copy()
        turned = np.flatnonzero(self.flip)
        shift[turned] = shift[turned, ::-1]
        sides[turned] = (sides[turned] & 1) << 1 | sides[turned] >> 1
        return FlowPairs(
            self.b, self.a, self.flip, seq_offset(np.zeros_like(shift), shift), sides, self.how,
            self.ambiguous[::-1], self.alike[:, [1, 0, 2]], self.opener ^ self.flip,
        )  # fmt: skip


def match_flows(one: PacketTable, first: Flows, two: PacketTable, second: Flows) -> FlowPairs:
    """Match the flows of two captures."""
    a, b, single = _by_name(one, first, two, second)
    known = ((first.isn[a] == second.isn[b]) & (first.isn[a] >= 0)).any(axis=1)
    contrary = ((first.isn[a] != second.isn[b]) & (first.isn[a] >= 0) & (second.isn[b] >= 0)).any(axis=1)
    sure = single & known & ~contrary
    count = int(sure.sum())
    pairs = FlowPairs(
        a[sure],
        b[sure],
        np.zeros(count, np.int64),
        np.zeros((count, 2), np.int64),
        np.full(count, 3, np.int64),
        ["initial sequence numbers"] * count,
    )
    left = np.ones(len(first), np.bool_), np.ones(len(second), np.bool_)
    left[0][pairs.a] = False
    left[1][pairs.b] = False
    quotes = quoted_conversations(one, first), quoted_conversations(two, second)
    errors = quotes[0] > NO_ERROR, quotes[1] > NO_ERROR
    named = _keys(a, b)
    packets, flows = (one, two), (first, second)
    _add_by_packets(pairs, packets, flows, (left[0] & ~errors[0], left[1] & ~errors[1]), named, named[~contrary])
    if errors[0].any() or errors[1].any():  # what they quote is known by now
        x, y = about_the_same(quotes, flows, (pairs.a, pairs.b))
        turned = one.side[first.first[x]] ^ two.side[second.first[y]]
        named = distinct(np.concatenate([named, _keys(x, y) | turned]))
        _add_by_packets(pairs, packets, flows, errors, named, named)
        rest = between_the_same(packets, flows, (pairs.a, pairs.b), pairs.ambiguous)  # quotes may be damaged
        for each, some in zip(errors, rest, strict=True):
            each[:] = False
            each[some] = True
        _add_by_packets(pairs, packets, flows, errors, _keys(*rest), _keys(*rest))
    pairs.opener = first.opener[pairs.a]
    return pairs


def _keys(a: Int64, b: Int64) -> Int64:
    """Return pairs of flows as one number each; the lowest bit says that their sides are exchanged."""
    return a << 33 | b << 1


def _add_by_packets(
    pairs: FlowPairs, packets: tuple[PacketTable, PacketTable], flows: tuple[Flows, Flows], left: tuple[Bool, Bool],
    named: Int64, fitting: Int64,
) -> None:  # fmt: skip
    """Add pairs of the flows that are ``left`` by what their packets show.

    ``named`` are keys of pairs of the same name (or that quote the same flow), ``fitting`` those of them whose numbers
    do not contradict each other.
    """
    if not left[0].any() or not left[1].any():
        return
    (one, two), (first, second) = packets, flows
    named, fitting = (each[left[0][each >> 33] & left[1][each >> 1 & _FLOW]] for each in (named, fitting))
    tokens = find_tokens(one, first, left[0]), find_tokens(two, second, left[1])
    given, how = _candidates(first, second, fitting, named, tokens)
    if len(given):
        agreed = verify(one, first, two, second, given)
        usual = _usual_apart(one, first, two, second, pairs)
        _choose(pairs, given, agreed, how, usual, packets, flows)


def _by_name(one: PacketTable, first: Flows, two: PacketTable, second: Flows) -> tuple[Int64, Int64, Bool]:
    """Return pairs of flows with the same protocol, addresses and ports, and a mask of those that are the only ones.

    Of names that were used often, only flows with the same initial numbers are pairs, and those near in order.
    """
    if not len(first) or not len(second):
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.bool_)
    place = np.minimum(np.searchsorted(two.names, one.names), len(two.names) - 1)
    there = np.where(two.names[place] == one.names, place, -1)[first.conversation]
    uses = np.bincount(second.conversation, minlength=len(two.names))
    own = np.bincount(first.conversation, minlength=len(one.names))
    only = (there >= 0) & (own[first.conversation] == 1) & (uses[there] == 1)
    flow_of = np.zeros(len(two.names), np.int64)
    flow_of[second.conversation] = np.arange(len(second))
    a = np.flatnonzero(only)
    more = _of_several(first, np.flatnonzero((there >= 0) & ~only), there, second)
    single = np.arange(len(a) + len(more)) < len(a)
    return np.concatenate([a, more[:, 0]]), np.concatenate([flow_of[there[a]], more[:, 1]]), single


def _of_several(first: Flows, left: Int64, there: Int64, second: Flows) -> Int64:
    """Return pairs (int64[k, 2]) of flows of names that were used again."""
    found: list[tuple[int, int]] = []
    by_name: dict[int, list[int]] = {}
    if len(left):
        for number, conversation in enumerate(second.conversation.tolist()):
            by_name.setdefault(conversation, []).append(number)
    ranks: dict[int, int] = {}
    for number in left.tolist():
        name = int(there[number])
        candidates = by_name.get(name, [])
        rank = ranks[name] = ranks.get(name, -1) + 1
        if len(candidates) > _MOST:
            isn = first.isn[number]
            same = ((second.isn[candidates] == isn) & (isn >= 0)).any(axis=1)
            chosen = {candidates[k] for k in np.flatnonzero(same)[:_MOST].tolist()}
            chosen |= set(candidates[max(rank - 2, 0) : rank + 3])
            candidates = sorted(chosen)
        found.extend((number, each) for each in candidates)
    return np.array(found, np.int64).reshape(-1, 2)


def _candidates(
    first: Flows, second: Flows, named: Int64, all_names: Int64, tokens: tuple[Tokens, Tokens]
) -> tuple[Candidates, list[str]]:
    """Return candidates, those of the same name (``named``) and those that share tokens, and what they share."""
    ours, theirs = tokens
    x, y = common_tokens(ours, theirs)
    key = ours.flow[x] << 33 | theirs.flow[y] << 1 | ours.side[x] ^ theirs.side[y]
    unique, place = np.unique(key, return_inverse=True)
    points = np.bincount(place, weights=ours.weight[x], minlength=len(unique)).astype(np.int64)
    points += (1 << 40) * np.isin(unique, named)
    kept = _best(unique, points)
    of = np.full(len(unique), -1, np.int64)
    of[kept] = np.arange(len(kept))
    mine = np.flatnonzero(of[place] >= 0)
    how = _how(ours.weight[x[mine]], of[place[mine]], len(kept))
    shift = _shifts(ours, theirs, x[mine], y[mine], of[place[mine]], len(kept))
    unique = unique[kept]
    alone = named[~np.isin(named, unique)]
    keys = np.concatenate([unique, alone])
    shift = np.concatenate([shift, np.zeros((len(alone), 2), np.int64)])
    made = Candidates(keys >> 33, keys >> 1 & _FLOW, keys & 1, shift, np.isin(keys, all_names))
    _complete(made, first, second)
    # two flows of one name whose numbers do not contradict each other may also have them as they are
    as_is = np.flatnonzero(np.isin(keys, named) & made.shift.any(axis=1))
    which = np.append(np.arange(len(keys)), as_is)
    shift = made.shift[which]
    shift[len(keys) :] = 0
    which_how = [*how, *["sequence numbers"] * len(alone)]
    protocol = np.flatnonzero(first.protocol[made.a[which]] == second.protocol[made.b[which]])
    order = protocol[np.lexsort((made.b[which[protocol]], made.a[which[protocol]]))]
    which, shift = which[order], shift[order]
    return (
        Candidates(made.a[which], made.b[which], made.flip[which], shift, made.named[which]),
        [which_how[k] for k in which.tolist()],
    )


def _best(keys: Int64, points: Int64) -> Int64:
    """Return the positions of the candidates that are among the best of both of their flows."""
    good = np.ones(len(keys), np.bool_)
    for flow in (keys >> 33, keys >> 1 & _FLOW):
        order = np.lexsort((-points, flow))
        ordered = flow[order]
        start = np.searchsorted(ordered, ordered)
        good[order] &= np.arange(len(order)) - start < _MOST
    return np.flatnonzero(good)


def _shifts(ours: Tokens, theirs: Tokens, x: Int64, y: Int64, of: Int64, count: int) -> Int64:
    """Return by how much the numbers of each side are higher in the second capture, by most tokens; -1 unknown."""
    result = np.full(2 * count, -1, np.int64)
    side = ours.side[x]
    numbers, owners = [], []
    for mine, others, owner in ((ours.seq, theirs.seq, side), (ours.ack, theirs.ack, 1 - side)):
        both = np.flatnonzero((mine[x] >= 0) & (others[y] >= 0))
        numbers.append(seq_offset(others[y[both]], mine[x[both]]))
        owners.append(of[both] << 1 | owner[both])
    packed = np.sort(np.concatenate(owners) << 32 | np.concatenate(numbers))
    if not len(packed):
        return result.reshape(-1, 2)
    head = np.flatnonzero(np.append(True, packed[1:] != packed[:-1]))
    often = np.diff(np.append(head, len(packed)))
    order = np.lexsort((often, packed[head] >> 32))
    owner = packed[head[order]] >> 32
    result[owner] = packed[head[order]] & 0xFFFFFFFF  # the last one of each, most often seen, stays
    return result.reshape(-1, 2)


def _complete(given: Candidates, first: Flows, second: Flows) -> None:
    """Take the difference of initial numbers where no packet shows how a side's numbers were moved, else 0."""
    sides = np.arange(2)[None, :] ^ given.flip[:, None]
    mine, others = first.isn[given.a], second.isn[given.b[:, None], sides]
    known = (mine >= 0) & (others >= 0)
    given.shift = np.where(given.shift >= 0, given.shift, np.where(known, seq_offset(others, mine), 0))


def _how(weights: Int64, of: Int64, count: int) -> list[str]:
    names = {6: "initial sequence numbers", 2: "payloads", 4: "numbers", 1: "IP identifications"}
    seen = {weight: np.bincount(of[weights == weight], minlength=count) > 0 for weight in names}
    return [" and ".join(name for weight, name in names.items() if seen[weight][k]) for k in range(count)]


def _usual_apart(
    one: PacketTable, first: Flows, two: PacketTable, second: Flows, pairs: FlowPairs
) -> tuple[int, int] | None:
    """Return between what the differences in time of flows lie that are certain (ns), by their first packets."""
    if not len(pairs):
        return None
    apart = np.sort(two.time[second.first[pairs.b]] - one.time[first.first[pairs.a]])
    return int(apart[len(apart) // 10]), int(apart[-1 - len(apart) // 10])


@dataclass(slots=True)
class _Candidate:
    points: int
    a: int
    b: int
    flip: int
    number: int
    sides: tuple[int, ...]  # of the first capture's flow, those that share something


def _choose(
    pairs: FlowPairs, given: Candidates, agreed: PacketsAgreeing, how: list[str], usual: tuple[int, int] | None,
    packets: tuple[PacketTable, PacketTable], flows: tuple[Flows, Flows],
) -> None:  # fmt: skip
    """Add the candidates that are the same flow, each side of a flow once; note those between which nothing decides."""
    if _routed(pairs, given, agreed, packets, flows):  # then link-local packets of one end never reach the other
        agreed.same &= ~agreed.local | (agreed.apart == 0)
    score = agreed.score.copy()
    if usual is not None:
        score += (agreed.apart >= usual[0] - _NEAR) & (agreed.apart <= usual[1] + _NEAR)
    score = 2 * score + _same_rank(given, flows)
    candidates = [
        _Candidate(int(score[k]), int(given.a[k]), int(given.b[k]), int(given.flip[k]), k,
                   tuple(np.flatnonzero(agreed.equal[k]).tolist()))
        for k in np.flatnonzero(agreed.same).tolist()
    ]  # fmt: skip
    candidates.sort(key=lambda each: (-each.points, each.a, each.b))
    made = _take(candidates, pairs)
    numbers = np.array([each.number for each in made], np.int64)
    pairs.a = np.append(pairs.a, given.a[numbers])
    pairs.b = np.append(pairs.b, given.b[numbers])
    pairs.flip = np.append(pairs.flip, given.flip[numbers])
    pairs.sides = np.append(pairs.sides, np.array([sum(1 << side for side in each.sides) for each in made], np.int64))
    pairs.shift = np.concatenate([pairs.shift, given.shift[numbers]])
    pairs.how.extend(how[each.number] for each in made)
    pairs.alike = np.concatenate([pairs.alike, _alike(pairs, given, agreed, flows)])


def _routed(
    pairs: FlowPairs, given: Candidates, agreed: PacketsAgreeing, packets: tuple[PacketTable, PacketTable],
    flows: tuple[Flows, Flows],
) -> bool:  # fmt: skip
    """Tell whether routers lie between the taps: the TTL differs in most flows that are certain."""
    certain = agreed.same & agreed.raw
    ttl = [
        each.ttl[mine.first[np.concatenate([sure, which[certain]])]]
        for each, mine, sure, which in zip(packets, flows, (pairs.a, pairs.b), (given.a, given.b), strict=True)
    ]
    return len(ttl[0]) > 0 and 2 * int((ttl[0] != ttl[1]).sum()) > len(ttl[0])


def _same_rank(given: Candidates, flows: tuple[Flows, Flows]) -> Int64:
    """Return 1 for candidates of a name used equally often in both, each as often before: int64[k]."""
    ranks, counts = [], []
    for each, which in zip(flows, (given.a, given.b), strict=True):
        conversation = each.conversation
        order = np.argsort(conversation, kind="stable")
        start = np.searchsorted(conversation[order], conversation[order])
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order)) - start
        ranks.append(rank[which])
        counts.append(np.bincount(conversation)[conversation[which]])
    result: Int64 = (given.named & (ranks[0] == ranks[1]) & (counts[0] == counts[1])).astype(np.int64)
    return result


def _take(candidates: list[_Candidate], pairs: FlowPairs) -> list[_Candidate]:
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
            if other is not each
            and other.points == each.points
            and mine & claims(other, other.sides)
            and not taken & claims(other, other.sides)
        ]
        if not rivals:
            made.append(each)
            taken |= mine
            continue
        for one in (each, *rivals):
            taken |= claims(one, one.sides)
            unclear[0].add(one.a)
            unclear[1].add(one.b)
    pairs.ambiguous = sorted({*pairs.ambiguous[0], *unclear[0]}), sorted({*pairs.ambiguous[1], *unclear[1]})
    for each in made:  # a side that shares nothing goes with the other
        if len(each.sides) == 1 and not taken & (other := claims(each, (1 - each.sides[0],))):
            taken |= other
            each.sides = (0, 1)
    return made


def _alike(pairs: FlowPairs, given: Candidates, agreed: PacketsAgreeing, flows: tuple[Flows, Flows]) -> Int64:
    """Return connections that are not the same and carry the same bytes, each once: int64[k, 3]."""
    free = [np.ones(len(each), np.bool_) for each in flows]
    for each, used, unclear in zip(free, (pairs.a, pairs.b), pairs.ambiguous, strict=True):
        each[used] = False
        each[unclear] = False
    tcp = flows[0].protocol[given.a] == TCP
    shares = (agreed.payloads > 0) | given.named
    wanted = tcp & ~agreed.same & shares & free[0][given.a] & free[1][given.b]
    order = np.flatnonzero(wanted)
    order = order[np.lexsort((given.b[order], given.a[order], -agreed.payloads[order], ~given.named[order]))]
    found = []
    for k in order.tolist():
        a, b = int(given.a[k]), int(given.b[k])
        if free[0][a] and free[1][b]:
            free[0][a] = free[1][b] = False
            found.append((a, b, int(given.flip[k])))
    return np.array(found, np.int64).reshape(-1, 3)
