"""What arrived at a host, as its capture has it: to find the packet that the kernel tells of without naming it."""

from __future__ import annotations

import ipaddress

import numpy as np

from testbed.capture.columns import Capture
from testbed.model import Endpoint

_TCP = 6


class Arrivals:
    """IP packets of a capture that were sent to one address."""

    def __init__(self, capture: Capture, address: str) -> None:
        number = int(ipaddress.ip_address(address))
        high, low = np.uint64(number >> 64), np.uint64(number & (1 << 64) - 1)
        if ipaddress.ip_address(address).version == 4:
            low |= np.uint64(0xFFFF << 32)  # as the columns have it: ::ffff:a.b.c.d
        self._ours = (capture.version > 0) & (capture.dst_hi == high) & (capture.dst_lo == low)
        self._capture = capture

    def of(self, length: int, *, tcp: bool) -> list[tuple[int, int]]:
        """Return time (ns) and row of packets of one length (of IP): segments of TCP, or all others."""
        capture = self._capture
        wanted = self._ours & (capture.ip_length == length) & ((capture.proto == _TCP) == tcp)
        return [(int(capture.time_ns[row]), int(row)) for row in np.flatnonzero(wanted)]

    def ends(self, row: int) -> tuple[Endpoint, Endpoint]:
        """Return where a packet went and where it came from; ports are 0 where it has none."""
        capture = self._capture
        destination = Endpoint(capture.destination(row), int(capture.dport[row]))
        return destination, Endpoint(capture.source(row), int(capture.sport[row]))
