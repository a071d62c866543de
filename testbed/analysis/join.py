"""Join the captures of the two hosts: one crossing for each packet, seen at both ends or at one."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from testbed.analysis.changes import find_changes
from testbed.analysis.describe import flag_letters, icmp_options, protocol, tcp_options
from testbed.analysis.flows import ACK, Tap, find_flows
from testbed.analysis.pairing import Pairs, Side, pair, sides
from testbed.analysis.selection import ICMP, ICMPV6, TCP, UDP, Int64, sentinels
from testbed.model import HOSTS, Change, Crossing, Host, Joined

if TYPE_CHECKING:
    from testbed.capture.columns import Capture

__all__ = ["join", "sentinels"]


def join(client: Capture, server: Capture, addresses: Mapping[Host, Collection[str]]) -> Joined:
    """Join two captures of the same time on one clock; ``addresses`` are those of each host, as text.

    Packets are matched within a flow and direction by what they hold (see :mod:`testbed.analysis.pairing`).
    ``packets`` counts, for each tap, the packets between the two hosts, one for all fragments of a packet; the lab's
    sentinels are in neither ``packets`` nor ``other``.
    """
    flows, taps = find_flows({"client": client, "server": server}, addresses)
    sent, arrived = sides(taps)
    pairs = pair(sent, arrived)
    changes = find_changes(taps, sent, arrived, pairs)
    crossings = tuple(_crossings(taps, sent, arrived, pairs, changes))
    return Joined(
        flows=flows,
        crossings=crossings,
        packets={host: len(taps[host]) for host in HOSTS},
        other={host: taps[host].other for host in HOSTS},
    )


def _crossings(
    taps: dict[Host, Tap], sent: Side, arrived: Side, pairs: Pairs, changes: dict[int, tuple[Change, ...]]
) -> Iterator[Crossing]:
    """Yield crossings in time order: all that was sent, and what was only seen to arrive."""
    pair_of = np.full(len(sent.item), -1, np.int64)
    pair_of[pairs.sent] = np.arange(len(pairs.sent))
    appeared = np.setdiff1d(np.arange(len(arrived.item)), pairs.arrived)
    order = np.argsort(np.concatenate([sent.time, arrived.time[appeared]]), kind="stable")
    number = np.empty(len(order), np.int64)
    number[order] = np.arange(len(order))
    ordinals = _ordinals(sent, arrived, pairs, appeared)
    makers = [_Maker(taps[host]) for host in HOSTS]
    for n, k in enumerate(order.tolist()):
        if k < len(sent.item):
            which = int(pair_of[k])
            other = int(pairs.arrived[which]) if which >= 0 else -1
            yield makers[int(sent.host[k])].crossing(
                n,
                int(sent.item[k]),
                sent=True,
                ordinal=ordinals[k],
                peer=(makers[int(arrived.host[other])], int(arrived.item[other])) if other >= 0 else None,
                changes=changes.get(which, ()),
                note=_alike(pairs, k),
            )
        else:
            position = int(appeared[k - len(sent.item)])
            original = pairs.copy_of.get(position)
            yield makers[int(arrived.host[position])].crossing(
                n,
                int(arrived.item[position]),
                sent=False,
                ordinal=ordinals[k],
                note="" if original is None else f"copy of #{number[pairs.sent[original]]}",
            )


def _alike(pairs: Pairs, position: int) -> str:
    count = pairs.alike.get(position)
    return f"one of {count} identical packets, told apart by their delay" if count else ""


def _ordinals(sent: Side, arrived: Side, pairs: Pairs, appeared: Int64) -> list[int]:
    """Return each datagram's number within its flow and direction; what only appeared counts after all sent."""
    counts: dict[tuple[int, int], int] = {}
    result = []
    for flow, sender in zip(sent.flow.tolist(), sent.sender.tolist(), strict=True):
        result.append(counts.get((flow, sender), 0))
        counts[flow, sender] = result[-1] + 1
    for position in appeared.tolist():
        key = int(arrived.flow[position]), int(arrived.sender[position])
        if position in pairs.copy_of:
            result.append(result[int(pairs.sent[pairs.copy_of[position]])])
        else:
            result.append(counts.get(key, 0))
            counts[key] = result[-1] + 1
    return result


class _Maker:
    """Makes crossings from one tap's packets, with the columns as lists (NumPy scalars one by one are slow)."""

    def __init__(self, tap: Tap) -> None:
        capture, rows = tap.capture, tap.rows
        self.capture = capture
        self.rows = rows.tolist()
        self.time = capture.time_ns[rows].tolist()
        self.sender = tap.sender.tolist()
        self.flow = tap.flow.tolist()
        self.seq, self.ack, self.start = tap.seq.tolist(), tap.ack.tolist(), tap.start.tolist()
        self.transport = capture.transport[rows].tolist()
        self.raw_seq = capture.seq[rows].tolist()
        self.flags = capture.flags[rows].tolist()
        self.window = capture.window[rows].tolist()
        self.length = capture.payload_length[rows].tolist()
        self.ttl = capture.ttl[rows].tolist()

    def crossing(
        self,
        n: int,
        item: int,
        *,
        sent: bool,
        ordinal: int,
        peer: tuple[_Maker, int] | None = None,
        changes: tuple[Change, ...] = (),
        note: str = "",
    ) -> Crossing:
        """Return the crossing of one packet as this tap shows it; ``peer`` is the same packet at the other end."""
        row, sender = self.rows[item], HOSTS[self.sender[item]]
        transport, flow = self.transport[item], self.flow[item]
        tcp = transport == TCP
        ack = self.ack[item] if tcp and self.flags[item] & ACK else None
        options: dict[str, Any] = {}
        if tcp:
            options = tcp_options(self.capture, row, ack)
        elif transport in (ICMP, ICMPV6):
            options = icmp_options(self.capture, row)
        here = row + 1
        there = peer[0].rows[peer[1]] + 1 if peer else None
        at_client = here if (sender == "client") == sent else there
        return Crossing(
            n=n,
            flow=flow if flow >= 0 else None,
            sender=sender,
            protocol=protocol(self.capture, row),
            flags=flag_letters(self.flags[item]) if tcp else "",
            seq=self.seq[item],
            ack=ack,
            raw_seq=self.raw_seq[item],
            window=self.window[item],
            start=self.start[item] if tcp else ordinal if transport == UDP else 0,
            length=self.length[item],
            payload=self.capture.payload(row),
            sent=self.time[item] if sent else None,
            arrived=(peer[0].time[peer[1]] if peer else None) if sent else self.time[item],
            at_client=at_client,
            at_server=there if (sender == "client") == sent else here,
            ttl=self.ttl[item],
            options=options,
            changes=changes,
            note=note,
        )
