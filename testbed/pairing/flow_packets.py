"""The packets of flows that both captures have, with what they are compared by."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from testbed.model.arrays import Bool, Int64, UInt32
from testbed.model.ip import TCP
from testbed.model.tcp import ACK, seq_add
from testbed.pairing.flow_table import Flows
from testbed.pairing.match_flows import FlowPairs
from testbed.pairing.packet_table import PacketTable


@dataclass(slots=True)
class FlowPackets:
    """The packets of one capture that belong to flows of both, with what they are compared by: n of them.

    ``item``: int64[n], rows of ``packets``, ascending. ``place``: int64[n], which direction of which flow: pair of
    flows * 2 + direction (0 from the end that opened the flow, 1 to it), below ``places``. ``seq`` and ``ack``:
    int64[n], as the first capture has them (the second's shifted where sequence numbers were rewritten), or as their
    columns have them, uint32[n].
    ``again``: bool[n], packets that the tap captured once more (:mod:`testbed.pairing.captured_twice`).
    A "position" is an index into these.
    """

    packets: PacketTable
    item: Int64
    place: Int64
    seq: Int64 | UInt32
    ack: Int64 | UInt32
    places: int
    again: Bool = field(default_factory=lambda: np.zeros(0, np.bool_))

    def __post_init__(self) -> None:
        if not len(self.again):
            self.again = np.zeros(len(self.item), np.bool_)

    def __len__(self) -> int:
        return len(self.item)

    def once(self) -> Int64:
        """Return the positions of all packets but those captured once more."""
        if len(self) == len(self.packets) and not self.again.any():
            return self.item
        return np.flatnonzero(~self.again)

    def rows(self, positions: Int64) -> Int64:
        """Return the rows of ``packets`` at some positions: the very positions where every packet is here."""
        return positions if len(self) == len(self.packets) else self.item[positions]

    def parts(self) -> tuple[PacketTable, Int64, Int64, Int64 | UInt32]:
        """Return ``packets``, ``item``, ``place`` and ``seq``, as :func:`find_pieces` wants them."""
        return self.packets, self.item, self.place, self.seq

    def column(self, name: str, items: Int64) -> np.typing.NDArray[np.generic]:
        """Return what a key is made from, for some of the packets."""
        if name in ("seq", "ack"):
            own = self.seq if name == "seq" else self.ack
            return own if len(items) == len(self) else own[items]
        packets = self.packets
        rows: Int64 | slice = slice(None)
        if len(items) < len(packets):  # else it is all of them, in order
            rows = self.item if len(items) == len(self) else self.item[items]
        if name == "stamps":
            return packets.tsval[rows].astype(np.uint64) << np.uint64(32) | packets.tsecr[rows]
        if name == "id":
            return packets.ip_id[rows]
        if name == "content":  # TCP's is no part of the key: its sequence number identifies it
            return np.where(packets.protocol[rows] == TCP, np.uint64(0), packets.payload[rows])
        return np.asarray(getattr(packets, name)[rows])


def packets_of_pairs(
    one: PacketTable, first: Flows, two: PacketTable, second: Flows, pairs: FlowPairs
) -> tuple[FlowPackets, FlowPackets]:
    """Return the packets of the flows that are in both captures.

    Places are numbered alike in both orders of the captures.
    """
    pair_a = np.full((len(first), 2), -1, np.int64)
    pair_b = np.full((len(second), 2), -1, np.int64)
    for side in (0, 1):
        some = np.flatnonzero(pairs.sides >> side & 1)
        pair_a[pairs.a[some], side] = some
        pair_b[pairs.b[some], side ^ pairs.flip[some]] = some
    every = np.arange(max(len(one), len(two)))
    return (
        _of_places(one, first, _places(pair_a, pairs.opener), 2 * len(pairs), every),
        _shifted(_of_places(two, second, _places(pair_b, pairs.opener ^ pairs.flip), 2 * len(pairs), every), pairs),
    )


def _places(pair_of: Int64, opener: Int64) -> Int64:
    """Return the place of each flow's packets of side 0 and 1, -1 without: int64[2 * flows]."""
    place = np.full(pair_of.shape, -1, np.int64)
    flow, side = np.nonzero(pair_of >= 0)
    pair = pair_of[flow, side]
    place[flow, side] = pair << 1 | side ^ opener[pair]
    return place.ravel()


def _of_places(packets: PacketTable, flows: Flows, place_of: Int64, places: int, every: Int64) -> FlowPackets:
    """Return the packets that have a place; ``every`` counts from 0."""
    flow_side = flows.of << 1
    flow_side |= packets.side
    place = place_of[flow_side]
    del flow_side
    if len(place) and int(place.min()) >= 0:  # all have
        return FlowPackets(packets, every[: len(place)], place, packets.seq, packets.ack, places)
    items = np.flatnonzero(place >= 0)
    return FlowPackets(packets, items, place[items], packets.seq[items], packets.ack[items], places)


def _shifted(two: FlowPackets, pairs: FlowPairs) -> FlowPackets:
    """Return the second capture's packets with sequence numbers as the first has them."""
    if not pairs.shift.any():
        return two
    of = two.place >> 1
    side = two.packets.side[two.item] ^ pairs.flip[of]
    acks = (two.packets.flags[two.item] & ACK) != 0
    seq, ack = two.seq.astype(np.int64), two.ack.astype(np.int64)
    two.seq = seq_add(seq, -pairs.shift[of, side])
    two.ack = np.where(acks, seq_add(ack, -pairs.shift[of, 1 - side]), ack)
    return two
