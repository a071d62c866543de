"""Names for the fate of a packet, and for the fields that were altered on its way."""

from __future__ import annotations

from enum import IntEnum, IntFlag


class Fate(IntEnum):
    """The fate of a packet, or of a byte range of one."""

    CROSSED = 0
    SPLIT = 1  # one at the sender, several at the receiver
    MERGED = 2
    LOST = 3  # sent, not in the receiver's capture
    APPEARED = 4  # in the receiver's capture, never sent
    DUPLICATED = 5  # one more copy at the receiver
    AMBIGUOUS = 6  # one of several identical packets of which some are missing
    BEFORE_START = 7  # the other capture had not begun
    AFTER_END = 8  # the other capture had ended
    NOT_CAPTURED = 9  # it was on the wire, but the tap dropped it

    @property
    def text(self) -> str:
        """The name as people read it."""
        return self.name.lower().replace("_", " ")


class ChangedField(IntFlag):
    """Fields of a packet that differ between both ends, where the flow's mapping does not explain it."""

    TTL = 1 << 0
    DSCP = 1 << 1
    ECN = 1 << 2
    IP_ID = 1 << 3
    DONT_FRAGMENT = 1 << 4
    SEQUENCE = 1 << 5
    ACKNOWLEDGMENT = 1 << 6
    FLAGS = 1 << 7
    WINDOW = 1 << 8
    URGENT = 1 << 9
    OPTIONS = 1 << 10
    LENGTH = 1 << 11
    PAYLOAD = 1 << 12
    CHECKSUM = 1 << 13
    ICMP = 1 << 14
    FRAME_LENGTH = 1 << 15  # bytes on the wire that do not agree with the IP header


CHANGE_NAMES = {
    ChangedField.TTL: "ttl",
    ChangedField.DSCP: "dscp",
    ChangedField.ECN: "ecn",
    ChangedField.IP_ID: "ip id",
    ChangedField.DONT_FRAGMENT: "don't fragment",
    ChangedField.SEQUENCE: "sequence number",
    ChangedField.ACKNOWLEDGMENT: "acknowledgment number",
    ChangedField.FLAGS: "flags",
    ChangedField.WINDOW: "window",
    ChangedField.URGENT: "urgent pointer",
    ChangedField.OPTIONS: "options",
    ChangedField.LENGTH: "length",
    ChangedField.PAYLOAD: "payload",
    ChangedField.CHECKSUM: "checksum",
    ChangedField.ICMP: "icmp header",
    ChangedField.FRAME_LENGTH: "frame length",
}


def change_names(value: int) -> tuple[str, ...]:
    """Return the names of the fields in a set of changes."""
    return tuple(name for change, name in CHANGE_NAMES.items() if value & change)
