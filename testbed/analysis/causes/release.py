"""Why bytes were sent after the call that wrote them had returned: a later call, an ACK or a timer released them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

from testbed.analysis.calls.call_effects import has_flag
from testbed.analysis.causes.endpoint import OPTIONS_MOST, EndpointEffect, TcpEndpoint, arrival_time, sack_blocks
from testbed.model import Call, CauseName, Crossing, Evidence, PacketRef, call_ref, call_refs
from testbed.model.evidence import Duration
from testbed.model.origins import SENT_BY_EXIT, SENT_BY_TIMER, SENT_LATER, SentBy, sent_as_came, sent_in

IN_PROCESSING = 200_000
"""Most time (ns) between an arrival and what it surely released: a queue below, or the pacing, releases bytes too."""

HAS_LEFT = 50_000
"""Time (ns) after which what an arrival asks for has left, on a processor that has nothing else to do."""

AT_ONCE = 5_000_000
"""Most time (ns) between an arrival and what is sent in its processing: the same interrupt, or the end of the system
call that holds the socket."""

_TICKS = 8_000_000
"""How much earlier (ns) than it is due a timer may run out by our times: two ticks of 4 ms."""

_PROBED = 1_000_000
"""Least time (ns) after which a tail-loss probe goes: TCP_TIMEOUT_MIN is two ticks."""


class Release(NamedTuple):
    """What released bytes: evidence to add, the packets and calls that did, and the cause of the segment.

    ``by`` is the same as a value; None where it is not said. ``alternatives`` are what the cause may be as well.
    """

    evidence: Evidence = ()
    packets: tuple[int, ...] = ()
    calls: tuple[Call, ...] = ()
    rule: CauseName = CauseName.DATA
    effects: tuple[EndpointEffect, ...] = ()
    by: SentBy | None = None
    alternatives: tuple[CauseName, ...] = ()


def release(endpoint: TcpEndpoint, packet: Crossing, last: Call | None) -> Release:
    """Return what released a segment's bytes; ``last`` is the last call that wrote any of them.

    Held bytes leave by a call in progress that pushes them (a write, an option, shutdown, the last close), by the end
    of the process, in the processing of a segment that came, or by a timer: tcp_probe_timer for what TCP_CORK or
    MSG_MORE holds (tcp_write_wakeup sends it; full segments are never held so), else a tail-loss probe, or the pacing.
    """
    if last is None or last.end is None or last.end >= packet.time:
        return Release()
    if endpoint.queued:
        waited = Duration(packet.time - last.end)
        return Release(("; it left ", waited, " after the call returned, through the queue of the interface"))
    going = endpoint.pushing(packet.time)
    came = arrival_time(endpoint.last_arrival) if endpoint.last_arrival is not None else 0
    paced = endpoint.switched_on_by("SO_MAX_PACING_RATE", packet.time) is not None
    full = is_full(endpoint, packet)  # waits for room in a window or a queue, which no call makes
    elsewhere = paced or full or _may_be_processed(endpoint, packet) or _ends_a_burst(endpoint, packet, going)
    waiting = [call for call in going if elsewhere or _may_sleep(call, packet, came)]
    if going and len(waiting) == len(going):  # what came, or a queue below, may have let them go as well
        return Release(("; released while ", call_refs(going), " was in progress"))
    if going:
        how = "; released by " if len(going) == 1 else "; released by one of the calls in progress, "
        # A write that released other calls' bytes did not write these.
        calls = tuple(call for call in going if call.direction != "out")
        return Release((how, call_refs(going)), calls=calls, by=sent_in(*(call.n for call in going)))
    waited = Duration(packet.time - last.end)
    arrival = endpoint.last_arrival
    if arrival is not None and last.end < came and packet.time - came < AT_ONCE:
        return _by_arrival(endpoint, packet, arrival, waited)
    timer = _by_timer(endpoint, packet, last, waited)
    ender = endpoint.fin_ender(packet.time)
    ended = ender is not None and ender.by_exit and ("F" in packet.flags or ender.call is not None)
    if ender is not None and ended and (ender.call is None or ender.call.start > came):
        calls = (ender.call,) if ender.call else ()
        if full or paced:  # what held it may have ended meanwhile
            return Release(("; it left ", waited, " after the call returned"))
        # a tail-loss probe (the only timer here that has an effect) may come early, the others after the least timeout
        due = _PROBED if timer is not None and timer.effects else endpoint.rto_min - _TICKS
        if (timer is not None and waited.ns >= due) or _may_be_probe(endpoint, packet):
            return Release(("; it left as the process ended",), calls=calls)
        return Release(("; released by the end of the process",), calls=calls, by=SENT_BY_EXIT)
    if timer is not None:
        return timer
    if arrival is not None and came > last.end:
        return _by_arrival(endpoint, packet, arrival, waited)
    return Release(("; it left ", waited, " after the call returned"))


def _by_timer(endpoint: TcpEndpoint, packet: Crossing, last: Call, waited: Duration) -> Release | None:
    """Return the timer that released bytes which nothing else did, None if none can have."""
    cork = endpoint.corked(packet.time)
    if packet.length >= endpoint.full > 0:
        held_for: tuple[CauseName, ...] = (CauseName.CORK_TIMEOUT,) if cork is not None else ()
        held_for += (CauseName.MORE_TIMEOUT,) if has_flag(last, "MSG_MORE") else ()
        if held_for and waited.ns >= AT_ONCE and not _fills(endpoint, packet):
            return Release(("; it left ", waited, " after the call returned"), alternatives=held_for)
        return _by_pacing(endpoint, packet, waited)
    if _ends_a_burst(endpoint, packet, ()):  # a timer sends one segment
        return None
    out = (endpoint.snd_max or 0) > endpoint.una  # then the timer is that of a tail-loss probe, which nothing holds
    if out and (cork is not None or has_flag(last, "MSG_MORE")):
        return _by_tail_probe(endpoint, cork, last, waited)
    paced = endpoint.switched_on_by("SO_MAX_PACING_RATE", packet.time) is not None  # its timer may be what held it
    early = waited.ns < endpoint.rto_min - _TICKS  # a timer that was set before the last write, or another
    others, by = ((CauseName.DATA,), None) if paced or early else ((), SENT_BY_TIMER)
    if waited.ns >= AT_ONCE and cork is not None:
        held: Evidence = ("; TCP_CORK (", call_ref(cork), ") held it, and the timer released it ", waited)
        calls = (cork,) if cork in endpoint.calls else ()
        after = (*held, " after ", call_ref(last), " returned")
        return Release(after, calls=calls, rule=CauseName.CORK_TIMEOUT, by=by, alternatives=others)
    if waited.ns >= AT_ONCE and has_flag(last, "MSG_MORE"):
        held = ("; MSG_MORE of ", call_ref(last), " held it, and the timer released it ", waited)
        after = (*held, " after the call returned")
        return Release(after, rule=CauseName.MORE_TIMEOUT, by=by, alternatives=others)
    nagle = None if is_full(endpoint, packet) else waits_by_nagle(endpoint, packet.time, packet.length)
    if nagle is None or nagle.seq + nagle.length <= endpoint.una or not endpoint.probes_tail:
        return None
    if endpoint.tail_probed is not None or packet.time - nagle.time < _PROBED:
        return None
    held = ("; Nagle's algorithm held it, as ", PacketRef(nagle.n), " was not acknowledged")
    evidence = (*held, "; a tail-loss probe released it after ", waited)
    return Release(evidence, (nagle.n,), effects=(EndpointEffect.PROBES_TAIL,), by=SENT_BY_TIMER)


def _by_tail_probe(endpoint: TcpEndpoint, cork: Call | None, last: Call, waited: Duration) -> Release | None:
    """Return the tail-loss probe that released what TCP_CORK or MSG_MORE held while other bytes were out."""
    if not endpoint.probes_tail or endpoint.tail_probed is not None or waited.ns < _PROBED:
        return None
    holder: Evidence = ("TCP_CORK (", call_ref(cork), ")") if cork is not None else ("MSG_MORE of ", call_ref(last))
    evidence = ("; ", *holder, " held it; a tail-loss probe released it after ", waited)
    return Release(evidence, effects=(EndpointEffect.PROBES_TAIL,), by=SENT_BY_TIMER)


def _may_be_probe(endpoint: TcpEndpoint, packet: Crossing) -> bool:
    """Say whether a tail-loss probe may have sent new bytes, whatever held them: others are out, it has no FIN."""
    before, ends = endpoint.last_data_sent, "F" in packet.flags
    probes = endpoint.probes_tail is not False and (endpoint.snd_max or 0) > endpoint.una and not ends
    return probes and before is not None and packet.time - before.time >= _PROBED


def _fills(endpoint: TcpEndpoint, packet: Crossing) -> bool:
    """Say whether a segment is as large as the path takes them, to the byte: less its own options."""
    blocks, stamped = len(sack_blocks(packet)), "tsval" in packet.options
    options = 12 * stamped + (4 + 8 * blocks if blocks else 0)
    return is_full(endpoint, packet) and packet.length >= (endpoint.mss or 0) - options


def _by_pacing(endpoint: TcpEndpoint, packet: Crossing, waited: Duration) -> Release | None:
    """Return the pacing that held a full segment (SO_MAX_PACING_RATE; tcp_pace_kick), None without it.

    Where the interface has a queue, that may hold it instead (TCP small queues), whatever the rate.
    """
    setter = endpoint.switched_on_by("SO_MAX_PACING_RATE", packet.time)
    if setter is None or endpoint.has_queue:
        return None
    return Release(("; SO_MAX_PACING_RATE (", call_ref(setter), ") held it ", waited), by=SENT_LATER)


def _may_sleep(call: Call, packet: Crossing, came: int) -> bool:
    """Say whether a call in progress may have been asleep: it lasts, or something came since it began."""
    return came >= call.start or packet.time - call.start >= IN_PROCESSING


def acts(call: Call, packet: Crossing, since: int) -> bool:
    """Say whether a call in progress acts as a packet leaves: it begins, it ends, or what it waits for came just now.

    Else it sleeps. ``since`` is when it began, or when something came for it.
    """
    return packet.time - since < AT_ONCE or (call.end is not None and call.end - packet.time < AT_ONCE)


def is_full(endpoint: TcpEndpoint, packet: Crossing) -> bool:
    """Say whether a segment is as large as the path takes them: by the peer's SYN, or as the one before it was."""
    at = bisect_left(endpoint.original_seqs, packet.seq)
    before = endpoint.originals[at - 1] if at else None
    alike = before is not None and before.length == packet.length >= _LEAST_FULL
    return packet.length >= endpoint.full > 0 or alike


_LEAST_FULL = 400
"""Bytes. A path takes more in any case; small messages are often alike."""


def _ends_a_burst(endpoint: TcpEndpoint, packet: Crossing, going: Sequence[Call]) -> bool:
    """Say whether a segment left right before it that no call in progress let go.

    One sent again, a full one, or one before they began.
    """
    again = endpoint.resent[-1] if endpoint.resent else None
    if again is not None and packet.time - again.time < IN_PROCESSING:
        return True
    before = endpoint.last_data_sent
    if before is None or packet.time - before.time >= IN_PROCESSING:
        return False
    return is_full(endpoint, before) or all(before.time < call.start for call in going)


def _may_be_processed(endpoint: TcpEndpoint, packet: Crossing) -> bool:
    """Say whether what came last may have been in processing as a packet left."""
    last = endpoint.last_arrival
    if last is None or "S" in last.flags:
        return False  # a SYN+ACK was processed before connect returned
    return packet.time - arrival_time(last) < IN_PROCESSING


def _by_arrival(endpoint: TcpEndpoint, packet: Crossing, arrival: Crossing, waited: Duration) -> Release:
    """Return what released bytes that left after ``arrival``, which came after the call had returned."""
    nagle = None if is_full(endpoint, packet) else waits_by_nagle(endpoint, packet.time, packet.length)
    since = packet.time - arrival_time(arrival)
    acknowledged = nagle is not None and (arrival.ack or 0) >= nagle.seq + nagle.length
    if nagle is not None and acknowledged and since < IN_PROCESSING:
        held = ("; Nagle's algorithm held it ", waited)
        until = (*held, ", until ", PacketRef(arrival.n), " acknowledged ", PacketRef(nagle.n))
        return Release(until, (arrival.n,), by=sent_as_came(arrival.n))
    # the arrival may have made room, or a queue below, or it was time by the pacing
    after = ("; it left ", waited, " after the call returned, ", Duration(since), " after ", PacketRef(arrival.n))
    return Release((*after, " arrived"))


def waits_by_nagle(endpoint: TcpEndpoint, time: int, length: int) -> Crossing | None:
    """Return the segment for whose ACK Nagle's algorithm lets ``length`` more bytes wait (RFC 9293 3.7.4).

    None where TCP_NODELAY is on, the bytes fill a segment, or no data was sent before. Linux waits only if that
    segment was itself not full (Minshall's variant, tcp_nagle_check).
    """
    before = endpoint.last_data_sent
    full = (endpoint.mss or 0) - OPTIONS_MOST
    if before is None or endpoint.nodelay(time) or length >= full or before.length >= full:
        return None
    return before
