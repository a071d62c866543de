"""Flows of two captures: which packets belong together, and their relative sequence numbers.

Both captures are read together, so that a flow has one index and one base for its numbers at both ends.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from testbed.analysis.join.lab_frames import Selection, groups, select
from testbed.analysis.join.partial_datagrams import PartialArrivals, without_remains
from testbed.analysis.join.port_reuse import Connection, split_connections
from testbed.crossings.relative_seq import RawNumbers, relative_numbers
from testbed.model import HOSTS, Endpoint, Flow, Host
from testbed.model.arrays import Int64, distinct
from testbed.model.ip import TCP, UDP

if TYPE_CHECKING:
    from testbed.capture.columns import Capture


@dataclass(slots=True)
class HostPackets:
    """The packets between the hosts in one capture, one item for each, in file order.

    ``rows`` are rows of ``capture``; ``sender`` is 0 (client) or 1 (server); ``flow`` indexes the flows, -1 for a
    packet of none, int64[n] each. ``seq`` and ``ack`` are relative and unwrapped (0 for what is not TCP; ``ack`` also
    without the flag), ``start`` is the stream offset of the first payload byte. ``other`` counts the remaining frames
    by name.
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
) -> tuple[tuple[Flow, ...], dict[Host, HostPackets], PartialArrivals]:
    """Return the flows between the two hosts in the order of their first packet, and both captures' packets.

    Also which of them arrived in part only (:mod:`testbed.analysis.join.partial_datagrams`).
    """
    to = groups(captures.values(), addresses)
    selections, partial = without_remains(captures, {host: select(captures[host], addresses, to) for host in HOSTS})
    raw = {host: _conversations(captures[host], selections[host]) for host in HOSTS}
    known = distinct(np.concatenate([raw[host] for host in HOSTS]))
    conversations = {host: np.where(raw[host] < 0, -1, np.searchsorted(known, raw[host])) for host in HOSTS}
    generations = split_connections(captures, selections, conversations)
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
        taps[host] = HostPackets(
            captures[host], chosen.rows, chosen.sender, chosen.other, flow, none, none.copy(), none.copy()
        )
    numbers = relative_numbers(flows, {host: _raw(tap) for host, tap in taps.items()})
    for host, tap in taps.items():
        tap.seq, tap.ack, tap.start = numbers[host]
    return flows, taps, partial


def _raw(tap: HostPackets) -> RawNumbers:
    capture, rows = tap.capture, tap.rows
    return RawNumbers(
        tcp=capture.transport[rows] == TCP,
        flags=capture.flags[rows],
        seq=capture.seq[rows].astype(np.int64),
        ack=capture.ack[rows].astype(np.int64),
        sender=tap.sender,
        flow=tap.flow,
    )


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


def _flow(index: int, capture: Capture, chosen: Selection, item: int, generation: Connection | None) -> Flow:
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
