"""Changes that a device makes to all packets of a flow's direction: one fact of the flow, no altered packets.

A firewall that re-marks, a router that clamps the MSS, a device that removes options: where every packet that could be
changed is, and alike, its packets are not altered one by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from testbed.model.arrays import Bool, Int64, UInt32, distinct
from testbed.model.tcp import OPTION_LENGTHS, OptionKind
from testbed.pairing.fates import ChangedField
from testbed.pairing.flow_packets import FlowPackets
from testbed.pairing.packet_table import PacketTable

_ECN_FLAGS = 0x1C0  # AE, CWR, ECE
_MOST = 20_000  # segments with other options that are decoded
_FEW = 2  # packets that must be changed, unless they are all


class FlowField(StrEnum):
    """What is changed throughout a flow, as results name it."""

    DSCP = "dscp"
    ECN = "ecn"
    DONT_FRAGMENT = "don't fragment"
    ECN_FLAGS = "ecn flags"
    MSS = "mss"
    WINDOW_SCALE = "window scale"
    SACK_PERMITTED = "sack permitted"
    TIMESTAMPS = "time stamps"
    FAST_OPEN = "fast open"
    MPTCP = "mptcp"
    OTHER_OPTION = "option"


_OPTIONS = {
    OptionKind.MSS: FlowField.MSS,
    OptionKind.WINDOW_SCALE: FlowField.WINDOW_SCALE,
    OptionKind.SACK_PERMITTED: FlowField.SACK_PERMITTED,
    OptionKind.TIMESTAMPS: FlowField.TIMESTAMPS,
    OptionKind.FAST_OPEN: FlowField.FAST_OPEN,
    30: FlowField.MPTCP,  # RFC 8684
}


@dataclass(frozen=True, slots=True)
class FlowChange:
    """A change of all ``packets`` of a ``place`` that it is possible for.

    ``before`` is the value as sent, ``after`` as it arrived; None where there is none. An option without a value has 0
    where it is there.
    """

    place: int
    field: FlowField
    before: int | None
    after: int | None
    packets: int


def find_flow_changes(
    one: FlowPackets, x: Int64, two: FlowPackets, y: Int64, from_one: Bool, found: UInt32
) -> tuple[FlowChange, ...]:
    """Return the changes of whole flows, and take them out of ``found``, the changes of each pair of packets.

    ``x`` and ``y``: int64[n], positions in the sides, aligned; ``from_one``: bool[places]; ``found``: uint32[n].
    """
    if not found.any():
        return ()
    place = one.place[x]
    result: list[FlowChange] = []
    ours, theirs = one.packets, two.packets
    a, b = one.rows(x), two.rows(y)
    flags = ours.flags[a].astype(np.int64), theirs.flags[b].astype(np.int64)
    values = (
        (ChangedField.DSCP, FlowField.DSCP, ours.tos[a] >> 2, theirs.tos[b] >> 2),
        (ChangedField.ECN, FlowField.ECN, ours.tos[a] & 3, theirs.tos[b] & 3),
        (ChangedField.DONT_FRAGMENT, FlowField.DONT_FRAGMENT, ours.dont_fragment[a], theirs.dont_fragment[b]),
        (ChangedField.FLAGS, FlowField.ECN_FLAGS, flags[0] & _ECN_FLAGS, flags[1] & _ECN_FLAGS),
    )
    for change, field, first, second in values:
        marked = (found & np.uint32(change)) != 0
        if field is FlowField.ECN_FLAGS:
            marked &= (flags[0] | _ECN_FLAGS) == (flags[1] | _ECN_FLAGS)
        if marked.any():
            columns = first.astype(np.int64), second.astype(np.int64)
            result.extend(_values(change, field, *columns, place, from_one, found, marked))
    result.extend(_options(ours, a, theirs, b, place, from_one, found))
    return tuple(sorted(result, key=lambda each: (each.place, each.field)))


def _values(
    change: ChangedField, field: FlowField, first: Int64, second: Int64, place: Int64, from_one: Bool, found: UInt32,
    marked: Bool,
) -> list[FlowChange]:  # fmt: skip
    """Find values that become another one in all packets of a place that have them."""
    result = []
    sent = np.where(from_one[place], first, second)
    arrived = np.where(from_one[place], second, first)
    for where in distinct(place[marked]).tolist():
        mine = np.flatnonzero(place == where)
        for value in distinct(sent[mine[marked[mine]]]).tolist():
            rows = mine[sent[mine] == value]
            became = distinct(arrived[rows])
            if len(became) == 1 and int(became[0]) != value and (len(rows) >= _FEW or len(rows) == len(mine)):
                found[rows] &= ~np.uint32(change)
                result.append(FlowChange(where, field, value, int(became[0]), len(rows)))
    return result


def _options(
    ours: PacketTable, a: Int64, theirs: PacketTable, b: Int64, place: Int64, from_one: Bool, found: UInt32
) -> list[FlowChange]:
    """Find options that all segments of a place have lost or got, or that became another one."""
    # a device that changes options corrects the checksum; what has a wrong one, or is cut, is damaged
    whole = (ours.framed[a] >= 0) & (theirs.framed[b] >= 0) & ((found & np.uint32(ChangedField.CHECKSUM)) == 0)
    whole &= ours.checksum[a] != theirs.checksum[b]
    rows = np.flatnonzero(whole & ((found & np.uint32(ChangedField.OPTIONS)) != 0))
    if not len(rows) or len(rows) > _MOST * len(distinct(place[rows])):
        return []
    counts: dict[tuple[int, FlowField, int | None, int | None], int] = {}
    told: dict[int, list[tuple[int, FlowField, int | None, int | None]]] = {}
    for row in rows.tolist():
        options = _kinds(ours, int(a[row])), _kinds(theirs, int(b[row]))
        sent, arrived = options if from_one[place[row]] else options[::-1]
        if sent is None or arrived is None:
            continue
        changes = [
            (int(place[row]), _OPTIONS.get(kind, FlowField.OTHER_OPTION), sent.get(kind), arrived.get(kind))
            for kind in sorted(sent.keys() | arrived.keys())
            if sent.get(kind) != arrived.get(kind)
        ]
        # selective acknowledgments differ from segment to segment, and nobody adds an option that nobody knows
        known = all(
            field is not FlowField.OTHER_OPTION or sent_value is not None for _, field, sent_value, _ in changes
        )
        if changes and known and OptionKind.SACK not in sent.keys() ^ arrived.keys():
            told[row] = changes
            for each in changes:
                counts[each] = counts.get(each, 0) + 1
    stamped = np.where(from_one[place], ours.tsval[a], theirs.tsval[b]) > 0
    with_stamps = np.bincount(place[stamped], minlength=len(from_one))
    throughout = {
        each: count for each, count in counts.items()
        if each[1] is not FlowField.TIMESTAMPS or each[2] is None or count >= with_stamps[each[0]]
    }  # fmt: skip
    for row, changes in told.items():
        if all(each in throughout for each in changes):
            found[row] &= ~np.uint32(ChangedField.OPTIONS)
    return [FlowChange(*each, count) for each, count in throughout.items()]


def _kinds(packets: PacketTable, item: int) -> dict[int, int] | None:
    """Return the options of a segment: values of MSS and window scale; 0 for others, as these differ in each.

    None where they are damaged.
    """
    header = int(packets.header[item])
    raw = packets.bytes_at(item, 20 - header, header - 20)
    result: dict[int, int] = {}
    at = 0
    while at < len(raw) and raw[at] != OptionKind.END:
        if raw[at] == OptionKind.NOP:
            at += 1
            continue
        size = raw[at + 1] if at + 1 < len(raw) else 0
        if size < 2 or size > len(raw) - at or OPTION_LENGTHS.get(raw[at], size) != size:
            return None
        valued = raw[at] in (OptionKind.MSS, OptionKind.WINDOW_SCALE)
        result[raw[at]] = int.from_bytes(raw[at + 2 : at + size], "big") if valued else 0
        at += size
    return result
