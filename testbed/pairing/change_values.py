"""Values of each field of a packet that differs between both captures: as it was sent and as it arrived."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from testbed.model.crossings import Change, FieldChange, HeaderField, OptionBytes, PayloadChange
from testbed.pairing.crossing_table import CrossingTable
from testbed.pairing.fates import CHANGE_NAMES, ChangedField, RowFate
from testbed.pairing.packet_table import PacketTable

_COLUMNS: dict[ChangedField, tuple[str, Callable[[int], int]]] = {
    ChangedField.TTL: ("ttl", int),
    ChangedField.DSCP: ("tos", lambda value: value >> 2),
    ChangedField.ECN: ("tos", lambda value: value & 3),
    ChangedField.IP_ID: ("ip_id", int),
    ChangedField.DONT_FRAGMENT: ("dont_fragment", bool),
    ChangedField.SEQUENCE: ("seq", int),
    ChangedField.ACKNOWLEDGMENT: ("ack", int),
    ChangedField.FLAGS: ("flags", int),
    ChangedField.WINDOW: ("window", int),
    ChangedField.URGENT: ("urgent", int),
    ChangedField.LENGTH: ("length", int),
    ChangedField.CHECKSUM: ("checksum", int),
    ChangedField.FRAME_LENGTH: ("framed", int),
}
_ICMP = (
    (HeaderField.ICMP_TYPE, 40, 0xFF),
    (HeaderField.ICMP_CODE, 32, 0xFF),
    (HeaderField.ICMP, 0, 0xFFFFFFFF),
)


def details(one: PacketTable, two: PacketTable, table: CrossingTable, row: int) -> tuple[Change, ...]:
    """Return the changes of one row with the values at both ends; empty for a row without any."""
    value = int(table.changes[row])
    if not value:
        return ()
    at_one, a, b = bool(table.sent_at_one[row]), int(table.one[row]), int(table.two[row])
    (ours, k), (theirs, m) = ((one, a), (two, b)) if at_one else ((two, b), (one, a))
    found: list[Change] = []
    for change, name in CHANGE_NAMES.items():
        if not value & change:
            continue
        if change == ChangedField.ICMP:
            found.extend(_icmp(int(ours.icmp[k]), int(theirs.icmp[m])))
        elif change == ChangedField.PAYLOAD:
            found.append(_payload(ours, k, theirs, m, table, row))
        elif change == ChangedField.OPTIONS:
            found.append(FieldChange(HeaderField(name), _options(ours, k), _options(theirs, m)))
        else:
            column, of = _COLUMNS[change]
            before, after = (of(int(getattr(packets, column)[item])) for packets, item in ((ours, k), (theirs, m)))
            found.append(FieldChange(HeaderField(name), before, after))
    return tuple(found)


def options_of(packets: PacketTable, item: int) -> bytes:
    """Return a segment's options as captured."""
    header = int(packets.header[item])
    return packets.bytes_at(item, 20 - header, header - 20)


def payload_change(before: bytes, after: bytes, *, skip: int = 0) -> PayloadChange:
    """Return how two payloads differ; of different lengths, to the end of both. They must not be equal."""
    common = min(len(before), len(after))
    x, y = (np.frombuffer(data, np.uint8, common) if common else np.zeros(0, np.uint8) for data in (before, after))
    different = np.flatnonzero(x != y)
    first = int(different[0]) if len(different) else common
    if len(before) == len(after):
        last = int(different[-1]) + 1 if len(different) else common
        return PayloadChange(first, before[first:last], after[first:last], len(different), skip)
    return PayloadChange(first, before[first:], after[first:], len(different), skip)


def _options(packets: PacketTable, item: int) -> OptionBytes:
    return OptionBytes(options_of(packets, item), int(packets.ack[item]))


def _icmp(before: int, after: int) -> Iterator[FieldChange]:
    for name, shift, mask in _ICMP:
        was, became = before >> shift & mask, after >> shift & mask
        if was != became:
            yield FieldChange(name, was, became)


def _payload(ours: PacketTable, k: int, theirs: PacketTable, m: int, table: CrossingTable, row: int) -> PayloadChange:
    """Compare what both captures have of a row's payload: to the end of a whole packet that neither capture cut."""
    skip, skip_there, length = int(table.skip[row]), int(table.skip_there[row]), int(table.length[row])
    before = ours.bytes_at(k, skip, length)
    if table.fate[row] == RowFate.CROSSED:
        after = theirs.bytes_at(m, skip_there)
        cut = ours.captured[k] < ours.length[k] or theirs.captured[m] < theirs.length[m]
    else:
        after, cut = theirs.bytes_at(m, skip_there, length), True
    if cut:
        common = min(len(before), len(after))
        before, after = before[:common], after[:common]
    return payload_change(before, after, skip=skip)
