"""What a host sent to itself: packets over its loopback, which never reach the wire between the hosts. Pure data."""

from __future__ import annotations

from dataclasses import dataclass

from testbed.model.hosts import Endpoint, Host

SHOWN = 64
"""Bytes of a payload that are kept."""
MOST = 10_000
"""Packets of one host that are kept: the first ones."""


@dataclass(frozen=True, slots=True)
class LoopbackPacket:
    """A packet that a host sent and received at one time: ``frame`` counts from 1 in the loopback's own capture.

    ``time`` is ns since the epoch, ``flags`` are tcpdump's letters, empty for what is not TCP. ``length`` counts bytes
    of payload, of which ``payload`` holds the first :data:`SHOWN`. Ports are 0 where the protocol has none.
    """

    host: Host
    frame: int
    time: int
    source: Endpoint
    destination: Endpoint
    protocol: str
    flags: str
    length: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Loopback:
    """All of one host: ``total`` packets with ``length`` bytes of payload, of which ``packets`` are the first."""

    packets: tuple[LoopbackPacket, ...]
    total: int
    length: int
