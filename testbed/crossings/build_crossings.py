"""Crossings from the table of a comparison: the rows of two captures as packets that people and rules look at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from testbed.crossings.packet_sequence import sequence
from testbed.crossings.relative_seq import Numbers
from testbed.model import HOSTS, Change, Crossing, Evidence, Host, PacketRef
from testbed.model.arrays import Int32, Int64
from testbed.model.header_fields import icmp_options, tcp_options
from testbed.model.ip import DECODED_PROTOCOLS, ICMP, ICMPV6, TCP, UDP
from testbed.model.tcp import ACK, URG, flag_letters, seq_add
from testbed.pairing.change_values import details, options_of
from testbed.pairing.crossing_table import CrossingTable
from testbed.pairing.fates import RowFate
from testbed.pairing.flow_packets import FlowPackets
from testbed.pairing.match_packets import PacketPairs


@dataclass(slots=True)
class HostView:
    """What one host's capture shows, aligned with ``side``: ``flow`` (int64[n], -1: none) and relative numbers.

    ``time``: int64[n], ns, on the clock that crossings are given in; ``kind`` names the protocol of an item of the
    packet table whose header is not decoded.
    """

    host: Host
    side: FlowPackets
    flow: Int64
    numbers: Numbers
    time: Int64
    kind: Callable[[int], str]


class _Seen(NamedTuple):
    """A row of the table in terms of its sender (0 client): positions in both hosts' packets, -1 where not captured.

    ``skip`` and ``length`` are the table's, ``changed`` says whether anything was altered.
    """

    row: int
    sender: int
    near: int
    far: int
    skip: int
    length: int
    changed: bool


def make_crossings(
    ends: tuple[HostView, HostView],
    table: CrossingTable,
    *,
    notes: Mapping[int, Evidence],
    copies: Mapping[int, int],
    rows: Int64 | None = None,
    numbers: Sequence[int] = (),
) -> tuple[Crossing, ...]:
    """Return a crossing for each row, in the order in which they were first seen; or for some ``rows``, as they are.

    ``numbers`` are those of the crossings of ``rows``. ``notes`` go by row; ``copies`` maps the row of a packet that is
    one more copy to that of the packet. A row of part of a segment shows that part, as the end has it where it is a
    segment of its own.
    """
    makers = _Maker(ends[0]), _Maker(ends[1])
    parts = _parts(ends, table)
    seen, when = _in_order(ends, table, rows)
    numbers = range(len(seen)) if rows is None else numbers
    number = {one.row: n for n, one in zip(numbers, seen, strict=True)} if copies else {}
    ordinals = _ordinals(makers, seen, copies)
    result = []
    for n, one, ordinal in zip(numbers, seen, ordinals, strict=True):
        here, there = makers[one.sender], makers[1 - one.sender]
        part = parts.get(one.row, "")
        finer = one.near < 0 or (part and one.far >= 0 and there.length[one.far] == one.length)
        maker, position = (there, one.far) if finer else (here, one.near)
        first = one.skip if part else 0
        payload = here.payload(one.near, first, one.length) if one.near >= 0 else there.payload(one.far, first)
        frames = here.frame_at(one.near), there.frame_at(one.far)
        original = number.get(copies.get(one.row, -1))
        result.append(
            maker.crossing(
                position,
                payload=payload,
                span=(0 if finer else first, one.length) if part else None,
                n=n,
                sender=HOSTS[one.sender],
                ordinal=ordinal,
                sent=when[one.sender][one.near] if one.near >= 0 else None,
                arrived=when[1 - one.sender][one.far] if one.far >= 0 else None,
                frames=frames[::-1] if one.sender else frames,
                changes=details(ends[0].side.packets, ends[1].side.packets, table, one.row) if one.changed else (),
                note=(part,) if part else notes.get(one.row, ()) if original is None else copy_of(original),
            )
        )
    return tuple(result)


def copy_of(original: int) -> Evidence:
    """Return the note of a packet that is one more copy of another, by that one's number."""
    return ("copy of ", PacketRef(original))


def notes_and_copies(
    crossed: PacketPairs, sides: tuple[FlowPackets, FlowPackets], table: CrossingTable
) -> tuple[dict[int, Evidence], dict[int, int]]:
    """Return what :func:`make_crossings` wants of ``notes`` and ``copies``."""
    if not (crossed.copies or crossed.by_delay or crossed.unresolved):
        return {}, {}
    row_of = [_rows(table.one, len(sides[0].packets)), _rows(table.two, len(sides[1].packets))]
    copies = {}
    for side, position, pair in crossed.copies:
        copy = int(row_of[side][sides[side].item[position]])
        if table.fate[copy] == RowFate.DUPLICATED:
            copies[copy] = int(row_of[0][sides[0].item[crossed.one[pair]]])
    notes: dict[int, Evidence] = {}
    for groups, text in (
        (crossed.by_delay, "told apart by their delay"),
        (crossed.unresolved, "paired by the likeliest delay"),
    ):
        for group in groups:
            sender = 0 if crossed.from_one[sides[0].place[group[0][0]]] else 1
            if len(group[sender]) > 1:
                rows = row_of[sender][sides[sender].item[group[sender]]].tolist()
                notes.update(dict.fromkeys(rows, (f"one of {len(rows)} identical packets, {text}",)))
    return notes, copies


def _rows(items: Int32, count: int) -> Int64:
    """Return the row of each item."""
    result = np.full(count, -1, np.int64)
    seen = np.flatnonzero(items >= 0)
    result[items[seen]] = seen
    return result


def _in_order(
    ends: tuple[HostView, HostView], table: CrossingTable, rows: Int64 | None
) -> tuple[list[_Seen], tuple[list[int], list[int]]]:
    """Return the rows by the place at which each was sent, else arrived, and each end's times by position."""
    chosen = np.arange(len(table)) if rows is None else rows
    positions = []
    for end, items in zip(ends, (table.one[chosen], table.two[chosen]), strict=True):
        there = np.searchsorted(end.side.item, items)
        positions.append(np.where(items >= 0, there, -1))
    sender = np.where(table.sent_at_one[chosen], 0, 1)
    near, far = np.where(sender == 0, positions, positions[::-1])
    columns = (chosen, sender, near, far, table.skip[chosen], table.length[chosen], table.changes[chosen] > 0)
    if rows is not None:
        return _seen(columns), (ends[0].time.tolist(), ends[1].time.tolist())
    when = sequence((ends[0].time, ends[1].time), sender, near, far)
    place = np.zeros(len(chosen), np.int64)
    for k in (0, 1):
        for position, mine in ((near, (sender == k) & (near >= 0)), (far, (sender != k) & (near < 0))):
            place[mine] = when.places[k][position[mine]]
    order = np.lexsort((table.skip[chosen], place))
    return _seen(column[order] for column in columns), when.times


def _seen(columns: Iterable[NDArray[Any]]) -> list[_Seen]:
    return [_Seen._make(values) for values in zip(*(column.tolist() for column in columns), strict=True)]


def _parts(ends: tuple[HostView, HostView], table: CrossingTable) -> dict[int, str]:
    """Return for each row of part of a segment which part it is, and of what."""
    rows_of: dict[tuple[int, int], list[tuple[int, int]]] = {}  # end and item of the whole: first byte, row
    pieces = np.flatnonzero((table.fate == RowFate.SPLIT) | (table.fate == RowFate.MERGED)).tolist()
    for row in pieces:
        split = table.fate[row] == RowFate.SPLIT
        end = 0 if bool(table.sent_at_one[row]) == split else 1
        item = int((table.one, table.two)[end][row])
        rows_of.setdefault((end, item), []).append((int((table.skip if split else table.skip_there)[row]), row))
    if pieces:
        for row in np.flatnonzero((table.one < 0) | (table.two < 0)).tolist():
            end = 0 if table.one[row] >= 0 else 1
            whole = rows_of.get((end, int((table.one, table.two)[end][row])))
            if whole is not None:
                whole.append((int(table.skip[row]), row))
    result = {}
    for (end, item), rows in rows_of.items():
        frame = int(ends[end].side.packets.frame[item]) + 1
        for k, (_, row) in enumerate(sorted(rows)):
            result[row] = f"part {k + 1} of {len(rows)} of frame {frame} at the {ends[end].host}"
    return result


def _ordinals(makers: tuple[_Maker, _Maker], seen: Sequence[_Seen], copies: Mapping[int, int]) -> list[int]:
    """Return each datagram's number within its flow and direction; what only appeared counts after all sent."""
    counts: dict[tuple[int, int], int] = {}
    of_row: dict[int, int] = {}
    for one in sorted(seen, key=lambda one: one.near < 0):
        maker, position = (makers[one.sender], one.near) if one.near >= 0 else (makers[1 - one.sender], one.far)
        if one.row in copies and copies[one.row] in of_row:
            of_row[one.row] = of_row[copies[one.row]]
            continue
        key = maker.flow[position], one.sender
        of_row[one.row] = counts.get(key, 0)
        counts[key] = of_row[one.row] + 1
    return [of_row[one.row] for one in seen]


class _Maker:
    """Makes crossings from one end's packets, with the columns as lists (NumPy scalars one by one are slow)."""

    def __init__(self, end: HostView) -> None:
        packets, items = end.side.packets, end.side.item
        self.packets, self.kind = packets, end.kind
        self.item = items.tolist()
        self.flow = end.flow.tolist()
        self.seq, self.ack, self.start = (column.tolist() for column in end.numbers)
        self.frame = packets.frame[items].tolist()
        self.protocol = np.where(packets.decoded[items], packets.protocol[items], 0).tolist()
        self.raw_seq, self.raw_ack = packets.seq[items].tolist(), packets.ack[items].tolist()
        self.flags = packets.flags[items].tolist()
        self.window = packets.window[items].tolist()
        self.length = packets.length[items].tolist()
        self.ttl = packets.ttl[items].tolist()
        self.icmp = packets.icmp[items].tolist()

    def frame_at(self, position: int) -> int | None:
        """Return the number of a frame, from 1 as Wireshark counts."""
        return self.frame[position] + 1 if position >= 0 else None

    def payload(self, position: int, first: int, length: int | None = None) -> bytes:
        """Return what was captured of a packet's payload from ``first`` on."""
        return self.packets.bytes_at(self.item[position], first, length)

    def crossing(
        self,
        position: int,
        *,
        payload: bytes,
        span: tuple[int, int] | None,
        n: int,
        sender: Host,
        ordinal: int,
        sent: int | None,
        arrived: int | None,
        frames: tuple[int | None, int | None],
        changes: tuple[Change, ...],
        note: Evidence,
    ) -> Crossing:
        """Return the crossing of a packet, or of ``span`` (first byte, length) of it, as this end shows its header."""
        protocol, flow = self.protocol[position], self.flow[position]
        first, length = span or (0, self.length[position])
        tcp = protocol == TCP
        flags = self.flags[position] if tcp else 0
        return Crossing(
            n=n,
            flow=flow if flow >= 0 else None,
            sender=sender,
            protocol=DECODED_PROTOCOLS.get(protocol) or self.kind(self.item[position]),
            flags=flag_letters(flags) if tcp else "",
            seq=self.seq[position] + first,
            ack=self.ack[position] if flags & ACK else None,
            raw_seq=seq_add(self.raw_seq[position], first),
            window=self.window[position],
            start=self.start[position] + first if tcp else ordinal if protocol == UDP else 0,
            length=length,
            payload=payload,
            sent=sent,
            arrived=arrived,
            at_client=frames[0],
            at_server=frames[1],
            ttl=self.ttl[position],
            options=self._options(position),
            changes=changes,
            note=note,
        )

    def _options(self, position: int) -> dict[str, Any]:
        protocol, item = self.protocol[position], self.item[position]
        if protocol == TCP:
            ack = self.ack[position] if self.flags[position] & ACK else 0
            options = tcp_options(options_of(self.packets, item), self.raw_ack[position], ack)
            if self.flags[position] & URG:
                options["urgent"] = int(self.packets.urgent[item])
            return options
        if protocol in (ICMP, ICMPV6):
            icmp, payload = self.icmp[position], self.packets.bytes_at(item)
            return icmp_options(icmp >> 40, icmp >> 32 & 0xFF, payload, v6=protocol == ICMPV6)
        return {}
