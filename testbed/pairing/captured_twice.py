"""Find the packets of a tap that captures every packet twice: on all interfaces of a bridge, or at a mirror port."""

from __future__ import annotations

import numpy as np

from testbed.model.arrays import Bool
from testbed.pairing.packet_table import PacketTable
from testbed.pairing.row_hash import hash_rows

_SAMPLE = 2_000  # packets that are looked at first
_MOST_APART = 5_000_000  # ns between both times
_SHARE = 0.35  # of all packets: half of those captured twice are the second time
_COLUMNS = ("conversation", "side", "seq", "ack", "flags", "window", "ttl", "ip_id", "length", "payload", "icmp")


def captured_twice(packets: PacketTable) -> Bool:
    """Return a mask of packets that the tap had just captured: bool[n], none unless it does so with most of them."""
    none = np.zeros(len(packets), np.bool_)
    if len(packets) < 4:
        return none
    middle = len(packets) // 2
    for sample in (slice(0, _SAMPLE), slice(middle, middle + _SAMPLE)):
        if _repeats(packets, sample).mean() < _SHARE / 2:
            return none
    found = _repeats(packets, slice(None))
    return found if found.mean() >= _SHARE else none


def _repeats(packets: PacketTable, rows: slice) -> Bool:
    time = packets.time[rows]
    key = hash_rows([getattr(packets, name)[rows] for name in _COLUMNS])
    order = np.lexsort((np.arange(len(key)), key))
    same = (key[order[1:]] == key[order[:-1]]) & (np.abs(time[order[1:]] - time[order[:-1]]) <= _MOST_APART)
    count = np.zeros(len(order), np.int64)
    at = np.flatnonzero(same) + 1
    count[at] = 1
    if bool((same[1:] & same[:-1]).any()):
        for k in at.tolist():  # the third is the first of another two
            count[k] = 1 - count[k - 1]
    result = np.zeros(len(key), np.bool_)
    result[order[count > 0]] = True
    return result
