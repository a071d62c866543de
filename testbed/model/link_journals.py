"""What the link did to packets (compose/link/journal.h). Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from testbed.model.hosts import Host


@dataclass(frozen=True, slots=True)
class LinkRecord:
    """What the link did to one packet (compose/link/journal.h).

    ``n`` counts the packets of its sender from 1, None for one that the link made (``made``: what; ``about`` and
    ``of``: sender and number of the packet that it followed). ``left`` is None for a packet that was dropped. ``seq``
    is as on the wire. ``faults`` are indexes of the exact faults that met it. ``part``: a fragment without a transport
    header.
    """

    n: int | None
    sender: Host
    time: int
    left: int | None
    protocol: str
    sport: int
    dport: int
    flags: str
    seq: int
    length: int
    ip_id: int
    actions: tuple[str, ...] = ()
    faults: tuple[int, ...] = ()
    made: Literal["", "copy", "forged", "icmp"] = ""
    about: Host | None = None
    of: int | None = None
    part: bool = False


@dataclass(frozen=True, slots=True)
class LinkJournal:
    """All that the link did.

    ``faults`` are the plan's exact faults as text; ``overflow`` counts, for each sender, packets that the kernel lost
    before the link could see them; ``complete``: it goes to its end.
    """

    records: tuple[LinkRecord, ...]
    faults: tuple[str, ...]
    overflow: dict[Host, int]
    complete: bool
