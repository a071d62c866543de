"""What let bytes go that left only after the call that wrote them had returned: a later call, an ACK, or a timer."""

from __future__ import annotations

from typing import NamedTuple

from testbed.analysis.calls.call_effects import has_flag
from testbed.analysis.calls.endpoint_calls import duration, names
from testbed.analysis.causes.endpoint import Side, came_at
from testbed.model import Call, Crossing

OPTIONS_MOST = 40
"""Bytes of TCP options: a segment that is shorter than the MSS by more than this is not full."""


class Held(NamedTuple):
    """How bytes were held: in words, the packets and calls that let them go, and the timer's rule if one did."""

    text: str = ""
    packets: tuple[int, ...] = ()
    calls: tuple[Call, ...] = ()
    rule: str = ""


def held(side: Side, packet: Crossing, last: Call | None) -> Held:
    """Say what let a segment's bytes go; ``last`` is the last call that wrote any of them.

    Held bytes leave when an ACK comes, when a call switches the hold off, or by a timer: tcp_probe_timer for what
    TCP_CORK or MSG_MORE holds (at least 200 ms, TCP_RTO_MIN; tcp_write_wakeup sends it), else a tail-loss probe.
    """
    if last is None or last.end is None or last.end >= packet.time:
        return Held()
    going = [
        call for call in side.flushes if call.start <= packet.time and (call.end is None or call.end >= packet.time)
    ]
    if going:
        return Held(f"; let go by {names(going)}", calls=tuple(going))
    waited = duration(packet.time - last.end)
    arrival = side.last_arrival
    if arrival is not None and came_at(arrival) > last.end:
        nagle = waits_by_nagle(side, packet.time, packet.length)
        if nagle is not None and arrival.ack is not None and arrival.ack >= nagle.seq + nagle.length:
            text = f"; Nagle's algorithm held it {waited}, until #{arrival.n} acknowledged #{nagle.n}"
            return Held(text, (arrival.n,))
        return Held(f"; it waited {waited} and left after #{arrival.n} arrived", (arrival.n,))
    cork = side.corked(packet.time)
    if cork is not None:
        text = f"; TCP_CORK ({names([cork])}) held it, and the timer let it go {waited} after {names([last])} returned"
        return Held(text, calls=(cork,), rule="cork-timeout")
    if has_flag(last, "MSG_MORE"):
        text = f"; MSG_MORE of {names([last])} held it, and the timer let it go {waited} after the call returned"
        return Held(text, rule="more-timeout")
    nagle = waits_by_nagle(side, packet.time, packet.length)
    if nagle is not None and nagle.seq + nagle.length > side.una and side.probes_tail:
        held_by = f"Nagle's algorithm held it, as #{nagle.n} was not acknowledged"
        text = f"; {held_by}; a tail-loss probe let it go after {waited}"
        return Held(text, (nagle.n,))
    return Held(f"; it left {waited} after the call returned")


def waits_by_nagle(side: Side, time: int, length: int) -> Crossing | None:
    """Return the segment for whose ACK Nagle's algorithm lets ``length`` more bytes wait (RFC 9293 3.7.4).

    None where TCP_NODELAY is on, the bytes fill a segment, or no data was sent before. Linux waits only if that
    segment was itself not full (Minshall's variant, tcp_nagle_check).
    """
    before = side.last_data_sent
    full = (side.mss or 0) - OPTIONS_MOST
    if before is None or side.nodelay(time) or length >= full or before.length >= full:
        return None
    return before
