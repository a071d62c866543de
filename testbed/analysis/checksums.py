"""Internet checksums (RFC 1071) of TCP, UDP and ICMP, and what offload makes of them at the sender."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.analysis.selection import ICMP, UDP

if TYPE_CHECKING:
    from testbed.capture.columns import Capture


def checksum_is_right(capture: Capture, row: int) -> bool | None:
    """Tell whether a packet's checksum is that of its bytes; None if it was not captured whole.

    UDP over IPv4 without a checksum (0) is wrong by this measure: nothing protects it.
    """
    if not capture.transport[row] or capture.payload_captured[row] < capture.payload_length[row]:
        return None
    start = int(capture.transport_offset[row])
    length = int(capture.payload_offset[row]) - start + int(capture.payload_length[row])
    data = capture.bytes_at(start, length)
    if capture.transport[row] == UDP and not capture.checksum[row]:
        return False
    return _sum(_pseudo_header(capture, row, length) + data) == 0xFFFF


def _pseudo_header(capture: Capture, row: int, length: int) -> bytes:
    """Return what goes into the sum besides the packet: RFC 9293 section 3.1, RFC 8200 section 8.1."""
    proto = int(capture.transport[row])
    if capture.version[row] == 4:
        if proto == ICMP:
            return b""
        ends = int(capture.src_lo[row]) & 0xFFFFFFFF, int(capture.dst_lo[row]) & 0xFFFFFFFF
        return b"".join(end.to_bytes(4, "big") for end in ends) + proto.to_bytes(2, "big") + length.to_bytes(4, "big")
    words = (capture.src_hi[row], capture.src_lo[row], capture.dst_hi[row], capture.dst_lo[row])
    addresses = b"".join(int(word).to_bytes(8, "big") for word in words)
    return addresses + length.to_bytes(4, "big") + proto.to_bytes(4, "big")


def _sum(data: bytes) -> int:
    total = sum(memoryview(data + bytes(len(data) & 1)).cast("H"))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total  # 0xFFFF is the same in both byte orders
