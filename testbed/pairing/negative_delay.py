"""Packets whose arrival is stamped before their departure, and why; ``report/text/comparison_reasons.py`` says it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

import numpy as np

from testbed.model.arrays import Int64
from testbed.pairing.clock import ClockPiece
from testbed.pairing.common_clock import Timeline
from testbed.pairing.compare_captures import Comparison

_MICROSECOND = 1000
_FEW = 20  # one of so many packets of a direction, or fewer, is the exception: another clock moves all of them


class NegativeReason(Enum):
    """Why delays are negative."""

    ROUNDED_STAMPS = auto()
    """They lie within the microsecond that the time stamps are rounded to."""
    LATE_STAMPS = auto()
    """Few are: the captures agree on one clock, and a tap stamps single packets late, or two clocks differ slightly."""
    OTHER_CLOCKS = auto()
    """The captures are compared as of one clock and were not made with one."""
    WITHIN_ERROR = auto()
    """They lie within the error of the offset between the clocks."""
    NO_CLOCK_FITS = auto()
    """No offset and drift fits all packets."""


@dataclass(frozen=True, slots=True)
class NegativeDelays:
    """``packets`` have a negative delay, the least of them ``least`` (ns).

    ``server_clock`` is how the server's clock differs from the client's if they are two, for the reasons that name it.
    """

    packets: int
    least: int
    reason: NegativeReason
    server_clock: ClockPiece | None = None


def negative_delays(compared: Comparison) -> NegativeDelays | None:
    """Return what is negative of a comparison's delays; None if nothing is."""
    table = compared.table
    rows = np.flatnonzero(table.timed & (table.delay < 0))
    if not len(rows):
        return None
    least = int(table.delay[rows].min())
    coarse = [bool((packets.time % _MICROSECOND == 0).all()) for packets in compared.packets]
    if least > -_MICROSECOND and any(coarse):
        return NegativeDelays(len(rows), least, NegativeReason.ROUNDED_STAMPS)
    if compared.clock.exact:
        timed = np.flatnonzero(table.timed)
        reason = NegativeReason.LATE_STAMPS if _few(compared, timed, rows) else NegativeReason.OTHER_CLOCKS
        return NegativeDelays(len(rows), least, reason, _server_clock(compared, timed))
    within = bool((-table.delay[rows] <= table.error[rows]).all())
    return NegativeDelays(len(rows), least, NegativeReason.WITHIN_ERROR if within else NegativeReason.NO_CLOCK_FITS)


def _few(compared: Comparison, timed: Int64, negative: Int64) -> bool:
    """Whether few packets of each direction are negative: another clock moves all of one."""
    sent_at_one = compared.table.sent_at_one
    exceptions, all_packets = (np.bincount(sent_at_one[rows], minlength=2) for rows in (negative, timed))
    return bool((exceptions * _FEW <= all_packets).all())


def _server_clock(compared: Comparison, rows: Int64) -> ClockPiece:
    """Return how the clocks differ if they are two."""
    table, (one, two) = compared.table, compared.packets
    rows = rows[np.argsort(table.one[rows], kind="stable")]
    items, others = table.one[rows].astype(np.int64), table.two[rows].astype(np.int64)
    time, at_one = one.time[items], table.sent_at_one[rows]
    apart = two.time[others] - time
    return Timeline.fitted(items, others, time, apart, at_one, np.ones(len(rows), np.bool_)).clock.pieces[0]
