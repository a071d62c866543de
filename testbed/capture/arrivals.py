"""Packets that arrived at a host, by length: to find the one that a kernel event is about without naming it."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from testbed.capture.columns import Capture
from testbed.model import Endpoint
from testbed.model.ip import TCP, address_words


class Arrivals:
    """IP packets of a capture that were sent to a host's addresses."""

    def __init__(self, capture: Capture, addresses: Collection[str]) -> None:
        self._ours = np.zeros(len(capture), np.bool_)
        for high, low in (map(np.uint64, address_words(address)) for address in addresses):
            self._ours |= (capture.version > 0) & (capture.dst_hi == high) & (capture.dst_lo == low)
        self._capture = capture

    def of(self, length: int, *, tcp: bool) -> list[tuple[int, int]]:
        """Return time (ns) and row of packets of one length (of IP): segments of TCP, or all others."""
        capture = self._capture
        wanted = self._ours & (capture.ip_length == length) & ((capture.proto == TCP) == tcp)
        return [(int(capture.time_ns[row]), int(row)) for row in np.flatnonzero(wanted)]

    def ends(self, row: int) -> tuple[Endpoint, Endpoint]:
        """Return where a packet went and where it came from; ports are 0 where it has none."""
        capture = self._capture
        destination = Endpoint(capture.destination(row), int(capture.dport[row]))
        return destination, Endpoint(capture.source(row), int(capture.sport[row]))
