"""What was changed about a packet, as people read it."""

from __future__ import annotations

from testbed.model.crossings import PAYLOAD, Change, FieldChange, FieldValue, HeaderField, OptionBytes
from testbed.model.header_fields import options_text
from testbed.model.tcp import flag_letters


def change_text(change: Change) -> tuple[str, str, str]:
    """Return what was changed, and its values where it was sent and where it arrived.

    ``("ttl", "64", "40")``, ``("payload", "byte 2 is 0x63", "0x58 and 1 more")``; ``("payload", "6 bytes", "3 bytes")``
    where all that differs is the length.
    """
    if isinstance(change, FieldChange):
        wrong = " (wrong)" if change.field is HeaderField.CHECKSUM else ""
        return change.field.value, _value(change.field, change.before), _value(change.field, change.after) + wrong
    place = change.skip + change.offset
    if not change.count:
        return PAYLOAD, f"{place + len(change.before)} bytes", f"{place + len(change.after)} bytes"
    more = f" and {change.count - 1} more" if change.count > 1 else ""
    return PAYLOAD, f"byte {place} is 0x{change.before[0]:02x}", f"0x{change.after[0]:02x}{more}"


def _value(field: HeaderField, value: FieldValue) -> str:
    if isinstance(value, OptionBytes):
        return options_text(value.raw, value.raw_ack)
    if isinstance(value, bool):
        return str(value).lower()
    if field is HeaderField.FLAGS:
        return flag_letters(value)
    return f"0x{value:04x}" if field is HeaderField.CHECKSUM else str(value)
