"""What lies between two taps, as far as packets that crossed show it: routers, a NAT, devices that change packets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from testbed.model.arrays import Bool, Int32, Int64
from testbed.model.ip import TCP
from testbed.pairing.compare_captures import Comparison
from testbed.pairing.fates import RowFate
from testbed.pairing.flow_changes import FlowField
from testbed.pairing.flow_pauses import PAUSE
from testbed.pairing.packet_table import ConversationEnds

_MOST_HOPS = 255


@dataclass(frozen=True, slots=True)
class SeenOnWay:
    """What became of the packets sent at one end, as the other end's tap shows: packets sent, lost, altered, reordered.

    ``hops`` is by how much the TTL of most fell, None where nothing crossed.
    """

    sent: int
    lost: int
    altered: int
    reordered: int
    hops: int | None


@dataclass(frozen=True, slots=True)
class FlowsChanged:
    """A change of all packets of ``flows`` flows."""

    field: FlowField
    before: int | None
    after: int | None
    flows: int


@dataclass(frozen=True, slots=True)
class LongestPause:
    """The longest time (ns) in which a TCP connection was silent: ``pair`` of flows; who spoke next (0 first end).

    ``on_the_way`` says that the next packet was on its way for most of it.
    """

    pair: int
    lasted: int
    ended_by: int
    on_the_way: bool


@dataclass(frozen=True, slots=True)
class BetweenTaps:
    """What lies between. ``ways`` are from the first end and to it.

    ``same_place``: no time passes between both captures; ``in_line``: packets of both directions pass one tap first.
    ``rewritten`` names what is rewritten (addresses, ports, sequence numbers, ip ids) with the number of flows;
    ``balanced``: one address stands for several behind it. ``terminated`` counts connections that are ended in between,
    ``same_names`` those of them that keep addresses and ports.
    """

    flows: int
    ways: tuple[SeenOnWay, SeenOnWay]
    same_place: bool
    in_line: bool
    rewritten: tuple[tuple[str, int], ...]
    balanced: bool
    changed: tuple[FlowsChanged, ...]
    terminated: int
    same_names: int
    pause: LongestPause | None


def what_lies_between(compared: Comparison) -> BetweenTaps:
    """Return what the packets of a comparison show of it."""
    pairs, ways = compared.pairs, compared.crossed.ways
    changed: dict[tuple[FlowField, int | None, int | None], set[int]] = {}
    for fact in compared.usual.facts:
        changed.setdefault((fact.field, fact.before, fact.after), set()).add(fact.place >> 1)
    return BetweenTaps(
        flows=len(pairs),
        ways=(_way(compared, from_one=True), _way(compared, from_one=False)),
        same_place=bool(len(pairs)) and bool(ways.same_place.all()),
        in_line=bool(ways.in_line.any()),
        rewritten=_rewritten(compared),
        balanced=_balanced(compared),
        changed=tuple(FlowsChanged(*key, len(flows)) for key, flows in sorted(changed.items(), key=str)),
        terminated=len(compared.terminated),
        same_names=sum(each.same_name for each in compared.terminated),
        pause=_longest_pause(compared),
    )


def _way(compared: Comparison, *, from_one: bool) -> SeenOnWay:
    statistics, table = compared.statistics, compared.table
    places = np.flatnonzero(statistics.sent_at_one == from_one)
    fates = statistics.fates[places].sum(axis=0)
    sent = int(fates[: RowFate.LOST + 1].sum())
    crossed = np.flatnonzero((table.fate == RowFate.CROSSED) & (table.sent_at_one == from_one))
    hops = None
    if len(crossed):
        one, two = compared.packets
        fell = one.ttl[table.one[crossed]].astype(np.int64) - two.ttl[table.two[crossed]]
        hops = int(np.bincount((fell if from_one else -fell) + _MOST_HOPS).argmax()) - _MOST_HOPS
    return SeenOnWay(
        sent,
        int(fates[RowFate.LOST]),
        int(statistics.altered[places].sum()),
        int(statistics.reordered[places].sum()),
        hops,
    )


def _rewritten(compared: Comparison) -> tuple[tuple[str, int], ...]:
    pairs, (one, two), (first, second) = compared.pairs, compared.packets, compared.flows
    if not len(pairs):
        return ()
    counts = dict.fromkeys(("addresses", "ports", "sequence numbers", "ip ids"), 0)
    other = np.flatnonzero(one.names[first.conversation[pairs.a]] != two.names[second.conversation[pairs.b]])
    for pair in other.tolist():
        ours, theirs, flip = *_ends(compared, pair), int(pairs.flip[pair])
        counts["addresses"] += ours.addresses != (theirs.addresses[::-1] if flip else theirs.addresses)
        counts["ports"] += ours.ports != (theirs.ports[::-1] if flip else theirs.ports)
    counts["sequence numbers"] = int(pairs.shift.any(axis=1).sum())
    counts["ip ids"] = int(compared.usual.new_ids.reshape(-1, 2).any(axis=1).sum())
    return tuple((name, count) for name, count in counts.items() if count)


def _ends(compared: Comparison, pair: int) -> tuple[ConversationEnds, ConversationEnds]:
    pairs, (one, two), (first, second) = compared.pairs, compared.packets, compared.flows
    return (
        one.ends[int(first.conversation[pairs.a[pair]])],
        two.ends[int(second.conversation[pairs.b[pair]])],
    )


def _balanced(compared: Comparison) -> bool:
    """Whether flows to one address at one end are flows to several at the other, whose opener's address stays."""
    pairs, (one, two), (first, second) = compared.pairs, compared.packets, compared.flows
    names = one.names[first.conversation[pairs.a]], two.names[second.conversation[pairs.b]]
    if bool((names[0] == names[1]).all()) and not pairs.flip.any():
        return False  # both ends of each flow are the same at both taps
    seen: dict[tuple[str, int], set[str]] = {}
    for pair in range(min(len(pairs), 10_000)):
        ours, theirs = _ends(compared, pair)
        opener = int(pairs.opener[pair])
        there = opener ^ int(pairs.flip[pair])
        key = (ours.addresses[1 - opener], ours.ports[1 - opener])
        if ours.protocol == TCP and ours.addresses[opener] == theirs.addresses[there]:
            seen.setdefault(key, set()).add(theirs.addresses[1 - there])
    return any(len(each) > 1 for each in seen.values())


def _longest_pause(compared: Comparison) -> LongestPause | None:
    """Find it among packets that the first capture has."""
    table, packets = compared.table, compared.packets[0]
    rows = np.flatnonzero(table.one >= 0)
    rows = rows[packets.protocol[table.one[rows]] == TCP].astype(np.int32)
    pair, time = (table.place[rows] >> 1).astype(np.int32), packets.time[table.one[rows]]
    if bool((pair[1:] != pair[:-1]).any()):
        order = _by_pair_and_time(pair, time)
        rows, pair, time = rows[order], pair[order], time[order]
        del order
    gaps = np.diff(time)
    gaps[pair[1:] != pair[:-1]] = 0
    if not len(gaps) or int(gaps.max()) < PAUSE:
        return None
    k = int(gaps.argmax())
    row, lasted = int(rows[k + 1]), int(gaps[k])
    timed: Bool = table.timed
    on_the_way = bool(timed[row]) and not table.sent_at_one[row] and 2 * int(table.delay[row]) > lasted
    return LongestPause(int(pair[k]), lasted, 0 if table.sent_at_one[row] else 1, on_the_way)


def _by_pair_and_time(pair: Int32, time: Int64) -> Int64:
    """Return the order by pair, then by time, then as it was."""
    if bool((time[1:] < time[:-1]).any()):
        return np.lexsort((time, pair))
    order = pair.astype(np.int64)
    order <<= 32
    order |= np.arange(len(pair))
    order.sort()
    order &= 0xFFFFFFFF
    return order
