"""Find the packets of a tap that captures every packet twice: on all interfaces of a bridge, or at a mirror port.

Where the capture says which way each packet passed an interface (Linux cooked captures, pcapng), a packet that came in
and went out again is one that the machine passed on, however few there are. Of its copies the one counts that is nearer
to the other tap.
"""

from __future__ import annotations

import numpy as np

from testbed.model.arrays import Bool, Int64, UInt64
from testbed.model.ways import INCOMING, OUTGOING
from testbed.pairing.flow_packets import FlowPackets
from testbed.pairing.packet_table import PacketTable
from testbed.pairing.row_hash import hash_rows

_SAMPLE = 2_000  # packets that are looked at first
_MOST_APART = 5_000_000  # ns between both times
_SHARE = 0.35  # of all packets: half of those captured twice are the second time
_COLUMNS = ("conversation", "side", "seq", "ack", "flags", "window", "ip_id", "length", "payload", "icmp", "ttl")


def captured_twice(packets: PacketTable) -> Bool:
    """Return a mask of packets that the tap had just captured: bool[n].

    None unless it does so with most of them, or a capture says that they came in and went out.
    """
    found = _by_share(packets)
    passed = passed_on(packets)
    if len(passed):
        found[passed[:, 0]] = False
        found[passed[:, 1]] = True
    return found


def _by_share(packets: PacketTable) -> Bool:
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
    key = _keys(packets, rows, _COLUMNS)
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


def _keys(packets: PacketTable, rows: slice, names: tuple[str, ...]) -> UInt64:
    return hash_rows([getattr(packets, name)[rows] for name in names])


def passed_on(packets: PacketTable) -> Int64:
    """Return the copies of packets that came in and went out again: int64[k, 2], the first and each later one.

    A router takes one off the TTL in between. A bridge or a tunnel device may have seen the packet more than twice.
    """
    none = np.zeros((0, 2), np.int64)
    if not (packets.way == INCOMING).any() or not (packets.way == OUTGOING).any():
        return none
    way, ttl = packets.way, packets.ttl.astype(np.int64)
    key = _keys(packets, slice(None), _COLUMNS[:-1])
    order = np.lexsort((np.arange(len(key)), packets.time, key))
    before, after = order[:-1], order[1:]
    same = (key[before] == key[after]) & (packets.time[after] - packets.time[before] <= _MOST_APART)
    same &= (way[before] > 0) & (way[after] >= way[before])  # what has gone out does not come in again
    same &= (ttl[before] - ttl[after] >= 0) & (ttl[before] - ttl[after] <= 1)
    if not same.any():
        return none
    group = np.cumsum(np.append(False, ~same))
    first = np.flatnonzero(np.append(True, ~same))
    last = np.append(first[1:], len(order)) - 1
    passing = (way[order[first]] == INCOMING) & (way[order[last]] == OUTGOING)
    later = np.flatnonzero(passing[group] & (np.arange(len(order)) > first[group]))
    return np.stack([order[first[group[later]]], order[later]], axis=1)


def mark_again(one: FlowPackets, two: FlowPackets) -> None:
    """Mark the packets that one tap captured once more; what both captured twice is as alike as all else."""
    shares = [_by_share(side.packets) for side in (one, two)]
    passed = [passed_on(side.packets) for side in (one, two)]
    if shares[0].any() and shares[1].any():
        shares = [np.zeros_like(each) for each in shares]
    if not any(map(len, passed)):
        one.again, two.again = shares[0][one.item], shares[1][two.item]
        return
    places = [_places(side)[rows[:, 0]] for side, rows in zip((one, two), passed, strict=True)]
    ttl = [_highest_ttl(side) for side in (one, two)]
    for k, side in enumerate((one, two)):
        again, rows, place = shares[k], passed[k], places[k]
        alone = (place >= 0) & ~np.isin(place, places[1 - k])
        rows, place = rows[alone], place[alone]
        if len(rows):
            again[rows] = False
            # the packet goes from here to the other tap where its TTL is lower there: then the last copy is nearer
            onward = ttl[1 - k][place] < ttl[k][place]
            ends = np.append(rows[1:, 0] != rows[:-1, 0], True)
            again[rows[onward, 0]] = True
            again[rows[~onward | ~ends, 1]] = True
        side.again = again[side.item]


def _places(side: FlowPackets) -> Int64:
    """Return the place of each packet of the capture, -1 for those of other flows."""
    result = np.full(len(side.packets), -1, np.int64)
    result[side.item] = side.place
    return result


def _highest_ttl(side: FlowPackets) -> Int64:
    result = np.zeros(side.places, np.int64)
    np.maximum.at(result, side.place, side.packets.ttl[side.item])
    return result
