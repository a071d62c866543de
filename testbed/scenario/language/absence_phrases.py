"""Reasons for which a call caused no packet, as scenarios write them: by name, or by a phrase as they did before.

Before reasons had names a scenario gave a part of the sentence that a run showed (``why: had sent the FIN``). Such a
phrase means the reasons whose sentence it was a part of; calls, packets, hosts and errors that it names are not
compared. The sentences below are those of that time and change no more.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from testbed.model.absences import NoPacketReason
from testbed.scenario.language.base import nearest

R = NoPacketReason
_PHRASES: Mapping[NoPacketReason, tuple[str, ...]] = {
    R.SAME_HOST: (
        "no SYN of it was captured: both of its ends are on this host",
        "no FIN of it was captured: both of its ends are on this host",
        "no packet of its connection was captured: both of its ends are on this host",
    ),
    R.FAILED: ("failed: ERROR, RST PACKET of the HOST had broken the connection off",),
    R.TAKES_OPEN_CONNECTION: ("takes a connection that the kernel had opened already",),
    R.NO_CONNECTION_CAME: ("no connection came",),
    R.NO_CONNECTION_WAITING: ("no connection was waiting",),
    R.NOTES_PEER: ("on a datagram socket it only notes the peer",),
    R.BEING_OPENED: ("the connection was being opened already",),
    R.ALREADY_OPEN: ("the connection was open already",),
    R.OPENED_BEFORE: ("CALL had opened the connection",),
    R.FAILED_BEFORE_SYN: ("failed before a SYN left: ERROR",),
    R.SYN_NOT_CAPTURED: ("no SYN of it was captured",),
    R.NOT_CONNECTED: ("the socket is not connected", "the socket was not connected"),
    R.ENDS_READING_ONLY: ("SHUT_RD only ends reading here; TCP has no way to tell the peer",),
    R.NO_CONNECTION_TO_END: ("a datagram socket has no connection to end",),
    R.STOPS_LISTENING: ("it only stops listening",),
    R.SENDING_ENDED_BEFORE: (
        "CALL had ended the direction already",
        "CALL had ended the sending direction (ERROR)",
    ),
    R.FIN_SENT_BEFORE: ("CALL had sent the FIN",),
    R.OPEN_UNTIL: ("another descriptor of the socket was open until CALL",),
    R.STILL_OPEN: ("another descriptor of the socket was still open",),
    R.NOT_OPEN_YET: ("the connection was not open yet (SYN_SENT): nothing had answered CALL",),
    R.NEVER_OPEN: ("the connection was never open: CALL gave ERROR",),
    R.CONNECTION_GONE: ("the connection was gone: CALL gave ERROR",),
    R.FIN_NOT_CAPTURED: ("no FIN of it was captured",),
    R.RESET_BEFORE: (
        "RST PACKET of the HOST had broken the connection off",
        "bytes never left the host: RST PACKET of the HOST had broken the connection off",
    ),
    R.CONNECTION_ENDED: (
        "the connection had ended: RST PACKET",
        "the connection had ended: RST PACKET of the HOST had broken the connection off (ERROR)",
        "the connection had ended (ERROR)",
    ),
    R.SEND_BUFFER_FULL: ("the send buffer was full (ERROR)",),
    R.NEVER_RETURNED: ("never returned, and none of its bytes left",),
    R.DATAGRAM_NOT_SENT: ("its datagram never reached the wire",),
    R.NO_BYTES: ("0 bytes: there is nothing to send",),
    R.NOT_CAPTURED: ("no packet of its connection was captured",),
    R.MAY_HAVE_SENT: ("no packet is surely its own; PACKET left while it was in progress",),
    R.UNATTRIBUTED: ("its bytes left in a packet that no rule gives to it",),
    R.HELD_BY_NAGLE: ("bytes never left the host: held by Nagle's algorithm, as PACKET was not acknowledged",),
    R.HELD_BY_CORK: ("bytes never left the host: held by TCP_CORK (CALL)",),
    R.HELD_BY_MORE: ("bytes never left the host: held by MSG_MORE of CALL",),
    R.PEER_WINDOW_FULL: ("bytes never left the host: the peer's window was full (PACKET offers 0)",),
    R.STILL_QUEUED: ("bytes never left the host: still queued at the end",),
}
_REFERENCES = (
    (re.compile(r"\bRST #\d+"), "RST PACKET"),
    (re.compile(r"\b(?!as )[a-z]\w* #\d+"), "CALL"),
    (re.compile(r"#\d+"), "PACKET"),
    (re.compile(r"\bE[A-Z][A-Z0-9]+\b"), "ERROR"),
    (re.compile(r"\b(?<=of the )(client|server)\b"), "HOST"),
    (re.compile(r"^its [0-9,]+ (?=bytes?\b)|^[0-9,]+ of its [0-9,]+ (?=bytes\b)"), ""),
    (re.compile(r"^byte (?=never)"), "bytes "),
)


def reasons_named(text: str) -> tuple[NoPacketReason, ...]:
    """Return the reason of that name, or those that a phrase meant. Raises ValueError (message, hint)."""
    if text in tuple(R):
        return (R(text),)
    phrase = text
    for pattern, word in _REFERENCES:
        phrase = pattern.sub(word, phrase)
    meant = tuple(reason for reason, sentences in _PHRASES.items() if any(phrase in each for each in sentences))
    if not meant:
        raise ValueError(f"`{text}` is no reason known here{nearest(text, tuple(R))}", f"one of {', '.join(R)}")
    return meant
