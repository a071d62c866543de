"""Connections that something between the taps ends and opens anew: two of them carry the bytes of one exchange.

A proxy, a TCP accelerator, a VPN client with a stack of its own. Not a single packet of the two is the same; their byte
streams are compared instead, and how much later the bytes are at the second tap.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from testbed.model.arrays import Int64, median
from testbed.model.tcp import seq_diff
from testbed.pairing.flow_table import Flows
from testbed.pairing.match_flows import FlowPairs
from testbed.pairing.packet_table import PacketTable

_MOST = 1 << 20  # bytes of a stream that are compared
_TOGETHER = 2_000_000_000  # ns that both may begin apart


class StreamRelation(StrEnum):
    """How the bytes of one direction compare, as far as both captures have them without a gap."""

    EQUAL = "equal"
    PREFIX = "one is the beginning of the other"
    TRANSFORMED = "different"
    EMPTY = "empty"


@dataclass(frozen=True, slots=True)
class ByteStream:
    """One direction of both connections: bytes in each capture, and how long bytes took from tap to tap (ns).

    ``delay`` is the median by which a byte is later at the second tap (by the clocks as they are), None without any.
    """

    relation: StreamRelation
    sizes: tuple[int, int]
    delay: int | None


@dataclass(frozen=True, slots=True)
class TerminatedFlow:
    """A connection of each capture that are one exchange: flows ``a`` and ``b``, sides exchanged if ``flip``.

    ``same_name``: both have the same addresses and ports. ``streams`` are from the opener (of the first) and to it.
    """

    a: int
    b: int
    flip: int
    opener: int
    same_name: bool
    streams: tuple[ByteStream, ByteStream]


def find_terminated(
    one: PacketTable, first: Flows, two: PacketTable, second: Flows, pairs: FlowPairs
) -> tuple[TerminatedFlow, ...]:
    """Return those of ``pairs.alike`` that are at one time, by the clocks as the pairs show them, or as they are."""
    offset = 0
    if len(pairs):
        offset = int(median(two.time[second.first[pairs.b]] - one.time[first.first[pairs.a]]))
    result = []
    for a, b, flip in pairs.alike.tolist():
        begins = int(one.time[first.first[a]]), int(two.time[second.first[b]])
        ends = int(one.time[first.last[a]]), int(two.time[second.last[b]])
        apart = max(begins[1] - offset - ends[0], begins[0] - ends[1] + offset)
        if apart > _TOGETHER or abs(begins[1] - begins[0] - offset) > _TOGETHER + (ends[0] - begins[0]):
            continue
        opener = int(first.opener[a])
        streams = [_compared(one, first, a, two, second, b, side, flip) for side in (opener, 1 - opener)]
        names = one.names[first.conversation[a]] == two.names[second.conversation[b]]
        result.append(TerminatedFlow(a, b, flip, opener, bool(names), (streams[0], streams[1])))
    return tuple(result)


def _compared(
    one: PacketTable, first: Flows, a: int, two: PacketTable, second: Flows, b: int, side: int, flip: int
) -> ByteStream:
    (mine, at_mine), (others, at_others) = _stream(one, first, a, side), _stream(two, second, b, side ^ flip)
    common = min(len(mine), len(others))
    if not common:
        relation = StreamRelation.EMPTY
    elif mine[:common] != others[:common]:
        relation = StreamRelation.TRANSFORMED
    else:
        relation = StreamRelation.EQUAL if len(mine) == len(others) else StreamRelation.PREFIX
    delay = None
    if common and relation is not StreamRelation.TRANSFORMED:
        places = np.array([begin for begin, _ in at_mine if begin < common], np.int64)
        delay = int(median(_when(at_others, places) - _when(at_mine, places)))
    return ByteStream(relation, (len(mine), len(others)), delay)


def _when(segments: list[tuple[int, int]], places: Int64) -> Int64:
    """Return when the bytes at some places of a stream passed."""
    begins = np.array([begin for begin, _ in segments], np.int64)
    times = np.array([time for _, time in segments], np.int64)
    return np.asarray(times[np.searchsorted(begins, places, side="right") - 1])


def _stream(packets: PacketTable, flows: Flows, flow: int, side: int) -> tuple[bytes, list[tuple[int, int]]]:
    """Return the bytes of one direction up to the first gap, and (place, time) of the segments that brought them."""
    rows = np.flatnonzero((flows.of == flow) & (packets.side == side))
    data = rows[(packets.length[rows] > 0) & (packets.captured[rows] == packets.length[rows])]
    if not len(data):
        return b"", []
    isn = int(flows.isn[flow, side])
    base = isn + 1 if isn >= 0 else int(packets.seq[data[0]])
    content = bytearray()
    segments: list[tuple[int, int]] = []
    begin = seq_diff(packets.seq[data].astype(np.int64), base)
    for k in np.lexsort((packets.time[data], begin)).tolist():
        at, item = int(begin[k]), int(data[k])
        if at > len(content) or len(content) >= _MOST:
            break
        if at + int(packets.length[item]) <= len(content) or at < 0:
            continue
        segments.append((len(content), int(packets.time[item])))
        content += packets.bytes_at(item, len(content) - at)
    return bytes(content[:_MOST]), segments
