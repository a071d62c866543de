"""Rules for bytes that were sent before: which ACK showed a loss, or which timer ran out.

Linux has two timers for them. A tail-loss probe (RFC 8985 section 7) comes first, once, where both ends take SACK,
``tcp_early_retrans`` is 3 or 4 and no loss is being repaired (tcp_schedule_loss_probe); it sends the last segment
again, or a new one that was held. All others are retransmission timeouts (RFC 6298), which begin with the first
unacknowledged segment.
"""

from __future__ import annotations

from testbed.analysis.causes.endpoint import (
    EndpointEffect,
    Explanation,
    TcpEndpoint,
    arrival_time,
    carried,
    sack_blocks,
)
from testbed.analysis.causes.loss_hints import DUPLICATES, hints_of
from testbed.analysis.causes.release import AT_ONCE, HAS_LEFT, IN_PROCESSING, acts
from testbed.analysis.causes.rule_set import BoundRules
from testbed.model import CauseName, Crossing, Evidence, PacketRef, call_refs, packet_refs
from testbed.model.evidence import Duration

RULES: BoundRules[TcpEndpoint] = BoundRules()

_RTO_MIN = 190_000_000  # TCP_RTO_MIN is 200 ms, counted in ticks of up to 10 ms
_TICK = 10_000_000
"""The longest tick (ns) of a kernel: a timer may run out by so much earlier than it was set for (HZ=100)."""
_TICKS = 2 * _TICK
"""The least time (ns) that the timer for reordered segments is set for besides (TCP_TIMEOUT_MIN)."""
_REORDERED = 300_000
"""Least time (ns) after which the timer for reordered segments may have sent what an ACK asked for (RFC 8985 6.2)."""
_LEAST_REORDERED = 1_500_000
"""Least time (ns) after which that timer runs out: it waits for two ticks at least (TCP_TIMEOUT_MIN_US)."""
_SURELY_REORDERED = 3_500_000
"""Time (ns) after which it was surely that timer."""
_RACK = 1  # the bit of tcp_recovery that switches RACK on
_REPAIRED = 300_000_000
"""Most time (ns) since a repeat for which it is not known whether the kernel counts the loss as repaired."""
_PROBE_MOST = 240_000_000
"""Most time (ns) beside two round trips after which a tail-loss probe goes: the peer may put its ACK off by 200 ms."""
_SHRUNK = 4
"""Round trips may be shorter than that of the handshake by this factor."""


@RULES.explains(CauseName.FAST_OPEN_FALLBACK)
def fast_open_fallback(endpoint: TcpEndpoint, packet: Crossing) -> Explanation | None:
    """Explain the bytes of a SYN sent again since its SYN+ACK did not take them (RFC 7413 section 4.2.2).

    The kernel does so at once (tcp_rcv_fastopen_synack); the SYN that was answered may also have been a repeat without
    the bytes.
    """
    before, answer = _repeated(endpoint, packet), endpoint.una_moved
    if before is None or answer is None or "S" in packet.flags or "S" not in before.flags or "S" not in answer.flags:
        return None
    evidence: Evidence = (
        *(carried(packet), " again, as usual data: ", PacketRef(answer.n), " acknowledges the SYN, not what "),
        *(PacketRef(before.n), " carried", *_by(endpoint, packet)),
    )
    return Explanation(evidence, _callers(endpoint, packet), (answer.n,))


@RULES.explains(CauseName.REORDERING_TIMEOUT)
def reordering_timeout(endpoint: TcpEndpoint, packet: Crossing) -> Explanation | None:
    """Explain bytes sent again by the timer that waits for reordered segments (RFC 8985 section 6.2, tcp_timeout_mark).

    ACKs had shown that later bytes arrived, but nothing has come for so long that no processing sends this, and the
    retransmission timeout is not due yet. Only of a lab's own kernels: others have other timers, or none.
    """
    before = _repeated(endpoint, packet)
    hints = hints_of(endpoint, packet, before) if before is not None and all(endpoint.sack) else []
    last = endpoint.last_arrival
    if before is None or not hints or last is None or not endpoint.observed or _waits_to_leave(endpoint, packet):
        return None
    if any(acts(call, packet, max(call.start, arrival_time(last))) for call in endpoint.in_progress(packet.time)):
        return None
    if not int(endpoint.sysctls.get("net.ipv4.tcp_recovery", 0)) & _RACK or endpoint.too_big:
        return None
    waited = packet.time - arrival_time(hints[-1])
    if not _LEAST_REORDERED <= waited < _reorders_for(endpoint) or packet.time - arrival_time(last) < _LEAST_REORDERED:
        return None
    tail = _is_last(endpoint, packet, before) and endpoint.probes_tail is not False
    if tail or _may_time_out(endpoint, packet, before):
        return None
    packets = tuple(ack.n for ack in hints)
    evidence = (
        *(*_again(before, packet), packet_refs(packets), " show that later bytes arrived, ", Duration(waited)),
        *(" before: the timer for reordered ones", *_by(endpoint, packet)),
    )
    # after another timer the timeout is set anew, and runs from when the segment was sent (tcp_rearm_rto)
    overdue = packet.seq == endpoint.una and packet.time - before.time >= endpoint.rto_min
    others: tuple[CauseName, ...] = (CauseName.TIMEOUT,) if overdue else ()
    # on a busy machine what an ACK asks for leaves later as well
    others += (CauseName.FAST_RETRANSMISSION,) if waited < _SURELY_REORDERED else ()
    effects = (EndpointEffect.BEGINS_REPAIR,)
    return Explanation(evidence, _callers(endpoint, packet), packets, effects, alternatives=others)


@RULES.explains(CauseName.FAST_RETRANSMISSION)
def fast_retransmission(endpoint: TcpEndpoint, packet: Crossing) -> Explanation | None:
    """Explain bytes sent again because ACKs since then show that later ones arrived (RFC 5681, 6675, 8985)."""
    before = _repeated(endpoint, packet)
    if before is None:
        return None
    hints = hints_of(endpoint, packet, before)
    if not hints or _timed_out(endpoint, packet, before, hints[-1]):
        return None
    packets = tuple(ack.n for ack in hints)
    since = packet.time - arrival_time(endpoint.last_arrival or hints[-1])
    reordering = packet.time - arrival_time(hints[-1]) >= _REORDERED and since >= IN_PROCESSING
    # once losses are being repaired, each ACK lets some more of it go (tcp_xmit_recovery)
    reordering = reordering or (packet.seq >= endpoint.repair_until and _says_nothing_new(hints, packet))
    timer: tuple[CauseName, ...] = (CauseName.REORDERING_TIMEOUT,) if reordering and all(endpoint.sack) else ()
    trips = hints[min(DUPLICATES, len(hints)) - 1]
    due = packet.time - _timer_began(endpoint, before) >= endpoint.rto_min
    just_then = due and packet.time - arrival_time(trips) >= HAS_LEFT
    if just_then or _timers(endpoint, packet):  # one of the others may have run out just then
        tail = _is_last(endpoint, packet, before) and endpoint.probes_tail is not False
        timer += (CauseName.TAIL_LOSS_PROBE,) if tail else ()
        timer += (CauseName.TIMEOUT,) if _may_time_out(endpoint, packet, before) else ()
    timer += (*((CauseName.DATA,) if endpoint.loses_in_queue else ()), *_cut_anew(endpoint, packet, before))
    evidence = (*_again(before, packet), packet_refs(packets), " show that later bytes arrived", *_by(endpoint, packet))
    effects = (EndpointEffect.BEGINS_REPAIR,)
    return Explanation(evidence, _callers(endpoint, packet), packets, effects, alternatives=timer)


def _says_nothing_new(hints: list[Crossing], packet: Crossing) -> bool:
    """Say whether the last ACK that showed a loss only repeats one of so long ago that the timer may have run out."""
    blocks = sack_blocks(hints[-1])
    first = next(ack for ack in hints if sack_blocks(ack) == blocks)
    return packet.time - arrival_time(first) >= _LEAST_REORDERED


def _reorders_for(endpoint: TcpEndpoint) -> int:
    """Return how long (ns) the wait for reordered segments may last (tcp_rack_reo_wnd): a round trip, with room."""
    return 2 * (endpoint.handshake or _RTO_MIN) + AT_ONCE


def _may_time_out(endpoint: TcpEndpoint, packet: Crossing, before: Crossing) -> bool:
    """Say whether the retransmission timeout may have run out for the first segment that is not acknowledged.

    It is the smoothed round trip and at least the minimum (tcp_set_rto), less a tick. Where that minimum is not known,
    a route may have a small one; where the peer took back what it had reported, the timer is one of 10 ms
    (tcp_check_sack_reneging).
    """
    waited = packet.time - _timer_began(endpoint, before)
    reneged = any(left <= endpoint.una < right for ack in endpoint.sacks for left, right in sack_blocks(ack))
    if endpoint.route_rto_min is None or reneged:
        late = waited >= (endpoint.handshake or 0) // _SHRUNK
    else:
        late = waited >= endpoint.rto_min + endpoint.shortest - _TICK
    return late and packet.seq == endpoint.una


def _timer_began(endpoint: TcpEndpoint, before: Crossing) -> int:
    """Return from when the timer for a segment runs: its last transmission, or the last ACK that covered more."""
    moved = endpoint.una_moved
    return max(before.time, arrival_time(moved) if moved is not None else 0)


def _timed_out(endpoint: TcpEndpoint, packet: Crossing, before: Crossing, hint: Crossing) -> bool:
    """Say whether a repeat that ACKs asked for left too late for them, and late enough for the retransmission timeout.

    What an ACK asks for leaves as it is processed, or a part of the round-trip time later (tcp_rack_reo_timeout); the
    timeout runs from the last ACK that covered something new.
    """
    if packet.time - arrival_time(hint) < AT_ONCE:
        return False
    return packet.time - _timer_began(endpoint, before) >= _RTO_MIN


@RULES.explains(CauseName.PATH_MTU)
def path_mtu(endpoint: TcpEndpoint, packet: Crossing) -> Explanation | None:
    """Explain bytes cut anew since ICMP reported a segment as too big (RFC 1191, 8201; tcp_simple_retransmit).

    The kernel enters the Loss state then, and repairs what is out.
    """
    before = _repeated(endpoint, packet)
    if before is None or packet.length >= before.length:
        return None
    reported = [icmp for icmp in endpoint.too_big if arrival_time(icmp) > before.time]
    moved = endpoint.una_moved
    if not reported or (moved is not None and arrival_time(moved) > arrival_time(reported[-1])):
        return None  # an ACK since then sends the rest
    packets = tuple(icmp.n for icmp in reported)
    evidence: Evidence = (
        *(carried(packet), " again in a smaller segment than ", PacketRef(before.n)),
        *(": the path takes no such size (", packet_refs(packets), ")", *_by(endpoint, packet)),
    )
    late = packet.time - arrival_time(reported[-1]) >= IN_PROCESSING and bool(_timers(endpoint, packet))
    others: tuple[CauseName, ...] = (CauseName.TIMEOUT,) if late and _may_time_out(endpoint, packet, before) else ()
    others += (CauseName.DATA,) if endpoint.loses_in_queue and endpoint.queued else ()
    effects = (EndpointEffect.BEGINS_REPAIR,)
    return Explanation(evidence, _callers(endpoint, packet), packets, effects, alternatives=others)


@RULES.explains(CauseName.RECOVERY)
def recovery(endpoint: TcpEndpoint, packet: Crossing) -> Explanation | None:
    """Explain bytes that were out when a loss was found, sent again when an ACK moved on (RFC 6582, 5681 3.1)."""
    before = _repeated(endpoint, packet)
    ack = endpoint.una_moved
    if before is None or ack is None or packet.seq >= endpoint.repair_until or arrival_time(ack) <= before.time:
        return None
    if packet.time - arrival_time(ack) >= _RTO_MIN:
        return None
    found = " acknowledged the bytes before, these were out when the loss was found"
    evidence = (*_again(before, packet), PacketRef(ack.n), found, *_by(endpoint, packet))
    others = (*_timers(endpoint, packet), *((CauseName.DATA,) if endpoint.loses_in_queue else ()))
    others += _cut_anew(endpoint, packet, before)
    return Explanation(evidence, _callers(endpoint, packet), (ack.n,), alternatives=others)


@RULES.explains(CauseName.TAIL_LOSS_PROBE)
def tail_loss_probe(endpoint: TcpEndpoint, packet: Crossing) -> Explanation | None:
    """Explain the last segment sent again: earlier ones are out as well, or it is the first timer of a kernel's two."""
    before = _repeated(endpoint, packet)
    if before is None or packet.seq + packet.sequence_length != endpoint.snd_max:
        return None
    if packet.seq > endpoint.una:
        reason = ": the last ones, although earlier ones are unacknowledged"
    elif _probes_first(endpoint):
        reason = ": not acknowledged, and the first time: the kernel probes before its timeout"
    else:
        return None
    evidence = (carried(packet), " again, ", *_since(before, packet), reason, *_by(endpoint, packet))
    effects = (EndpointEffect.PROBES_TAIL,)
    again = endpoint.resent[-1] if endpoint.resent else None
    # nothing new was acknowledged since: the window may still be reduced, when no probe is planned (TCP_CA_CWR)
    reduced = again is not None and before.seq <= again.seq + again.sequence_length
    repaired = again is not None and (before.time - again.time < _REPAIRED or reduced)
    slow = packet.time - _timer_began(endpoint, before) > 2 * (endpoint.handshake or 0) + _PROBE_MOST
    # a timeout begins with the first
    unclear = repaired or slow or _may_have_probed(endpoint)
    other = (CauseName.TIMEOUT,) if unclear and packet.seq == endpoint.una else ()
    # what an ACK asks for may have waited in a queue since then
    waits = _waits_to_leave(endpoint, packet)
    asked = (CauseName.FAST_RETRANSMISSION, CauseName.RECOVERY, CauseName.TIMEOUT) if waits else ()
    others = tuple(dict.fromkeys((*other, *_by_icmp(endpoint), *asked)))
    return Explanation(evidence, _callers(endpoint, packet), (before.n,), effects, alternatives=others)


@RULES.explains(CauseName.TIMEOUT)
def timeout(endpoint: TcpEndpoint, packet: Crossing) -> Explanation | None:
    """Explain the first unacknowledged bytes sent again, where a tail-loss probe is excluded."""
    before = _repeated(endpoint, packet)
    if before is None or packet.seq > endpoint.una:
        return None
    times = endpoint.repeats.get(packet.seq, 0)
    tail = _is_last(endpoint, packet, before)
    if tail and not times and endpoint.probes_tail is None:
        return None  # one segment is out, sent again once: a probe and a timeout look the same
    evidence: Evidence = (
        *(carried(packet), f" again (repeat {times + 1}), ", *_since(before, packet)),
        *(": not acknowledged", *_by(endpoint, packet)),
    )
    # a repeat in the processing of what came may have been asked for by that: a FIN too ends the wait of RACK
    asked = not _timers(endpoint, packet)
    others: tuple[CauseName, ...] = (CauseName.RECOVERY, CauseName.FAST_RETRANSMISSION) if asked else ()
    if tail and not times and not asked and endpoint.probes_tail is not False:
        others = (CauseName.TAIL_LOSS_PROBE,)  # whether a loss is still being repaired does not show
    others += _by_icmp(endpoint)
    if packet.seq + packet.sequence_length <= endpoint.una:  # ACKs that came were not taken: its state is not known
        anything = (CauseName.FAST_RETRANSMISSION, CauseName.RECOVERY, CauseName.REORDERING_TIMEOUT)
        others += (CauseName.TAIL_LOSS_PROBE, *anything)
    hints = hints_of(endpoint, packet, before) if all(endpoint.sack) else []
    reordered = (CauseName.REORDERING_TIMEOUT,) if all(endpoint.sack) else ()
    if hints:  # that timer may be as late as the timeout (tcp_rack_mark_lost)
        soon = packet.time - arrival_time(hints[-1]) < _reorders_for(endpoint) + _TICKS
        # or, once the pacing lets it go
        others = (*others, *reordered, *((CauseName.FAST_RETRANSMISSION,) if soon else ()))
    elif _waits_to_leave(endpoint, packet) and not others:
        others = (CauseName.RECOVERY, CauseName.FAST_RETRANSMISSION, *reordered)
    last = endpoint.last_arrival
    packets = (before.n, last.n) if asked and last is not None else (before.n,)
    effects = (EndpointEffect.BEGINS_REPAIR,)
    alternatives = tuple(dict.fromkeys(others))
    return Explanation(evidence, _callers(endpoint, packet), packets, effects, alternatives=alternatives)


@RULES.explains(CauseName.RETRANSMISSION)
def retransmission(endpoint: TcpEndpoint, packet: Crossing) -> Explanation | None:
    """Explain any other bytes that were sent before."""
    before = _repeated(endpoint, packet)
    if before is None:
        return None
    evidence: Evidence = (
        *(carried(packet), " again, ", *_since(before, packet)),
        *(", no ACK between: a tail-loss probe or a timeout", *_by(endpoint, packet)),
    )
    timers = (CauseName.TAIL_LOSS_PROBE, CauseName.TIMEOUT, *_by_icmp(endpoint))
    if not endpoint.too_big and (endpoint.sacks or endpoint.duplicates or not _timers(endpoint, packet)):
        timers += (CauseName.FAST_RETRANSMISSION, CauseName.RECOVERY)
    timers += (CauseName.REORDERING_TIMEOUT,) if endpoint.sacks else ()
    return Explanation(evidence, _callers(endpoint, packet), (before.n,), alternatives=timers)


def _is_last(endpoint: TcpEndpoint, packet: Crossing, before: Crossing) -> bool:
    """Say whether it may be the last that is out, as the kernel keeps it (tcp_send_loss_probe).

    That is the last segment or the begin of it, where options have become longer since; or the begin of several that
    it keeps as one, where segments have become larger.
    """
    end, before_end = packet.seq + packet.sequence_length, before.seq + before.sequence_length
    same = packet.seq == before.seq
    return endpoint.snd_max == end or (same and (endpoint.snd_max == before_end or end > before_end))


def _waits_to_leave(endpoint: TcpEndpoint, packet: Crossing) -> bool:
    """Say whether what an ACK asks for may leave much later: by the pacing, or through a queue."""
    return endpoint.queued or endpoint.switched_on_by("SO_MAX_PACING_RATE", packet.time) is not None


def _by_icmp(endpoint: TcpEndpoint) -> tuple[CauseName, ...]:
    """Return what else a repeat may be where ICMP had said that the path takes no such size (tcp_simple_retransmit)."""
    said = endpoint.too_big or endpoint.others_too_big
    return (CauseName.FAST_RETRANSMISSION, CauseName.PATH_MTU, CauseName.RECOVERY) if said else ()


def _cut_anew(endpoint: TcpEndpoint, packet: Crossing, before: Crossing) -> tuple[CauseName, ...]:
    """Return what else a repeat in a smaller segment may be where another socket was told what the path takes.

    A segment that is larger then ends in an ICMP error that the host makes itself, of which there is no frame.
    """
    return (CauseName.PATH_MTU,) if endpoint.others_too_big and packet.length < before.length else ()


def _timers(endpoint: TcpEndpoint, packet: Crossing) -> tuple[CauseName, ...]:
    """Return which timers may have sent a segment again: none if it left in the processing of what came."""
    last = endpoint.last_arrival
    if last is not None and packet.time - arrival_time(last) < IN_PROCESSING:
        return ()
    return (CauseName.TIMEOUT, *((CauseName.REORDERING_TIMEOUT,) if all(endpoint.sack) else ()))


def _repeated(endpoint: TcpEndpoint, packet: Crossing) -> Crossing | None:
    """Return the earlier transmission if all that the segment carries was sent before.

    What is larger than a route takes, as another connection was told, never left, though what is behind it did.
    """
    length = packet.sequence_length
    if not length or endpoint.snd_max is None or packet.seq + length > endpoint.snd_max:
        return None
    before = endpoint.previous(packet)
    never = endpoint.others_too_big and before is not None and packet.seq >= before.seq + before.sequence_length
    return None if never else before


def _probes_first(endpoint: TcpEndpoint) -> bool:
    """Say whether the kernel's first timer for the last segment is a tail-loss probe: no loss is being repaired."""
    again = any(seq >= endpoint.una for seq in endpoint.repeats)  # a probe is sent once for what is out (tlp_high_seq)
    repairs = endpoint.una < endpoint.repair_until or bool(endpoint.sacks) or again or endpoint.tail_probed is not None
    return endpoint.probes_tail is True and not repairs and not endpoint.unprobed


def _may_have_probed(endpoint: TcpEndpoint) -> bool:
    """Say whether the newest bytes may have been a tail-loss probe: they left long after their call, by no ACK."""
    newest, moved = endpoint.last_data_sent, endpoint.una_moved
    if newest is None or newest.seq <= endpoint.una or (moved is not None and arrival_time(moved) >= newest.time):
        return False
    ends = [share.call.end for share in endpoint.writers(newest)]
    return bool(ends) and all(end is not None and newest.time - end >= _LEAST_REORDERED for end in ends)


def _callers(endpoint: TcpEndpoint, packet: Crossing) -> tuple[int, ...]:
    calls = [share.call.n for share in endpoint.writers(packet)] if packet.length else []
    if "F" in packet.flags:
        ender = endpoint.fin_ender(packet.time)
        if ender is not None and ender.call is not None:
            calls.append(ender.call.n)
    return tuple(dict.fromkeys(calls))


def _again(before: Crossing, packet: Crossing) -> Evidence:
    """Return ``bytes 1-6 again (11 ms after #3): ``."""
    return (carried(packet), " again (", *_since(before, packet), "): ")


def _since(before: Crossing, packet: Crossing) -> Evidence:
    return (Duration(packet.time - before.time), " after ", PacketRef(before.n))


def _by(endpoint: TcpEndpoint, packet: Crossing) -> Evidence:
    calls = [share.call for share in endpoint.writers(packet)] if packet.length else []
    return ("; written by ", call_refs(calls)) if calls else ()
