"""Internet checksums (RFC 1071) of many packets at once: those of TCP and UDP."""

from __future__ import annotations

import ipaddress

import numpy as np
from numpy.typing import NDArray

from testbed.analysis.compare.track import TCP, UDP, Int64, Track

I8 = NDArray[np.int8]
_AT_ONCE = 1 << 24  # bytes


def checksums_are_right(track: Track, items: Int64) -> I8:
    """Return 1 for right, 0 for wrong, -1 where it cannot be told: not captured whole, no checksum, other protocols."""
    result = np.full(len(items), -1, np.int8)
    protocol = track.protocol[items]
    known = track.decoded[items] & ((protocol == TCP) | (protocol == UDP) & (track.checksum[items] != 0))
    known &= (track.captured[items] == track.length[items]) & (track.payload_at[items] < len(track.data))
    chosen = np.flatnonzero(known)
    size = track.header[items[chosen]].astype(np.int64) + track.length[items[chosen]]
    order = np.argsort(size, kind="stable")
    chosen, size = chosen[order], size[order]
    edges = np.append(0, np.flatnonzero(np.diff(size)) + 1)
    for first, last in zip(edges.tolist(), [*edges[1:].tolist(), len(size)], strict=True):
        if first == last:
            continue
        width = int(size[first])
        step = max(_AT_ONCE // width, 1)
        for start in range(first, last, step):
            some = chosen[start : min(start + step, last)]
            rows = items[some]
            total = _sums(track, rows, width) + _pseudo(track, rows) + track.protocol[rows] + width
            while (total >> 16).any():
                total = (total & 0xFFFF) + (total >> 16)
            result[some] = total == 0xFFFF
    return result


def _sums(track: Track, rows: Int64, width: int) -> Int64:
    """Return the sum of the 16-bit words of header and payload, all ``width`` bytes long."""
    starts = track.payload_at[rows] - track.header[rows]
    even = width & ~1
    total = np.zeros(len(rows), np.int64)
    if even:
        items = np.ndarray((len(track.data) - even + 1,), f"V{even}", buffer=track.data, strides=(1,))
        words = items[starts].view(">u2").reshape(len(rows), even // 2)
        total += words.sum(axis=1, dtype=np.int64)
    if width & 1:
        total += track.data[starts + even].astype(np.int64) << 8
    return total


def _pseudo(track: Track, rows: Int64) -> Int64:
    """Return the sums of both addresses (RFC 9293 section 3.1, RFC 8200 section 8.1)."""
    conversation = track.conversation[rows]
    known, place = np.unique(conversation, return_inverse=True)
    sums = []
    for number in known.tolist():
        packed = b"".join(ipaddress.ip_address(each).packed for each in track.ends[number].addresses)
        sums.append(int(np.frombuffer(packed, ">u2").sum(dtype=np.int64)))
    return np.array(sums, np.int64)[place]
