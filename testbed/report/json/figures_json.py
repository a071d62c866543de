"""What is known of the flows of a comparison beyond counts: round trips, bytes in flight, delays over time, pauses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from testbed.model.arrays import Int64
from testbed.model.ip import TCP
from testbed.pairing.compare_captures import Comparison
from testbed.pairing.delay_steps import delay_levels, loss_bursts
from testbed.pairing.flow_figures import DirectionFigures, FigureTaker
from testbed.pairing.flow_pauses import flow_pauses
from testbed.pairing.flow_summary import NAMES

_PACKETS = 200_000
_FLOWS = 200
"""Above these numbers of packets or flows there are no figures of single flows, which would take too long."""
_WAYS = ("from_opener", "to_opener")


def has_figures(compared: Comparison) -> bool:
    """Tell whether a comparison is small enough for figures of each flow."""
    return len(compared.table) <= _PACKETS and len(compared.pairs) <= _FLOWS


def direction_figures(way: DirectionFigures) -> dict[str, Any]:
    """Return the figures of a direction as plain values; times in ns."""
    return {
        "packets": way.packets,
        "bytes": way.payload,
        "bytes_in_flight": way.in_flight,
        "round_trip": way.trips and dict(zip(("minimum", "mean", "maximum"), way.trips, strict=True)),
        "labels": way.labels,
        "limited_by": way.limit and way.limit.value,
    }


def course(compared: Comparison, *, from_one: bool, rows: Int64 | None = None) -> dict[str, Any]:
    """Return the levels of the delays of a direction over time, and the bursts of its losses; times in ns."""
    burst = loss_bursts(compared, from_one=from_one, rows=rows)
    return {
        "delay_levels": [
            {"start": each.start, "median": each.median}
            for each in delay_levels(compared, from_one=from_one, rows=rows)
        ],
        "losses": burst
        and {
            "packets": burst.lost,
            "bursts": burst.bursts,
            "longest": {"packets": burst.packets, "start": burst.start, "lasted": burst.lasted},
        },
    }


def flow_figures(compared: Comparison) -> Iterator[dict[str, Any]]:
    """Yield the figures of each flow, in the order of pairs: at both taps, over time, and the longest pauses."""
    pairs, table = compared.pairs, compared.table
    takers = [FigureTaker(*both) for both in zip(compared.packets, compared.flows, strict=True)]
    order = np.argsort(table.place >> 1, kind="stable")
    edges = np.searchsorted((table.place >> 1)[order], np.arange(len(pairs) + 1))
    for pair in range(len(pairs)):
        rows = order[edges[pair] : edges[pair + 1]]
        opener = int(pairs.opener[pair])
        at_taps = {}
        for name, taker, flow, side in zip(
            NAMES,
            takers,
            (int(pairs.a[pair]), int(pairs.b[pair])),
            (opener, opener ^ int(pairs.flip[pair])),
            strict=True,
        ):
            ways = taker.of(flow, side)
            at_taps[name] = {way: direction_figures(each) for way, each in zip(_WAYS, ways, strict=True)}
        from_one = compared.statistics.sent_at_one[[2 * pair, 2 * pair + 1]]
        over_time = {
            way: course(compared, from_one=bool(from_one[k]), rows=rows[table.place[rows] & 1 == k])
            for k, way in enumerate(_WAYS)
        }
        is_tcp = compared.flows[0].protocol[pairs.a[pair]] == TCP
        pauses = flow_pauses(compared, rows) if is_tcp else ()
        yield {
            "at_taps": at_taps,
            "over_time": over_time,
            "pauses": [
                {
                    "start": each.start,
                    "lasted": each.lasted,
                    "ended_by": NAMES[each.ended_by],
                    "on_the_way": each.on_the_way,
                }
                for each in pauses
            ],
        }
