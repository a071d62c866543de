"""What became of a run's data, as facts; ``report/text/verdict_text.py`` makes sentences of them. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from testbed.model.hosts import Host
from testbed.model.ledgers import LedgerPoint, LedgerRow
from testbed.model.references import CallRef


@dataclass(frozen=True, slots=True)
class NoPackets:
    """No packet between the hosts was captured."""


@dataclass(frozen=True, slots=True)
class NoFlows:
    """``packets`` crossed, none of them of TCP or UDP."""

    packets: int


@dataclass(frozen=True, slots=True)
class ConnectionRefused:
    """A RST of ``host`` answered the SYN. ``listening``: a socket listened there that did not take the connection."""

    flow: int
    host: Host
    listening: bool


class OpeningFailure(StrEnum):
    """Why a connection never opened."""

    GIVEN_UP = "given-up"
    """The opener answered its peer's SYN+ACK by a RST: it came too late."""
    ANSWERS_LOST = "answers-lost"
    SYNS_LOST = "syns-lost"
    NO_ANSWER = "no-answer"


@dataclass(frozen=True, slots=True)
class NeverOpened:
    """A connection that never opened; ``packets`` counts the opener's SYNs, of ``answers-lost`` the peer's answers."""

    flow: int
    opener: Host
    reason: OpeningFailure
    packets: int


@dataclass(frozen=True, slots=True)
class NoData:
    """A connection that opened and moved no data: who sent the first RST, else who sent a FIN."""

    flow: int
    reset_by: Host | None = None
    closed_by: tuple[Host, ...] = ()


class UnreadEnd(StrEnum):
    """How a program ended that had not read all that arrived."""

    CLOSED = "closed"
    EXITED = "exited"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Transfer:
    """A direction of a flow that moved data.

    ``refused`` counts the last bytes of a stream that arrived when no socket was there to take them; ``unread_end`` is
    how the receiver's program ended without reading the others.
    """

    row: LedgerRow
    refused: int = 0
    unread_end: UnreadEnd = UnreadEnd.UNKNOWN


@dataclass(frozen=True, slots=True)
class FlowTotals:
    """How many flows of each protocol a run has, and how many connections were refused."""

    flows: tuple[tuple[str, int], ...]
    refused: int


@dataclass(frozen=True, slots=True)
class SenderTotals:
    """All that one host sent: bytes at each point that was observed of all flows; how many flows differ in content."""

    sender: Host
    bytes: tuple[tuple[LedgerPoint, int], ...]
    differing: int


@dataclass(frozen=True, slots=True)
class DeadLock:
    """A connection on which both programs were in a write (``calls``, the client's first) with both windows at 0."""

    flow: int
    calls: tuple[CallRef, CallRef]


VerdictFact = (
    DeadLock | NoPackets | NoFlows | ConnectionRefused | NeverOpened | NoData | Transfer | FlowTotals | SenderTotals
)
