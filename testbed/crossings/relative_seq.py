"""Relative sequence numbers and stream offsets: as Wireshark counts, one base for both captures of a flow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from testbed.model import HOSTS, Flow, Host
from testbed.model.arrays import AnyInt, Bool, Int64, UInt16, UInt32, distinct
from testbed.model.tcp import ACK, RST, SYN, seq_add, seq_diff, seq_diff_uint32

_FAR = 2**30  # bytes; farther from its base, a sequence number may have wrapped and is followed step by step


@dataclass(slots=True)
class RawNumbers:
    """Packets of one capture, n items in each column: whether TCP, flags, numbers as on the wire.

    ``sender`` is 0 (client) or 1 (server); ``flow`` indexes the flows, -1 for a packet of none.
    """

    tcp: Bool
    flags: UInt16
    seq: AnyInt
    ack: AnyInt
    sender: Int64
    flow: Int64


Numbers = tuple[Int64, Int64, Int64]


def relative_numbers(flows: Sequence[Flow], captures: Mapping[Host, RawNumbers]) -> dict[Host, Numbers]:
    """Return for each capture's packets relative sequence and ACK numbers, and stream offsets of the first byte.

    They are unwrapped, and 0 for what is not TCP; the ACK number also without the flag.
    """
    base = _bases(flows, captures).astype(np.uint32).ravel()
    result = {}
    for host, raw in captures.items():
        tcp = raw.tcp & (raw.flow >= 0)
        acks = tcp & ((raw.flags & ACK) != 0)
        seq, ack, start = np.zeros((3, len(raw.flow)), np.int64)
        seq[tcp] = _relative(raw.seq[tcp], base, raw.flow[tcp] * 2 + raw.sender[tcp])
        ack[acks] = _relative(raw.ack[acks], base, raw.flow[acks] * 2 + 1 - raw.sender[acks])
        # SYN takes the number before the first byte (RFC 9293 section 3.4)
        start[tcp] = seq[tcp] - 1 + ((raw.flags[tcp] & SYN) != 0)
        result[host] = seq, ack, start
    return result


def _bases(flows: Sequence[Flow], captures: Mapping[Host, RawNumbers]) -> Int64:
    """Return for each flow and sender the number that counts as 0.

    It is the initial sequence number; where no SYN was captured, one less than the lowest number near the first segment
    that the sender's capture (else the receiver's) shows; else one less than the first number acknowledged.
    """
    base = np.array([[flow.client_isn or 0, flow.server_isn or 0] for flow in flows], np.int64).reshape(-1, 2)
    begun_before = [flow.protocol == "tcp" and None in (flow.client_isn, flow.server_isn) for flow in flows]
    if not any(begun_before):
        return base
    members = {host: _by_flow(raw.flow, len(flows)) for host, raw in captures.items()}
    for place in np.flatnonzero(begun_before).tolist():
        for side, isn in enumerate((flows[place].client_isn, flows[place].server_isn)):
            if isn is None:
                mine = {host: members[host][place] for host in HOSTS}
                base[place, side] = seq_add(_lowest(side, mine, captures), -1)
    return base


def _by_flow(flow: Int64, count: int) -> list[Int64]:
    """Return the items of each flow."""
    order = np.argsort(flow, kind="stable")
    edges = np.searchsorted(flow[order], np.arange(count + 1))
    return [order[edges[k] : edges[k + 1]] for k in range(count)]


def _lowest(side: int, members: dict[Host, Int64], captures: Mapping[Host, RawNumbers]) -> int:
    seen, acknowledged, resets = [], [], []
    for host in (HOSTS[side], HOSTS[1 - side]):
        raw, items = captures[host], members[host]
        mine, answers = items[raw.sender[items] == side], items[raw.sender[items] != side]
        reset = (raw.flags[mine] & RST) != 0
        seen.append(raw.seq[mine[~reset]])
        resets.append(raw.seq[mine[reset]])
        acknowledged.append(raw.ack[answers[(raw.flags[answers] & ACK) != 0]])
    for parts in (seen, acknowledged, resets):
        numbers = np.concatenate(parts).astype(np.int64)
        if len(numbers):
            near = seq_diff(numbers, int(numbers[0]))
            return int(numbers[0] + near[np.abs(near) < _FAR].min())
    return 0


def _relative(numbers: AnyInt, base: UInt32, group: Int64) -> Int64:
    """Return numbers relative to the base of their flow and sender, unwrapped where a stream is longer than 2**32."""
    relative = seq_diff_uint32(numbers.astype(np.uint32), base[group]).astype(np.int64)
    far = np.abs(relative) >= _FAR
    if not far.any():
        return relative
    for one in distinct(group[far]).tolist():
        members = np.flatnonzero(group == one)
        relative[members] = _unwrap(relative[members])
    return relative


def _unwrap(relative: Int64) -> Int64:
    """Follow the numbers of one direction from 0; a far-off one (a stray RST) does not move the place."""
    steps = seq_diff(relative, np.concatenate([np.zeros(1, np.int64), relative[:-1]]))
    if (np.abs(steps) < _FAR).all():
        return np.cumsum(steps)
    place = 0
    result = np.empty_like(relative)
    for k, number in enumerate(relative.tolist()):
        step = seq_diff(number, place)
        result[k] = place + step
        if abs(step) < _FAR:
            place += step
    return result
