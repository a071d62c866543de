"""Of captures with many packets: the connections whose packets are looked at one by one, as a comparison of their own.

What went wrong on a connection shows in its counts (:class:`testbed.pairing.statistics.Statistics`), which cost
nothing; objects for each packet are only made of the connections in which most went wrong, until as many packets are
taken as may be looked at. Of a connection that has more than that, the beginning is taken.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from testbed.model.arrays import AnyInt, Bool, Int32, Int64, distinct
from testbed.pairing.common_clock import PartOfTimeline
from testbed.pairing.compare_captures import Comparison
from testbed.pairing.crossing_table import CrossingTable
from testbed.pairing.fates import RowFate
from testbed.pairing.match_packets import PacketPairs
from testbed.pairing.packet_table import COLUMNS, PacketTable

_LARGEST = 2
"""Connections of which only the beginning is looked at."""
_OF_EACH = 40
"""Most connections of each kind: more say nothing new."""


class Chosen(NamedTuple):
    """Pairs of flows, int64[n] ascending: those that are looked at whole, and those of which the beginning is."""

    whole: Int64
    begun: Int64


def choose(compared: Comparison, most: int) -> Chosen:
    """Choose pairs of flows with together at most ``most`` rows."""
    statistics = compared.statistics
    size = _by_pair(statistics.fates.sum(axis=1))
    taken: list[int] = []
    room, known = most, set[int]()
    ranks = [_dearest(signal) for signal in _signals(compared)]
    for place in range(_OF_EACH):
        for rank in ranks:
            pair = int(rank[place]) if place < len(rank) else -1
            if pair >= 0 and pair not in known and size[pair] <= room:
                known.add(pair)
                taken.append(pair)
                room -= int(size[pair])
    large = [pair for pair in np.argsort(-size, kind="stable")[:_LARGEST].tolist() if pair not in known]
    return Chosen(np.array(sorted(taken), np.int64), np.array(sorted(large), np.int64))


def _signals(compared: Comparison) -> Iterator[AnyInt]:
    """Yield how much of each kind every pair has."""
    statistics = compared.statistics
    fates = statistics.fates
    yield _by_pair(statistics.altered)
    yield _by_pair(fates[:, RowFate.APPEARED] + fates[:, RowFate.DUPLICATED])
    yield _by_pair((statistics.rst >= 0).astype(np.int64))
    # opened, as far as the captures show, by a SYN that nothing answered in time
    yield np.where(statistics.syn.reshape(-1, 2)[:, 0] >= 0, statistics.handshake < 0, 0).astype(np.int64)
    yield np.maximum(statistics.handshake, 0)
    yield _by_pair(fates[:, RowFate.LOST])
    yield _by_pair(statistics.repeats.sum(axis=1))
    yield _by_pair(statistics.reordered)
    yield _by_pair(statistics.payload)


def _by_pair(column: AnyInt) -> Int64:
    return np.asarray(np.reshape(column, (-1, 2)).sum(axis=1), np.int64)


def _dearest(signal: AnyInt) -> Int64:
    """Return the pairs that have most of something, those with nothing of it left out."""
    many = len(signal) > _OF_EACH
    top = np.argpartition(-signal, _OF_EACH)[:_OF_EACH] if many else np.arange(len(signal))
    top = top[signal[top] > 0]
    return np.asarray(top[np.lexsort((top, -signal[top]))], np.int64)


def restricted(compared: Comparison, pairs: Int64, rows: Int64) -> Comparison:
    """Return a comparison of some pairs of flows and some rows of its table alone; pairs and packets are counted anew.

    Which packets are copies of which is not known in it.
    """
    table = compared.table
    items = distinct(table.one[rows][table.one[rows] >= 0]), distinct(table.two[rows][table.two[rows] >= 0])
    keep = np.zeros(len(compared.pairs), np.bool_)
    keep[pairs] = True
    some = dataclasses.replace(compared.pairs)
    some.keep(keep)
    fields = {each.name: getattr(compared.table, each.name)[rows] for each in dataclasses.fields(CrossingTable)}
    number = np.cumsum(keep) - 1
    for name, which in (("one", 0), ("two", 1)):
        there = fields[name] >= 0
        fields[name] = np.where(there, np.searchsorted(items[which], fields[name]), -1).astype(np.int32)
    fields["place"] = number[fields["place"] >> 1] << 1 | fields["place"] & 1
    statistics = dataclasses.replace(compared.statistics)
    statistics.sent_at_one = compared.statistics.sent_at_one.reshape(-1, 2)[keep].reshape(-1)
    none = np.zeros(0, np.int64)
    packets = [_taken(each, at) for each, at in zip(compared.packets, items, strict=True)]
    flows = [
        dataclasses.replace(each, of=each.of[at], labels=each.labels[at])
        for each, at in zip(compared.flows, items, strict=True)
    ]
    return dataclasses.replace(
        compared,
        packets=(packets[0], packets[1]),
        flows=(flows[0], flows[1]),
        timeline=PartOfTimeline(compared.timeline, items[0].astype(np.int64), items[1].astype(np.int64)),
        pairs=some,
        table=CrossingTable(**fields),
        crossed=PacketPairs(none, none, compared.crossed.ways),
        statistics=statistics,
    )


def _taken(packets: PacketTable, items: AnyInt) -> PacketTable:
    return dataclasses.replace(packets, **{name: getattr(packets, name)[items] for name, _ in COLUMNS})


def times_of(compared: Comparison) -> Int64:
    """Return when each row was sent (or, if only its arrival was captured, arrived) by the first capture's clock."""
    table = compared.table
    one, two = (packets.time for packets in compared.packets)
    at_one: Bool = np.where(table.sent_at_one, table.one >= 0, table.two < 0)
    times = one[table.one] if len(one) else np.zeros(len(table), np.int64)
    there = np.flatnonzero(~at_one)
    items = table.two[there].astype(np.int64)
    offset, _ = compared.timeline.at_two(items, two[items])
    times[there] = two[items] - offset
    return np.asarray(times, np.int64)


class Numbers:
    """The numbers of rows: their places among all rows in the order of time."""

    def __init__(self, times: Int64, skip: AnyInt) -> None:
        self._order: Int32 = np.argsort(times, kind="stable").astype(np.int32)
        self._sorted = times[self._order]
        self._skip = skip

    def earliest(self, wanted: Bool, most: int) -> Int64:
        """Return the first rows of those that are wanted (bool[rows]), at most so many: int64[k], in order of time."""
        return self._order[wanted[self._order]][:most].astype(np.int64)

    def of(self, rows: Int64, times: Int64) -> list[int]:
        """Return the numbers of some rows, whose times are given."""
        first = np.searchsorted(self._sorted, times, "left").tolist()
        last = np.searchsorted(self._sorted, times, "right").tolist()
        found = []
        for row, start, end in zip(rows.tolist(), first, last, strict=True):
            tied = sorted(self._order[start:end].tolist(), key=lambda each: (int(self._skip[each]), each))
            found.append(start + tied.index(row))
        return found
