"""Pair the packets of two captures: the strongest evidence first, never position in the file.

A packet is the same at both ends when all that a network leaves alone is the same. What remains is tried with
weaker keys, so that a packet altered on its way is found as itself. Packets that are identical in everything are
paired in order of occurrence; when their numbers differ, by the delay that the others had.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import xxhash
from numpy.typing import NDArray

from testbed.analysis.flows import ACK, Tap
from testbed.analysis.pieces import Whole, find_pieces
from testbed.analysis.selection import TCP, UDP, Int64
from testbed.model import HOSTS, Host

U64 = NDArray[np.uint64]
Bool = NDArray[np.bool_]

_MOST = 250_000  # cells of the table that aligns identical packets in time


@dataclass(frozen=True, slots=True)
class Key:
    """Fields that must be equal. ``given``: those that must not be 0; ``unique``: only where there is no choice."""

    fields: tuple[str, ...]
    given: tuple[str, ...] = ()
    unique: bool = False


_ID, _STAMPS = ("ip_id",), ("stamps",)
_TCP_ALL = ("ip_id", "seq", "ack", "flags", "window", "urgent", "options", "length", "payload")
FULL = {
    "tcp": Key(_TCP_ALL),
    "udp": Key(("ip_id", "length", "payload")),
    "other": Key(("ip_id", "what", "icmp", "length", "payload")),
}
"""All that a router does not change. TTL, DSCP and ECN it may; checksums differ by offload."""

WEAKER = {
    "tcp": (
        Key(("ip_id", "seq", "ack", "flags", "length", "payload", "stamps")),
        Key(("ip_id", "seq", "ack", "flags", "length", "payload")),
        Key(("ip_id", "seq", "flags", "length", "payload"), given=_ID),
        Key(("seq", "ack", "flags", "window", "urgent", "options", "length", "payload")),
        Key(("seq", "ack", "flags", "length", "payload")),
        Key(("ip_id", "seq", "ack", "flags", "length"), given=_ID),
        Key(("ip_id", "seq", "length"), given=_ID),
        Key(("ip_id", "ack", "flags", "length", "payload"), given=_ID),
        Key(("stamps", "seq", "flags", "length", "payload"), given=_STAMPS),
        Key(("stamps", "seq", "ack", "flags", "length"), given=_STAMPS),
        Key(("stamps", "seq", "ack", "length", "payload"), given=_STAMPS),
        Key(("stamps", "ack", "flags", "length", "payload"), given=_STAMPS),
        Key(("ip_id", "seq", "ack", "flags"), given=_ID),
        Key(("seq", "ack", "flags", "length"), unique=True),
        Key(("seq", "length", "payload"), unique=True),
        Key(("ack", "flags", "length", "payload"), unique=True),
    ),
    "udp": (
        Key(("length", "payload")),
        Key(("ip_id", "length"), given=_ID),
        Key(("ip_id",), given=_ID),
        Key(("length",), unique=True),
    ),
    "other": (
        Key(("what", "icmp", "length", "payload")),
        Key(("ip_id", "what", "length"), given=_ID),
        Key(("what", "icmp", "length"), unique=True),
    ),
}
"""Keys for packets that were altered, or whose IP identification was, in the order in which they are tried."""


@dataclass(slots=True)
class Side:
    """Packets of both directions at their sender, or at their receiver: items of the taps and the fields of keys."""

    host: NDArray[np.int8]  # 0: item of the client's tap
    item: Int64
    sender: Int64
    flow: Int64
    family: NDArray[np.int8]  # 0 tcp, 1 udp, 2 other
    time: Int64
    fields: dict[str, U64]

    def only(self, items: Int64) -> Side:
        """Return some of the packets."""
        return Side(
            self.host[items],
            self.item[items],
            self.sender[items],
            self.flow[items],
            self.family[items],
            self.time[items],
            {name: column[items] for name, column in self.fields.items()},
        )


@dataclass(slots=True)
class Pairs:
    """Which packet sent is which packet arrived: ``sent`` and ``arrived`` are aligned positions in the two sides.

    ``alike`` counts, for a position sent, the identical packets that only time tells apart; ``copy_of`` maps a
    position at the receiving side to the pair of which it is one more copy; ``wholes`` are segments that were split
    or merged, and in no pair.
    """

    sent: Int64
    arrived: Int64
    alike: dict[int, int] = field(default_factory=dict)
    copy_of: dict[int, int] = field(default_factory=dict)
    wholes: list[Whole] = field(default_factory=list)

    def in_pieces(self, *, sent: bool) -> Int64:
        """Return the positions of one side that ``wholes`` account for."""
        used: list[int] = []
        for whole in self.wholes:
            used.extend((whole.position,) if whole.at_sender == sent else whole.parts)
        return np.array(used, np.int64)


def sides(taps: dict[Host, Tap]) -> tuple[Side, Side]:
    """Return all packets as their senders' captures show them, and as their receivers' captures do."""
    fields = {host: _fields(tap) for host, tap in taps.items()}
    return _side(taps, fields, at_sender=True), _side(taps, fields, at_sender=False)


def _side(taps: dict[Host, Tap], fields: dict[Host, dict[str, U64]], *, at_sender: bool) -> Side:
    items = {host: np.flatnonzero((taps[host].sender == index) == at_sender) for index, host in enumerate(HOSTS)}
    transport = np.concatenate([taps[h].capture.transport[taps[h].rows[items[h]]] for h in HOSTS])
    return Side(
        host=np.repeat(np.array([0, 1], np.int8), [len(items[h]) for h in HOSTS]),
        item=np.concatenate([items[h] for h in HOSTS]),
        sender=np.concatenate([taps[h].sender[items[h]] for h in HOSTS]),
        flow=np.concatenate([taps[h].flow[items[h]] for h in HOSTS]),
        family=np.select([transport == TCP, transport == UDP], [0, 1], 2).astype(np.int8),
        time=np.concatenate([taps[h].capture.time_ns[taps[h].rows[items[h]]] for h in HOSTS]),
        fields={name: np.concatenate([fields[h][name][items[h]] for h in HOSTS]) for name in fields["client"]},
    )


def _fields(tap: Tap) -> dict[str, U64]:
    capture, rows = tap.capture, tap.rows

    def wide(column: NDArray[np.generic]) -> U64:
        return column[rows].astype(np.uint64)

    tcp = capture.transport[rows] == TCP
    acks = tcp & ((capture.flags[rows] & ACK) != 0)
    return {
        "ip_id": wide(capture.ip_id),
        "seq": wide(capture.seq),
        "ack": np.where(acks, wide(capture.ack), np.uint64(0)),
        "flags": wide(capture.flags),
        "window": wide(capture.window),
        "urgent": wide(capture.urgent),
        "stamps": wide(capture.tsval) << np.uint64(32) | wide(capture.tsecr),
        "options": _digests(tap, capture.transport_offset + 20, capture.options_length),
        "length": wide(capture.payload_length),
        "payload": _digests(tap, capture.payload_offset, capture.payload_captured),
        "what": wide(capture.what) << np.uint64(32) | wide(capture.fragment_offset),
        "icmp": _mixed([wide(capture.icmp_type), wide(capture.icmp_code), wide(capture.icmp_rest)]),
    }


def _digests(tap: Tap, offsets: Int64, lengths: NDArray[np.integer]) -> U64:
    """Return XXH3-64 of a range of bytes of each packet, 0 of an empty one."""
    capture = tap.capture
    result = np.zeros(len(tap), np.uint64)
    some = np.flatnonzero(lengths[tap.rows])
    rows = tap.rows[some]
    digest = xxhash.xxh3_64_intdigest
    own, size = capture.data.data, len(capture.data)
    joined = capture.joined.data
    result[some] = [
        digest(own[start : start + length]) if start < size else digest(joined[start - size : start - size + length])
        for start, length in zip(offsets[rows].tolist(), lengths[rows].tolist(), strict=True)
    ]
    return result


def _mixed(columns: Sequence[U64]) -> U64:
    """Return a 64-bit hash of each row (the mixing of splitmix64)."""
    mixed = np.full(len(columns[0]), 0x9E3779B97F4A7C15, np.uint64)
    for column in columns:
        mixed = (mixed ^ column) + np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed ^= mixed >> np.uint64(31)
    return mixed


def pair(taps: dict[Host, Tap], sent: Side, arrived: Side) -> Pairs:
    """Pair what was sent with what arrived."""
    full = _keys(sent, FULL), _keys(arrived, FULL)
    pairs = Pairs(*_in_order(*full))
    usual = _usual_delays(sent, arrived, *full)
    _by_delay(pairs, sent, arrived, *full, usual)
    _copies(pairs, *full)
    left = np.setdiff1d(np.arange(len(sent.item)), pairs.sent)
    right = np.setdiff1d(np.arange(len(arrived.item)), pairs.arrived)
    right = np.setdiff1d(right, np.array(list(pairs.copy_of), np.int64))
    tcp = left[sent.family[left] == 0], right[arrived.family[right] == 0]
    pairs.wholes = find_pieces(sent, arrived, *tcp, partial(_payload, taps))
    left, right = np.setdiff1d(left, pairs.in_pieces(sent=True)), np.setdiff1d(right, pairs.in_pieces(sent=False))
    for family, name in enumerate(FULL):
        ours, theirs = left[sent.family[left] == family], right[arrived.family[right] == family]
        for key in WEAKER[name]:
            if not len(ours) or not len(theirs):
                break
            more = _weaker(sent, ours, arrived, theirs, key, usual)
            pairs.sent, pairs.arrived = np.append(pairs.sent, more.sent), np.append(pairs.arrived, more.arrived)
            pairs.alike.update(more.alike)
            ours, theirs = np.setdiff1d(ours, more.sent), np.setdiff1d(theirs, more.arrived)
    return pairs


def _payload(taps: dict[Host, Tap], side: Side, position: int) -> bytes:
    tap = taps[HOSTS[int(side.host[position])]]
    return tap.capture.payload(int(tap.rows[side.item[position]]))


def _keys(side: Side, keys: dict[str, Key]) -> U64:
    result = np.zeros(len(side.item), np.uint64)
    for family, name in enumerate(FULL):
        mine = np.flatnonzero(side.family == family)
        result[mine] = _key(side, mine, keys[name])
    return result


def _key(side: Side, items: Int64, key: Key) -> U64:
    place = (side.flow[items] << 3 | side.sender[items] << 2 | side.family[items]).astype(np.uint64)
    return _mixed([place, *(side.fields[name][items] for name in key.fields)])


def _weaker(
    sent: Side, ours: Int64, arrived: Side, theirs: Int64, key: Key, usual: tuple[int | None, int | None]
) -> Pairs:
    for name in key.given:
        ours, theirs = ours[sent.fields[name][ours] > 0], theirs[arrived.fields[name][theirs] > 0]
    a, b = _key(sent, ours, key), _key(arrived, theirs, key)
    if key.unique:
        single_a, single_b = _single(a), _single(b)
        ours, theirs, a, b = ours[single_a], theirs[single_b], a[single_a], b[single_b]
    found = Pairs(*_in_order(a, b))
    _by_delay(found, sent.only(ours), arrived.only(theirs), a, b, usual)
    alike = {int(ours[k]): count for k, count in found.alike.items()}
    return Pairs(ours[found.sent], theirs[found.arrived], alike)


def _single(keys: U64) -> Bool:
    _, place, counts = np.unique(keys, return_inverse=True, return_counts=True)
    return np.asarray(counts[place] == 1)


def _in_order(a: U64, b: U64) -> tuple[Int64, Int64]:
    """Pair equal keys, the first with the first, the second with the second, and so on."""
    order_a, order_b = np.argsort(a, kind="stable"), np.argsort(b, kind="stable")
    a, b = a[order_a], b[order_b]
    rank = np.arange(len(a)) - np.searchsorted(a, a)
    place = np.searchsorted(b, a) + rank
    inside = np.flatnonzero(place < len(b))
    same = inside[b[place[inside]] == a[inside]]
    return order_a[same], order_b[place[same]]


def _groups(a: U64, b: U64) -> Iterator[tuple[Int64, Int64]]:
    """Yield the positions on both sides of every key that both have, but not equally often."""
    order_a, order_b = np.argsort(a, kind="stable"), np.argsort(b, kind="stable")
    keys, first, count = np.unique(a[order_a], return_index=True, return_counts=True)
    low, high = np.searchsorted(b[order_b], keys), np.searchsorted(b[order_b], keys, side="right")
    for k in np.flatnonzero((high > low) & (high - low != count)).tolist():
        yield order_a[first[k] : first[k] + count[k]], order_b[low[k] : high[k]]


def _usual_delays(sent: Side, arrived: Side, a: U64, b: U64) -> tuple[int | None, int | None]:
    """Return the median delay of each host's packets that have no double, None without any."""
    single_a, single_b = np.flatnonzero(_single(a)), np.flatnonzero(_single(b))
    x, y = _in_order(a[single_a], b[single_b])
    delays = arrived.time[single_b[y]] - sent.time[single_a[x]]
    by_sender = sent.sender[single_a[x]]
    client, server = (delays[by_sender == k] for k in (0, 1))
    return int(np.median(client)) if len(client) else None, int(np.median(server)) if len(server) else None


def _by_delay(pairs: Pairs, sent: Side, arrived: Side, a: U64, b: U64, usual: tuple[int | None, int | None]) -> None:
    """Pair again those identical packets of which some are missing at one end: keep order, fit the usual delay."""
    uneven = [(x, y) for x, y in _groups(a, b) if len(x) * len(y) <= _MOST]
    if not uneven:
        return
    settled = ~np.isin(pairs.sent, np.concatenate([x for x, _ in uneven]))
    more_sent, more_arrived = [pairs.sent[settled]], [pairs.arrived[settled]]
    for x, y in uneven:
        apart = arrived.time[y][None, :] - sent.time[x][:, None]
        expected = usual[int(sent.sender[x[0]])]
        if expected is None:
            expected = int(apart[apart >= 0].min()) if (apart >= 0).any() else 0
        places = np.array(_aligned(np.abs(apart - expected)), np.int64)
        more_sent.append(x[places[:, 0]])
        more_arrived.append(y[places[:, 1]])
        if len(x) > 1:
            pairs.alike.update(dict.fromkeys(x.tolist(), len(x)))
    pairs.sent, pairs.arrived = np.concatenate(more_sent), np.concatenate(more_arrived)


def _aligned(cost: Int64) -> list[tuple[int, int]]:
    """Pair all of the shorter side with some of the longer, in order, at the least total cost."""
    if cost.shape[0] > cost.shape[1]:
        return [(j, i) for i, j in _aligned(cost.T)]
    rows, columns = cost.shape
    # best[i][j]: the least cost of pairing the first i rows within the first j columns
    best = [[0.0] * (columns + 1)] + [[float("inf")] * (columns + 1) for _ in range(rows)]
    table = cost.tolist()
    for i in range(1, rows + 1):
        for j in range(i, columns + 1):
            best[i][j] = min(best[i][j - 1], best[i - 1][j - 1] + table[i - 1][j - 1])
    result = []
    i, j = rows, columns
    while i:
        if best[i][j] == best[i][j - 1]:
            j -= 1
        else:
            result.append((i - 1, j - 1))
            i, j = i - 1, j - 1
    return result[::-1]


def _copies(pairs: Pairs, a: U64, b: U64) -> None:
    """Find what arrived more often than it was sent: copies made on the way."""
    spare = np.setdiff1d(np.arange(len(b)), pairs.arrived)
    if not len(spare) or not len(pairs.sent):
        return
    keys = a[pairs.sent]
    order = np.argsort(keys, kind="stable")
    place = np.minimum(np.searchsorted(keys[order], b[spare]), len(keys) - 1)
    for position, pair_index, key in zip(spare.tolist(), order[place].tolist(), b[spare].tolist(), strict=True):
        if int(keys[pair_index]) == key:
            pairs.copy_of[position] = pair_index
