"""Pauses of one connection: stretches of time in which neither end sent anything."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from testbed.model.arrays import Int64
from testbed.model.ip import TCP
from testbed.pairing.compare_captures import Comparison

PAUSE = 200_000_000
"""Nanoseconds without a packet that count as a pause: Linux waits at least as long to send again (TCP_RTO_MIN)."""
_MOST = 5


@dataclass(frozen=True, slots=True)
class FlowPause:
    """A pause as the first capture shows it: ``start`` (ns, its clock) and ``lasted`` (ns).

    ``ended_by`` is the capture (0, 1) at whose end the packet was sent that ended it; ``on_the_way`` says that the
    packet itself was under way for more than half of it.
    """

    start: int
    lasted: int
    ended_by: int
    on_the_way: bool


def flow_pauses(compared: Comparison, rows: Int64) -> tuple[FlowPause, ...]:
    """Return the longest pauses of a TCP connection, in the order of time; ``rows`` are its rows of the table."""
    table, packets = compared.table, compared.packets[0]
    rows = rows[table.one[rows] >= 0]
    rows = rows[packets.protocol[table.one[rows]] == TCP]
    time = packets.time[table.one[rows]]
    order = np.argsort(time, kind="stable")
    rows, time = rows[order], time[order]
    gaps: Int64 = np.diff(time)
    long = np.flatnonzero(gaps >= PAUSE)
    found = []
    for k in np.sort(long[np.argsort(-gaps[long], kind="stable")][:_MOST]).tolist():
        row, lasted = int(rows[k + 1]), int(gaps[k])
        sent_at_one = bool(table.sent_at_one[row])
        on_the_way = bool(table.timed[row]) and not sent_at_one and 2 * int(table.delay[row]) > lasted
        found.append(FlowPause(int(time[k]), lasted, 0 if sent_at_one else 1, on_the_way))
    return tuple(found)
