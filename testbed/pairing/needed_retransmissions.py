"""Retransmissions that were needed, as bytes of them had not arrived before, and those that were not."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from testbed.pairing.crossing_table import Table
from testbed.pairing.duplicates import is_among
from testbed.pairing.fates import Fate
from testbed.pairing.packet_table import TCP, Int64, Track
from testbed.pairing.row_hash import mixed
from testbed.wireshark.label_names import Label

_FAMILY = Label.RETRANSMISSION | Label.FAST_RETRANSMISSION | Label.SPURIOUS_RETRANSMISSION | Label.OUT_OF_ORDER
_NEAR = 4096  # rows before a retransmission in which what it repeats is looked for


class Needed(IntEnum):
    """Whether a retransmission carried bytes that had not arrived before."""

    NO = 0
    YES = 1
    UNKNOWN = 2  # what it repeats is not in the captures


def needed(one: Track, two: Track, table: Table, labels: NDArray[np.uint16]) -> tuple[Int64, NDArray[np.uint8]]:
    """Return the rows that are retransmissions as their sender's capture shows them, and whether they were needed.

    ``labels`` are those of each row at its sender's end.
    """
    sender = np.where(table.sent_at_one, table.one, table.two).astype(np.int64)
    sent = np.flatnonzero((sender >= 0) & (table.length > 0))
    from_one = table.sent_at_one[sent]
    item = sender[sent]
    tcp = np.where(from_one, one.protocol[item % max(len(one), 1)], two.protocol[item % max(len(two), 1)]) == TCP
    sent, from_one, item = sent[tcp], from_one[tcp], item[tcp]
    marked = (labels[sent] & int(_FAMILY)) != 0
    # a window probe or a repeated byte: Wireshark calls both keep-alive
    marked |= ((labels[sent] & int(Label.KEEP_ALIVE)) != 0) & (table.length[sent] == 1)
    if not marked.any():
        return np.zeros(0, np.int64), np.zeros(0, np.uint8)
    seq = np.where(from_one, one.seq[item % max(len(one), 1)], two.seq[item % max(len(two), 1)]).astype(np.int64)
    seq = (seq + table.skip[sent]) % 2**32
    arrived = table.fate[sent] <= Fate.MERGED
    verdict = _by_equal(table.place[sent], seq, table.length[sent].astype(np.int64), item, arrived, marked)
    chosen = np.flatnonzero(marked)
    for k in np.flatnonzero(verdict == Needed.UNKNOWN).tolist():
        verdict[k] = _by_overlap(table.place[sent], seq, table.length[sent], arrived, int(chosen[k]))
    return sent[chosen], verdict


def _by_equal(
    place: Int64, seq: Int64, length: Int64, item: Int64, arrived: NDArray[np.bool_], marked: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """Judge by earlier segments with the same bytes."""
    key = mixed([place, seq, length])
    wanted = np.unique(key[marked])
    rows = np.flatnonzero(is_among(key, wanted))
    group = np.searchsorted(wanted, key[rows])
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


def _by_overlap(place: Int64, seq: Int64, length: NDArray[np.int32], arrived: NDArray[np.bool_], row: int) -> Needed:
    """Judge by earlier segments that share bytes with it."""
    near = slice(max(row - _NEAR, 0), row)
    mine = np.flatnonzero(place[near] == place[row]) + near.start
    first = (seq[mine] - seq[row] + 2**31) % 2**32 - 2**31
    end = first + length[mine]
    size = int(length[row])
    shares = (first < size) & (end > 0)
    if not shares.any():
        return Needed.UNKNOWN
    reached = 0
    mine, first, end = mine[shares], first[shares], end[shares]
    order = np.argsort(first, kind="stable")
    for begin, until, came in zip(
        first[order].tolist(), end[order].tolist(), arrived[mine[order]].tolist(), strict=True
    ):
        if came and begin <= reached:
            reached = max(reached, until)
    return Needed.NO if reached >= size else Needed.YES
