"""Rules for segments that take no sequence space: acknowledgements, window updates, answers to probes."""

from __future__ import annotations

from testbed.analysis.calls.call_effects import is_close, switched_on
from testbed.analysis.causes.endpoint import (
    EndpointEffect,
    Explanation,
    TcpEndpoint,
    arrival_time,
    sack_blocks,
    sequence_length_arrived,
)
from testbed.analysis.causes.release import AT_ONCE, HAS_LEFT, IN_PROCESSING, acts
from testbed.analysis.causes.room import SOON, ack_of, is_bare, made_room, may_be_read, refuses, reports_old
from testbed.analysis.causes.rule_set import BoundRules
from testbed.model import Call, CauseName, Crossing, Evidence, PacketRef, call_ref, packet_refs
from testbed.model.evidence import Duration
from testbed.model.origins import sent_as_came, sent_in

RULES: BoundRules[TcpEndpoint] = BoundRules()

_DELAYED = 30_000_000
"""Time (ns) after which an ACK is called delayed where no call is known: TCP_DELACK_MIN is 40 ms, in ticks."""

_ROUTES = 3_000_000
"""Least time (ns) after which that timer may run out where a route may have a small minimum (5 ms), unknown to us."""

_WAKES = 20_000_000
"""Time (ns) within which a program that waits for what came is surely awake, though the machine be busy."""

_SLACK = 120_000
"""How much later (ns) than it was set the timer of compressed ACKs runs (tcp_comp_sack_slack_ns, 100 us)."""

_LEAST_DELAYED = 1_000_000
"""Least time (ns) after which the timer of delayed ACKs may run out, where a route's minimum of timeouts is small."""


_UNCOMPRESSED = 3
"""So many ACKs that repeat one number are never put off (TCP_FASTRETRANS_THRESH, __tcp_ack_snd_check)."""


_SOONEST, _LATEST = 60_000, 90_000
"""Time (ns) before which the timer of compressed ACKs hardly ever runs out, and after which nothing is in processing.
Neither is certain by itself, on a busy machine: they count where what the kernel does is known besides."""


_COMPRESSED = 10_000, 50_000
"""Least and most time (ns) after which an ACK with SACK may be one that was put off (__tcp_ack_snd_check)."""


def _compresses_for(endpoint: TcpEndpoint) -> int:
    """Return the least time (ns) after which an ACK may be one that was put off: a twentieth of the round trip.

    A tenth of that counts: a receiver takes the time in which a window came for a round trip (tcp_rcv_rtt_measure).
    """
    least, most = _COMPRESSED
    return min(max((endpoint.handshake or 0) // 200, least), most)


@RULES.explains(CauseName.DELAYED_ACK)
def delayed(endpoint: TcpEndpoint, packet: Crossing) -> Explanation | None:
    """Explain a pure ACK that the timer of delayed ACKs sent (RFC 9293 section 3.8.6.3, tcp_delack_timer).

    It runs from the first arrival that is not acknowledged: 40 ms and more, less where the minimum of the
    retransmission timeout is less, and not even a tick for a FIN before which nothing came. A program's read may
    release an ACK as well (tcp_cleanup_rbuf), so only where its calls are known, or nobody accepted the connection.
    """
    covered, newest = _covered(endpoint, packet)
    if newest is None or not endpoint.observed or _at_once(endpoint, newest, packet):
        return None
    if _reader_since(endpoint, newest, packet) or _hurries(endpoint, packet) is not None:
        return None
    waited = Duration(_waited(newest, packet))
    evidence = ("acknowledges ", packet_refs(covered), ", ", waited, " after it came: the timer of delayed ACKs")
    # what came last may be in processing still
    unclear = endpoint.queued or waited.ns < IN_PROCESSING or _looks(endpoint, newest, packet)
    early = "F" not in newest.flags and _waited(endpoint.pending[0], packet) < _least_late(endpoint)
    # a read that was logged late, or woke up late, as on a busy machine
    unclear = unclear or early or (waited.ns < _WAKES and endpoint.reading(packet.time) is not None)
    answered = () if endpoint.queued else covered  # or what came later, before it had to wait
    others = (
        *((CauseName.ACK,) if unclear else ()),
        *((CauseName.D_SACK,) if endpoint.queued and reports_old(packet) else ()),
    )
    return Explanation(evidence, packets=answered, alternatives=others)


@RULES.explains(CauseName.ACK)
def acknowledgement(endpoint: TcpEndpoint, packet: Crossing) -> Explanation | None:
    """Explain a pure ACK by what it covers first (RFC 9293 section 3.10.7.4, RFC 5681 section 4.2)."""
    covered, newest = _covered(endpoint, packet)
    if not covered:
        return None
    if newest is None:  # part of a segment: a receiver that took only what fitted, or what was left of it
        late = _waited(endpoint.pending[0], packet) >= _LEAST_DELAYED
        part = ("acknowledges a part of ", packet_refs(covered))
        return Explanation(part, packets=covered, alternatives=(CauseName.DELAYED_ACK,) if late else ())
    fills = endpoint.filled is not None and endpoint.filled in covered
    what: Evidence = ("acknowledges ", packet_refs(covered), *((" and what was kept behind it",) if fills else ()))
    if packet.sent is None or newest.arrived is None:
        return Explanation(what, packets=covered)
    waited = Duration(_waited(newest, packet))
    reader = _reader_since(endpoint, newest, packet)
    how: Evidence
    by = None
    last = endpoint.last_arrival
    # the ACK may have been sent in the processing of what came after it
    later = last is not None and last is not newest and packet.time - arrival_time(last) < SOON
    # the timer may run out just then: that of a FIN is not even a tick, and one may still run from before
    slow = waited.ns >= _LATEST and "S" not in newest.flags and not later and not endpoint.in_progress(packet.time)
    if later:
        reader = None
    unclear = reader is not None and (reader.start <= arrival_time(newest) or waited.ns < AT_ONCE)
    if reader is not None and unclear:
        # the ACK may have left as the segment came, before it woke the read up (__tcp_ack_snd_check)
        how = (", as it came or as ", call_ref(reader), " took it, ", waited, " after it came")
    elif reader is not None:
        by = sent_in(reader.n)
        how = (", while ", call_ref(reader), " took bytes, ", waited, " after it came")
    elif (hurrying := _hurries(endpoint, packet)) is not None:
        how = (", ", waited, " after it came, while ", call_ref(hurrying), " was in progress")
    elif not endpoint.observed and waited.ns >= _DELAYED:
        how = (", delayed: ", waited, " after it came")
    elif endpoint.observed and not endpoint.queued and not slow and not endpoint.in_progress(packet.time) and not later:
        how = (" at once, ", waited, " after it came")
        by = sent_as_came(newest.n)
    elif later and last is not None:
        how = (", ", waited, " after it came and ", Duration(_waited(last, packet)), " after ", PacketRef(last.n))
    else:
        how = (", ", waited, " after it came")
    early = (later and last is not None and not last.sequence_length) or (by is not None and by.packet is not None)
    by = None if endpoint.has_queue else by  # it may have waited there, after a read or a timer had sent it
    may_be = _ROUTES if unclear and endpoint.route_rto_min is None else _DELAYED
    least = min(_timer_from(endpoint), may_be, _LEAST_DELAYED if early else _DELAYED)
    # it may also run out just as a read begins; in a queue, others may have waited to be acknowledged for longer
    since = _waited(endpoint.pending[0], packet) if endpoint.queued else waited.ns
    timer = (CauseName.DELAYED_ACK,) if since >= least or slow else ()
    answers = later and last is not None and last.sequence_length > 0 and last.n not in covered
    if answers and last is not None and endpoint.unexpected and endpoint.unexpected[-1] is last:
        came = (*what, ", sent as ", PacketRef(last.n), " came")
        reported = any(left <= last.seq < right for left, right in sack_blocks(packet)) or not all(endpoint.sack)
        sure = reported and not endpoint.receiving(packet.time)
        return Explanation(
            came if sure else what,
            packets=(*covered, last.n),
            effects=(EndpointEffect.ANSWERS_UNEXPECTED,) if sure else (),
            alternatives=() if sure else timer,
            sent_by=sent_as_came(last.n) if sure else None,
        )
    others = (*timer, *((CauseName.D_SACK,) if reports_old(packet) else ()))
    return Explanation(
        (*what, *how), packets=covered, alternatives=(*others, *_by_wakeup(endpoint, packet)), sent_by=by
    )


def _by_wakeup(endpoint: TcpEndpoint, packet: Crossing) -> tuple[CauseName, ...]:
    """Return whether the timer may have sent an ACK: it asks for room in this form where urgent bytes wait for it."""
    return (CauseName.WINDOW_PROBE,) if "U" in packet.flags and endpoint.peer_window == 0 else ()


def _at_once(endpoint: TcpEndpoint, newest: Crossing, packet: Crossing) -> bool:
    """Say whether an ACK was sent in the processing of what came last.

    That may be later, where a call used the socket. The FIN of an open connection is never acknowledged at once
    (tcp_fin enters the interactive mode), unless it fills a hole or more than a segment is to be acknowledged.
    """
    last, sent = endpoint.last_arrival, endpoint.last_sent
    if endpoint.rcv_nxt is not None and ack_of(packet) < endpoint.rcv_nxt:
        return True  # what came had waited at the socket (__release_sock): the timer would acknowledge all
    if sent is not None and sent.time > arrival_time(newest) and sent.ack is not None and not sent.sequence_length:
        return True  # the last of those
    if last is newest and "F" in newest.flags and endpoint.closing(arrival_time(newest)):
        return True  # both directions end (tcp_fin): no timer is in it
    if last is None or packet.time - arrival_time(last) >= SOON:
        return False
    if "F" not in newest.flags or endpoint.closing(arrival_time(newest)) or last is not newest:
        return True
    pending = sum(each.sequence_length for each in endpoint.pending)
    return endpoint.filled == newest.n or pending > max(endpoint.largest, _LEAST_SEGMENT)


_LEAST_SEGMENT = 536
"""What the kernel takes for a full segment before a larger one came (TCP_MSS_DEFAULT, tcp_initialize_rcv_mss)."""


def _timer_from(endpoint: TcpEndpoint) -> int:
    """Return after how long (ns) the timer of delayed ACKs may have sent one of which no read is known."""
    return _least_late(endpoint) if endpoint.observed else SOON


def _least_late(endpoint: TcpEndpoint) -> int:
    """Return after how long (ns) the timer of delayed ACKs may have run out: not after the retransmission timeout."""
    return min(_DELAYED, endpoint.rto_min * 3 // 4, endpoint.least_set("TCP_DELACK_MAX_US") * 3 // 4)


def _covered(endpoint: TcpEndpoint, packet: Crossing) -> tuple[tuple[int, ...], Crossing | None]:
    """Return the arrivals that a pure ACK covers first, and the newest that it covers whole."""
    if not is_bare(packet) or (endpoint.last_ack is not None and ack_of(packet) <= endpoint.last_ack):
        return (), None
    whole = [each for each in endpoint.pending if each.seq + each.sequence_length <= ack_of(packet)]
    if whole:
        return tuple(each.n for each in whole), whole[-1]
    return tuple(each.n for each in list(endpoint.pending)[:1] if each.seq < ack_of(packet)), None


def _waited(newest: Crossing, packet: Crossing) -> int:
    return packet.time - arrival_time(newest)


def _reader_since(endpoint: TcpEndpoint, newest: Crossing, packet: Crossing) -> Call | None:
    """Return the read that took bytes as an ACK left (tcp_cleanup_rbuf).

    It takes them as it begins, as they come, and before it returns; in between it sleeps.
    """
    reader = endpoint.taking(packet.time, endpoint.arrived)
    if reader is None:
        return None
    return reader if acts(reader, packet, max(reader.start, arrival_time(newest))) else None


def _looks(endpoint: TcpEndpoint, newest: Crossing, packet: Crossing) -> bool:
    """Say whether a read that began since acts just now, when it may acknowledge though it takes nothing (MSG_PEEK)."""
    calls = (call for call in endpoint.in_progress(packet.time) if call.direction == "in")
    return any(call.start > arrival_time(newest) and acts(call, packet, call.start) for call in calls)


def _hurries(endpoint: TcpEndpoint, packet: Crossing) -> Call | None:
    """Return the call in progress that sends an ACK which waits for its timer (__tcp_sock_set_quickack)."""
    calls = endpoint.in_progress(packet.time)
    return next((call for call in calls if switched_on(call, "TCP_QUICKACK")), None)


@RULES.explains(CauseName.PROBE_ANSWER)
def probe_answer(endpoint: TcpEndpoint, packet: Crossing) -> Explanation | None:
    """Explain a repeated ACK that answers a keep-alive or window probe (RFC 9293 section 3.8.4)."""
    if not is_bare(packet) or not endpoint.probes:
        return None
    probe = endpoint.probes[-1]
    if _is_update(endpoint, packet, probe):
        return None
    window = ("; the window is still 0",) if packet.window == 0 else ()
    evidence = ("answers the probe ", PacketRef(probe.n), *window)
    # bytes that were cut off on the way left the form of one
    cut = (CauseName.DUPLICATE_ACK,) if probe.length and not sequence_length_arrived(probe) else ()
    others = (*cut, *_by_wakeup(endpoint, packet))
    packets = () if endpoint.queued else (probe.n,)  # while it waited to leave others came
    return Explanation(evidence, packets=packets, effects=(EndpointEffect.ANSWERS_PROBES,), alternatives=others)


@RULES.explains(CauseName.D_SACK)
def d_sack(endpoint: TcpEndpoint, packet: Crossing) -> Explanation | None:
    """Explain an ACK that reports bytes received twice (RFC 2883: the first block is old).

    One that also covers new bytes was sent at once for the repeat only if that came last.
    """
    if not is_bare(packet):
        return None
    covered, _ = _covered(endpoint, packet)
    last = endpoint.last_arrival
    if covered and (last is None or packet.time - arrival_time(last) >= SOON):
        return None  # the timer of delayed ACKs sent it
    blocks = sack_blocks(packet)
    if not blocks:
        return None
    left, right = blocks[0]
    inside = len(blocks) > 1 and blocks[1][0] <= left and right <= blocks[1][1]
    if right > ack_of(packet) and not inside:
        return None
    arrivals = (*endpoint.unexpected, *(each for each in endpoint.pending if each.n in covered))
    culprits = [each for each in arrivals if each.seq < right and each.seq + each.sequence_length > left]
    if not culprits and covered and last is not None and last.seq < right:
        culprits = [last]  # it brought new bytes as well
    if not culprits:
        return None
    if last in culprits and packet.time - arrival_time(culprits[0]) >= SOON:
        culprits = [last]  # a repeat is answered as it comes, or never
    also: Evidence = (", and acknowledges ", packet_refs(covered)) if covered else ()
    evidence = ("reports by D-SACK that ", PacketRef(culprits[0].n), " brought bytes it had already", *also)
    # a read that began since sends what is to be acknowledged as well (tcp_cleanup_rbuf)
    late = last is not None and packet.time - arrival_time(last) >= HAS_LEFT
    reads = late and last is not None and endpoint.receiving(packet.time)
    by_read: tuple[CauseName, ...] = (CauseName.ACK if covered else CauseName.WINDOW_UPDATE,) if reads else ()
    by_read += () if covered else _by_timer(endpoint, packet)
    packets = tuple(dict.fromkeys((*covered, culprits[0].n)))
    return Explanation(evidence, packets=packets, effects=(EndpointEffect.ANSWERS_UNEXPECTED,), alternatives=by_read)


def _by_timer(endpoint: TcpEndpoint, packet: Crossing) -> tuple[CauseName, ...]:
    """Return which timers may have sent an ACK that repeats its number: it reports several segments, and was late."""
    several = endpoint.repeated_acks >= _UNCOMPRESSED and bool(sack_blocks(packet))
    waiting = [*endpoint.unexpected] or [each for each in (endpoint.last_arrival,) if each is not None]
    longest = max((packet.time - arrival_time(each) for each in waiting), default=0)
    if endpoint.answers_at_once and longest < _SOONEST:
        return ()
    late = longest >= _compresses_for(endpoint)
    return (CauseName.COMPRESSED_ACK, CauseName.DELAYED_ACK) if several and late else ()


@RULES.explains(CauseName.COMPRESSED_ACK)
def compressed_ack(endpoint: TcpEndpoint, packet: Crossing) -> Explanation | None:
    """Explain a repeated ACK that a timer sent for several (tcp_compressed_ack_kick): late, after all that it reports.

    Only of a lab's own kernels: others have other timers, or none.
    """
    last = endpoint.last_arrival
    if last is None or not endpoint.sysctls or endpoint.queued or packet.ack != endpoint.last_ack:
        return None
    processed = _LATEST if endpoint.answers_at_once is False else IN_PROCESSING
    if packet.time - arrival_time(last) < processed or endpoint.taking(packet.time, endpoint.arrived) is not None:
        return None
    found = duplicate_ack(endpoint, packet)
    reported = any(left <= last.seq < right for left, right in sack_blocks(packet))
    if found is None or CauseName.COMPRESSED_ACK not in found.alternatives or not reported:
        return None
    waited = Duration(packet.time - arrival_time(last))
    evidence = ("repeats its ACK for several that came out of order, ", waited, " after ", PacketRef(last.n))
    # on a busy machine the answer to one that came alone may be late too: it is certain only at the timer's own time
    usual = min((endpoint.handshake or 0) // 20, 1_000_000)
    timely = 2 * IN_PROCESSING <= waited.ns <= usual * 6 // 5 + _SLACK  # round trips grow
    # what came while a call used the socket is answered at the end of that
    using = any(call.direction != "in" and not is_close(call) for call in endpoint.in_progress(packet.time))
    timely = timely or endpoint.answers_at_once is False
    late = using or (len(endpoint.unexpected) < 2 and not timely)
    return found._replace(evidence=evidence, packets=(last.n,), alternatives=(CauseName.DUPLICATE_ACK,) if late else ())


@RULES.explains(CauseName.DUPLICATE_ACK)
def duplicate_ack(endpoint: TcpEndpoint, packet: Crossing) -> Explanation | None:
    """Explain a repeated ACK: old or out-of-order data came (RFC 5681 section 4.2, tcp_send_dupack)."""
    if not is_bare(packet):
        return None
    segments = [each for each in endpoint.unexpected if each.sequence_length and "S" not in each.flags]
    if not segments or made_room(endpoint, packet) or refuses(endpoint, packet):
        return None
    if endpoint.last_ack is not None and ack_of(packet) > endpoint.last_ack:
        return None
    culprit = segments[-1] if segments[-1] is endpoint.last_arrival else segments[0]
    for left, right in sack_blocks(packet)[:1]:  # RFC 2018 section 4: the first holds the newest
        inside = [each for each in segments if left <= each.seq and each.seq + each.sequence_length <= right]
        culprit = inside[-1] if inside else culprit
    old = endpoint.rcv_nxt is not None and culprit.seq < ack_of(packet)
    reason = " brought bytes it had already" if old else " came out of order"
    effects = (EndpointEffect.ANSWERS_UNEXPECTED,)
    if endpoint.queued:  # while it waited to leave others came
        either = ("repeats its ACK: ", PacketRef(culprit.n), " or what came before it was old or out of order")
        return Explanation(either, effects=effects, alternatives=_by_timer(endpoint, packet))
    evidence = ("repeats its ACK: ", PacketRef(culprit.n), reason)
    last, timer = endpoint.last_arrival, _by_timer(endpoint, packet)
    # what comes next may send it, before that is looked at (tcp_sack_new_ofo_skb)
    newer = (last.n,) if last is not None and last is segments[-1] is not culprit else ()
    reads = (CauseName.WINDOW_UPDATE,) if may_be_read(endpoint, packet) else ()
    # what came may be reported by data that left since; then the ACK answers a RST or a SYN that came as well
    challenged = [each.n for each in endpoint.unexpected if each not in segments][-1:]
    # the next in order by this number, though more seemed to have been taken
    refused = (CauseName.NOT_TAKEN,) if culprit.seq == ack_of(packet) and not reports_old(packet) else ()
    others = (*timer, *reads, *((CauseName.CHALLENGE_ACK,) if challenged else ()), *refused)
    others += _by_wakeup(endpoint, packet)
    return Explanation(evidence, packets=(culprit.n, *newer, *challenged), effects=effects, alternatives=others)


@RULES.explains(CauseName.CHALLENGE_ACK)
def challenge_ack(endpoint: TcpEndpoint, packet: Crossing) -> Explanation | None:
    """Explain a repeated ACK that answers an unacceptable segment (RFC 5961, RFC 9293 section 3.10.7.4)."""
    if not is_bare(packet) or not endpoint.unexpected or made_room(endpoint, packet) or refuses(endpoint, packet):
        return None
    if endpoint.last_ack is not None and ack_of(packet) > endpoint.last_ack and not endpoint.queued:
        return None
    if endpoint.queued:  # while it waited to leave others came
        either = ("repeats its ACK to a segment outside the window, or too old, to a SYN or to a RST",)
        effects = (EndpointEffect.ANSWERS_UNEXPECTED,)
        return Explanation(either, effects=effects, alternatives=_by_wakeup(endpoint, packet))
    culprit = endpoint.unexpected[-1]
    what = ": a SYN on an open connection" if "S" in culprit.flags else ": a segment outside the window, or too old"
    if "R" in culprit.flags:
        what = ": a RST that fits the window, but is not the next"
    evidence = ("repeats its ACK to ", PacketRef(culprit.n), what)
    effects = (EndpointEffect.ANSWERS_UNEXPECTED,)
    return Explanation(evidence, packets=(culprit.n,), effects=effects, alternatives=_by_wakeup(endpoint, packet))


def _is_update(endpoint: TcpEndpoint, packet: Crossing, probe: Crossing) -> bool:
    """Say whether the window grew by a read that began after a probe had come.

    Linux answers a probe at once, or not at all within half a second of the last answer (tcp_oow_rate_limited).
    """
    if endpoint.last_window is None or endpoint.window(packet) <= endpoint.last_window:
        return False
    reader = endpoint.reader(packet.time)
    return reader is not None and reader.start > arrival_time(probe)
