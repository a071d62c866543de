"""Put IP fragments together: the whole packet is in the row of the fragment that completed it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from testbed.capture import frame_kinds
from testbed.capture.columns import Capture
from testbed.capture.layers.ip_headers import Transports, skip_extensions
from testbed.capture.layers.transport import decode_transport
from testbed.model.arrays import Int64

_LIFETIME_NS = 30 * 10**9  # Linux net.ipv4.ipfrag_time
_LARGEST = 65535


@dataclass(slots=True)
class _Fragment:
    row: int
    offset: int
    length: int
    data: bytes  # what is captured of it


@dataclass(slots=True)
class _Packet:
    """Fragments of one packet so far. As in Linux, an overlap other than a repeat spoils it (RFC 5722)."""

    started: int
    proto: int = 0
    parts: dict[int, _Fragment] = field(default_factory=dict)
    have: int = 0
    total: int | None = None
    spoilt: bool = False

    def add(self, part: _Fragment, *, more: bool) -> bool:
        """Add a fragment; return True when the packet is whole."""
        known = self.parts.get(part.offset)
        if known is not None:
            self.spoilt |= known.length != part.length
            return False
        if not more:
            self.spoilt |= self.total is not None
            self.total = part.offset + part.length
        self.parts[part.offset] = part
        self.have += part.length
        if self.spoilt or self.total is None or self.have < self.total:
            return False
        edge = 0
        for offset in sorted(self.parts):
            self.spoilt |= offset != edge
            edge = offset + self.parts[offset].length
        self.spoilt |= edge != self.total
        return not self.spoilt

    def captured(self) -> bytes:
        """Return the packet's payload from its start as far as it was captured."""
        pieces = []
        for offset in sorted(self.parts):
            part = self.parts[offset]
            pieces.append(part.data)
            if len(part.data) < part.length:
                break
        return b"".join(pieces)


def reassemble(capture: Capture, fragments: Transports) -> None:
    """Decode the packets that ``fragments`` (in file order) make up; parts keep ``transport`` 0.

    ``reassembled_in`` of every part is the row of the whole packet, so also of that row itself.
    """
    open_packets: dict[tuple[int, ...], _Packet] = {}
    whole: list[tuple[int, int, bytes, int]] = []
    for k, row in enumerate(fragments.rows.tolist()):
        version = int(capture.version[row])
        capture.what[row] = frame_kinds.IPV4_FRAGMENT if version == 4 else frame_kinds.IPV6_FRAGMENT
        ends = (capture.src_hi[row], capture.src_lo[row], capture.dst_hi[row], capture.dst_lo[row])
        proto = int(fragments.proto[k])
        key = (version, *map(int, ends), int(capture.ip_id[row]), proto if version == 4 else 0)
        start, length = int(fragments.start[k]), int(fragments.length[k])
        offset = int(capture.fragment_offset[row])
        now = int(capture.time_ns[row])
        packet = open_packets.get(key)
        if packet is None or abs(now - packet.started) > _LIFETIME_NS:
            packet = open_packets[key] = _Packet(now)
        if offset == 0:
            packet.proto = proto
        data = capture.data[start : max(int(fragments.end[k]), start)].tobytes()
        if offset + length > _LARGEST or not length:
            packet.spoilt = True
        elif packet.add(_Fragment(row, offset, length, data), more=bool(capture.more_fragments[row])):
            del open_packets[key]
            whole.append((row, packet.proto, packet.captured(), packet.total or 0))
            capture.reassembled_in[[part.row for part in packet.parts.values()]] = row
    if whole:
        _decode(capture, whole)


def _decode(capture: Capture, whole: list[tuple[int, int, bytes, int]]) -> None:
    capture.joined = np.frombuffer(b"".join(data for _, _, data, _ in whole), np.uint8)
    sizes = np.array([len(data) for _, _, data, _ in whole], np.int64)
    start: Int64 = np.cumsum(sizes) - sizes
    packets = Transports(
        rows=np.array([row for row, _, _, _ in whole], np.int64),
        proto=np.array([proto for _, proto, _, _ in whole], np.uint8),
        start=start,
        end=start + sizes,
        length=np.array([total for _, _, _, total in whole], np.int64),
    )
    packets = skip_extensions(capture.joined, capture, packets)
    decode_transport(capture.joined, len(capture.data), capture, packets)
