"""The flows of one capture: TCP connections (a reused pair of ports is another one), conversations of other packets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from testbed.model.arrays import AnyInt, Bool, Int64, UInt16
from testbed.model.ip import TCP, UDP
from testbed.model.tcp import ACK, SYN, seq_add
from testbed.pairing.packet_table import PacketTable
from testbed.wireshark.label_names import WIRESHARK_4_4, LabelRules, TcpSegments
from testbed.wireshark.labels import label
from testbed.wireshark.segment_order import streams

_EPHEMERAL = 32768  # the first port that Linux gives to a client


@dataclass(slots=True)
class Flows:
    """Flows of a packet table, one item each (int64[flows]); ``of``: int64[packets], the flow of each packet.

    ``opener`` is the side (of the conversation) that opened the flow: it sent the SYN, or it has the client's kind of
    port, or it sent first. ``isn``: int64[flows, 2], both sides' raw initial sequence numbers, -1 where no SYN was
    captured. ``labels``: uint16[packets], by Wireshark's rules.
    """

    of: Int64
    conversation: Int64
    protocol: Int64
    opener: Int64
    isn: Int64
    first: Int64
    last: Int64
    count: Int64
    labels: UInt16

    def __len__(self) -> int:
        return len(self.conversation)


Labelled = tuple[UInt16, AnyInt]  # the labels of TCP segments, and their streams


def label_all(segments: TcpSegments, rules: LabelRules) -> Labelled:
    """Return the labels and the streams of segments."""
    known = streams(segments, rules)
    return label(segments, rules, known), known[0]


def find_flows(packets: PacketTable, labelled: Callable[[TcpSegments, LabelRules], Labelled] = label_all) -> Flows:
    """Return the flows of a packet table in the order of their first packet, and label every TCP segment."""
    items, segments = packets.segments()
    labels, key = labelled(segments, WIRESHARK_4_4)
    if len(items) < len(packets):
        of_segments = labels, key
        labels, key = np.zeros(len(packets), np.uint16), packets.conversation.astype(np.int64)
        labels[items], key[items] = of_segments
    del items, segments
    of, first = _numbered(key)
    del key
    count = np.bincount(of, minlength=len(first))
    last = np.zeros(len(first), np.int64)
    np.maximum.at(last, of, np.arange(len(packets)))
    return Flows(
        of=of,
        conversation=packets.conversation[first].astype(np.int64),
        protocol=packets.protocol[first].astype(np.int64),
        opener=_openers(packets, of, first),
        isn=_initial_numbers(packets, of, len(first)),
        first=first,
        last=last,
        count=count,
        labels=labels,
    )


def _numbered(key: AnyInt) -> tuple[Int64, Int64]:
    """Return for each key a number, from 0 in the order of appearance, and where each number appears first."""
    if not len(key):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    if int(key.max()) < 1 << 24:
        seen = np.full(int(key.max()) + 1, len(key), np.int64)
        np.minimum.at(seen, key, np.arange(len(key)))
        unique = np.flatnonzero(seen < len(key))
        first, place = seen[unique], key
    else:
        unique, first, place = np.unique(key, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    rank = np.empty(int(place.max()) + 1, np.int64)
    rank[unique[order] if place is key else order] = np.arange(len(order))
    return rank[place], first[order]


def _initial_numbers(packets: PacketTable, of: Int64, count: int) -> Int64:
    isn = np.full((count, 2), -1, np.int64)
    syns = np.flatnonzero(((packets.flags & SYN) != 0) & (packets.protocol == TCP) & packets.decoded)[::-1]
    isn[of[syns], packets.side[syns]] = packets.seq[syns]  # the first one of each wins
    answers = syns[(packets.flags[syns] & ACK) != 0]
    missing = answers[isn[of[answers], 1 - packets.side[answers]] < 0]
    isn[of[missing], 1 - packets.side[missing]] = seq_add(packets.ack[missing].astype(np.int64), -1)
    return isn


def _openers(packets: PacketTable, of: Int64, first: Int64) -> Int64:
    opener = packets.side[first].astype(np.int64)
    ends = [packets.ends[conversation] for conversation in packets.conversation[first].tolist()]
    ports = np.array([end.ports for end in ends], np.int64).reshape(-1, 2)
    known = np.isin(packets.protocol[first], (TCP, UDP))
    service = ((ports < 1024) & (ports[:, ::-1] >= 1024)) | ((ports < _EPHEMERAL) & (ports[:, ::-1] >= _EPHEMERAL))
    for side in (0, 1):
        opener[known & service[:, side]] = 1 - side
    syns = np.flatnonzero(((packets.flags & SYN) != 0) & (packets.protocol == TCP) & packets.decoded)[::-1]
    answer = (packets.flags[syns] & ACK) != 0
    opener[of[syns[answer]]] = 1 - packets.side[syns[answer]]
    opener[of[syns[~answer]]] = packets.side[syns[~answer]]
    return opener


def members(of: Int64, count: int) -> tuple[Int64, Int64]:
    """Return packets sorted by flow (in file order within it) and where each flow's begin, one more for the end."""
    order = np.sort(of << 32 | np.arange(len(of))) & 0xFFFFFFFF
    return order, np.searchsorted(of[order], np.arange(count + 1))


def chosen(of: Int64, wanted: Bool) -> Int64:
    """Return the packets of some flows."""
    return np.flatnonzero(wanted[of]) if len(of) else of
