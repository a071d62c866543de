"""Keys of packets: hashes of what must be equal of two packets that are the same."""

from __future__ import annotations

from collections.abc import Callable

from testbed.model.arrays import Int64, UInt64
from testbed.pairing.flow_packets import FlowPackets
from testbed.pairing.row_hash import hash_rows

Keys = Callable[[FlowPackets, Int64, tuple[str, ...]], UInt64]
"""What :func:`key_packets` does, by whatever does it."""

PARTS = ("id", "seq", "ack", "flags", "window", "stamps", "options", "length", "icmp", "content", "payload")
"""What a key may be made from, beside the place of a packet: names of :meth:`FlowPackets.column`."""


def key_packets(side: FlowPackets, items: Int64, parts: tuple[str, ...]) -> UInt64:
    """Return the keys of some packets of a side (positions), of their place and some of PARTS."""
    columns = [side.column(name, items) for name in parts]
    return hash_rows([side.place if len(items) == len(side) else side.place[items], *columns])
