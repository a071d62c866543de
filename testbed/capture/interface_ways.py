"""How packets passed the interfaces of a tap: pcapng's direction flag, and the packet type of Linux cooked captures."""

from __future__ import annotations

import numpy as np

from testbed.capture.columns import Records
from testbed.capture.gather import gather
from testbed.model.arrays import UInt8
from testbed.model.ways import INCOMING, OUTGOING, UNKNOWN

_PACKET_TYPE = {113: (0, ">u2"), 276: (10, "u1")}
"""Where the packet type stands in a header of a link type (LINKTYPE_LINUX_SLL, LINKTYPE_LINUX_SLL2)."""
_SENT = 4  # PACKET_OUTGOING; 0 to 3 came: to this host, to all, to a group, to another host
_HEADER = 11


def says_ways(link_type: int) -> bool:
    """Tell whether headers of a link type say how packets passed the interface."""
    return link_type in _PACKET_TYPE


def ways(records: Records) -> UInt8:
    """Return how each packet passed its interface: uint8[n], none where no packet says so."""
    known = records.way
    cooked = [number for number, one in enumerate(records.interfaces) if one.link_type in _PACKET_TYPE]
    if not cooked:
        return known
    result = known.copy() if len(known) else np.zeros(len(records.offset), np.uint8)
    for number in cooked:
        at, layout = _PACKET_TYPE[records.interfaces[number].link_type]
        mine = np.flatnonzero((records.interface == number) & (records.captured >= _HEADER) & (result == UNKNOWN))
        kind = gather(records.data, records.offset[mine] + at, layout)
        result[mine] = np.select([kind == _SENT, kind < _SENT], [OUTGOING, INCOMING], UNKNOWN)
    return result
