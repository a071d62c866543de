"""From records to columns, layer by layer, some hundred thousand packets at a time to bound what is in memory."""

from __future__ import annotations

from collections import Counter

import numpy as np

from testbed.capture import frame_kinds
from testbed.capture.columns import Capture, Records
from testbed.capture.interface_ways import ways
from testbed.capture.layers.fragments import reassemble
from testbed.capture.layers.ip_headers import Transports, decode_ipv4, decode_ipv6
from testbed.capture.layers.link_types import LINK_TYPES, Frames, find_network
from testbed.capture.layers.quoted_packets import decode_quoted
from testbed.capture.layers.transport import decode_transport
from testbed.capture.layers.tunnels import enter_tunnels
from testbed.model.arrays import Int64, distinct

_CHUNK = 1 << 17


def decode(records: Records, *, together: bool = True) -> Capture:
    """Decode every packet of a container; fragments are put together unless ``together`` is false."""
    count = len(records.offset)
    capture = Capture.empty(
        count,
        data=records.data,
        joined=np.zeros(0, np.uint8),
        interfaces=records.interfaces,
        comments=records.comments,
        partial=records.partial,
    )
    for name in ("time_ns", "interface", "offset", "captured", "wire"):
        setattr(capture, name, getattr(records, name))
    if len(way := ways(records)):
        capture.way = way
    capture.reassembled_in[:] = -1
    link_types = np.array([one.link_type for one in records.interfaces] or [0])
    fragments: list[Transports] = []
    tunnels: Counter[str] = Counter()
    for first in range(0, count, _CHUNK):
        rows = np.arange(first, min(first + _CHUNK, count))
        of_rows = link_types[records.interface[rows]]
        capture.what[rows] = frame_kinds.LINK_TYPE + of_rows
        for link_type in sorted(LINK_TYPES.intersection(distinct(of_rows).tolist())):
            fragments.extend(_decode_rows(capture, rows[of_rows == link_type], link_type, tunnels))
    if fragments and together:
        reassemble(capture, _in_file_order(fragments))
    order = np.argsort(capture.sack_rows, kind="stable")
    rows = capture.sack_rows[order]
    order = order[np.append(rows[1:] != rows[:-1], True)[: len(rows)]]  # of two SACK options the last counts
    capture.sack_rows, capture.sack_edges = capture.sack_rows[order], capture.sack_edges[order]
    order = np.argsort(capture.mptcp_rows, kind="stable")
    capture.mptcp_rows, capture.mptcp_kinds = capture.mptcp_rows[order], capture.mptcp_kinds[order]
    capture.quoted_rows, capture.quoted = decode_quoted(capture)
    capture.others = _others(capture) + tunnels
    return capture


def _decode_rows(capture: Capture, rows: Int64, link_type: int, tunnels: Counter[str]) -> list[Transports]:
    """Decode packets of one link type, those in tunnels counted; return those that are fragments."""
    frames = Frames.of(capture.data, capture.offset[rows], capture.captured[rows], capture.wire[rows])
    find_network(frames, link_type)
    tunnels += enter_tunnels(frames)
    trailer = capture.offset[rows] + capture.wire[rows] - frames.wire_end
    if trailer.any():
        capture.trailer[rows] = trailer
    capture.what[rows] = frames.what
    capture.vlan[rows] = frames.vlan
    capture.vlan_tags[rows] = frames.vlan_tags
    fragments = []
    for ethertype, decode_ip in ((frame_kinds.IPV4, decode_ipv4), (frame_kinds.IPV6, decode_ipv6)):
        chosen = frames.what == ethertype
        if not chosen.any():
            continue
        packets = decode_ip(capture.data, capture, rows[chosen], frames.position[chosen], frames.end[chosen])
        parts = capture.fragment[packets.rows]
        if parts.any():
            fragments.append(packets.only(parts))
            packets = packets.only(~parts)
        decode_transport(capture.data, 0, capture, packets)
    return fragments


def _in_file_order(parts: list[Transports]) -> Transports:
    names = ("rows", "proto", "start", "end", "length")
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    order = np.argsort(columns["rows"], kind="stable")
    return Transports(**{name: column[order] for name, column in columns.items()})


def _others(capture: Capture) -> Counter[str]:
    """Count by name what is neither decoded nor a part of a packet that is."""
    rest = (capture.transport == 0) & (capture.reassembled_in < 0)
    codes, counts = np.unique(capture.what[rest], return_counts=True)
    result: Counter[str] = Counter()
    for code, number in zip(codes.tolist(), counts.tolist(), strict=True):
        result[frame_kinds.name(code)] += number
    return result
