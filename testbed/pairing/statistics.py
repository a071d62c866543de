"""Per-flow and total statistics: counts, delays, labels, retransmissions, times."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from testbed.model.arrays import AnyInt, Bool, Int32, Int64, UInt8, UInt16
from testbed.model.tcp import ACK, FIN, RST, SYN
from testbed.pairing.common_clock import Timeline
from testbed.pairing.crossing_table import CrossingTable
from testbed.pairing.fates import RowFate
from testbed.pairing.flow_table import Flows
from testbed.pairing.match_flows import FlowPairs
from testbed.pairing.needed_retransmissions import Needed, judge_retransmissions
from testbed.pairing.packet_table import PacketTable
from testbed.pairing.passes import Aside, when_asked
from testbed.wireshark.label_names import Label

QUANTILES = (0.0, 0.5, 0.95, 0.99, 1.0)
_BITS = 42  # of a delay in ns: over an hour


@dataclass(slots=True)
class Statistics:
    """One row for each place (pair of flows * 2 + direction, 0 from the opener); -1 where a time is not known.

    Columns are int64[places]; ``fates`` int64[places, len(Fate)], ``delay`` int64[places, len(QUANTILES)], ``packets``
    int64[places, 2], ``handshake`` int64[pairs], ``repeats`` int64[places, len(Needed)]. ``fates`` counts rows by fate,
    ``payload`` is bytes sent and not lost; ``delay`` are the QUANTILES of the one-way delays (ns). ``packets`` are
    those of each capture. ``begin`` and ``end`` are the times of the first and the last packet, ``syn`` that of the
    first SYN, by the clock of the place's sender; ``fin`` and ``rst`` those of the first of either kind by the first
    capture's, so that both ends' can be put in order. ``handshake`` is, for each pair, the time from SYN to SYN+ACK at
    the opener's end. ``repeats`` counts retransmissions by :class:`Needed`, ``repeated`` are their rows and verdicts.
    ``sent_at_one``: bool[places], where packets of the place are sent at the first end. ``differ`` are rows whose
    labels differ at both ends; ``labels`` are each row's at the first and the second end.
    """

    fates: Int64
    altered: Int64
    reordered: Int64
    payload: Int64
    delay: Int64
    packets: Int64
    begin: Int64
    end: Int64
    syn: Int64
    fin: Int64
    rst: Int64
    handshake: Int64
    repeats: Int64
    repeated: tuple[Int64, UInt8]
    labels: tuple[UInt16, UInt16]
    differ: Int64
    sent_at_one: Bool

    def label_differences(self) -> dict[str, tuple[int, int]]:
        """Return for each label how often only the first, and only the second, end has it."""
        one, two = (each[self.differ] for each in self.labels)
        result = {}
        for label in Label:
            counts = int(((one & ~two) & label > 0).sum()), int(((two & ~one) & label > 0).sum())
            if any(counts) and label.name:
                result[label.name.lower()] = counts
        return result


def measure(
    one: PacketTable, first: Flows, two: PacketTable, second: Flows, pairs: FlowPairs, table: CrossingTable,
    timeline: Timeline, from_one: Bool, aside: Aside = when_asked,
) -> Statistics:  # fmt: skip
    """Count and measure."""
    places = 2 * len(pairs)
    place = table.place
    kinds = len(RowFate)
    fates = np.bincount(place * kinds + table.fate, minlength=places * kinds).reshape(places, kinds)
    # the packet as its sender's end has it
    at_one = np.where(table.sent_at_one, table.one >= 0, table.two < 0)
    labels = _labels(table.one, first.labels), _labels(table.two, second.labels)
    judged = aside(partial(judge_retransmissions, one, two, table, np.where(at_one, labels[0], labels[1])))
    both = (table.one >= 0) & (table.two >= 0)
    crossed = table.fate <= RowFate.MERGED
    payload = np.zeros(places, np.int64)
    np.add.at(payload, place[crossed], table.length[crossed].astype(np.int64))
    times = np.where(at_one, one.time[table.one], two.time[table.two]) if len(table) else np.zeros(0, np.int64)
    odd = np.flatnonzero(at_one != table.sent_at_one)  # captured only where it arrived
    times[odd] = _by_clock(times, table, timeline, odd, at_one[odd], table.sent_at_one[odd])
    flags = np.where(at_one, one.flags[table.one], two.flags[table.two]) if len(table) else np.zeros(0, np.int64)
    syn = _first(place, times, (flags & (SYN | RST)) == SYN, places)
    closing = np.flatnonzero((flags & (FIN | RST)) != 0)
    by_first = _by_clock(times, table, timeline, closing, table.sent_at_one[closing], np.ones(len(closing), np.bool_))
    closes = place[closing], by_first
    begin, end = _spans(place, times, places)
    rows, verdicts = judged()
    repeats = np.bincount(place[rows] * len(Needed) + verdicts, minlength=places * len(Needed))
    return Statistics(
        fates=fates,
        altered=np.bincount(place[table.changes > 0], minlength=places),
        reordered=np.bincount(place[table.reordered], minlength=places),
        payload=payload,
        delay=_quantiles(place[table.timed], table.delay[table.timed], places),
        packets=_packets(table, places),
        begin=begin,
        end=end,
        syn=syn,
        fin=_first(*closes, (flags[closing] & FIN) != 0, places),
        rst=_first(*closes, (flags[closing] & RST) != 0, places),
        handshake=_handshakes(one, two, table, flags, places),
        repeats=repeats.reshape(places, len(Needed)),
        repeated=(rows, verdicts),
        labels=labels,
        differ=np.flatnonzero(both & (labels[0] != labels[1])),
        sent_at_one=from_one,
    )


def _labels(items: Int32, labels: UInt16) -> UInt16:
    if not len(labels):
        return np.zeros(len(items), np.uint16)
    result = labels[items]
    result[items < 0] = 0
    return result


def _packets(table: CrossingTable, places: int) -> Int64:
    """Count the packets of each place that each capture has; a packet in several rows counts once."""
    result = np.zeros((places, 2), np.int64)
    for k, items in enumerate((table.one, table.two)):
        rows = np.flatnonzero(items >= 0)
        if ((table.fate == RowFate.SPLIT) | (table.fate == RowFate.MERGED) | (table.skip > 0)).any():
            _, unique = np.unique(items[rows], return_index=True)
            rows = rows[unique]
        result[:, k] = np.bincount(table.place[rows], minlength=places)
    return result


def _quantiles(place: Int64, delay: Int64, places: int) -> Int64:
    """Return the quantiles of the delays of each place, by nearest rank."""
    result = np.full((places, len(QUANTILES)), -1, np.int64)
    if not len(delay):
        return result
    least = int(delay.min())
    packed = delay - least
    np.minimum(packed, (1 << _BITS) - 1, out=packed)
    packed |= place << _BITS
    packed.sort()
    edges = np.searchsorted(packed, np.arange(places + 1) << _BITS)
    count = np.diff(edges)
    some = np.flatnonzero(count)
    for k, quantile in enumerate(QUANTILES):
        rank = edges[some] + np.rint((count[some] - 1) * quantile).astype(np.int64)
        result[some, k] = (packed[rank] & ((1 << _BITS) - 1)) + least
    return result


def _first(place: Int64, times: Int64, wanted: Bool, places: int) -> Int64:
    """Return the earliest time at each place of what is wanted, -1 without any."""
    result = np.full(places, np.iinfo(np.int64).max, np.int64)
    np.minimum.at(result, place[wanted], times[wanted])
    result[result == np.iinfo(np.int64).max] = -1
    return result


def _spans(place: Int64, times: Int64, places: int) -> tuple[Int64, Int64]:
    """Return when each place's first and last packet was sent, -1 where there is none."""
    first = np.full(places, np.iinfo(np.int64).max, np.int64)
    last = np.full(places, -1, np.int64)
    np.minimum.at(first, place, times)
    np.maximum.at(last, place, times)
    first[last < 0] = -1
    return first, last


def _by_clock(times: Int64, table: CrossingTable, timeline: Timeline, rows: Int64, at_one: Bool, to_one: Bool) -> Int64:
    """Return times of rows moved from the clock of the end ``at_one`` (True: first) to that of ``to_one``."""
    result = times[rows]
    back, forth = np.flatnonzero(~at_one & to_one), np.flatnonzero(at_one & ~to_one)
    result[back] -= timeline.at_two(table.two[rows[back]].astype(np.int64), result[back])[0]
    result[forth] += timeline.at_one(table.one[rows[forth]].astype(np.int64), result[forth])[0]
    return result


def _handshakes(one: PacketTable, two: PacketTable, table: CrossingTable, flags: AnyInt, places: int) -> Int64:
    """Return for each pair the time from the last SYN before it to the first SYN+ACK, at the opener's end."""
    result = np.full(places // 2, -1, np.int64)
    syns = np.flatnonzero((flags & SYN) != 0)
    sent: dict[int, int] = {}
    place, answers = table.place[syns], ((flags[syns] & ACK) != 0).tolist()
    opener_at_one = table.sent_at_one[syns] != (place & 1 == 1)
    items = np.where(opener_at_one, table.one[syns], table.two[syns])
    times = np.where(opener_at_one, one.time[table.one[syns]], two.time[table.two[syns]])
    there = np.flatnonzero(items >= 0).tolist()
    pairs, times = (place >> 1).tolist(), times.tolist()
    for k in there:
        pair = pairs[k]
        if not answers[k]:
            if result[pair] < 0:
                sent[pair] = times[k]
        elif pair in sent and result[pair] < 0:
            result[pair] = times[k] - sent[pair]
    return result
