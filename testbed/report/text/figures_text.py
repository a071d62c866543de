"""What each tap shows of flows: round trips, bytes in flight, what limited them, delays over time, pauses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from testbed.pairing.compare_captures import Comparison
from testbed.pairing.delay_steps import delay_levels, loss_bursts
from testbed.pairing.flow_summary import NAMES, opener_end
from testbed.report.json.figures_json import flow_figures, has_figures
from testbed.report.text.time_course_text import clock_time, course_lines

_FLOWS = 5  # that have lines of their own; the JSON has all


def figure_texts(way: dict[str, Any]) -> Iterator[str]:
    """Yield ``at most 2,896 in flight``, ``round trip min/avg/max 1.0/1.2/2.0 ms``, ``limited by the network``."""
    if way["bytes_in_flight"]:
        yield f"at most {way['bytes_in_flight']:,} in flight"
    if (trip := way["round_trip"]) is not None:
        times = "/".join(f"{trip[each] / 1e6:.3f}" for each in ("minimum", "mean", "maximum"))
        yield f"round trip min/avg/max {times} ms"
    if way["limited_by"]:
        yield f"limited by the {way['limited_by']}"


def figure_lines(compared: Comparison, shown: list[int]) -> Iterator[str]:
    """Yield what is known of some pairs of flows beyond counts, a line each; nothing of large captures."""
    if not has_figures(compared):
        return
    every = list(flow_figures(compared))
    for pair in shown[:_FLOWS]:
        names = NAMES if opener_end(compared, pair) == NAMES[0] else NAMES[::-1]
        for way, sender in zip(("from_opener", "to_opener"), names, strict=True):
            told = ", ".join(figure_texts(every[pair]["at_taps"][sender][way]))
            if told:
                yield f"[bold]flow[/] {pair + 1} from the {sender}: {told}"
        if len(every) > 1:
            rows = np.flatnonzero(compared.table.place >> 1 == pair)
            yield from course_lines(
                tuple(delay_levels(compared, from_one=each, rows=rows) for each in (True, False)),
                tuple(loss_bursts(compared, from_one=each, rows=rows) for each in (True, False)),
                (f"of flow {pair + 1}, client to server", f"of flow {pair + 1}, server to client"),
            )
        for pause in every[pair]["pauses"]:
            why = "its packet was on the way" if pause["on_the_way"] else f"the {pause['ended_by']} ended it"
            when = f"at {clock_time(pause['start'])}, {pause['lasted'] / 1e9:.3f} s"
            yield f"[bold]pause[/] of flow {pair + 1} {when}: {why}"
