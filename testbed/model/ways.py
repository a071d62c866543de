"""How a packet passed the interface of a tap, where the capture says so: values of columns of bytes."""

from __future__ import annotations

UNKNOWN, INCOMING, OUTGOING = 0, 1, 2
"""As the two lowest bits of pcapng's ``epb_flags`` have them; the packet types of Linux cooked captures are mapped."""
