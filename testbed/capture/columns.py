"""A capture as columns: one NumPy array for each field, one row for each packet, in file order.

Nothing here does I/O; :func:`testbed.capture.read` makes it. Row ``i`` is frame ``i + 1`` as Wireshark counts.
"""

# ruff: noqa: RUF009 - _column() makes a dataclass field, evaluated once as intended
from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Self

import numpy as np

from testbed.capture import frame_kinds
from testbed.model.arrays import Bool, Bytes, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64
from testbed.model.ip import ICMP, ICMPV6, TCP, UDP, address_text


@dataclass(frozen=True, slots=True)
class Interface:
    """Where packets were captured: pcapng's interface description, or the pcap file header.

    ``resolution`` is ticks per second, ``offset`` seconds added to every time stamp, ``snap_length`` bytes (0: no
    limit), ``section`` the pcapng section it belongs to (0 for pcap).
    """

    link_type: int
    snap_length: int
    resolution: int
    offset: int = 0
    name: str = ""
    section: int = 0


@dataclass(frozen=True, slots=True)
class Records:
    """What a container holds, before any header is decoded. ``comments`` are (frame or 0, text).

    ``way`` is how each packet passed the interface, as the container says (:mod:`testbed.model.ways`); empty where it
    says nothing.
    ``left`` are the positions of those that whoever finds usual packets along the way (:class:`FindsUsual`) has not
    taken, None where it was not there.
    """

    data: Bytes
    offset: Int64
    captured: Int64
    wire: Int64
    time_ns: Int64
    interface: Int32
    interfaces: tuple[Interface, ...]
    comments: tuple[tuple[int, str], ...] = ()
    partial: str | None = None
    way: UInt8 = field(default_factory=lambda: np.zeros(0, np.uint8))
    left: Int64 | None = None

    def only(self, rows: Int64 | Bool | slice) -> Records:
        """Return some of the records."""
        return replace(
            self,
            left=None,
            offset=self.offset[rows],
            captured=self.captured[rows],
            wire=self.wire[rows],
            time_ns=self.time_ns[rows],
            interface=self.interface[rows],
            way=self.way[rows] if len(self.way) else self.way,
        )


def joined(parts: Sequence[Records], last: Records) -> Records:
    """Return records of several parts of a file as one; ``last`` has what the file says about itself."""
    return replace(
        last,
        left=None,
        offset=np.concatenate([part.offset for part in parts]),
        captured=np.concatenate([part.captured for part in parts]),
        wire=np.concatenate([part.wire for part in parts]),
        time_ns=np.concatenate([part.time_ns for part in parts]),
        interface=np.concatenate([part.interface for part in parts]),
        way=np.concatenate([_ways(part) for part in parts]) if any(len(part.way) for part in parts) else last.way,
    )


def _ways(part: Records) -> UInt8:
    return part.way if len(part.way) else np.zeros(len(part.offset), np.uint8)


def _column(dtype: type[np.generic], absent: int = 0) -> Any:  # noqa: ANN401 - as dataclasses.field
    return field(metadata={"dtype": np.dtype(dtype), "absent": absent})


@dataclass(slots=True, kw_only=True)
class Columns:
    """Header fields. Lengths are bytes; what a packet does not have is 0 (-1 where said).

    Addresses are two 64-bit words, IPv4 as ``::ffff:a.b.c.d``. ``transport`` is 6, 17, 1 or 58 when that header
    was captured whole and is decoded, else 0 (``proto`` still says what the IP header claims, and ``what`` is a code
    of :mod:`testbed.capture.frame_kinds`).
    """

    time_ns: Int64 = _column(np.int64)  # since the Unix epoch
    interface: Int32 = _column(np.int32)  # index into Capture.interfaces
    offset: Int64 = _column(np.int64)  # of the frame's first byte in the file (unpacked)
    captured: Int64 = _column(np.int64)  # bytes of the frame in the file
    wire: Int64 = _column(np.int64)  # bytes of the frame on the wire
    way: UInt8 = _column(np.uint8)  # how it passed the interface: see testbed.model.ways
    trailer: Int32 = _column(np.int32)  # bytes on the wire behind what a link header's own length (PPPoE) bounds
    what: Int32 = _column(np.int32)
    vlan: Int16 = _column(np.int16, -1)  # outermost VLAN id, -1 without a tag
    vlan_tags: UInt8 = _column(np.uint8)
    version: UInt8 = _column(np.uint8)  # 4, 6, or 0 when not IP
    network: Int64 = _column(np.int64)  # file offset of the IP header
    src_hi: UInt64 = _column(np.uint64)
    src_lo: UInt64 = _column(np.uint64)
    dst_hi: UInt64 = _column(np.uint64)
    dst_lo: UInt64 = _column(np.uint64)
    proto: UInt8 = _column(np.uint8)  # after IPv6 extension headers
    ttl: UInt8 = _column(np.uint8)
    dscp: UInt8 = _column(np.uint8)
    ecn: UInt8 = _column(np.uint8)
    ip_id: UInt32 = _column(np.uint32)  # IPv4 identification, or that of an IPv6 fragment header
    dont_fragment: Bool = _column(np.bool_)
    ip_length: Int64 = _column(np.int64)  # IP header and payload, as the wire length shows it where the field is 0
    fragment: Bool = _column(np.bool_)  # a part of a larger packet (an IPv6 atomic fragment is none)
    fragment_offset: Int32 = _column(np.int32)
    more_fragments: Bool = _column(np.bool_)
    reassembled_in: Int64 = _column(np.int64)  # row that holds the whole packet, -1
    transport: UInt8 = _column(np.uint8)
    sport: UInt16 = _column(np.uint16)
    dport: UInt16 = _column(np.uint16)
    seq: UInt32 = _column(np.uint32)
    ack: UInt32 = _column(np.uint32)
    flags: UInt16 = _column(np.uint16)  # 12 bits: three reserved, AE CWR ECE URG ACK PSH RST SYN FIN
    window: UInt16 = _column(np.uint16)  # as on the wire, not scaled
    urgent: UInt16 = _column(np.uint16)
    checksum: UInt16 = _column(np.uint16)  # of TCP, UDP or ICMP
    transport_offset: Int64 = _column(np.int64)  # of the transport header: see Capture.bytes_at
    payload_offset: Int64 = _column(np.int64)
    payload_length: Int64 = _column(np.int64)  # on the wire, from the IP length: link padding is not payload
    payload_captured: Int64 = _column(np.int64)
    options_length: UInt8 = _column(np.uint8)  # bytes of TCP options captured
    options_bad: Bool = _column(np.bool_)  # an option whose length cannot be
    mss: Int32 = _column(np.int32, -1)
    wscale: Int16 = _column(np.int16, -1)
    sack_permitted: Bool = _column(np.bool_)
    sack_count: UInt8 = _column(np.uint8)  # SACK blocks: see Capture.sack
    has_timestamps: Bool = _column(np.bool_)
    tsval: UInt32 = _column(np.uint32)
    tsecr: UInt32 = _column(np.uint32)
    fast_open: Int16 = _column(np.int16, -1)  # length of the TFO cookie (RFC 7413), -1 without the option
    udp_length: UInt16 = _column(np.uint16)  # as on the wire
    icmp_type: UInt8 = _column(np.uint8)
    icmp_code: UInt8 = _column(np.uint8)
    icmp_rest: UInt32 = _column(np.uint32)  # the second word: id and sequence of an echo
    embedded_offset: Int64 = _column(np.int64, -1)  # the IP packet that an ICMP error is about, -1

    @classmethod
    def empty(cls, count: int, **others: object) -> Self:
        """Return columns of ``count`` rows, all absent."""
        made: dict[str, Any] = {
            name: np.full(count, absent, dtype) if absent else np.zeros(count, dtype)
            for name, dtype, absent in _specifications()
        }
        made.update(others)
        return cls(**made)

    def __len__(self) -> int:
        return len(self.offset)

    def source(self, row: int) -> str:
        """Return the source address as canonical text, empty when not IP."""
        return address_text(int(self.version[row]), int(self.src_hi[row]), int(self.src_lo[row]))

    def destination(self, row: int) -> str:
        """Return the destination address as canonical text, empty when not IP."""
        return address_text(int(self.version[row]), int(self.dst_hi[row]), int(self.dst_lo[row]))


@cache
def _specifications() -> tuple[tuple[str, np.dtype[Any], int], ...]:
    """Return the name, type and absent value of each column."""
    specified = (
        (name, made.metadata) for name, made in Columns.__dataclass_fields__.items() if "dtype" in made.metadata
    )
    return tuple((name, spec["dtype"], spec["absent"]) for name, spec in specified)


NO_ROWS = Columns.empty(0)
"""None can be put into it, so that whoever has none can share it."""


@dataclass(slots=True, kw_only=True)
class Capture(Columns):
    """All packets of one file and what the file says about itself.

    ``data`` is the file unpacked (memory-mapped where it can be), ``joined`` the bytes of packets put together
    from fragments: offsets from ``len(data)`` on point into it. ``others`` counts by name what is not decoded TCP, UDP
    or ICMP, and what was decoded inside a tunnel.
    ``mptcp_kinds`` are the subtypes of the MPTCP options (RFC 8684) in ``mptcp_rows``, a bit each. ``quoted`` are the
    headers that ICMP errors in ``quoted_rows`` quote, one for each.
    ``partial`` says where and why reading ended early. ``comments`` are (frame or 0, text).
    """

    data: Bytes
    joined: Bytes
    interfaces: tuple[Interface, ...]
    comments: tuple[tuple[int, str], ...]
    partial: str | None
    others: Counter[str] = field(default_factory=Counter)
    sack_rows: Int64 = field(default_factory=lambda: np.zeros(0, np.int64))
    sack_edges: UInt32 = field(default_factory=lambda: np.zeros((0, 4, 2), np.uint32))
    mptcp_rows: Int64 = field(default_factory=lambda: np.zeros(0, np.int64))
    mptcp_kinds: UInt16 = field(default_factory=lambda: np.zeros(0, np.uint16))
    quoted_rows: Int64 = field(default_factory=lambda: np.zeros(0, np.int64))
    quoted: Columns = field(default_factory=lambda: NO_ROWS)

    @property
    def link_types(self) -> tuple[int, ...]:
        """The link types (tcpdump.org/linktypes.html) of the interfaces, each once, in order."""
        return tuple(dict.fromkeys(one.link_type for one in self.interfaces))

    @property
    def link_names(self) -> tuple[str, ...]:
        """The names of the link types, each once."""
        return tuple(dict.fromkeys(map(frame_kinds.link_name, self.link_types)))

    def bytes_at(self, offset: int, length: int) -> bytes:
        """Return captured bytes by an offset from a column."""
        if offset >= len(self.data):
            start = offset - len(self.data)
            return self.joined[start : start + length].tobytes()
        return self.data[offset : offset + length].tobytes()

    def frame(self, row: int) -> bytes:
        """Return all captured bytes of a frame, link header included."""
        return self.bytes_at(int(self.offset[row]), int(self.captured[row]))

    def payload(self, row: int) -> bytes:
        """Return the captured payload: TCP, UDP or ICMP data, or what follows the IP header of others."""
        return self.bytes_at(int(self.payload_offset[row]), int(self.payload_captured[row]))

    def options(self, row: int) -> bytes:
        """Return the captured TCP options as on the wire."""
        return self.bytes_at(int(self.transport_offset[row]) + 20, int(self.options_length[row]))

    def sack(self, row: int) -> tuple[tuple[int, int], ...]:
        """Return the SACK blocks (RFC 2018) as raw (left, right) edges."""
        count = int(self.sack_count[row])
        if not count:
            return ()
        edges = self.sack_edges[int(np.searchsorted(self.sack_rows, row))]
        return tuple((int(edges[k, 0]), int(edges[k, 1])) for k in range(count))

    def kind(self, row: int) -> str:
        """Return the name of what a frame is: TCP, UDP, ICMP, ICMPv6, ARP, LLDP, 802.3, GRE, ..."""
        decoded = {TCP: "TCP", UDP: "UDP", ICMP: "ICMP", ICMPV6: "ICMPv6"}.get(int(self.transport[row]))
        return decoded or frame_kinds.name(int(self.what[row]))
