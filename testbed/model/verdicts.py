"""What became of a run's data, as facts; ``report/text/verdict_text.py`` makes sentences of them. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from testbed.model.absences import GaveUp
from testbed.model.evidence import Evidence
from testbed.model.hosts import Endpoint, Host
from testbed.model.ledgers import ConnectionReset, LedgerPoint, LedgerRow
from testbed.model.programs import ProgramEnd
from testbed.model.references import CallRef


@dataclass(frozen=True, slots=True)
class NoPackets:
    """No packet between the hosts was captured."""


@dataclass(frozen=True, slots=True)
class ProgramFailed:
    """No packet between the hosts was captured, and a host's program ended badly, or did not go on."""

    host: Host
    end: ProgramEnd


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

    ``refused`` counts the last bytes of a stream that arrived when no socket was there to take them, or the datagrams
    that found none; ``unread_end`` is how the receiver's program ended without reading the others.
    """

    row: LedgerRow
    refused: int = 0
    unread_end: UnreadEnd = UnreadEnd.UNKNOWN


@dataclass(frozen=True, slots=True)
class BrokenOff:
    """A RST ended a connection; ``evidence`` is that of its cause: why it was sent, or how the link came to make it."""

    flow: int
    reset: ConnectionReset
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class GivenUp:
    """The kernel of ``host`` gave a connection up, as one of the host's calls was told."""

    flow: int
    host: Host
    end: GaveUp


@dataclass(frozen=True, slots=True)
class ConnectsFailed:
    """Connects of ``host`` to ``address`` that failed with ``errno``, none of which a packet between the hosts shows.

    ``first`` is the first of ``count``; ``address`` is None where the observer did not see it.
    """

    host: Host
    first: CallRef
    address: Endpoint | None
    errno: str
    count: int


@dataclass(frozen=True, slots=True)
class DatagramsRefused:
    """``host`` answered datagrams of a conversation by an ICMP error, the first of ``errors`` being ``packet``.

    ``port``: that nothing took them on their port; else that they could not be delivered for another reason.
    """

    flow: int
    host: Host
    packet: int
    errors: int
    port: bool


@dataclass(frozen=True, slots=True)
class FlowTotals:
    """How many flows of each protocol a run has, and how many connections were refused, never opened, or broken off.

    Each is counted once, under the first of these that is true of it; ``broken_off``: by a RST or a timeout.
    """

    flows: tuple[tuple[str, int], ...]
    refused: int
    never_opened: int = 0
    broken_off: int = 0


@dataclass(frozen=True, slots=True)
class SenderTotals:
    """All that one host sent: bytes at each point that was observed of all flows; how many flows differ in content.

    ``unseen``: on how many the content of what calls moved was not seen.
    """

    sender: Host
    bytes: tuple[tuple[LedgerPoint, int], ...]
    differing: int
    unseen: int = 0


@dataclass(frozen=True, slots=True)
class DeadLock:
    """A connection on which both programs were in a write (``calls``, the client's first) with both windows at 0."""

    flow: int
    calls: tuple[CallRef, CallRef]


class EventsEnd(StrEnum):
    """How a Windows program that is told of its sockets by messages came to its end with a connection."""

    ALL_READ = "all-read"
    """It read all that had arrived."""
    NOT_READ = "not-read"
    """It did not read after its last FD_READ, so that Winsock had no occasion to post another one."""
    CLOSED = "closed"
    """It closed the socket, with bytes unread."""
    RESET = "reset"
    """A RST came: FD_CLOSE with an error."""


@dataclass(frozen=True, slots=True)
class SocketEvents:
    """What a Windows program was told of one connection by WSAAsyncSelect, and what it did.

    ``told`` counts the FD_READ that it got while the socket was open, of which ``last`` is the last one, ``reads`` the
    calls that read, ``late`` the FD_READ that came after it had closed the socket. ``close`` is its FD_CLOSE, if it got
    one. Of the ``arrived`` bytes that its capture has, ``unread`` were never read.
    """

    flow: int
    host: Host
    end: EventsEnd
    told: int
    reads: int
    late: int
    arrived: int
    unread: int
    last: CallRef
    close: CallRef | None = None


VerdictFact = (
    DeadLock
    | SocketEvents
    | ProgramFailed
    | NoPackets
    | NoFlows
    | ConnectionRefused
    | NeverOpened
    | NoData
    | Transfer
    | BrokenOff
    | GivenUp
    | ConnectsFailed
    | DatagramsRefused
    | FlowTotals
    | SenderTotals
)

FACT_NAMES: dict[str, type[VerdictFact]] = {
    "program-failed": ProgramFailed,
    "no-packets": NoPackets,
    "no-flows": NoFlows,
    "connection-refused": ConnectionRefused,
    "never-opened": NeverOpened,
    "no-data": NoData,
    "transfer": Transfer,
    "broken-off": BrokenOff,
    "given-up": GivenUp,
    "connects-failed": ConnectsFailed,
    "datagrams-refused": DatagramsRefused,
    "dead-lock": DeadLock,
    "socket-events": SocketEvents,
}
"""The facts that a scenario can expect, by name."""
