"""Flows of two captures: which packets belong together, and their relative sequence numbers.

Both captures are looked at together, so that a flow has one index and one base for its numbers at both ends.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from testbed.analysis.generations import Generation, find_generations
from testbed.analysis.selection import TCP, UDP, Int64, Selection, select
from testbed.model import HOSTS, Endpoint, Flow, Host

if TYPE_CHECKING:
    from testbed.capture.columns import Capture

FIN, SYN, RST, PSH, ACK, URG = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
_FAR = 2**30  # bytes; farther from its base, a sequence number may have wrapped and is followed step by step


@dataclass(slots=True)
class Tap:
    """The packets between the hosts in one capture, one item for each, in file order.

    ``rows`` are rows of ``capture``; ``sender`` is 0 (client) or 1 (server); ``flow`` indexes the flows, -1 for a
    packet of none. ``seq`` and ``ack`` are relative and unwrapped (0 for what is not TCP; ``ack`` also without the
    flag), ``start`` is the stream offset of the first payload byte. ``other`` counts the remaining frames by name.
    """

    capture: Capture
    rows: Int64
    sender: Int64
    other: dict[str, int]
    flow: Int64
    seq: Int64
    ack: Int64
    start: Int64

    def __len__(self) -> int:
        return len(self.rows)


def find_flows(
    captures: Mapping[Host, Capture], addresses: Mapping[Host, Collection[str]]
) -> tuple[tuple[Flow, ...], dict[Host, Tap]]:
    """Return the flows between the two hosts in the order of their first packet, and both captures' packets."""
    selections = {host: select(captures[host], addresses) for host in HOSTS}
    raw = {host: _conversations(captures[host], selections[host]) for host in HOSTS}
    known = np.unique(np.concatenate([raw[host] for host in HOSTS]))
    conversations = {host: np.where(raw[host] < 0, -1, np.searchsorted(known, raw[host])) for host in HOSTS}
    generations = find_generations(captures, selections, conversations)
    # one number for a conversation's generation; -1 stays what has no flow
    keys = {
        host: np.where(conversations[host] < 0, -1, conversations[host] << 32 | generations.of[host]) for host in HOSTS
    }
    order, firsts = _by_first_packet(captures, selections, keys)
    flows = tuple(
        _flow(index, captures[host], selections[host], item, generations.known.get((key >> 32, key & 0xFFFFFFFF)))
        for index, (key, (host, item)) in enumerate(zip(order.tolist(), firsts, strict=True))
    )
    ranks = np.argsort(order, kind="stable")
    taps = {}
    for host in HOSTS:
        chosen = selections[host]
        flow = np.full(len(chosen.rows), -1, np.int64)
        some = keys[host] >= 0
        flow[some] = ranks[np.searchsorted(order[ranks], keys[host][some])]
        none = np.zeros(len(chosen.rows), np.int64)
        taps[host] = Tap(captures[host], chosen.rows, chosen.sender, chosen.other, flow, none, none.copy(), none.copy())
    _number(flows, taps)
    return flows, taps


def _conversations(capture: Capture, chosen: Selection) -> Int64:
    """Return a number for each packet's protocol, addresses and ports, -1 for what has no ports."""
    rows = chosen.rows
    transport = capture.transport[rows]
    sport, dport = capture.sport[rows].astype(np.int64), capture.dport[rows].astype(np.int64)
    to_server = chosen.sender == 0
    ports = np.where(to_server, sport << 16 | dport, dport << 16 | sport)
    key = (transport == UDP).astype(np.int64) << 46 | chosen.client << 39 | chosen.server << 32 | ports
    return np.where((transport == TCP) | (transport == UDP), key, -1)


def _by_first_packet(
    captures: Mapping[Host, Capture], selections: Mapping[Host, Selection], keys: Mapping[Host, Int64]
) -> tuple[Int64, list[tuple[Host, int]]]:
    """Return each flow's key in the order of the first time either capture shows, and the first packet of each."""
    all_keys = np.concatenate([keys[host] for host in HOSTS])
    times = np.concatenate([captures[host].time_ns[selections[host].rows] for host in HOSTS])
    order = np.argsort(times, kind="stable")
    unique, first = np.unique(all_keys[order], return_index=True)
    first = np.sort(first[unique >= 0])
    at_client = len(keys["client"])
    places: list[tuple[Host, int]] = [
        ("client", item) if item < at_client else ("server", item - at_client) for item in order[first].tolist()
    ]
    return all_keys[order][first], places


def _flow(index: int, capture: Capture, chosen: Selection, item: int, generation: Generation | None) -> Flow:
    row = int(chosen.rows[item])
    ends = [
        Endpoint(capture.source(row), int(capture.sport[row])),
        Endpoint(capture.destination(row), int(capture.dport[row])),
    ]
    if chosen.sender[item]:
        ends.reverse()
    client_isn, server_isn = generation.isn if generation else (None, None)
    protocol = "tcp" if capture.transport[row] == TCP else "udp"
    return Flow(index, protocol, ends[0], ends[1], client_isn, server_isn)


def _number(flows: tuple[Flow, ...], taps: dict[Host, Tap]) -> None:
    """Fill in the taps' relative sequence numbers and stream offsets."""
    base = _bases(flows, taps)
    for tap in taps.values():
        capture, rows = tap.capture, tap.rows
        flags = capture.flags[rows]
        tcp = capture.transport[rows] == TCP
        acks = tcp & ((flags & ACK) != 0)
        tap.seq[tcp] = _relative(tap, capture.seq, base, tcp, tap.sender)
        tap.ack[acks] = _relative(tap, capture.ack, base, acks, 1 - tap.sender)
        # SYN takes the number before the first byte (RFC 9293 section 3.4)
        tap.start[tcp] = tap.seq[tcp] - 1 + ((flags[tcp] & SYN) != 0)


def _bases(flows: tuple[Flow, ...], taps: dict[Host, Tap]) -> Int64:
    """Return for each flow and sender the number that counts as 0.

    It is the initial sequence number; where no SYN was seen, one less than the lowest number near the first segment
    that the sender's capture (else the receiver's) shows; else one less than the first number acknowledged.
    """
    base = np.array([[flow.client_isn or 0, flow.server_isn or 0] for flow in flows], np.int64).reshape(-1, 2)
    members = {host: _by_flow(tap, len(flows)) for host, tap in taps.items()}
    for flow in flows:
        for side, isn in enumerate((flow.client_isn, flow.server_isn)):
            if isn is None and flow.protocol == "tcp":
                mine = {host: members[host][flow.index] for host in HOSTS}
                base[flow.index, side] = (_lowest(side, mine, taps) - 1) % 2**32
    return base


def _by_flow(tap: Tap, count: int) -> list[Int64]:
    """Return the items of each flow."""
    order = np.argsort(tap.flow, kind="stable")
    edges = np.searchsorted(tap.flow[order], np.arange(count + 1))
    return [order[edges[k] : edges[k + 1]] for k in range(count)]


def _lowest(side: int, members: dict[Host, Int64], taps: dict[Host, Tap]) -> int:
    seen, acknowledged, resets = [], [], []
    for host in (HOSTS[side], HOSTS[1 - side]):
        tap, items = taps[host], members[host]
        mine, answers = tap.rows[items[tap.sender[items] == side]], tap.rows[items[tap.sender[items] != side]]
        reset = (tap.capture.flags[mine] & RST) != 0
        seen.append(tap.capture.seq[mine[~reset]])
        resets.append(tap.capture.seq[mine[reset]])
        acknowledged.append(tap.capture.ack[answers[(tap.capture.flags[answers] & ACK) != 0]])
    for parts in (seen, acknowledged, resets):
        numbers = np.concatenate(parts).astype(np.int64)
        if len(numbers):
            near = _signed(numbers - numbers[0])
            return int(numbers[0] + near[np.abs(near) < _FAR].min())
    return 0


def _signed(difference: Int64) -> Int64:
    """Return differences of sequence numbers as the nearest way round (RFC 1982)."""
    return (difference + 2**31) % 2**32 - 2**31


def _relative(tap: Tap, numbers: NDArray[np.uint32], base: Int64, chosen: NDArray[np.bool_], side: Int64) -> Int64:
    """Return numbers relative to their flow's base, unwrapped where a stream is longer than 2**32."""
    flow, side = tap.flow[chosen], side[chosen]
    relative = _signed(numbers[tap.rows[chosen]].astype(np.int64) - base[flow, side])
    far = np.abs(relative) >= _FAR
    if not far.any():
        return relative
    group = flow * 2 + side
    for one in np.unique(group[far]).tolist():
        members = np.flatnonzero(group == one)
        relative[members] = _unwrap(relative[members])
    return relative


def _unwrap(relative: Int64) -> Int64:
    """Follow the numbers of one direction from 0; a far-off one (a stray RST) does not move the place."""
    place = 0
    result = np.empty_like(relative)
    for k, number in enumerate(relative.tolist()):
        step = (number - place + 2**31) % 2**32 - 2**31
        result[k] = place + step
        if abs(step) < _FAR:
            place += step
    return result
