"""Tell whether two flows that look alike are one: whether their packets are the same, not only what they carry.

A relay sends on what it received, and two machines ask the same of one service: then the bytes are equal, and nothing
else is. A packet that a network carried keeps what its sender gave it: sequence numbers (or all of them moved by one
number), time stamps (RFC 7323), IP identification, window. What of this both flows have must agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from testbed.model.arrays import Bool, Int64, UInt64
from testbed.model.ip import TCP, is_group
from testbed.model.tcp import ACK, FIN, RST, SYN, seq_add
from testbed.pairing.equal_keys import in_order
from testbed.pairing.flow_table import Flows, members
from testbed.pairing.packet_table import PacketTable
from testbed.pairing.row_hash import hash_rows

_SMALL = 1 << 16  # initial numbers below are no chance: systems and simulators that count from 0 use them
_MOST = 1 << 20  # packets of all candidates that are looked at; of more, a sample by what they hold
_VARIED = 3  # kinds of values that no two flows have alike by chance
_VARIED_WINDOWS = 8  # windows of two hosts with the same system begin alike
_WORDS = 8  # bytes of payload that say something


@dataclass(slots=True)
class Candidates:
    """Pairs of flows that may be one, k of them, as :class:`testbed.pairing.match_flows.FlowPairs` has them.

    ``named``: bool[k], both have the same protocol, addresses and ports.
    """

    a: Int64
    b: Int64
    flip: Int64
    shift: Int64
    named: Bool

    def __len__(self) -> int:
        return len(self.a)


@dataclass(slots=True)
class PacketsAgreeing:
    """How many packets of each candidate agree: int64[k].

    Of those with the same numbers (``equal``, int64[k, 2] by side) so many have equal ``stamps``, ``ids``, ``windows``
    and ``payloads``; ``could_*`` is how many could have. ``fewer`` is how many the smaller of both flows has.

    ``kinds`` is how many different payloads or ICMP words they have, ``apart`` (int64[k], ns) their usual difference
    in time. ``same`` is the judgement, ``score`` how much speaks for it, ``raw`` whether sequence numbers are equal as
    they are.
    """

    equal: Int64
    fewer: Int64
    stamps: Int64
    could_stamps: Int64
    ids: Int64
    could_ids: Int64
    windows: Int64
    payloads: Int64
    could_payloads: Int64
    kinds: Int64
    apart: Int64
    raw: Bool
    local: Bool
    same: Bool
    score: Int64


@dataclass(slots=True)
class _Rows:
    """The packets of all candidates in one capture: rows of the packet table, the candidate, its side there."""

    item: Int64
    candidate: Int64
    side: Int64
    key: UInt64


def verify(one: PacketTable, first: Flows, two: PacketTable, second: Flows, given: Candidates) -> PacketsAgreeing:
    """Return how well the packets of each candidate agree."""
    count = len(given)
    ours = _rows(one, first, given, given.a, there=False)
    theirs = _rows(two, second, given, given.b, there=True)
    if (most := max(len(ours.item), len(theirs.item))) > _MOST:
        for rows in (ours, theirs):
            kept = rows.key % np.uint64(most // _MOST + 1) == 0
            rows.item, rows.candidate, rows.side, rows.key = (
                column[kept] for column in (rows.item, rows.candidate, rows.side, rows.key)
            )
    x, y, _ = in_order(ours.key, theirs.key)
    x, y = _by_numbers(one, two, given, ours, theirs, x, y)

    def counted(mine: Bool, others: Bool, names: Sequence[str]) -> Int64:
        """Count packets that are equal also in some columns, among those of two masks."""
        if not mine.any() or not others.any():
            return np.zeros(count, np.int64)
        left, right = np.flatnonzero(mine), np.flatnonzero(others)
        keys = [hash_rows([rows.key[chosen], *(getattr(packets, name)[rows.item[chosen]] for name in names)])
                for packets, rows, chosen in ((one, ours, left), (two, theirs, right))]  # fmt: skip
        found, _, _ = in_order(keys[0], keys[1])
        return np.bincount(ours.candidate[left[found]], minlength=count)

    def have(name: str) -> tuple[Bool, Bool]:
        return getattr(one, name)[ours.item] > 0, getattr(two, name)[theirs.item] > 0

    equal = np.stack([np.bincount(ours.candidate[x][ours.side[x] == side], minlength=count) for side in (0, 1)], axis=1)
    sizes = [np.bincount(rows.candidate, minlength=count) for rows in (ours, theirs)]
    everything = np.ones(len(ours.item), np.bool_), np.ones(len(theirs.item), np.bool_)
    stamped, numbered, loaded = have("tsval"), have("ip_id"), have("captured")
    found = PacketsAgreeing(
        equal=equal,
        fewer=np.minimum(*sizes),
        stamps=counted(*stamped, ("tsval", "tsecr")),
        could_stamps=counted(*stamped, ()),
        ids=counted(*numbered, ("ip_id",)),
        could_ids=counted(*numbered, ()),
        windows=counted(*everything, ("window",)),
        payloads=counted(*loaded, ("payload",)),
        could_payloads=counted(*loaded, ()),
        kinds=_kinds(one, ours, x, count),
        apart=_usual_apart(one, two, ours, theirs, x, y, count),
        raw=np.zeros(count, np.bool_),
        local=_local(one, first, two, second, given),
        same=np.zeros(count, np.bool_),
        score=np.zeros(count, np.int64),
    )
    _judge(found, given, one, first, second)
    return found


def _judge(found: PacketsAgreeing, given: Candidates, one: PacketTable, first: Flows, second: Flows) -> None:
    tcp = first.protocol[given.a] == TCP
    total = found.equal.sum(axis=1)
    some = total > 0
    sides = np.arange(2)[None, :] ^ given.flip[:, None]
    initial = np.maximum(first.isn[given.a], second.isn[given.b[:, None], sides])
    lowest = _lowest(one, first)[given.a]
    small = np.where(initial >= 0, initial, lowest) < _SMALL
    as_is = (given.shift == 0) & (found.equal > 0)
    found.raw = (as_is & ~small).any(axis=1) & tcp
    weakly = (as_is & small).any(axis=1) & tcp
    other_stamps = (found.could_stamps > 0) & (2 * found.stamps < found.could_stamps)
    stamps = (found.stamps > 0) & ~other_stamps
    other_ids = (found.could_ids > 0) & (2 * found.ids < found.could_ids)
    ids = (found.ids > 0) & ~other_ids & ~other_stamps
    payloads = (found.payloads > 0) & (2 * found.payloads >= found.could_payloads)
    nothing_else = (found.could_stamps == 0) & (found.could_ids == 0)
    # small numbers that are equal say little: then both sides' must be, and the windows
    alike = ((given.shift == 0) | (found.equal == 0)).all(axis=1) & (10 * found.windows >= 9 * total)
    windows = (found.kinds >= _VARIED_WINDOWS) & (10 * found.windows >= 9 * total) & (10 * total >= 9 * found.fewer)
    fits = found.raw | stamps | ids | (weakly & ~other_stamps & ~other_ids & (given.named | (payloads & alike)))
    fits |= nothing_else & windows & payloads
    fits &= found.raw | weakly | payloads | (found.could_payloads == 0)
    most = 2 * total >= found.fewer
    # the same to the nanosecond: one capture that a program rewrote
    plain = given.named | (
        (~found.local | ids | (found.apart == 0))
        & most
        & (ids | ((found.kinds >= _VARIED) | ((found.kinds > 0) & ~other_ids)))
    )
    found.same = some & np.where(tcp, fits, plain)
    found.score = total + 2 * found.stamps + 2 * found.ids + found.payloads + found.windows + 4 * found.raw
    found.score = 4 * found.score + 2 * given.named


def _lowest(packets: PacketTable, flows: Flows) -> Int64:
    """Return the least sequence number of each side of each flow: int64[flows, 2]."""
    result = np.full((len(flows), 2), 2**32, np.int64)
    np.minimum.at(result, (flows.of, packets.side.astype(np.int64)), packets.seq.astype(np.int64))
    return result


def _rows(packets: PacketTable, flows: Flows, given: Candidates, which: Int64, *, there: bool) -> _Rows:
    order, edges = members(flows.of, len(flows))
    counts = edges[which + 1] - edges[which]
    candidate = np.repeat(np.arange(len(which)), counts)
    offset = np.arange(len(candidate)) - np.repeat(np.cumsum(counts) - counts, counts)
    item = order[edges[which][candidate] + offset] if len(candidate) else candidate
    side = packets.side[item].astype(np.int64)
    tcp = (packets.protocol[item] == TCP) & packets.decoded[item]
    flags = packets.flags[item].astype(np.int64)
    seq, ack = packets.seq[item].astype(np.int64), packets.ack[item].astype(np.int64)
    acks = tcp & ((flags & ACK) != 0)
    if there:
        side ^= given.flip[candidate]
        seq = np.where(tcp, seq_add(seq, -given.shift[candidate, side]), seq)
        ack = np.where(acks, seq_add(ack, -given.shift[candidate, 1 - side]), ack)
    columns: list[NDArray[Any]] = [
        candidate << 1 | side,
        seq,
        np.where(acks, ack, 0),
        packets.length[item],
        flags & (SYN | FIN | RST),
        packets.icmp[item],
        np.where(tcp, np.uint64(0), packets.payload[item]),
    ]
    return _Rows(item, candidate, side, hash_rows(columns))


def _by_numbers(
    one: PacketTable, two: PacketTable, given: Candidates, ours: _Rows, theirs: _Rows, x: Int64, y: Int64
) -> tuple[Int64, Int64]:
    """Add pairs by IP identification and length in flows of one name whose payloads all differ; TCP has its numbers."""
    none = given.named & (np.bincount(ours.candidate[x], minlength=len(given)) == 0)
    if not none.any():
        return x, y
    keys, places = [], []
    for packets, rows in ((one, ours), (two, theirs)):
        item = rows.item
        said = (packets.ip_id[item] > 0) | (packets.icmp[item] > 0)
        mine = none[rows.candidate] & (packets.protocol[item] != TCP) & said
        place = np.flatnonzero(mine)
        item = item[place]
        word = np.where(packets.ip_id[item] > 0, np.uint64(0), packets.icmp[item])  # which may be what was changed
        columns: list[NDArray[Any]] = [packets.ip_id[item], packets.length[item], word]
        keys.append(hash_rows([rows.candidate[place] << 1 | rows.side[place], *columns]))
        places.append(place)
    more_x, more_y, _ = in_order(keys[0], keys[1])
    return np.append(x, places[0][more_x]), np.append(y, places[1][more_y])


def _kinds(packets: PacketTable, rows: _Rows, x: Int64, count: int) -> Int64:
    """Return how many different payloads worth the name, ICMP words or windows the equal packets have."""
    item = rows.item[x]
    said = np.where(packets.captured[item] >= _WORDS, packets.payload[item], np.uint64(0)) ^ packets.icmp[item]
    tcp = packets.protocol[item] == TCP
    said = np.where(tcp, packets.window[item].astype(np.uint64), said)
    mine = np.flatnonzero(said != 0)
    if not len(mine):
        return np.zeros(count, np.int64)
    _, unique = np.unique(hash_rows([rows.candidate[x][mine], said[mine]]), return_index=True)
    return np.bincount(rows.candidate[x][mine[unique]], minlength=count)


def _usual_apart(
    one: PacketTable, two: PacketTable, ours: _Rows, theirs: _Rows, x: Int64, y: Int64, count: int
) -> Int64:
    """Return the median difference in time of the equal packets of each candidate, 0 without any."""
    result = np.zeros(count, np.int64)
    if not len(x):
        return result
    apart = two.time[theirs.item[y]] - one.time[ours.item[x]]
    candidate = ours.candidate[x]
    order = np.lexsort((apart, candidate))
    edges = np.searchsorted(candidate[order], np.arange(count + 1))
    some = np.flatnonzero(np.diff(edges))
    result[some] = apart[order[(edges[some] + edges[some + 1] - 1) // 2]]
    return result


def _local(one: PacketTable, first: Flows, two: PacketTable, second: Flows, given: Candidates) -> Bool:
    """Tell which candidates have an address of a group, of one link, or of none yet: bool[k]."""
    known = []
    for packets, flows, which in ((one, first, given.a), (two, second, given.b)):
        fixed = np.array([any(map(_is_local, ends.addresses)) for ends in packets.ends], np.bool_)
        known.append(fixed[flows.conversation[which]] if len(fixed) else np.zeros(len(which), np.bool_))
    return np.asarray(known[0] | known[1])


def _is_local(address: str) -> bool:
    """Tell whether no router carries packets of an address on as another's (RFC 4291, RFC 5771, RFC 3927)."""
    return address in ("::", "0.0.0.0") or address.startswith(("fe80:", "169.254.")) or is_group(address)  # noqa: S104
