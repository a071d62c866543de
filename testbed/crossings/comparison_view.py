"""The packets of a comparison as people look at them: flows, and crossings in time order on the first capture's clock.

A comparison has columns for millions of packets; here are values, made for as many of them as are asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

import numpy as np

from testbed.crossings.build_crossings import HostView, copy_of, make_crossings, notes_and_copies
from testbed.crossings.relative_seq import Numbers, RawNumbers, relative_numbers
from testbed.model import HOSTS, Crossing, Endpoint, Evidence, Flow
from testbed.model.arrays import Int64, distinct
from testbed.model.ip import TCP
from testbed.model.tcp import seq_add
from testbed.pairing.compare_captures import Comparison
from testbed.pairing.flow_packets import FlowPackets, packets_of_pairs
from testbed.pairing.flow_summary import protocol_name


class ComparisonView:
    """The rows of a comparison's table in time order; a row's number is its place among them, from 0.

    ``flows`` are the flows of both captures, as the first has them; a flow's client is the end at which the first
    capture was made (the one that opened it, where both were made at one place). ``rows`` are the rows of the table, by
    number.
    """

    def __init__(self, compared: Comparison) -> None:
        self._compared = compared
        self._sides = packets_of_pairs(
            compared.packets[0], compared.flows[0], compared.packets[1], compared.flows[1], compared.pairs
        )
        table = compared.table
        # where the opener is at the first end, packets of direction 0 are the client's
        opener_is_client = compared.statistics.sent_at_one[::2]
        self._way_of = np.stack([~opener_is_client, opener_is_client], axis=1).ravel().astype(np.int64)
        self.flows = tuple(FlowsOnDemand(compared))
        self._times = self._aligned()
        time = np.where(
            np.where(table.sent_at_one, table.one >= 0, table.two < 0),
            self._times[0][table.one] if len(self._times[0]) else 0,
            self._times[1][table.two] if len(self._times[1]) else 0,
        )
        self.rows: Int64 = np.lexsort((table.skip, time))
        self._numbers = self._relative()
        self._notes = self._explained()

    def __len__(self) -> int:
        return len(self.rows)

    def crossings(self, numbers: Int64) -> tuple[Crossing, ...]:
        """Return the crossings of some numbers, ascending. A datagram's ``start`` counts among those."""
        table = self._compared.table
        rows = self.rows[numbers]
        ends = self._end(0, table.one[rows].astype(np.int64)), self._end(1, table.two[rows].astype(np.int64))
        return make_crossings(ends, table, notes=self._notes, copies={}, rows=rows, numbers=numbers.tolist())

    def ways(self, numbers: Int64) -> Int64:
        """Return from which end of their flows some packets are (0: the client's)."""
        return self._way_of[self._compared.table.place[self.rows[numbers]]]

    def _aligned(self) -> tuple[Int64, Int64]:
        """Return the times of both tracks' packets on the first capture's clock."""
        one, two = (packets.time for packets in self._compared.packets)
        items = self._sides[1].item
        if not len(items):
            return one, two
        offset, _ = self._compared.timeline.at_two(items, two[items])
        aligned = two.copy()
        aligned[items] -= offset
        return one, aligned

    def _relative(self) -> tuple[Numbers, Numbers]:
        raws = {host: self._raw(side) for host, side in zip(HOSTS, self._sides, strict=True)}
        numbers = relative_numbers(self.flows, raws)
        return numbers["client"], numbers["server"]

    def _raw(self, side: FlowPackets) -> RawNumbers:
        packets, items = side.packets, side.item
        tcp = (packets.protocol[items] == TCP) & packets.decoded[items]
        sender, flow = self._way_of[side.place], side.place >> 1
        return RawNumbers(tcp, packets.flags[items], side.seq, side.ack, sender, flow)

    def _explained(self) -> dict[int, Evidence]:
        """Return the note of each row that has one."""
        table = self._compared.table
        notes, copies = notes_and_copies(self._compared.crossed, self._sides, table)
        if not copies:
            return notes
        number_of = np.empty(len(table), np.int64)
        number_of[self.rows] = np.arange(len(table))
        return notes | {copy: copy_of(int(number_of[row])) for copy, row in copies.items()}

    def _end(self, which: int, items: Int64) -> HostView:
        """Return what one capture shows of those packets, and nothing of the others."""
        whole = self._sides[which]
        wanted = distinct(items[items >= 0])
        at = np.searchsorted(whole.item, wanted)
        seq, ack = (each[at].astype(np.int64) for each in (whole.seq, whole.ack))
        side = FlowPackets(whole.packets, wanted, whole.place[at], seq, ack, whole.places)
        seq, ack, start = (column[at] for column in self._numbers[which])
        return HostView(
            host=HOSTS[which],
            side=side,
            flow=side.place >> 1,
            numbers=(seq, ack, start),
            time=self._times[which][wanted],
            kind=lambda item: protocol_name(int(whole.packets.protocol[item])),
        )


class FlowsOnDemand(Sequence[Flow]):
    """The flows of a comparison, as :attr:`ComparisonView.flows`, each made when it is asked for."""

    def __init__(self, compared: Comparison) -> None:
        self._compared = compared

    def __len__(self) -> int:
        return len(self._compared.pairs)

    @overload
    def __getitem__(self, pair: int) -> Flow: ...
    @overload
    def __getitem__(self, pair: slice) -> Sequence[Flow]: ...
    def __getitem__(self, pair: int | slice) -> Flow | Sequence[Flow]:
        if isinstance(pair, slice):
            return [self._flow(each) for each in range(len(self))[pair]]
        return self._flow(range(len(self))[pair])

    def _flow(self, pair: int) -> Flow:
        pairs, packets = self._compared.pairs, self._compared.packets[0]
        first, second = self._compared.flows
        a, b = int(pairs.a[pair]), int(pairs.b[pair])
        client = int(pairs.opener[pair]) ^ int(not self._compared.statistics.sent_at_one[2 * pair])
        ends = packets.ends[int(first.conversation[a])]
        initial: list[int | None] = []
        for side in (client, 1 - client):
            here, there = int(first.isn[a, side]), int(second.isn[b, side ^ int(pairs.flip[pair])])
            there = seq_add(there, -int(pairs.shift[pair, side])) if there >= 0 else -1
            known = here if here >= 0 else there
            initial.append(known if known >= 0 else None)
        points = [Endpoint(ends.addresses[side], ends.ports[side]) for side in (client, 1 - client)]
        return Flow(pair, protocol_name(int(first.protocol[a])), points[0], points[1], initial[0], initial[1])
