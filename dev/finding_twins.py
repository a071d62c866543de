"""For each finding the scenario of the catalogue that looks like it and in which it must not be found.

Where that is the finding's own scenario, the settings of its matrix tell them apart. Two findings have none: a lab has
one clock and no translation of addresses, so that they are shown with captures that are rewritten (REWRITTEN).
"""

from __future__ import annotations

from collections.abc import Mapping

from testbed.model.findings import FINDINGS, FindingName

F = FindingName

REWRITTEN = (F.ADDRESS_REWRITTEN, F.CLOCK_WRONG)
"""Those that no scenario shows."""

_OTHERS: Mapping[FindingName, str] = {
    F.CONNECTION_REFUSED: "listener-never-accepts",  # a RST, but after the opening
    F.FILTERED: "closed-port",
    F.ACCEPT_QUEUE_FULL: "lost-syn",
    F.SYN_BACKLOG_FULL: "backlog-full",
    F.TIME_WAIT_EXHAUSTION: "connection-per-request",
    F.SLOW_CONNECT: "backlog-full",  # a SYN sent again that the host had dropped
    F.CONNECTION_PER_REQUEST: "connections-at-once",
    F.NEVER_ACCEPTED: "request-never-read",
    F.UNREAD_DATA_RESET: "close-drained",
    F.LINGER_ZERO_ABORT: "linger-timeout",
    F.KEEP_ALIVE_RACE: "write-after-close",
    F.SENT_AFTER_CLOSE: "half-close",
    F.PROCESS_DIED: "close-wait-forgotten",  # an exit with an open connection
    F.FORGED_RESET: "linger-zero",
    F.CLOSE_WAIT_FORGOTTEN: "half-close",
    F.PATH_DOWN: "idle-forgotten",  # the other direction passes
    F.REQUEST_NEVER_READ: "slow-answer",
    F.ZERO_WINDOW: "small-buffer",
    F.WRITE_DEADLOCK: "zero-window",
    F.MTU_BLACK_HOLE: "path-mtu",
    F.MSS_CLAMPED: "path-mtu",
    F.RANDOM_LOSS: "duplicated-segment",
    F.BURST_LOSS: "lost-middle",
    F.TAIL_LOSS: "lost-middle",
    F.ACK_LOSS: "lost-tail",
    F.SPURIOUS_RETRANSMISSION: "mtu-black-hole",
    F.REORDERING: "duplicated-segment",
    F.DUPLICATED: "spurious-retransmission",
    F.RATE_LIMIT: "small-buffer",  # an even rate that the receiver's window makes
    F.PAYLOAD_ALTERED: "corrupted-segment",
    F.TTL_REWRITTEN: "payload-altered",
    F.CHECKSUM_ERROR: "payload-altered",
    F.DATAGRAM_TOO_LARGE: "udp-fragments",
    F.FRAGMENTS_LOST: "udp-lost",
    F.PORT_UNREACHABLE: "udp-lost",
}

TWINS: Mapping[FindingName, str] = {
    name: _OTHERS.get(name, row.scenario) for name, row in FINDINGS.items() if name not in REWRITTEN
}
"""The scenario of each: its own where its matrix has the twin."""
