"""What the link did to packets (compose/link/record.h). Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from testbed.model.hosts import Endpoint, Host


class LinkAction(StrEnum):
    """Something that the link does to a packet, in the words of its journal; from DROP on they drop it."""

    DELAY = "delay"
    HOLD = "hold"
    REORDER = "reorder"
    CORRUPT = "corrupt"
    TRUNCATE = "truncate"
    MARK = "mark"
    REWRITE = "rewrite"
    DUPLICATE = "duplicate"
    FORGE = "forge"
    """A packet of the link's own follows it."""
    DROP = "drop"
    FORGET = "forget"
    """The link had forgotten its connection."""
    LOSS = "loss"
    """Lost by chance."""
    DOWN = "down"
    TOO_BIG = "too big"
    OVERFLOW = "overflow"
    """The link's queue was full."""


@dataclass(frozen=True, slots=True)
class LinkFault:
    """An exact fault of the plan: its number, what it does, and itself as a scenario writes it."""

    index: int
    action: LinkAction
    text: str


@dataclass(frozen=True, slots=True)
class LinkEffect:
    """One thing that the link did to a packet.

    ``delay`` is how long the link kept it, ns, with ``LinkAction.DELAY`` only. ``faults`` are those of the plan that
    asked for it, none where chance, a rate or a limit did.
    """

    action: LinkAction
    delay: int | None = None
    faults: tuple[LinkFault, ...] = ()


@dataclass(frozen=True, slots=True)
class LinkOrigin:
    """Why the link made a packet: ``of`` is the crossing of the packet that it followed, None if that is not known."""

    made: Literal["copy", "forged", "icmp"]
    of: int | None
    faults: tuple[LinkFault, ...] = ()


@dataclass(frozen=True, slots=True)
class LinkRecord:
    """What the link did to one packet (compose/link/record.h).

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
    source: Endpoint
    target: Endpoint
    flags: str
    seq: int
    length: int
    ip_id: int
    actions: tuple[LinkAction, ...] = ()
    faults: tuple[int, ...] = ()
    made: Literal["", "copy", "forged", "icmp"] = ""
    about: Host | None = None
    of: int | None = None
    part: bool = False


@dataclass(frozen=True, slots=True)
class LinkJournal:
    """All that the link did.

    ``faults`` are the plan's exact faults, in its order, none where the plan is not known; ``overflow`` counts, for
    each sender, packets that the kernel lost before the link could see them; ``complete``: it goes to its end.
    """

    records: tuple[LinkRecord, ...]
    faults: tuple[LinkFault, ...]
    overflow: dict[Host, int]
    complete: bool
