"""What one capture alone shows of each direction of a TCP connection: round trips, bytes in flight, what limits it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from testbed.model.arrays import Int64
from testbed.model.ip import TCP
from testbed.model.tcp import ACK, FIN, RST, SYN, seq_diff
from testbed.pairing.flow_table import Flows, members
from testbed.pairing.packet_table import PacketTable
from testbed.wireshark.label_names import RETRANSMISSION_LABELS, Label

_FEW = 4  # segments that say what limits a transfer


class Limit(StrEnum):
    """What keeps a direction from being faster, as far as one capture shows it."""

    RECEIVER = "receiver"
    NETWORK = "network"
    SENDER = "sender"


@dataclass(frozen=True, slots=True)
class DirectionFigures:
    """One direction: ``packets``, ``payload`` bytes, ``in_flight``, the most bytes not acknowledged at a time.

    ``trips`` are the least, the mean and the greatest time (ns) from a segment that was sent once to the ACK of it, at
    the tap: from there to the receiver and back. None without any. ``limit`` is inferred from labels: a receiver whose
    window is full or zero more often than segments are sent again; else the network, of which some are; else the
    sender. None of little data.
    """

    packets: int
    payload: int
    in_flight: int
    trips: tuple[int, int, int] | None
    labels: dict[str, int]
    limit: Limit | None


def figures(packets: PacketTable, flows: Flows, flow: int, rows: Int64) -> tuple[DirectionFigures, DirectionFigures]:
    """Return the figures from the opener of a flow and to it; ``rows`` are the flow's packets (int64, ascending)."""
    opener = int(flows.opener[flow])
    return _direction(packets, flows, rows, opener), _direction(packets, flows, rows, 1 - opener)


@dataclass(slots=True)
class FigureTaker:
    """Takes figures of flows of one capture, of several from the same sorting of its packets."""

    packets: PacketTable
    flows: Flows
    order: Int64 = field(init=False)
    edges: Int64 = field(init=False)

    def __post_init__(self) -> None:
        self.order, self.edges = members(self.flows.of, len(self.flows))

    def of(self, flow: int, opener: int) -> tuple[DirectionFigures, DirectionFigures]:
        """Return the figures of a flow from the side ``opener`` and to it."""
        rows = self.order[self.edges[flow] : self.edges[flow + 1]]
        ways = figures(self.packets, self.flows, flow, rows)
        return ways if opener == self.flows.opener[flow] else ways[::-1]


def _direction(packets: PacketTable, flows: Flows, rows: Int64, side: int) -> DirectionFigures:
    mine, others = rows[packets.side[rows] == side], rows[packets.side[rows] != side]
    labels = flows.labels[mine]
    counts = {each.name.lower(): int(np.count_nonzero(labels & int(each))) for each in Label if each.name}
    length = packets.length[mine].astype(np.int64)
    data = mine[length > 0]
    in_flight, trips = 0, None
    acks = others[(packets.flags[others] & ACK) != 0]
    tcp = bool(len(data)) and bool(packets.protocol[data[0]] == TCP)
    if tcp and len(acks):
        base = int(packets.seq[data[0]])
        first = seq_diff(packets.seq[data].astype(np.int64), base)
        end = first + packets.length[data]
        acked = np.maximum.accumulate(seq_diff(packets.ack[acks].astype(np.int64), base))
        before = np.searchsorted(acks, data) - 1
        open_bytes = np.maximum.accumulate(end) - np.where(before >= 0, acked[np.maximum(before, 0)], first.min())
        in_flight = max(int(open_bytes.max()), 0)
        again = (flows.labels[data] & int(RETRANSMISSION_LABELS)) != 0
        repeated = np.isin(first, first[again])
        answer = np.searchsorted(acked, end)
        some = np.flatnonzero(~repeated & (answer < len(acks)))
        some = some[acks[answer[some]] > data[some]]
        if len(some):
            took = packets.time[acks[answer[some]]] - packets.time[data[some]]
            trips = int(took.min()), int(took.mean()), int(took.max())
    return DirectionFigures(
        len(mine), int(length.sum()), in_flight, trips, {name: count for name, count in counts.items() if count},
        _limit(counts, labels, flows, others, len(data)) if tcp else None,
    )  # fmt: skip


def _limit(counts: dict[str, int], labels: Int64, flows: Flows, others: Int64, segments: int) -> Limit | None:
    if segments < _FEW:
        return None
    closed = int(np.count_nonzero(flows.labels[others] & int(Label.ZERO_WINDOW))) + counts["window_full"]
    again = int(np.count_nonzero(labels & int(RETRANSMISSION_LABELS)))
    if closed > again:
        return Limit.RECEIVER
    return Limit.NETWORK if again else Limit.SENDER


def opening(packets: PacketTable, rows: Int64) -> tuple[bool, int | None]:
    """Return whether a SYN was captured, and the time (ns) from the last SYN to the answer at the tap, None without."""
    syns = rows[(packets.flags[rows] & SYN) != 0]
    answers = syns[(packets.flags[syns] & ACK) != 0]
    asked = syns[(packets.flags[syns] & ACK) == 0]
    if not len(answers) or not len(asked) or asked[0] > answers[0]:
        return bool(len(syns)), None
    return True, int(packets.time[answers[0]] - packets.time[asked[asked < answers[0]][-1]])


def closing(packets: PacketTable, rows: Int64, opener: int) -> tuple[tuple[int, str], ...]:
    """Return who closed and how, in the order of the capture: (0 the opener, 1 the other end; FIN or RST)."""
    found: dict[tuple[int, str], int] = {}
    for row in rows[(packets.flags[rows] & (FIN | RST)) != 0].tolist():
        kind = "RST" if packets.flags[row] & RST else "FIN"
        found.setdefault((int(packets.side[row]) ^ opener, kind), row)
    return tuple(found)
