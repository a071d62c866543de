"""How each altered field of a packet looked where it was sent and where it arrived."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from testbed.model import Change as Altered
from testbed.model.header_fields import options_text
from testbed.model.tcp import flag_letters
from testbed.pairing.crossing_table import CrossingTable
from testbed.pairing.fates import CHANGE_NAMES, ChangedField
from testbed.pairing.packet_table import PacketTable

_COLUMNS: dict[ChangedField, tuple[str, Callable[[int], str]]] = {
    ChangedField.TTL: ("ttl", str),
    ChangedField.DSCP: ("tos", lambda value: str(value >> 2)),
    ChangedField.ECN: ("tos", lambda value: str(value & 3)),
    ChangedField.IP_ID: ("ip_id", str),
    ChangedField.DONT_FRAGMENT: ("dont_fragment", lambda value: str(bool(value)).lower()),
    ChangedField.SEQUENCE: ("seq", str),
    ChangedField.ACKNOWLEDGMENT: ("ack", str),
    ChangedField.FLAGS: ("flags", flag_letters),
    ChangedField.WINDOW: ("window", str),
    ChangedField.URGENT: ("urgent", str),
    ChangedField.LENGTH: ("length", str),
    ChangedField.FRAME_LENGTH: ("framed", str),
}
_ICMP = (("icmp type", 40, 0xFF), ("icmp code", 32, 0xFF), ("icmp header", 0, 0xFFFFFFFF))


def details(one: PacketTable, two: PacketTable, table: CrossingTable, row: int) -> tuple[Altered, ...]:
    """Return the changes of one row that has any: what each field was where it was sent, and where it arrived."""
    value = int(table.changes[row])
    if not value:
        return ()
    at_one, a, b = bool(table.sent_at_one[row]), int(table.one[row]), int(table.two[row])
    (ours, k), (theirs, m) = ((one, a), (two, b)) if at_one else ((two, b), (one, a))
    found: list[Altered] = []
    for change, name in CHANGE_NAMES.items():
        if not value & change:
            continue
        if change == ChangedField.ICMP:
            found.extend(_icmp(int(ours.icmp[k]), int(theirs.icmp[m])))
        elif change == ChangedField.OPTIONS:
            found.append(Altered(name, _options(ours, k), _options(theirs, m)))
        elif change == ChangedField.PAYLOAD:
            found.append(_payload(ours, k, theirs, m, *_range(table, row)))
        elif change == ChangedField.CHECKSUM:
            found.append(Altered(name, f"0x{ours.checksum[k]:04x}", f"0x{theirs.checksum[m]:04x} (wrong)"))
        else:
            column, text = _COLUMNS[change]
            before, after = (int(getattr(packets, column)[item]) for packets, item in ((ours, k), (theirs, m)))
            found.append(Altered(name, text(before), text(after)))
    return tuple(found)


def options_of(packets: PacketTable, item: int) -> bytes:
    """Return a segment's options as captured."""
    header = int(packets.header[item])
    return packets.bytes_at(item, 20 - header, header - 20)


def _options(packets: PacketTable, item: int) -> str:
    return options_text(options_of(packets, item), int(packets.ack[item]))


def _icmp(before: int, after: int) -> Iterator[Altered]:
    for name, shift, mask in _ICMP:
        was, became = before >> shift & mask, after >> shift & mask
        if was != became:
            yield Altered(name, str(was), str(became))


def _range(table: CrossingTable, row: int) -> tuple[int, int, int]:
    return int(table.skip[row]), int(table.skip_there[row]), int(table.length[row])


def _payload(
    ours: PacketTable, k: int, theirs: PacketTable, m: int, skip: int, skip_there: int, length: int
) -> Altered:
    """Name the first byte that differs within what both captured, else the lengths."""
    before, after = ours.bytes_at(k, skip, length), theirs.bytes_at(m, skip_there, length)
    common = min(len(before), len(after))
    x, y = (np.frombuffer(data, np.uint8, common) if common else np.zeros(0, np.uint8) for data in (before, after))
    different = np.flatnonzero(x != y)
    if len(different):
        at = int(different[0])
        more = f" and {len(different) - 1} more" if len(different) > 1 else ""
        return Altered("payload", f"byte {skip + at} is 0x{before[at]:02x}", f"0x{after[at]:02x}{more}")
    return Altered("payload", f"{ours.length[k]} bytes", f"{theirs.length[m]} bytes")
