"""The fate of each row of a comparison's table, and which fields of a packet differ between both captures."""

from __future__ import annotations

from enum import IntEnum, IntFlag

from testbed.model.crossings import PAYLOAD, HeaderField


class RowFate(IntEnum):
    """The fate of a packet, or of a byte range of one, as finely as two captures show it.

    A crossing has the coarser :class:`testbed.model.Fate`: up to ``MERGED`` it is ``crossed``; any other row was seen
    at one end only and is ``lost`` (at its sender's) or ``appeared`` (at its receiver's).
    """

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
    AGAIN = 10  # a packet that crossed, captured at one tap once more: a tap that sees it twice, or a routing loop

    @property
    def text(self) -> str:
        """The name as people read it."""
        return "captured again" if self is RowFate.AGAIN else self.name.lower().replace("_", " ")


class ChangedField(IntFlag):
    """Set of the fields of a packet that differ between both ends, where the flow's mapping does not explain it."""

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


CHANGE_NAMES: dict[ChangedField, str] = {
    ChangedField.TTL: HeaderField.TTL,
    ChangedField.DSCP: HeaderField.DSCP,
    ChangedField.ECN: HeaderField.ECN,
    ChangedField.IP_ID: HeaderField.IP_ID,
    ChangedField.DONT_FRAGMENT: HeaderField.DONT_FRAGMENT,
    ChangedField.SEQUENCE: HeaderField.SEQUENCE,
    ChangedField.ACKNOWLEDGMENT: HeaderField.ACKNOWLEDGMENT,
    ChangedField.FLAGS: HeaderField.FLAGS,
    ChangedField.WINDOW: HeaderField.WINDOW,
    ChangedField.URGENT: HeaderField.URGENT,
    ChangedField.OPTIONS: HeaderField.OPTIONS,
    ChangedField.LENGTH: HeaderField.LENGTH,
    ChangedField.PAYLOAD: PAYLOAD,
    ChangedField.CHECKSUM: HeaderField.CHECKSUM,
    ChangedField.ICMP: HeaderField.ICMP,
    ChangedField.FRAME_LENGTH: HeaderField.FRAME_LENGTH,
}
"""The name of each; a row's changes are made in this order."""


def change_names(value: int) -> tuple[str, ...]:
    """Return the names of the fields in a set of changes."""
    return tuple(name for change, name in CHANGE_NAMES.items() if value & change)
