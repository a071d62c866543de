"""Join the captures of the two hosts: one crossing for each packet, seen at both ends or at one."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from testbed.analysis.changes import find_changes
from testbed.analysis.describe import flag_letters, icmp_options, protocol, tcp_options
from testbed.analysis.flows import ACK, URG, Tap, find_flows
from testbed.analysis.pairing import Pairs, Side, pair, sides
from testbed.analysis.pieces import Whole
from testbed.analysis.selection import ICMP, ICMPV6, TCP, UDP, sentinels
from testbed.model import HOSTS, Change, Crossing, Host, Joined

if TYPE_CHECKING:
    from testbed.capture.columns import Capture

__all__ = ["join", "sentinels"]


def join(client: Capture, server: Capture, addresses: Mapping[Host, Collection[str]]) -> Joined:
    """Join two captures of the same time on one clock; ``addresses`` are those of each host, as text.

    Packets are matched within a flow and direction by what they hold (see :mod:`testbed.analysis.pairing`).
    A segment that was split or merged on its way is one crossing for each of the finer pieces, with a ``note``.
    ``packets`` counts, for each tap, the packets between the two hosts, one for all fragments of a packet; the lab's
    sentinels are in neither ``packets`` nor ``other``.
    """
    flows, taps = find_flows({"client": client, "server": server}, addresses)
    sent, arrived = sides(taps)
    pairs = pair(taps, sent, arrived)
    changes = find_changes(taps, sent, arrived, pairs)
    crossings = tuple(_crossings(taps, sent, arrived, pairs, changes))
    return Joined(
        flows=flows,
        crossings=crossings,
        packets={host: len(taps[host]) for host in HOSTS},
        other={host: taps[host].other for host in HOSTS},
    )


@dataclass(frozen=True, slots=True)
class _Entry:
    """A crossing to be: positions at the sending and the receiving side (-1: not seen) and how it came about."""

    time: int
    sent: int
    arrived: int
    pair: int = -1
    whole: Whole | None = None
    part: int = 0


def _entries(sent: Side, arrived: Side, pairs: Pairs) -> list[_Entry]:
    """Return all crossings in time order: what was sent, and what was only seen to arrive."""
    pair_of = np.full(len(sent.item), -1, np.int64)
    pair_of[pairs.sent] = np.arange(len(pairs.sent))
    split = set(pairs.in_pieces(sent=True).tolist())
    seen = np.concatenate([pairs.arrived, pairs.in_pieces(sent=False)])
    times = sent.time.tolist()
    entries = [
        _Entry(times[k], k, int(pairs.arrived[which]) if which >= 0 else -1, which)
        for k, which in enumerate(pair_of.tolist())
        if k not in split
    ]
    for whole in pairs.wholes:
        for part, position in enumerate(whole.parts):
            ends = (whole.position, position) if whole.at_sender else (position, whole.position)
            entries.append(_Entry(times[ends[0]], *ends, whole=whole, part=part))
    appeared = np.setdiff1d(np.arange(len(arrived.item)), seen)
    entries.extend(_Entry(int(arrived.time[k]), -1, k) for k in appeared.tolist())
    return sorted(entries, key=lambda entry: entry.time)


def _crossings(
    taps: dict[Host, Tap], sent: Side, arrived: Side, pairs: Pairs, changes: dict[int, tuple[Change, ...]]
) -> Iterator[Crossing]:
    entries = _entries(sent, arrived, pairs)
    number = {entry.sent: n for n, entry in enumerate(entries) if entry.pair >= 0}
    ordinals = _ordinals(sent, arrived, pairs, [entry.arrived for entry in entries if entry.sent < 0])
    makers = [_Maker(host, taps[host]) for host in HOSTS]
    for n, entry in enumerate(entries):
        at_sender = (makers[sent.host[entry.sent]], int(sent.item[entry.sent])) if entry.sent >= 0 else None
        at_receiver = (
            (makers[arrived.host[entry.arrived]], int(arrived.item[entry.arrived])) if entry.arrived >= 0 else None
        )
        note = _alike(pairs, entry.sent)
        if entry.whole is not None:
            note = _part(entry.whole, entry.part, at_sender, at_receiver)
        elif entry.arrived in pairs.copy_of and entry.sent < 0:
            note = f"copy of #{number[int(pairs.sent[pairs.copy_of[entry.arrived]])]}"
        # of a segment that was split the finer piece is shown
        shown = at_receiver if at_sender is None or (entry.whole and entry.whole.at_sender) else at_sender
        assert shown is not None  # noqa: S101 - seen at one end at least
        maker, item = shown
        ordinal = ordinals[entry.sent] if entry.sent >= 0 else ordinals[-1 - entry.arrived]
        yield maker.crossing(n, item, at_sender, at_receiver, ordinal, changes.get(entry.pair, ()), note)


def _part(whole: Whole, part: int, at_sender: _Place | None, at_receiver: _Place | None) -> str:
    where = at_sender if whole.at_sender else at_receiver
    assert where is not None  # noqa: S101 - a whole was seen where it is whole
    maker, item = where
    return f"part {part + 1} of {len(whole.parts)} of frame {maker.rows[item] + 1} at the {maker.host}"


def _alike(pairs: Pairs, position: int) -> str:
    count = pairs.alike.get(position)
    return f"one of {count} identical packets, told apart by their delay" if count else ""


def _ordinals(sent: Side, arrived: Side, pairs: Pairs, appeared: list[int]) -> dict[int, int]:
    """Return each datagram's number within its flow and direction; what only appeared counts after all sent.

    The key is the position at the sending side, or -1 minus that at the receiving side.
    """
    counts: dict[tuple[int, int], int] = {}
    result = {}
    for position, key in enumerate(zip(sent.flow.tolist(), sent.sender.tolist(), strict=True)):
        result[position] = counts.get(key, 0)
        counts[key] = result[position] + 1
    for position in appeared:
        if position in pairs.copy_of:
            result[-1 - position] = result[int(pairs.sent[pairs.copy_of[position]])]
        else:
            key = int(arrived.flow[position]), int(arrived.sender[position])
            result[-1 - position] = counts.get(key, 0)
            counts[key] = result[-1 - position] + 1
    return result


class _Maker:
    """Makes crossings from one tap's packets, with the columns as lists (NumPy scalars one by one are slow)."""

    def __init__(self, host: Host, tap: Tap) -> None:
        capture, rows = tap.capture, tap.rows
        self.host = host
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
        at_sender: _Place | None,
        at_receiver: _Place | None,
        ordinal: int,
        changes: tuple[Change, ...],
        note: str,
    ) -> Crossing:
        """Return the crossing of one packet as this tap shows it, seen at those places."""
        row, sender = self.rows[item], HOSTS[self.sender[item]]
        transport, flow = self.transport[item], self.flow[item]
        tcp = transport == TCP
        ack = self.ack[item] if tcp and self.flags[item] & ACK else None
        options: dict[str, Any] = {}
        if tcp:
            options = tcp_options(self.capture, row, ack)
            if self.flags[item] & URG:
                options["urgent"] = int(self.capture.urgent[row])
        elif transport in (ICMP, ICMPV6):
            options = icmp_options(self.capture, row)
        places = (at_sender, at_receiver) if sender == "client" else (at_receiver, at_sender)
        at_client, at_server = (maker.rows[k] + 1 if maker else None for maker, k in (p or (None, 0) for p in places))
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
            sent=at_sender[0].time[at_sender[1]] if at_sender else None,
            arrived=at_receiver[0].time[at_receiver[1]] if at_receiver else None,
            at_client=at_client,
            at_server=at_server,
            ttl=self.ttl[item],
            options=options,
            changes=changes,
            note=note,
        )


_Place = tuple[_Maker, int]  # a tap and an item of it
