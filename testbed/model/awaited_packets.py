"""Packets that a program waits for while a run goes on: values that the tap of its host matches. Pure data."""

from __future__ import annotations

from typing import NamedTuple

from testbed.model.expect import Limits
from testbed.model.hosts import Host


class AwaitedPacket(NamedTuple):
    """Which packet: all that is not None must fit.

    ``flags`` (exactly these) and ``has`` (at least these) are TCP flags as bits, ``data`` is the whole payload, and
    ``nth`` which of those that match since the last time that the step waited, from 1. ``text`` is how a message shows
    it.
    """

    text: str
    sender: Host | None = None
    protocol: int | None = None
    flags: int | None = None
    has: int | None = None
    length: Limits | None = None
    data: bytes | None = None
    nth: int = 1
