"""How much goes into a page: payloads are cut first, then packets, until it is small enough."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from testbed.model import Crossing
from testbed.model.arrays import Bool, Int64
from testbed.report.html.page_source import ShownPackets

LIMIT = 10_000_000
"""A page has at most so many bytes."""

MOST_PACKETS = 120_000
"""Of more the first and the last packets are in the page, and those between that are remarkable."""

_PAYLOAD = 0.24  # of the limit: payload hardly compresses, and base64 makes 4 bytes of 3
_MOST_OF_ONE = 65_536
_SHORTEST = 8
_REMARKABLE = 10_000


def fitting(wire_of: Callable[[int], ShownPackets], page_of: Callable[[ShownPackets, int], str], limit: int) -> str:
    """Return the page, at most ``limit`` bytes.

    ``wire_of`` gives a number of packets at most, ``page_of`` the page of them with so many bytes of each payload.
    """
    most = MOST_PACKETS
    while True:
        wire = wire_of(most)
        for payload in (_payload_limit(wire.crossings, int(limit * _PAYLOAD)), _SHORTEST):
            page = page_of(wire, payload)
            if len(page.encode()) <= limit or most < 2:
                return page
        most = min(most, wire.total) // 2


def kept(remarkable: Bool, most: int) -> Int64:
    """Return which packets a page holds, ascending: the first, the last, and what is remarkable between."""
    count = len(remarkable)
    if count <= most:
        return np.arange(count)
    ends = max(most // 2 - min(_REMARKABLE, most // 4), 1)
    middle = np.flatnonzero(remarkable[ends : count - ends])[:_REMARKABLE] + ends
    return np.concatenate([np.arange(ends), middle, np.arange(count - ends, count)])


def _payload_limit(crossings: Sequence[Crossing], room: int) -> int:
    """Return how many bytes of each payload are stored so that all fit into ``room`` bytes."""
    lengths = np.array([len(one.payload) for one in crossings], np.int64)
    for limit in (_MOST_OF_ONE, 16_384, 4096, 1500, 512, 256, 128, 64, 32, 24, 16):
        if int(np.minimum(lengths, limit).sum()) <= room:
            return limit
    return _SHORTEST
