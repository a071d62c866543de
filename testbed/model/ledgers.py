"""How far every byte got. Pure data."""

from __future__ import annotations

from dataclasses import dataclass

from testbed.model.evidence import Evidence
from testbed.model.hosts import Host


@dataclass(frozen=True, slots=True)
class Count:
    """One ledger point: how many bytes (or datagrams) and the digest of them in order; None where not observable."""

    bytes: int | None
    digest: str | None = None
    datagrams: int | None = None


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One direction of one flow followed from application to application.

    ``written``: accepted by the sender's socket calls; ``sent``: distinct stream bytes on the sender's wire;
    ``arrived``: distinct stream bytes on the receiver's wire; ``acknowledged``: covered by the receiver's ACKs as
    seen at the sender (None for UDP); ``read``: returned to the receiver's application.
    ``difference`` names the first place where content differs (point, offset, bytes), None when all agree as far
    as they go. ``unread`` counts bytes that arrived but were never read, None if ``read`` is unknown.
    ``lost_at`` is the first step at which bytes are missing: ``sent``, ``arrived``, ``acknowledged`` or ``read``.
    """

    flow: int
    sender: Host
    written: Count
    sent: Count
    arrived: Count
    acknowledged: Count
    read: Count
    unread: int | None = None
    difference: str | None = None
    lost_at: str | None = None
    close: Evidence = ()
