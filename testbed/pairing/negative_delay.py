"""Packets whose arrival is stamped before their departure, and why."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from testbed.model.arrays import Int64
from testbed.pairing.common_clock import Timeline
from testbed.pairing.compare_captures import Comparison

_MICROSECOND = 1000
_FEW = 20  # one of so many packets of a direction, or fewer, is the exception: another clock moves all of them


@dataclass(frozen=True, slots=True)
class NegativeDelays:
    """``packets`` have a negative delay, the least of them ``least`` (ns); ``why`` is a sentence without full stop."""

    packets: int
    least: int
    why: str


def negative_delays(compared: Comparison) -> NegativeDelays | None:
    """Return what is negative of a comparison's delays; None if nothing is."""
    table = compared.table
    rows = np.flatnonzero(table.timed & (table.delay < 0))
    if not len(rows):
        return None
    least = int(table.delay[rows].min())
    coarse = [bool((packets.time % _MICROSECOND == 0).all()) for packets in compared.packets]
    if least > -_MICROSECOND and any(coarse):
        why = "they lie within the microsecond that the time stamps are rounded to"
    elif compared.clock.exact:
        why = _other_clocks(compared, np.flatnonzero(table.timed), rows)
    elif bool((-table.delay[rows] <= table.error[rows]).all()):
        why = "they lie within the error of the offset between the clocks"
    else:
        why = "no offset and drift fits all packets: a clock was set too often to be measured, or a tap stamps late"
    return NegativeDelays(len(rows), least, why)


def _other_clocks(compared: Comparison, rows: Int64, negative: Int64) -> str:
    """Say what speaks against one clock, or what else it may be."""
    table, (one, two) = compared.table, compared.packets
    per_way = [np.bincount(table.sent_at_one[each], minlength=2) for each in (negative, rows)]
    few = bool((per_way[0] * _FEW <= per_way[1]).all())
    rows = rows[np.argsort(table.one[rows], kind="stable")]
    items, others = table.one[rows].astype(np.int64), table.two[rows].astype(np.int64)
    time, at_one = one.time[items], table.sent_at_one[rows]
    apart = two.time[others] - time
    piece = Timeline.fitted(items, others, time, apart, at_one, np.ones(len(rows), np.bool_)).clock.pieces[0]
    within = "" if piece.error is None else f" ± {piece.error / 1e6:.6f} ms"
    ahead = "ahead of" if piece.offset >= 0 else "behind"
    off = f"the server's is {abs(piece.offset) / 1e6:.6f} ms{within} {ahead} the client's"
    if few:
        return f"on the whole the captures agree on one clock: a tap stamps single packets late, or {off}"
    return f"the captures were not made with one clock: {off}; compare without --one-clock"
