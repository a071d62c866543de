"""What packets of a flow show that may be found again in another capture, as tokens: candidates for the same flow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from testbed.model.arrays import Bool, Int64, UInt64
from testbed.model.ip import TCP
from testbed.model.tcp import SYN
from testbed.pairing.flow_table import Flows, chosen
from testbed.pairing.packet_table import PacketTable
from testbed.pairing.row_hash import hash_rows

_OWNERS = 8  # a token that more flows of one capture have names no candidate
_LEAST = 4  # bytes of payload that distinguish flows
_MOST = 1 << 19  # tokens; of more, a sample is taken


@dataclass(slots=True)
class Tokens:
    """n tokens, each once for a flow and side.

    ``token`` (uint64[n]) is a hash of what a packet shows, ``flow`` and ``side`` whose packet it is, ``seq`` and
    ``ack`` its numbers (-1: none), ``weight`` what it counts: how rarely another flow would show the same by chance.
    """

    token: UInt64
    flow: Int64
    side: Int64
    seq: Int64
    ack: Int64
    weight: Int64


def find_tokens(packets: PacketTable, flows: Flows, wanted: Bool) -> Tokens:
    """Return what the packets of some flows show."""
    items = chosen(flows.of, wanted)
    tcp = (packets.protocol[items] == TCP) & packets.decoded[items]
    parts: list[tuple[UInt64, Int64, int]] = []

    def add(kind: int, rows: Int64, names: tuple[str, ...], weight: int) -> None:
        protocol = packets.protocol[rows].astype(np.uint64) << np.uint64(8) | np.uint64(kind)
        columns = [getattr(packets, name)[rows] for name in names]
        parts.append((hash_rows([protocol, *columns]), rows, weight))

    add(1, items[tcp & ((packets.flags[items] & SYN) != 0)], ("seq",), 6)
    add(2, items[packets.captured[items] >= _LEAST], ("payload", "length"), 2)
    add(3, items[tcp], ("seq", "ack", "length", "flags"), 4)
    add(4, items[tcp & (packets.tsval[items] > 0)], ("tsval", "tsecr", "length"), 4)
    numbered = packets.ip_id[items] > 0
    add(5, items[numbered & ~tcp], ("ip_id", "length", "icmp"), 1)
    # where many flows say the same, their numbers tell them apart
    add(6, items[numbered & (packets.captured[items] >= _LEAST)], ("payload", "length", "ip_id"), 4)
    add(7, items[~tcp & (packets.captured[items] < _LEAST)], ("length", "icmp"), 1)
    token = np.concatenate([part for part, _, _ in parts])
    rows = np.concatenate([part for _, part, _ in parts])
    weight = np.concatenate([np.full(len(part), each, np.int64) for part, _, each in parts])
    if len(token) > _MOST:  # the same sample in both captures, as it goes by what packets hold
        kept = (token % np.uint64(len(token) // _MOST + 1) == 0) | (weight == 6)
        token, rows, weight = token[kept], rows[kept], weight[kept]
    flow, side = flows.of[rows], packets.side[rows].astype(np.int64)
    _, unique = np.unique(hash_rows([token, flow << 1 | side]), return_index=True)
    rows = rows[unique]
    numbers = (packets.protocol[rows] == TCP) & packets.decoded[rows]
    seq = np.where(numbers, packets.seq[rows].astype(np.int64), -1)
    ack = np.where(numbers & ((packets.flags[rows] & 16) != 0), packets.ack[rows].astype(np.int64), -1)
    return Tokens(token[unique], flow[unique], side[unique], seq, ack, weight[unique])


def common_tokens(ours: Tokens, theirs: Tokens) -> tuple[Int64, Int64]:
    """Return the positions of equal tokens of both, leaving out what many flows have."""
    order_a, order_b = np.argsort(ours.token, kind="stable"), np.argsort(theirs.token, kind="stable")
    a, b = ours.token[order_a], theirs.token[order_b]
    low, high = np.searchsorted(b, a), np.searchsorted(b, a, side="right")
    own = np.searchsorted(a, a, side="right") - np.searchsorted(a, a)
    usable = np.flatnonzero((high > low) & (high - low <= _OWNERS) & (own <= _OWNERS))
    repeat = (high - low)[usable]
    left = np.repeat(order_a[usable], repeat)
    offset = np.arange(len(left)) - np.repeat(np.cumsum(repeat) - repeat, repeat)
    return left, order_b[np.repeat(low[usable], repeat) + offset]
