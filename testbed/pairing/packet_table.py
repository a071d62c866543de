"""The packets of one capture as a comparison needs them: some 80 bytes each, one array for each field.

A :class:`PacketTable` is made from captures of parts of the file (:class:`PacketTableBuilder`), so that the whole file
never needs to be in memory. It is long because the table and the making of its columns are read together.
"""

# ruff: noqa: RUF009 - _column() makes a dataclass field, evaluated once as intended
from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import xxhash
from numpy.typing import NDArray

from testbed.model.arrays import Bool, Int16, Int32, Int64, Item, UInt8, UInt16, UInt32, UInt64
from testbed.model.ip import ICMP, ICMP_ERRORS, ICMPV6, ICMPV6_ERRORS, TCP, UDP, plain_quote
from testbed.pairing.growing_column import Allocate, GrowingColumn
from testbed.pairing.row_hash import hash_rows
from testbed.wireshark.label_names import TcpSegments

if TYPE_CHECKING:
    from testbed.capture.columns import Capture, Columns


_FARTHEST = 2**62 - 1  # ns, from 1823 to 2116: what lies beyond is damaged, and differences shall fit
_LOOKS = 32  # each maps 64 KiB of the file, or 2 MiB where a file system has so large folios
_FRAGMENT = np.uint64(1 << 48)  # above what an ICMP header has in ``icmp``


Release = Callable[[UInt8], None]
"""Lets go of the memory behind a mapped file, which is read again when it is needed."""


def _keep(data: UInt8) -> None:
    """Let go of nothing: ``data`` is in memory."""


def _column(dtype: type[np.generic]) -> Any:  # noqa: ANN401 - as dataclasses.field
    return field(metadata={"dtype": np.dtype(dtype)})


@dataclass(slots=True, kw_only=True)
class PacketTable:
    """The IP packets of one capture in file order; every column has one item for each.

    ``frame`` counts from 0. ``conversation`` indexes ``ends``; ``side`` is 0 for packets from the first of its two
    ends, 1 for the others. ``protocol`` is that of IP, ``decoded`` whether its header (TCP, UDP, ICMP) was read.
    ``length`` is the payload's on the wire by the IP header, ``framed`` what of it the frame had room for (-1: not
    even for the header), ``captured`` what of it is in the file, ``header`` the length of the transport header before
    it. ``payload`` and ``options`` are digests, 0 without any; what an ICMP error quotes counts without what a NAT
    rewrites in it. ``icmp`` is type, code and second word of an ICMP
    header, 0 for other packets. What a packet does not have is 0, ``wscale`` -1.
    ``other`` counts by name what is not decoded TCP, UDP or ICMP; part of it may be here as IP packets. ``data`` is
    the file (mapped), ``joined`` what was put together from fragments, ``links`` names its link types.
    ``names`` are hashes of the ``ends``, ascending, the same for every capture. ``way`` is how each packet passed the
    tap's interface (:mod:`testbed.model.ways`); empty where no packet says so.
    ``release`` lets go of the memory that ``data`` takes, which ``looked_at`` counts uses of.
    """

    frame: Int32 = _column(np.int32)
    time: Int64 = _column(np.int64)
    conversation: Int32 = _column(np.int32)
    side: UInt8 = _column(np.uint8)
    protocol: UInt8 = _column(np.uint8)
    decoded: Bool = _column(np.bool_)
    seq: UInt32 = _column(np.uint32)
    ack: UInt32 = _column(np.uint32)
    flags: UInt16 = _column(np.uint16)
    window: UInt16 = _column(np.uint16)
    urgent: UInt16 = _column(np.uint16)
    checksum: UInt16 = _column(np.uint16)
    ttl: UInt8 = _column(np.uint8)
    tos: UInt8 = _column(np.uint8)
    ip_id: UInt32 = _column(np.uint32)
    dont_fragment: Bool = _column(np.bool_)
    length: Int32 = _column(np.int32)
    framed: Int32 = _column(np.int32)
    captured: Int32 = _column(np.int32)
    payload_at: Int64 = _column(np.int64)
    header: UInt8 = _column(np.uint8)
    payload: UInt64 = _column(np.uint64)
    options: UInt32 = _column(np.uint32)
    icmp: UInt64 = _column(np.uint64)
    tsval: UInt32 = _column(np.uint32)
    tsecr: UInt32 = _column(np.uint32)
    wscale: Int16 = _column(np.int16)
    vlan: Int16 = _column(np.int16)
    data: UInt8
    joined: UInt8
    ends: list[ConversationEnds]
    names: UInt64
    sack_at: Int64
    sack_count: UInt8
    sack: UInt32
    mptcp_at: Int64
    mptcp: UInt16
    way: UInt8
    other: dict[str, int]
    frames: int
    partial: str | None
    links: tuple[str, ...]
    release: Release
    looked_at: int = field(init=False, default=0)

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def span(self) -> tuple[int, int]:
        """The earliest and the latest time of a packet (0, 0 without any)."""
        return (int(self.time.min()), int(self.time.max())) if len(self) else (0, 0)

    def bytes_at(self, item: int, skip: int = 0, length: int | None = None) -> bytes:
        """Return captured bytes of a packet's payload; a negative ``skip`` begins in the header before it."""
        most = int(self.captured[item]) - skip
        length = most if length is None else min(length, most)
        start = int(self.payload_at[item]) + skip
        if length <= 0:
            return b""
        if start >= len(self.data):
            start -= len(self.data)
            return self.joined[start : start + length].tobytes()
        content = self.data[start : start + length].tobytes()
        self.looked_at += 1
        if self.looked_at % _LOOKS == 0:
            self.release(self.data)
        return content

    def forget_sack(self) -> None:
        """Let go of the SACK blocks; :meth:`segments` has none afterwards."""
        self.sack_at, self.sack_count, self.sack = (
            self.sack_at[:0].copy(),
            self.sack_count[:0].copy(),
            self.sack[:0].copy(),
        )

    def segments(self) -> tuple[Int64, TcpSegments]:
        """Return the items that are TCP segments with room for their header, and those as labels are made from."""
        items = np.flatnonzero((self.protocol == TCP) & self.decoded & (self.framed >= 0))
        some = slice(None) if len(items) == len(self) else items
        return items, TcpSegments(
            time=self.time[some],
            conversation=self.conversation[some],
            side=self.side[some],
            seq=self.seq[some],
            ack=self.ack[some],
            flags=self.flags[some],
            window=self.window[some],
            length=self.framed[some],
            wscale=self.wscale[some],
            sack_at=places_among(items, self.sack_at),
            sack_count=self.sack_count,
            sack=self.sack,
            mptcp_at=np.searchsorted(items, self.mptcp_at),
            mptcp=self.mptcp,
        )


def places_among(numbers: Int32 | Int64, some: Int64) -> Int64:
    """Return where some of ascending numbers (from 0, none twice) are among them: int64, as long as ``some``."""
    if len(numbers) and int(numbers[-1]) == len(numbers) - 1:  # all that there are
        return some
    return np.searchsorted(numbers, some.astype(numbers.dtype))


COLUMNS: tuple[tuple[str, np.dtype[Any]], ...] = tuple(
    (name, spec.metadata["dtype"])
    for name, spec in PacketTable.__dataclass_fields__.items()
    if "dtype" in spec.metadata
)


class ConversationEnds(NamedTuple):
    """The two ends of a conversation: addresses as text, ports (0 for protocols without).

    ``echo`` is the identifier of ICMP echos, None for all else: each ping is a conversation of its own. ``quoted`` are
    the ends of what ICMP errors quote: the errors about each conversation are one of their own. So are packets whose
    transport header is ``cut`` behind its ports.
    """

    protocol: int
    version: int
    addresses: tuple[str, str]
    ports: tuple[int, int]
    echo: int | None = None
    quoted: ConversationEnds | None = None
    cut: bool = False

    def __str__(self) -> str:
        return f"{self.end(0)} - {self.end(1)}"

    def end(self, side: int) -> str:
        """Return one end as text: ``10.0.0.5:4711``, ``[fd00::2]:80``, or the address alone without ports."""
        address, port = self.addresses[side], self.ports[side]
        if self.protocol not in (TCP, UDP):
            return address
        return f"[{address}]:{port}" if self.version == 6 else f"{address}:{port}"


class Numbering(Protocol):
    """Numbers conversations by their keys, from 0 in the order in which they appear."""

    def number(self, keys: UInt64) -> Int32:
        """Return the number of each key."""

    def keys(self) -> UInt64:
        """Return all keys, by number."""

    def ends_of(self, number: int) -> ConversationEnds:
        """Return the ends of a conversation of which no packet was given to :meth:`PacketTableBuilder.add`."""


class _PlainNumbering:
    """A dictionary."""

    def __init__(self) -> None:
        self._known: dict[int, int] = {}

    def number(self, keys: UInt64) -> Int32:
        unique, place = np.unique(keys, return_inverse=True)
        known = self._known
        numbers = [known.setdefault(key, len(known)) for key in unique.tolist()]
        return np.array(numbers, np.int32)[place] if len(keys) else np.zeros(0, np.int32)

    def keys(self) -> UInt64:
        return np.fromiter(self._known, np.uint64, len(self._known))

    def ends_of(self, number: int) -> ConversationEnds:
        raise AssertionError(number)  # all packets were given


class PacketTableBuilder:
    """Builds a packet table from captures of parts of a file.

    With ``fragments``, those that make up no whole packet are packets too, their place in it in ``icmp``. ``numbering``
    and ``allocate`` are how conversations are numbered and columns made (``spare`` times as long as they will likely
    be), ``release`` lets go of the file's memory.
    """

    def __init__(
        self, *, fragments: bool = False, numbering: Numbering | None = None, allocate: Allocate = np.empty,
        spare: float = 1.02, release: Release = _keep,
    ) -> None:  # fmt: skip
        self._fragments = fragments
        self._release = release
        self._numbering: Numbering = numbering or _PlainNumbering()
        self._columns = {name: GrowingColumn(dtype, allocate, spare) for name, dtype in COLUMNS}
        self._share = 0.0  # of the file that was gone through
        self._ends: dict[int, ConversationEnds] = {}
        self._sacks: list[tuple[Int64, UInt8, UInt32]] = []
        self._mptcp: list[tuple[Int64, UInt16]] = []
        self._ways: list[tuple[Int64, UInt8]] = []
        self._other: Counter[str] = Counter()
        self._frames = 0
        self._links: dict[str, None] = {}
        self._again = False
        self._between: int | None = None  # the row from which on what is added belongs between others
        self._data = self._joined = np.zeros(0, np.uint8)

    def room(self, count: int, share: float, likely: int | None = None) -> dict[str, NDArray[Any]]:
        """Return room for the columns of the file's next packets; ``share`` of the file is reached with them.

        ``likely`` is how many there are, about, where ``count`` is how many there may be.
        """
        self._share = share
        return {name: column.reserve(count, share, likely) for name, column in self._columns.items()}

    def fill(self, count: int, sacks: tuple[Int64, UInt8, UInt32], links: tuple[str, ...]) -> None:
        """Say that so much of the room was filled; what is added then may belong between those packets."""
        self._between = self._columns["frame"].count
        for column in self._columns.values():
            column.count += count
        self._frames += count
        self._links.update(dict.fromkeys(links))
        if len(sacks[0]):
            self._sacks.append(sacks)

    def note_ways(self, rows: Int64, way: UInt8) -> None:
        """Say how packets passed the interface; ``rows`` are their places in the file."""
        if way.any():
            self._ways.append((rows, way.copy()))

    def add(self, rows: Int64, capture: Capture, *, again: bool = False) -> None:
        """Add packets; ``rows`` are their places in the file. Those that came as fragments before count once."""
        self._again |= again
        self._data, self._joined = capture.data, capture.joined
        self._links.update(dict.fromkeys(capture.link_names))
        self.note_ways(rows, capture.way)
        whole = ~capture.fragment | (capture.reassembled_in == np.arange(len(capture)))
        if self._fragments:
            whole |= capture.reassembled_in < 0
        chosen = np.flatnonzero((capture.version > 0) & whole)
        if not again:
            self._frames += len(rows)
        for name, count in capture.others.items():
            # a fragment that comes again is counted then, if it is not part of a whole packet
            if again or "fragment" not in name:
                self._other[name] += count
        if len(rows) and not again:
            share = float(capture.offset[-1] + capture.captured[-1]) / max(len(capture.data), 1)
            self._share = max(share, self._share)
        self._columns["conversation"].add(self._conversations(capture, chosen), self._share)
        for name, values in _columns(capture, chosen, rows).items():
            self._columns[name].add(values, self._share)
        if len(capture.sack_rows):
            blocks = capture.sack_count[capture.sack_rows]
            self._sacks.append((rows[capture.sack_rows], blocks, capture.sack_edges))
        if len(capture.mptcp_rows):
            self._mptcp.append((rows[capture.mptcp_rows], capture.mptcp_kinds))
        self._put_between()

    def _put_between(self) -> None:
        """Put what was added since the last :meth:`fill` into the order of the file."""
        if self._between is not None:
            some = slice(self._between, None)
            order = np.argsort(self._columns["frame"].values()[some], kind="stable")
            for column in self._columns.values():
                column.values()[some] = column.values()[some][order]
        self._between = None

    def finish(self, data: UInt8 | None = None, partial: str | None = None) -> PacketTable:
        """Return the packet table; ``data`` is the file, where no packet was added."""
        columns = {name: column.values() for name, column in self._columns.items()}
        keys = self._numbering.keys()
        by_key = np.argsort(keys, kind="stable")
        place = np.empty(len(keys), np.int32)
        place[by_key] = np.arange(len(keys), dtype=np.int32)
        columns["conversation"][:] = place[columns["conversation"]]
        known = keys[by_key]
        ends = [
            self._ends.get(key) or self._numbering.ends_of(number)
            for key, number in zip(known.tolist(), by_key.tolist(), strict=True)
        ]
        if self._again:  # what was put together from fragments came last
            order = np.argsort(columns["frame"], kind="stable")
            columns = {name: values[order] for name, values in columns.items()}
        frames, sack_count, sack = self._joined_sacks()
        mptcp = np.concatenate([*(rows for rows, _ in self._mptcp), np.zeros(0, np.int64)])
        by_frame = np.argsort(mptcp, kind="stable")
        return PacketTable(
            **columns,
            data=self._data if data is None else data,
            joined=self._joined,
            ends=ends,
            names=known,
            sack_at=places_among(columns["frame"], frames),
            sack_count=sack_count,
            sack=sack,
            mptcp_at=places_among(columns["frame"], mptcp[by_frame]),
            mptcp=np.concatenate([*(kinds for _, kinds in self._mptcp), np.zeros(0, np.uint16)])[by_frame],
            way=self._way_column(columns["frame"]),
            other={name: count for name, count in self._other.items() if count},
            frames=self._frames,
            partial=partial,
            links=tuple(self._links),
            release=self._release,
        )

    def _joined_sacks(self) -> tuple[Int64, UInt8, UInt32]:
        """Return frames with SACK blocks, how many each has, and their edges; what was gathered is let go of."""
        rows = [rows for rows, _, _ in self._sacks]
        blocks = [count for _, count, _ in self._sacks]
        ranges = [edges for _, _, edges in self._sacks]
        self._sacks.clear()
        frames, counts = _poured(rows, np.zeros(0, np.int64)), _poured(blocks, np.zeros(0, np.uint8))
        edges = _poured(ranges, np.zeros((0, 4, 2), np.uint32))
        if not bool((np.diff(frames) >= 0).all()):
            order = np.argsort(frames, kind="stable")
            frames, counts, edges = frames[order], counts[order], edges[order]
        return frames, counts, edges

    def _way_column(self, frames: Int32) -> UInt8:
        if not self._ways or not len(frames):
            return np.zeros(0, np.uint8)
        by_frame = np.zeros(max(int(frames.max()), *(int(rows.max()) for rows, _ in self._ways)) + 1, np.uint8)
        for rows, way in self._ways:
            by_frame[rows] = way
        return by_frame[frames]

    def _conversations(self, capture: Capture, chosen: Int64) -> Int32:
        """Return a number for each packet's protocol and ends, the same in both directions."""
        keys, turned = _keys(capture, chosen)
        about = np.full(len(chosen), -1, np.int64)
        lost = _errors(capture, chosen)  # what they quote cannot be read: nothing says which belong together
        keys[lost] = hash_rows([keys[lost], capture.ip_id[chosen[lost]]])
        if len(capture.quoted_rows):
            errors = np.flatnonzero(np.isin(chosen, capture.quoted_rows))
            about[errors] = np.searchsorted(capture.quoted_rows, chosen[errors])
            theirs, quotes_turned = _keys(capture.quoted, about[errors])
            keys[errors] = hash_rows([keys[errors], theirs])
        unique, first = np.unique(keys, return_index=True)
        for key, k in zip(unique.tolist(), first.tolist(), strict=True):
            if key not in self._ends:
                self._ends[key] = ends = _ends(capture, int(chosen[k]), reverse=bool(turned[k]))
                if about[k] >= 0:
                    reverse = bool(quotes_turned[np.searchsorted(errors, k)])
                    self._ends[key] = ends._replace(quoted=_ends(capture.quoted, int(about[k]), reverse=reverse))
        return self._numbering.number(keys)


def _poured(parts: list[NDArray[Item]], empty: NDArray[Item]) -> NDArray[Item]:
    """Put parts together, and let go of each once it is copied; ``empty`` is what no parts make."""
    made = np.empty((sum(map(len, parts)), *empty.shape[1:]), empty.dtype)
    at = len(made)
    while parts:
        part = parts.pop()
        at -= len(part)
        made[at : at + len(part)] = part
    return made


def _keys(packets: Columns, chosen: Int64) -> tuple[UInt64, Bool]:
    """Return what names the conversations of some packets, and which are from the second of their ends."""
    one, two = _sides(packets, chosen)
    kinds = packets.proto[chosen].astype(np.uint64)
    kinds |= _echoes(packets, chosen) << np.uint64(8)
    kinds |= _cut(packets, chosen).astype(np.uint64) << np.uint64(40)
    return hash_rows([np.minimum(one, two), np.maximum(one, two), kinds]), one > two


def _errors(capture: Capture, chosen: Int64) -> Bool:
    """Tell which packets are ICMP errors that quote no packet that can be read."""
    kind, transport = capture.icmp_type[chosen], capture.transport[chosen]
    result = (transport == ICMP) & np.isin(kind, ICMP_ERRORS) | (transport == ICMPV6) & np.isin(kind, ICMPV6_ERRORS)
    if result.any():
        result &= ~np.isin(chosen, capture.quoted_rows)
    return np.asarray(result)


def _cut(packets: Columns, chosen: Int64) -> Bool:
    """Tell which packets have ports although the rest of their header was not captured."""
    ported = (packets.sport[chosen] > 0) | (packets.dport[chosen] > 0)
    return np.asarray(ported & (packets.transport[chosen] == 0))


def _sides(packets: Columns, chosen: Int64) -> tuple[UInt64, UInt64]:
    """Return numbers for source and destination of each packet, address and port."""
    ports = packets.transport[chosen] != ICMP
    return (
        hash_rows([packets.src_hi[chosen], packets.src_lo[chosen], packets.sport[chosen] * ports]),
        hash_rows([packets.dst_hi[chosen], packets.dst_lo[chosen], packets.dport[chosen] * ports]),
    )


def _ends(packets: Columns, row: int, *, reverse: bool) -> ConversationEnds:
    addresses = packets.source(row), packets.destination(row)
    ports = int(packets.sport[row]), int(packets.dport[row])
    if reverse:
        addresses, ports = addresses[::-1], ports[::-1]
    icmp = packets.transport[row] in (ICMP, ICMPV6)
    echo = int(_echoes(packets, np.array([row]))[0]) if icmp else 0
    return ConversationEnds(
        int(packets.proto[row]),
        int(packets.version[row]),
        addresses,
        ports,
        echo - 1 if echo else None,
        cut=bool(_cut(packets, np.array([row]))[0]),
    )


def _echoes(packets: Columns, chosen: Int64) -> UInt64:
    """Return the identifiers of ICMP echos, requests and replies, plus 1; 0 for all else."""
    result = np.zeros(len(chosen), np.uint64)
    transport = packets.transport[chosen]
    echo = np.flatnonzero((transport == ICMP) | (transport == ICMPV6))
    kind, six = packets.icmp_type[chosen[echo]], transport[echo] == ICMPV6
    echo = echo[np.where(six, kind >> 1 == 64, (kind == 0) | (kind == 8))]
    result[echo] = (packets.icmp_rest[chosen[echo]] >> 16) + 1
    return result


def _columns(capture: Capture, chosen: Int64, rows: Int64) -> dict[str, NDArray[Any]]:
    """Return the columns of some packets, as narrow as the packet table has them."""
    one, two = _sides(capture, chosen)
    length = capture.payload_length[chosen]
    room = capture.wire[chosen] - capture.trailer[chosen]
    room -= capture.payload_offset[chosen] - capture.offset[chosen]
    room[capture.fragment[chosen]] = length[capture.fragment[chosen]]
    rest = np.zeros(len(chosen), np.uint64)
    icmp = (capture.transport[chosen] == ICMP) | (capture.transport[chosen] == ICMPV6)
    rest[icmp] = (
        capture.icmp_type[chosen[icmp]].astype(np.uint64) << np.uint64(40)
        | capture.icmp_code[chosen[icmp]].astype(np.uint64) << np.uint64(32)
        | capture.icmp_rest[chosen[icmp]]
    )
    part = np.flatnonzero(capture.fragment[chosen] & (capture.transport[chosen] == 0))
    rest[part] = _FRAGMENT | capture.fragment_offset[chosen[part]].astype(np.uint64)
    made: dict[str, NDArray[Any]] = {
        "frame": rows[chosen],
        "time": np.clip(capture.time_ns[chosen], -_FARTHEST, _FARTHEST),
        "side": one > two,
        "protocol": capture.proto[chosen],
        "decoded": capture.transport[chosen] > 0,
        "tos": capture.dscp[chosen] << 2 | capture.ecn[chosen],
        "length": length,
        "framed": np.minimum(length, np.maximum(room, -1)),
        "captured": capture.payload_captured[chosen],
        "payload_at": capture.payload_offset[chosen],
        "header": capture.payload_offset[chosen] - capture.transport_offset[chosen],
        "payload": _payload_digests(capture, chosen),
        "options": _option_digests(capture, chosen),
        "icmp": rest,
    }
    for name, dtype in COLUMNS:
        if name != "conversation":
            values = made[name] if name in made else getattr(capture, name)[chosen]
            made[name] = values.astype(dtype, copy=False)
    return made


def digests(capture: Capture, offsets: Int64, lengths: Int64) -> UInt64:
    """Return XXH3-64 of ranges of captured bytes, 0 of empty ones."""
    result = np.zeros(len(offsets), np.uint64)
    some = np.flatnonzero(lengths > 0)
    digest = xxhash.xxh3_64_intdigest
    own, size = capture.data.data, len(capture.data)
    joined = capture.joined.data
    result[some] = [
        digest(own[start : start + length]) if start < size else digest(joined[start - size : start - size + length])
        for start, length in zip(offsets[some].tolist(), lengths[some].tolist(), strict=True)
    ]
    return result


def _payload_digests(capture: Capture, chosen: Int64) -> UInt64:
    """Return digests of payloads; of what ICMP errors quote without what a NAT rewrites in it."""
    result = digests(capture, capture.payload_offset[chosen], capture.payload_captured[chosen])
    if len(capture.quoted_rows):
        for k in np.flatnonzero(np.isin(chosen, capture.quoted_rows)).tolist():
            result[k] = xxhash.xxh3_64_intdigest(plain_quote(capture.payload(int(chosen[k]))))
    return result


def _option_digests(capture: Capture, chosen: Int64) -> UInt32:
    """Return a 32-bit digest of each segment's options, 0 without."""
    lengths = capture.options_length[chosen].astype(np.int64)
    result = np.zeros(len(chosen), np.uint64)
    usual = (lengths == 12) & capture.has_timestamps[chosen]
    stamps = capture.tsval[chosen[usual]].astype(np.uint64) << np.uint64(32) | capture.tsecr[chosen[usual]]
    result[usual] = hash_rows([stamps, np.full(len(stamps), 12, np.uint64)])
    rest = np.flatnonzero((lengths > 0) & ~usual)
    result[rest] = digests(capture, capture.transport_offset[chosen[rest]] + 20, lengths[rest])
    return (result >> np.uint64(32)).astype(np.uint32)
