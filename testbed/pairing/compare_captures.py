"""Compare two packet tables: the entry point of this package."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from testbed.model.arrays import Int64
from testbed.pairing.captured_twice import mark_again
from testbed.pairing.changes import FlowwideChanges
from testbed.pairing.clock import Clock
from testbed.pairing.common_clock import Timeline
from testbed.pairing.crossing_table import Assumptions, CrossingTable, find_timeline, make_table
from testbed.pairing.flow_packets import packets_of_pairs
from testbed.pairing.flow_table import Flows
from testbed.pairing.match_flows import FlowPairs, match_flows
from testbed.pairing.match_packets import PacketPairs, pair_packets
from testbed.pairing.nothing_in_common import NothingInCommon, why_filtered, why_nothing
from testbed.pairing.packet_table import ConversationEnds, PacketTable
from testbed.pairing.passes import BY_NUMPY, Passes
from testbed.pairing.statistics import Statistics, measure
from testbed.pairing.terminated import TerminatedFlow, find_terminated

_FEW = 100_000  # packets of which all are compared

Wanted = Callable[[ConversationEnds], bool]


@dataclass(slots=True)
class Comparison:
    """Two captures as one.

    ``packets`` and ``flows`` are those of the first and the second capture, ``pairs`` the flows found in both,
    ``alone`` the flows that only one has (of those not ambiguous). ``crossed`` says which packet matches which.
    ``reasons`` say why nothing is common, where nothing is. ``terminated`` are connections (none of them ``alone``)
    that something in between ends and opens anew.
    """

    packets: tuple[PacketTable, PacketTable]
    flows: tuple[Flows, Flows]
    pairs: FlowPairs
    alone: tuple[Int64, Int64]
    crossed: PacketPairs
    table: CrossingTable
    timeline: Timeline
    usual: FlowwideChanges
    statistics: Statistics
    reasons: tuple[NothingInCommon, ...] = ()
    terminated: tuple[TerminatedFlow, ...] = ()

    @property
    def clock(self) -> Clock:
        """How the second capture's clock differs from the first's."""
        return self.timeline.clock


def compare(
    one: PacketTable,
    first: Flows,
    two: PacketTable,
    second: Flows,
    *,
    one_clock: bool = False,
    wanted: Wanted | None = None,
    passes: Passes = BY_NUMPY,
) -> Comparison:
    """Compare two captures. ``wanted`` chooses flows by their ends: those that it takes at either end.

    The order of the captures is no evidence: whatever is found out of both is found out in one order, so that the other
    order gives the mirror.
    """
    turned = _in_order(two) < _in_order(one)
    pairs = match_flows(two, second, one, first).mirrored() if turned else match_flows(one, first, two, second)
    pairs = pairs.in_order_of_first()
    chosen = [np.ones(len(flows), np.bool_) for flows in (first, second)]
    common = len(pairs)
    if wanted:
        for keep, packets, flows in zip(chosen, (one, two), (first, second), strict=True):
            fits = np.array([wanted(ends) for ends in packets.ends], np.bool_)
            keep[:] = fits[flows.conversation] if len(flows) else keep
        pairs.keep(chosen[0][pairs.a] | chosen[1][pairs.b])
    terminated = tuple(
        each for each in find_terminated(one, first, two, second, pairs) if chosen[0][each.a] or chosen[1][each.b]
    )
    alone: list[Int64] = []
    for keep, matched, unclear in zip(chosen, (pairs.a, pairs.b), pairs.ambiguous, strict=True):
        rest = keep.copy()
        rest[matched] = False
        rest[unclear] = False
        rest[[(each.a, each.b)[len(alone)] for each in terminated]] = False
        alone.append(np.flatnonzero(rest))
    reasons: tuple[NothingInCommon, ...] = ()
    if not len(pairs):
        fitting = int(chosen[0].sum()), int(chosen[1].sum())
        reasons = why_filtered(fitting, common) if wanted else ()
        if not terminated and (not wanted or (any(fitting) and not common)):
            reasons += why_nothing(one, two, pairs)
    left, right = packets_of_pairs(one, first, two, second, pairs)
    mark_again(left, right)
    known = Assumptions(one_clock=one_clock)
    if turned:
        ours, theirs = packets_of_pairs(two, second, one, first, pairs.mirrored())
        ours.again, theirs.again = right.again, left.again
        crossed = pair_packets(ours, theirs, passes=passes)
        timeline = find_timeline(ours, theirs, crossed, known).mirrored()
        crossed = crossed.mirrored()
        del ours, theirs
    else:
        crossed = pair_packets(left, right, passes=passes)
        timeline = find_timeline(left, right, crossed, known)
    table, usual = make_table(left, right, crossed, timeline, known, passes)
    del left, right
    return Comparison(
        packets=(one, two),
        flows=(first, second),
        pairs=pairs,
        alone=(alone[0], alone[1]),
        crossed=crossed,
        table=table,
        timeline=timeline,
        usual=usual,
        statistics=measure(one, first, two, second, pairs, table, timeline, crossed.from_one, passes.aside),
        reasons=reasons,
        terminated=terminated,
    )


def _in_order(packets: PacketTable) -> tuple[tuple[int, int], int, bytes]:
    """Return what puts two captures in an order that does not depend on which is given first."""
    names = ("payload", "seq", "time", "ttl", "ip_id") if len(packets) < _FEW else ()
    return packets.span, len(packets), b"".join(getattr(packets, name).tobytes() for name in names)
