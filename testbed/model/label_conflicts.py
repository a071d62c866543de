"""Wireshark's labels that contradict causes. Pure data."""

from __future__ import annotations

from dataclasses import dataclass

from testbed.model.causes import CauseName
from testbed.model.hosts import Host


@dataclass(frozen=True, slots=True)
class LabelConflict:
    """Packets to which Wireshark gives a label that contradicts their cause.

    ``packet`` is the first one's crossing, ``captures`` the hosts whose captures show the label on it, ``more`` how
    many packets follow that have the same label and the same cause.
    """

    label: str
    packet: int
    cause: CauseName
    captures: tuple[Host, ...]
    more: int = 0
