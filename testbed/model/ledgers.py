"""How far every byte got, where its content differs, and how its direction of the connection ended. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from testbed.model.hosts import Host
from testbed.model.references import CallRef


class LedgerPoint(StrEnum):
    """Where bytes are counted, in the order in which they pass."""

    WRITTEN = "written"
    """Accepted by the sender's socket calls."""
    SENT = "sent"
    """On the sender's wire."""
    ARRIVED = "arrived"
    """On the receiver's wire, with a checksum that its kernel accepts."""
    ACKNOWLEDGED = "acknowledged"
    """Covered by the receiver's ACKs, as far as they reached the sender."""
    READ = "read"
    """Returned to the receiver's application."""


@dataclass(frozen=True, slots=True)
class Count:
    """One ledger point: how many bytes (or datagrams) and the digest of them in order; None where not observable.

    ``seen``: something of every byte's content was seen; false where calls are known to have moved bytes of which
    nobody saw any, as by the kernel's trace.
    """

    bytes: int | None
    digest: str | None = None
    datagrams: int | None = None
    seen: bool = True


class DifferenceKind(StrEnum):
    """What is known of a difference in content."""

    BYTE = "byte"
    """The byte at ``offset`` is ``before`` at the first point and ``after`` at the second."""
    RANGE = "range"
    """Some of the bytes from ``offset`` to ``end`` differ: their digests do."""
    LENGTH = "length"
    """A datagram of ``before_length`` bytes has ``after_length`` at the second point."""
    NEVER_SENT = "never-sent"
    """``count`` of the bytes from ``offset`` to ``end`` are in the receiver's capture only."""


@dataclass(frozen=True, slots=True)
class ContentDifference:
    """The first place where the content of two points that follow each other differs.

    ``first`` and ``second`` are the points. ``offset`` and ``end`` (exclusive) count in the stream; for UDP in the
    datagram, whose number within its direction ``datagram`` is. ``call`` is the call that wrote or read the bytes, None
    between the two wires; there ``packet`` is the datagram's crossing.
    """

    first: LedgerPoint
    second: LedgerPoint
    kind: DifferenceKind
    offset: int
    end: int
    before: int | None = None
    after: int | None = None
    before_length: int | None = None
    after_length: int | None = None
    count: int | None = None
    call: CallRef | None = None
    datagram: int | None = None
    packet: int | None = None


class ResetOrigin(StrEnum):
    """Who made a RST."""

    HOST = "host"
    """The host whose address it bears: its capture shows it."""
    LINK = "link"
    """The link, by its journal."""
    UNKNOWN = "unknown"
    """The host whose address it bears never sent it."""


@dataclass(frozen=True, slots=True)
class ConnectionReset:
    """The RST that ended a connection: number of its crossing (its cause tells why), host whose address it bears."""

    packet: int
    host: Host
    origin: ResetOrigin
    lost: bool


class Unobserved(StrEnum):
    """Why nothing is known of the calls that a host made on a connection."""

    NO_OBSERVER = "no-observer"
    NOT_ACCEPTED = "not-accepted"
    """The observer saw the listener; no call took the connection from it."""
    NO_SOCKET = "no-socket"
    """The observer saw no socket of the connection."""


@dataclass(frozen=True, slots=True)
class ConnectionEnd:
    """How one direction of a TCP connection ended.

    ``fin_acknowledged`` is None without a FIN. Without a FIN and without a ``reset`` the direction is still open, or
    the connection was never ``opened``. ``unobserved`` is about the calls of the direction's sender; ``unlogged``
    counts the bytes that it sent but that no logged call wrote.
    """

    opened: bool
    fin_acknowledged: bool | None = None
    reset: ConnectionReset | None = None
    unobserved: Unobserved | None = None
    unlogged: int = 0


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One direction of one flow followed from application to application.

    ``written`` to ``read`` are the counts at each :class:`LedgerPoint`: distinct bytes of the stream;
    ``acknowledged`` is None for UDP. ``unread`` counts bytes that arrived but were never read, None if ``read`` is
    unknown. ``difference`` is None when all points agree as far as they go. ``lost_at`` is the first point at which
    bytes are missing. ``close`` is None for UDP. ``unlogged_read`` counts bytes that the receiver's program must have
    read by calls that nobody logged (then ``read`` is unknown).
    """

    flow: int
    sender: Host
    written: Count
    sent: Count
    arrived: Count
    acknowledged: Count
    read: Count
    unread: int | None = None
    difference: ContentDifference | None = None
    lost_at: LedgerPoint | None = None
    close: ConnectionEnd | None = None
    unlogged_read: int = 0

    @property
    def unseen(self) -> tuple[LedgerPoint, ...]:
        """The points of which nobody saw the content: whether it is equal there is not known."""
        return tuple(point for point, count in self.points() if not count.seen)

    def points(self) -> tuple[tuple[LedgerPoint, Count], ...]:
        """Return the points in order, each with its count."""
        counts = (self.written, self.sent, self.arrived, self.acknowledged, self.read)
        return tuple(zip(LedgerPoint, counts, strict=True))
