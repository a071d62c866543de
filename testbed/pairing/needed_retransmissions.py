"""Tell retransmissions that the receiver needed from those whose bytes had all arrived before."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from testbed.model.arrays import Bool, Int32, Int64, Item, UInt8, UInt16, UInt32, distinct
from testbed.model.intervals import IntervalSet
from testbed.model.ip import TCP
from testbed.model.tcp import seq_diff
from testbed.pairing.crossing_table import CrossingTable
from testbed.pairing.duplicates import is_among
from testbed.pairing.fates import RowFate
from testbed.pairing.packet_table import PacketTable
from testbed.pairing.row_hash import hash_rows
from testbed.wireshark.label_names import RETRANSMISSION_LABELS, Label

_NEAR = 4096  # rows before a retransmission in which what it repeats is looked for


class Needed(IntEnum):
    """Whether a retransmission carried bytes that had not arrived before."""

    NO = 0
    YES = 1
    UNKNOWN = 2  # what it repeats is not in the captures


def judge_retransmissions(
    one: PacketTable, two: PacketTable, table: CrossingTable, labels: UInt16
) -> tuple[Int64, UInt8]:
    """Return the rows of retransmissions (int64[k]) and a :class:`Needed` for each (uint8[k]).

    A retransmission here is what Wireshark labels as one in the sender's capture (RETRANSMISSION_LABELS, or keep-alive
    for one byte). ``labels``: uint16[rows], those at the sender's end.
    """
    sender = np.where(table.sent_at_one, table.one, table.two)
    sent = np.flatnonzero((sender >= 0) & (table.length > 0))
    from_one = table.sent_at_one[sent]
    item = sender[sent]
    tcp = _of_sender(from_one, item, one.protocol, two.protocol) == TCP
    sent, from_one, item = sent[tcp], from_one[tcp], item[tcp]
    marked = (labels[sent] & int(RETRANSMISSION_LABELS)) != 0
    # a window probe or a repeated byte: Wireshark calls both keep-alive
    marked |= ((labels[sent] & int(Label.KEEP_ALIVE)) != 0) & (table.length[sent] == 1)
    if not marked.any():
        return np.zeros(0, np.int64), np.zeros(0, np.uint8)
    seq = _of_sender(from_one, item, one.seq, two.seq) + table.skip[sent].astype(np.uint32)
    arrived = table.fate[sent] <= RowFate.MERGED
    place, length = table.place[sent], table.length[sent]
    verdict = _by_equal(place, seq, length, item, arrived, marked)
    chosen = np.flatnonzero(marked)
    for k in np.flatnonzero(verdict == Needed.UNKNOWN).tolist():
        verdict[k] = _by_overlap(place, seq, length, arrived, int(chosen[k]))
    return sent[chosen], verdict


def _of_sender(from_one: Bool, items: Int32, one: NDArray[Item], two: NDArray[Item]) -> NDArray[Item]:
    """Return what the sender's capture has in a column, of which there are ``one`` and ``two``."""
    result = np.empty(len(items), one.dtype)
    for rows, column in ((np.flatnonzero(from_one), one), (np.flatnonzero(~from_one), two)):
        result[rows] = column[items[rows]]
    return result


def _by_equal(place: Int64, seq: UInt32, length: Int32, item: Int32, arrived: Bool, marked: Bool) -> UInt8:
    """Judge by earlier segments with the same bytes."""
    near = np.flatnonzero(is_among(seq.astype(np.uint64), distinct(seq[marked]).astype(np.uint64)))
    key = hash_rows([place[near], seq[near], length[near]])
    wanted = distinct(key[marked[near]])
    equal = np.flatnonzero(is_among(key, wanted))
    rows, group = near[equal], np.searchsorted(wanted, key[equal])
    order = np.lexsort((item[rows], group))
    rows, group = rows[order], group[order]
    head = np.append(True, group[1:] != group[:-1])
    start = np.maximum.accumulate(np.where(head, np.arange(len(rows)), 0))
    got: Int64 = np.cumsum(arrived[rows]) - arrived[rows]  # before each row
    earlier: Int64 = got - got[start]
    verdict = np.where(head, Needed.UNKNOWN, np.where(earlier > 0, Needed.NO, Needed.YES)).astype(np.uint8)
    result = np.full(len(place), Needed.UNKNOWN, np.uint8)
    result[rows] = verdict
    return result[marked]


def _by_overlap(place: Int64, seq: UInt32, length: Int32, arrived: Bool, row: int) -> Needed:
    """Judge by earlier segments that share bytes with it."""
    near = slice(max(row - _NEAR, 0), row)
    mine = np.flatnonzero(place[near] == place[row]) + near.start
    first = seq_diff(seq[mine].astype(np.int64), int(seq[row]))
    end = first + length[mine]
    size = int(length[row])
    shares = (first < size) & (end > 0)
    if not shares.any():
        return Needed.UNKNOWN
    came = shares & arrived[mine]
    known = IntervalSet(zip(first[came].tolist(), end[came].tolist(), strict=True))
    return Needed.YES if known.gaps(0, size) else Needed.NO
