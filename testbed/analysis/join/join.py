"""Join the captures of the two hosts of a run: one crossing for each packet, captured at both ends or at one.

This is the comparison of any two captures (:mod:`testbed.pairing`) with what a run knows besides: the hosts'
addresses, so who sent a packet; that one clock stamped both; that nothing is missing in either.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import numpy as np

from testbed.analysis.join.flows import HostPackets, find_flows
from testbed.analysis.join.lab_frames import sentinels
from testbed.analysis.join.partial_datagrams import noted
from testbed.crossings.build_crossings import HostView, make_crossings, notes_and_copies
from testbed.model import HOSTS, Host, Joined
from testbed.pairing.crossing_table import Assumptions, find_timeline, make_table
from testbed.pairing.duplicates import likeliest
from testbed.pairing.flow_packets import FlowPackets
from testbed.pairing.match_packets import PacketPairs, pair_packets
from testbed.pairing.packet_table import PacketTableBuilder

if TYPE_CHECKING:
    from testbed.capture.columns import Capture

__all__ = ["join", "sentinels"]

_KNOWN = Assumptions(one_clock=True, complete=True, one_route=True)
_PROTOCOLS = 256
_MOST = 250_000  # identical packets at one end times those at the other; of more they are paired in order


def join(client: Capture, server: Capture, addresses: Mapping[Host, Collection[str]]) -> Joined:
    """Join two captures of the same time on one clock; ``addresses`` are those of each host, as text.

    Packets are matched within a flow and direction by what they hold (see :mod:`testbed.pairing.match_packets`).
    A segment that was split or merged on its way is one crossing for each of the finer pieces, with a ``note``; so are
    identical packets of which one end has more. ``packets`` counts, for each tap, the packets between the two hosts,
    one for all fragments of a packet; the lab's sentinels are in neither ``packets`` nor ``other``.
    """
    flows, taps, partial = find_flows({"client": client, "server": server}, addresses)
    places = 2 * (len(flows) + _PROTOCOLS)
    sides = _side(taps["client"], len(flows), places), _side(taps["server"], len(flows), places)
    crossed = pair_packets(*sides, from_one=np.arange(places) & 1 == 0)
    _settle(crossed, sides)
    table, _ = make_table(*sides, crossed, find_timeline(*sides, crossed, _KNOWN), _KNOWN)
    notes, copies = notes_and_copies(crossed, sides, table)
    ends = _end("client", taps["client"], sides[0]), _end("server", taps["server"], sides[1])
    return Joined(
        flows=flows,
        crossings=noted(make_crossings(ends, table, notes=notes, copies=copies), partial),
        packets={host: len(taps[host]) for host in HOSTS},
        other={host: taps[host].other for host in HOSTS},
    )


def _side(tap: HostPackets, flows: int, places: int) -> FlowPackets:
    """Return what packets are compared by; those of no flow go by their protocol."""
    capture = tap.capture
    builder = PacketTableBuilder(fragments=True)
    builder.add(np.arange(len(capture)), capture)
    packets = builder.finish(capture.data)
    item = np.searchsorted(packets.frame, tap.rows)
    flow = np.where(tap.flow < 0, flows + packets.protocol[item].astype(np.int64), tap.flow)
    seq, ack = packets.seq[item].astype(np.int64), packets.ack[item].astype(np.int64)
    return FlowPackets(packets, item, flow << 1 | tap.sender, seq, ack, places)


def _end(host: Host, tap: HostPackets, side: FlowPackets) -> HostView:
    return HostView(
        host=host,
        side=side,
        flow=tap.flow,
        numbers=(tap.seq, tap.ack, tap.start),
        time=side.packets.time[side.item],
        kind=lambda item: tap.capture.kind(int(side.packets.frame[item])).lower(),
    )


def _settle(crossed: PacketPairs, sides: tuple[FlowPackets, FlowPackets]) -> None:
    """Pair identical packets that delays do not resolve, so that their delays are most like those of the others."""
    pairs: tuple[list[int], list[int]] = ([], [])
    for group in crossed.unresolved:
        times = [side.packets.time[side.item[mine]] for side, mine in zip(sides, group, strict=True)]
        apart = times[1][None, :] - times[0][:, None]
        at_one = bool(crossed.from_one[sides[0].place[group[0][0]]])
        usual = crossed.usual[0 if at_one else 1]
        on_the_way = apart if at_one else -apart
        possible = on_the_way[on_the_way >= 0]
        expected = sum(usual) // 2 if usual else int(possible.min(initial=0)) * (1 if at_one else -1)
        if apart.size > _MOST:
            i = j = np.arange(min(apart.shape))
        else:
            i, j = likeliest(np.abs(apart - expected))
        pairs[0].extend(group[0][i].tolist())
        pairs[1].extend(group[1][j].tolist())
    crossed.one = np.append(crossed.one, np.array(pairs[0], np.int64))
    crossed.two = np.append(crossed.two, np.array(pairs[1], np.int64))
