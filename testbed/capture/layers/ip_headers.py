"""IPv4 (RFC 791) and IPv6 (RFC 8200) headers of many packets at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from testbed.capture import frame_kinds
from testbed.capture.columns import Columns
from testbed.capture.gather import gather
from testbed.model.arrays import Bool, Bytes, Int64, UInt8

_V4 = np.dtype(
    [
        ("version", "u1"),
        ("tos", "u1"),
        ("length", ">u2"),
        ("id", ">u2"),
        ("fragment", ">u2"),
        ("ttl", "u1"),
        ("proto", "u1"),
        ("checksum", ">u2"),
        ("src", ">u4"),
        ("dst", ">u4"),
    ]
)
_V6 = np.dtype(
    [
        ("word", ">u4"),
        ("length", ">u2"),
        ("next", "u1"),
        ("ttl", "u1"),
        ("src_hi", ">u8"),
        ("src_lo", ">u8"),
        ("dst_hi", ">u8"),
        ("dst_lo", ">u8"),
    ]
)
_EXTENSION = np.dtype(
    [("next", "u1"), ("length", "u1"), ("word", ">u2"), ("id", ">u4")]
)  # the first 8 bytes of every extension header; word and id as in a fragment header
_JUMBO = 0xC204  # type and length of the jumbo payload option (RFC 2675)
_DEEPEST = 64  # extension headers

_HOP_BY_HOP, _FRAGMENT, _AUTHENTICATION = 0, 44, 51
EXTENSIONS = (_HOP_BY_HOP, 43, _FRAGMENT, _AUTHENTICATION, 60, 135, 139, 140)


@dataclass(slots=True)
class Transports:
    """Packets as IP hands them on: ``rows`` of the capture, where the transport header starts and the lengths.

    ``length`` is the transport's bytes on the wire, ``end`` where its captured bytes end.
    """

    rows: Int64
    proto: UInt8
    start: Int64
    end: Int64
    length: Int64

    def only(self, chosen: Bool) -> Transports:
        """Return those where ``chosen`` is true."""
        return Transports(
            self.rows[chosen], self.proto[chosen], self.start[chosen], self.end[chosen], self.length[chosen]
        )


def decode_ipv4(buffer: Bytes, columns: Columns, rows: Int64, position: Int64, end: Int64) -> Transports:
    """Decode the IPv4 headers at ``position``; packets of which no transport can be read are left out."""
    head = gather(buffer, position, _V4)
    size = (head["version"] & 15).astype(np.int64) * 4
    length = head["length"].astype(np.int64)
    # 0: segmentation offload or BIG TCP, the frame's own length is all there is
    length = np.where(length == 0, _room(columns, rows, position), length)
    cut = end - position < 20
    malformed = (head["version"] >> 4 != 4) | (size < 20) | (length < size)
    columns.what[rows[malformed]] = frame_kinds.IPV4_MALFORMED
    columns.what[rows[cut]] = frame_kinds.IPV4_CUT
    good = ~(malformed | cut)
    rows, position, end, head = rows[good], position[good], end[good], head[good]
    size, length = size[good], length[good]
    columns.version[rows] = 4
    columns.network[rows] = position
    columns.src_lo[rows] = head["src"] | np.uint64(0xFFFF00000000)
    columns.dst_lo[rows] = head["dst"] | np.uint64(0xFFFF00000000)
    columns.proto[rows] = head["proto"]
    columns.ttl[rows] = head["ttl"]
    columns.dscp[rows] = head["tos"] >> 2
    columns.ecn[rows] = head["tos"] & 3
    columns.ip_id[rows] = head["id"]
    columns.dont_fragment[rows] = (head["fragment"] & 0x4000) != 0
    columns.ip_length[rows] = length
    columns.fragment_offset[rows] = (head["fragment"] & 0x1FFF).astype(np.int32) * 8
    columns.more_fragments[rows] = (head["fragment"] & 0x2000) != 0
    columns.fragment[rows] = (head["fragment"] & 0x3FFF) != 0
    end = np.minimum(end, position + length)
    return Transports(rows, head["proto"], position + size, end, length - size)


def _room(columns: Columns, rows: Int64, position: Int64) -> Int64:
    """Return how many bytes frames had on the wire from a position on."""
    return columns.wire[rows] - columns.trailer[rows] - (position - columns.offset[rows])


def decode_ipv6(buffer: Bytes, columns: Columns, rows: Int64, position: Int64, end: Int64) -> Transports:
    """Decode the IPv6 headers at ``position`` and step over their extension headers."""
    head = gather(buffer, position, _V6)
    cut = end - position < 40
    malformed = head["word"] >> 28 != 6
    columns.what[rows[malformed]] = frame_kinds.IPV6_MALFORMED
    columns.what[rows[cut]] = frame_kinds.IPV6_CUT
    good = ~(malformed | cut)
    rows, position, end, head = rows[good], position[good], end[good], head[good]
    length = _payload_length(buffer, columns, rows, position, end, head)
    columns.version[rows] = 6
    columns.network[rows] = position
    for name in ("src_hi", "src_lo", "dst_hi", "dst_lo", "ttl"):
        getattr(columns, name)[rows] = head[name]
    columns.dscp[rows] = head["word"] >> 22 & 63
    columns.ecn[rows] = head["word"] >> 20 & 3
    columns.ip_length[rows] = length + 40
    end = np.minimum(end, position + 40 + length)
    return skip_extensions(buffer, columns, Transports(rows, head["next"].copy(), position + 40, end, length))


def _payload_length(
    buffer: Bytes, columns: Columns, rows: Int64, position: Int64, end: Int64, head: np.typing.NDArray[np.void]
) -> Int64:
    """Return the payload length: of the header, of a jumbo option, or (0 without one) of the frame."""
    length = head["length"].astype(np.int64)
    zero = np.flatnonzero(length == 0)
    if not len(zero):
        return length
    length[zero] = np.maximum(_room(columns, rows[zero], position[zero]) - 40, 0)
    hop = zero[(head["next"][zero] == _HOP_BY_HOP) & (end[zero] - position[zero] >= 48)]
    option = gather(buffer, position[hop] + 40, _EXTENSION)
    jumbo = option["word"] == _JUMBO
    length[hop[jumbo]] = option["id"][jumbo]
    return length


def skip_extensions(buffer: Bytes, columns: Columns, packets: Transports) -> Transports:
    """Step over extension headers up to a fragment header of a real fragment, noting fragments in ``columns``."""
    proto, start = packets.proto, packets.start
    broken = np.zeros(len(proto), np.bool_)
    todo = np.flatnonzero(np.isin(proto, EXTENSIONS))
    for _ in range(_DEEPEST):
        if not len(todo):
            break
        short = packets.end[todo] - start[todo] < 8
        broken[todo[short]] = True
        todo = todo[~short]
        head = gather(buffer, start[todo], _EXTENSION)
        kind = proto[todo]
        fragments = kind == _FRAGMENT
        words = head["length"].astype(np.int64)
        size = np.where(kind == _AUTHENTICATION, words * 4 + 8, np.where(fragments, 8, words * 8 + 8))
        start[todo] += size
        packets.length[todo] -= size
        proto[todo] = head["next"]
        rows = packets.rows[todo[fragments]]
        offset = (head["word"][fragments] & 0xFFF8).astype(np.int32)
        more = (head["word"][fragments] & 1) != 0
        columns.ip_id[rows] = head["id"][fragments]
        columns.fragment_offset[rows] = offset
        columns.more_fragments[rows] = more
        columns.fragment[rows] = real = more | (offset > 0)  # else an atomic fragment (RFC 6946): a whole packet
        going = np.isin(proto[todo], EXTENSIONS)
        going[np.flatnonzero(fragments)[real]] = False
        todo = todo[going]
    broken[todo] = True
    broken |= packets.length < 0
    columns.proto[packets.rows] = proto
    lost = packets.rows[broken]
    columns.what[lost] = np.where(
        columns.captured[lost] < columns.wire[lost], frame_kinds.IPV6_CUT, frame_kinds.IPV6_MALFORMED
    )
    return packets.only(~broken)
