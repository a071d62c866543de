"""Why a call caused no packet, as evidence with its references: one sentence for each reason."""

from __future__ import annotations

from collections.abc import Mapping
from string import Formatter

from testbed.model import Evidence
from testbed.model.absences import GaveUp, NoPacket, NoPacketReason, Reset
from testbed.model.evidence import Part, Quantity
from testbed.model.ledgers import ResetOrigin

R = NoPacketReason
SENTENCES: Mapping[NoPacketReason, str] = {
    R.SAME_HOST: "its packets go over the loopback: both of its ends are on this host",
    R.FAILED: "failed: {errno}",
    R.TAKES_OPEN_CONNECTION: "takes a connection that the kernel had opened already",
    R.NO_CONNECTION_CAME: "no connection came",
    R.NO_CONNECTION_WAITING: "no connection was waiting",
    R.NOTES_PEER: "on a datagram socket it only notes the peer",
    R.BEING_OPENED: "the connection was being opened already",
    R.ALREADY_OPEN: "the connection was open already",
    R.OPENED_BEFORE: "{call} had opened the connection",
    R.FAILED_BEFORE_SYN: "failed before a SYN left: {errno}",
    R.SYN_NOT_CAPTURED: "no SYN of it was captured",
    R.NOT_CONNECTED: "the socket was not connected",
    R.ENDS_READING_ONLY: "SHUT_RD only ends reading here; TCP has no way to tell the peer",
    R.NO_CONNECTION_TO_END: "a datagram socket has no connection to end",
    R.STOPS_LISTENING: "only stops listening",
    R.SENDING_ENDED_BEFORE: "{call} had ended the sending direction",
    R.FIN_SENT_BEFORE: "{call} had sent the FIN",
    R.OPEN_UNTIL: "another descriptor of the socket was open until {call}",
    R.STILL_OPEN: "another descriptor of the socket was still open",
    R.NOT_OPEN_YET: "the connection was not open yet (SYN_SENT): nothing had answered {call}",
    R.NEVER_OPEN: "the connection was never open: {call} gave {errno}",
    R.CONNECTION_GONE: "the connection was gone: {call} gave ETIMEDOUT",
    R.FIN_NOT_CAPTURED: "no FIN of it was captured",
    R.MAY_HAVE_SENT: "no packet is surely its own; {packet} left while it was in progress",
    R.RESET_BEFORE: "",
    R.CONNECTION_ENDED: "the connection had ended",
    R.SEND_BUFFER_FULL: "the send buffer was full",
    R.NOTSENT_LOWAT: "as many bytes as TCP_NOTSENT_LOWAT{by} allows waited to be sent",
    R.NEVER_RETURNED: "never returned, and none of its bytes left",
    R.DATAGRAM_NOT_SENT: "its datagram was not captured",
    R.DATAGRAM_HELD: "its datagram was never sent: {call} held it back (UDP_CORK or MSG_MORE)",
    R.NO_BYTES: "0 bytes: there is nothing to send",
    R.NOT_CAPTURED: "no packet of its connection was captured",
    R.UNATTRIBUTED: "its bytes left in a packet that no rule attributes to it",
    R.HELD_BY_NAGLE: "held by Nagle's algorithm, as {packet} was not acknowledged",
    R.HELD_BY_CORK: "held by TCP_CORK ({call})",
    R.HELD_BY_MORE: "held by MSG_MORE of {call}",
    R.PEER_WINDOW_FULL: "the peer's window was full ({packet} offers 0)",
    R.STILL_QUEUED: "still queued at the end",
}
"""The sentence of each reason, without what :func:`no_packet` adds; empty where that is all."""


def no_packet(absence: NoPacket) -> Evidence:
    """Return ``its 6 bytes never left the host: held by Nagle's algorithm, as #3 was not acknowledged``."""
    return (*_how_many(absence), *_filled(absence), *_end(absence), *_error(absence))


def _how_many(absence: NoPacket) -> Evidence:
    if absence.behind:
        return ("its FIN waited behind ", Quantity(absence.behind, "byte"), " that never left the host: ")
    if not absence.unsent:
        return ()
    if absence.unsent < absence.written:
        return (Quantity(absence.unsent), " of its ", Quantity(absence.written, "byte"), " never left the host: ")
    return ("its ", Quantity(absence.unsent, "byte"), " never left the host: ")


def _filled(absence: NoPacket) -> Evidence:
    values: Mapping[str, Evidence] = {
        "call": () if absence.call is None else (absence.call,),
        "by": () if absence.call is None else (" (", absence.call, ")"),
        "packet": () if absence.packet is None else (absence.packet,),
        "errno": (absence.errno,),
    }
    parts: list[Part] = []
    for words, name, _, _ in Formatter().parse(SENTENCES[absence.reason]):
        if words:
            parts.append(words)
        if name:
            parts.extend(values[name])
    return tuple(parts)


def _end(absence: NoPacket) -> Evidence:
    """Say what had ended the connection, or ended it while bytes waited."""
    ended = absence.reason in (R.RESET_BEFORE, R.CONNECTION_ENDED, R.FAILED)
    before = {R.CONNECTION_ENDED: ": ", R.FAILED: ", "}.get(absence.reason, "")
    if absence.gave_up is not None:
        return (f"{before}it " if ended else ", until the connection ", *given_up(absence.gave_up))
    if absence.reset is None:
        return ()
    if ended:
        return (before, *_rst(absence.reset), " had broken the connection off")
    return (", until ", *_rst(absence.reset), " broke the connection off")


def given_up(end: GaveUp) -> Evidence:
    """Return ``timed out (TCP_USER_TIMEOUT of setsockopt #2), as recv #4 was told``."""
    limit: Evidence = (" (TCP_USER_TIMEOUT of ", end.limit, ")") if end.limit is not None else ()
    return ("timed out", *limit, ", as ", end.call, " was told")


def _rst(reset: Reset) -> Evidence:
    by = {
        ResetOrigin.HOST: f" of the {reset.sender}",
        ResetOrigin.LINK: f", which the link made in the {reset.sender}'s name,",
        ResetOrigin.UNKNOWN: f", which bears the {reset.sender}'s name, but which it never sent,",
    }
    return ("RST ", reset.packet, by[reset.origin])


def _error(absence: NoPacket) -> Evidence:
    """Add the error that the call gave, unless the sentence names it."""
    return (f" ({absence.errno})",) if absence.errno and "{errno}" not in SENTENCES[absence.reason] else ()
