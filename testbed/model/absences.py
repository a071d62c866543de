"""Calls without a packet, and why. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from testbed.model.hosts import Host
from testbed.model.ledgers import ResetOrigin
from testbed.model.references import CallRef, PacketRef


class NoPacketReason(StrEnum):
    """Why a call caused no packet, or why bytes that it wrote never left the host."""

    SAME_HOST = "same-host"
    """Both ends of its connection are on one host."""
    FAILED = "failed"
    """It failed with ``errno``."""
    # accept
    TAKES_OPEN_CONNECTION = "takes-open-connection"
    NO_CONNECTION_CAME = "no-connection-came"
    NO_CONNECTION_WAITING = "no-connection-waiting"
    # connect
    NOTES_PEER = "notes-peer"
    BEING_OPENED = "being-opened"
    ALREADY_OPEN = "already-open"
    OPENED_BEFORE = "opened-before"
    """``call`` had opened the connection."""
    FAILED_BEFORE_SYN = "failed-before-syn"
    SYN_NOT_CAPTURED = "syn-not-captured"
    # shutdown and close
    NOT_CONNECTED = "not-connected"
    ENDS_READING_ONLY = "ends-reading-only"
    NO_CONNECTION_TO_END = "no-connection-to-end"
    STOPS_LISTENING = "stops-listening"
    SENDING_ENDED_BEFORE = "sending-ended-before"
    """``call`` had ended the sending direction."""
    FIN_SENT_BEFORE = "fin-sent-before"
    """``call`` had sent the FIN."""
    OPEN_UNTIL = "open-until"
    """Another descriptor was open until ``call``."""
    STILL_OPEN = "still-open"
    NOT_OPEN_YET = "not-open-yet"
    """Nothing had answered ``call``."""
    NEVER_OPEN = "never-open"
    """``call`` failed with ``errno``."""
    CONNECTION_GONE = "connection-gone"
    """``call`` had given ETIMEDOUT."""
    FIN_NOT_CAPTURED = "fin-not-captured"
    MAY_HAVE_SENT = "may-have-sent"
    """``packet`` left while it was in progress, and it is not known whether by it."""
    # the connection had ended, or the sending direction
    RESET_BEFORE = "reset-before"
    """``reset`` had broken the connection off."""
    CONNECTION_ENDED = "connection-ended"
    # send
    SEND_BUFFER_FULL = "send-buffer-full"
    NOTSENT_LOWAT = "notsent-lowat"
    """As many bytes waited unsent as TCP_NOTSENT_LOWAT allows; ``call`` had set it, None: the sysctl."""
    NEVER_RETURNED = "never-returned"
    DATAGRAM_NOT_SENT = "datagram-not-sent"
    DATAGRAM_HELD = "datagram-held"
    """``call`` (UDP_CORK, or a send with MSG_MORE) held its datagram back, and nothing sent it."""
    NO_BYTES = "no-bytes"
    NOT_CAPTURED = "not-captured"
    UNATTRIBUTED = "unattributed"
    # bytes that never left
    HELD_BY_NAGLE = "held-by-nagle"
    """``packet`` was not acknowledged."""
    HELD_BY_CORK = "held-by-cork"
    """``call`` had set TCP_CORK."""
    HELD_BY_MORE = "held-by-more"
    """``call`` had MSG_MORE."""
    PEER_WINDOW_FULL = "peer-window-full"
    """``packet`` offers none."""
    STILL_QUEUED = "still-queued"


@dataclass(frozen=True, slots=True)
class Reset:
    """A RST: the number of its crossing, the host in whose name it was sent, and who made it."""

    packet: PacketRef
    sender: Host
    origin: ResetOrigin = ResetOrigin.HOST


@dataclass(frozen=True, slots=True)
class GaveUp:
    """The kernel gave a connection up: ``call`` was told so (ETIMEDOUT).

    ``limit`` is the setsockopt of the TCP_USER_TIMEOUT in force then, None where there was none.
    """

    call: CallRef
    limit: CallRef | None = None


@dataclass(frozen=True, slots=True)
class NoPacket:
    """Why a call caused no packet; with ``unsent``, why so many of the bytes that it wrote never left the host.

    ``call`` and ``packet`` are what the reason names, ``errno`` the error, ``reset`` the RST that had ended the
    connection, or that ended it while bytes waited; ``gave_up`` says so where no RST did, but a timeout. ``written`` is
    how many bytes the call wrote, of which ``unsent`` were not sent; both 0 where it wrote none. ``behind`` is how many
    bytes of earlier calls were still to be sent before the FIN of this one.
    """

    reason: NoPacketReason
    call: CallRef | None = None
    packet: PacketRef | None = None
    errno: str = ""
    reset: Reset | None = None
    unsent: int = 0
    written: int = 0
    behind: int = 0
    gave_up: GaveUp | None = None
