"""Internet checksums (RFC 1071) of many packets at once: TCP, UDP and ICMP, and what offload makes of them."""

from __future__ import annotations

import ipaddress

import numpy as np

from testbed.model.arrays import Bool, Bytes, Int64
from testbed.model.ip import ICMP, UDP
from testbed.pairing.packet_table import PacketTable

_AT_ONCE = 1 << 24  # bytes


def checksums_are_wrong(packets: PacketTable, items: Int64) -> Bool:
    """Return a mask of the packets, captured whole, whose checksum is not that of their bytes: bool[len(items)].

    A sum of the pseudo-header alone is not wrong: the network card was still to fill the checksum in (Linux's
    CHECKSUM_PARTIAL). A UDP datagram without one (0) is wrong by this measure: nothing protects it.
    """
    result = np.zeros(len(items), np.bool_)
    whole = packets.decoded[items] & (packets.captured[items] == packets.length[items])
    absent = whole & (packets.protocol[items] == UDP) & (packets.checksum[items] == 0)
    result[absent] = True
    chosen = np.flatnonzero(whole & ~absent)
    in_file = packets.payload_at[items[chosen]] - packets.header[items[chosen]] < len(packets.data)
    for buffer, base, mine in (
        (packets.data, 0, chosen[in_file]),
        (packets.joined, len(packets.data), chosen[~in_file]),
    ):
        result[mine] = _wrong(packets, items[mine], buffer, base)
    return result


def _wrong(packets: PacketTable, items: Int64, buffer: Bytes, base: int) -> Bool:
    result = np.zeros(len(items), np.bool_)
    size = packets.header[items].astype(np.int64) + packets.length[items]
    order = np.argsort(size, kind="stable")
    edges = np.flatnonzero(np.diff(size[order])) + 1
    for same_size in np.split(order, edges) if len(order) else []:
        width = int(size[same_size[0]])
        step = max(_AT_ONCE // width, 1)
        for first in range(0, len(same_size), step):
            some = same_size[first : first + step]
            rows = items[some]
            pseudo = _folded(_pseudo(packets, rows, width))
            total = _folded(pseudo + _sums(buffer, packets.payload_at[rows] - packets.header[rows] - base, width))
            partial = (packets.protocol[rows] != ICMP) & (packets.checksum[rows] == pseudo)
            result[some] = (total != 0xFFFF) & ~partial
    return result


def _folded(total: Int64) -> Int64:
    while (total >> 16).any():
        total = (total & 0xFFFF) + (total >> 16)
    return total


def _sums(buffer: Bytes, starts: Int64, width: int) -> Int64:
    """Return the sum of the 16-bit words of header and payload, all ``width`` bytes long."""
    even = width & ~1
    total = np.zeros(len(starts), np.int64)
    if even:
        items = np.ndarray((len(buffer) - even + 1,), f"V{even}", buffer=buffer, strides=(1,))
        words = items[starts].view(">u2").reshape(len(starts), even // 2)
        total += words.sum(axis=1, dtype=np.int64)
    if width & 1:
        total += buffer[starts + even].astype(np.int64) << 8
    return total


def _pseudo(packets: PacketTable, rows: Int64, width: int) -> Int64:
    """Return the sum of what counts besides the packet: RFC 9293 section 3.1, RFC 8200 section 8.1; none for ICMP."""
    conversation = packets.conversation[rows]
    known, place = np.unique(conversation, return_inverse=True)
    sums = []
    for number in known.tolist():
        packed = b"".join(ipaddress.ip_address(each).packed for each in packets.ends[number].addresses)
        sums.append(int(np.frombuffer(packed, ">u2").sum(dtype=np.int64)))
    total = np.array(sums, np.int64)[place] + packets.protocol[rows] + (width & 0xFFFF) + (width >> 16)
    return np.where(packets.protocol[rows] == ICMP, 0, total)
