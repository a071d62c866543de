"""Where the time of a connection went: a stretch of time is counted once, and the parts add up to the whole exactly.

Stretches of which a reason is known are collected, and where several lie over each other the one that stands first in
the order below counts: what kept the sender from sending comes before what was merely on its way. Where nothing was on
its way and nothing was held, it was a program's turn: that of the host to which the last bytes had come.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from testbed.analysis.causes.endpoint import arrival_time
from testbed.diagnosis.observed import SECOND, Observed, SeenFlow
from testbed.diagnosis.waiting_rules import closed_windows, held_by_nagle
from testbed.model import HOSTS, Crossing, Host, peer_of
from testbed.model.findings import TimeAccount, WaitKind

K = WaitKind
ORDER = (
    *(K.CONNECTING, K.RETRANSMISSION, K.WINDOW, K.DELAYED_ACK, K.NAGLE, K.CONGESTION, K.SENDING, K.LINK),
    *(K.CLIENT_PROGRAM, K.SERVER_PROGRAM),
)
"""Which kind counts where several do."""

_PROGRAM: dict[Host, WaitKind] = {"client": K.CLIENT_PROGRAM, "server": K.SERVER_PROGRAM}
_MOST = 20_000
"""Packets of a connection above which its time is not accounted for."""


class Stretch(NamedTuple):
    """A stretch of time from ``start`` up to ``end``, ns, and why."""

    kind: WaitKind
    start: int
    end: int


def account(stretches: Iterable[Stretch], start: int, end: int, otherwise: WaitKind) -> dict[WaitKind, int]:
    """Return how much of a time each kind has: of stretches that overlap the first in :data:`ORDER` counts.

    The parts add up to ``end - start``; what no stretch covers is of the kind ``otherwise``.
    """
    rank = {kind: at for at, kind in enumerate(ORDER)}
    events: list[tuple[int, int, int]] = []
    for kind, first, last in stretches:
        since, until = max(first, start), min(last, end)
        if since < until:
            events += [(since, rank[kind], 1), (until, rank[kind], -1)]
    events.sort()
    open_now = [0] * len(ORDER)
    parts: dict[WaitKind, int] = {}
    at = start
    for time, kind_rank, change in events:
        if time > at:
            kind = next((ORDER[each] for each, number in enumerate(open_now) if number), otherwise)
            parts[kind] = parts.get(kind, 0) + time - at
            at = time
        open_now[kind_rank] += change
    if end > at:
        parts[otherwise] = parts.get(otherwise, 0) + end - at
    return {kind: parts[kind] for kind in WaitKind if kind in parts}


def time_accounts(seen: Observed) -> tuple[TimeAccount, ...]:
    """Return where the time of each TCP connection went, as far as it is not too long to tell."""
    return tuple(_of(seen, connection) for connection in seen.tcp if len(connection.packets) <= _MOST)


def _of(seen: Observed, connection: SeenFlow) -> TimeAccount:
    start = connection.packets[0].time
    end = max(start, *(arrival_time(each) for each in connection.packets))
    opener = connection.opener or "client"
    stretches = [*_connecting(connection), *_turns(connection, opener, end)]
    for host in HOSTS:
        stretches += _resent(connection, host)
        stretches += _shut(connection, host, seen.until(host))
        stretches += _held(connection, host)
        stretches += _sending(connection, host)
    return TimeAccount(connection.index, end - start, account(stretches, start, end, _PROGRAM[opener]))


def _connecting(connection: SeenFlow) -> Iterator[Stretch]:
    """Yield the time from the first SYN until its answer came (of one that never did, until the last SYN)."""
    if connection.opener is None:
        return
    answers = [e for e in connection.sent[peer_of(connection.opener)] if "S" in e.flags and e.arrived is not None]
    until = answers[0].arrived if answers else max(arrival_time(each) for each in connection.packets)
    yield Stretch(K.CONNECTING, connection.packets[0].time, until or 0)


def _turns(connection: SeenFlow, opener: Host, end: int) -> Iterator[Stretch]:
    """Yield what was on its way, and between that whose program's turn it was."""
    turn: Host = opener
    at = connection.packets[0].time
    for packet in connection.packets:
        yield Stretch(_PROGRAM[turn], at, packet.time)
        if packet.arrived is not None and packet.sent is not None and packet.sequence_length:
            yield Stretch(K.LINK, packet.sent, packet.arrived)
        at = packet.time
        if packet.length:
            turn = peer_of(packet.sender)
    yield Stretch(_PROGRAM[turn], at, end)


def _resent(connection: SeenFlow, host: Host) -> Iterator[Stretch]:
    """Yield the times between bytes and the same bytes again, by whatever made the kernel send them again."""
    last: dict[int, Crossing] = {}
    for packet in connection.sent[host]:
        if packet.flags.startswith("S") or not packet.sequence_length:
            continue
        before = last.get(packet.seq)
        if connection.cause(packet).traits.sent_again and before is not None:
            yield Stretch(K.RETRANSMISSION, before.time, packet.time)
        last[packet.seq] = packet


def _shut(connection: SeenFlow, host: Host, until: int) -> Iterator[Stretch]:
    """Yield the times in which a host's window was 0 and its peer had more to send."""
    peer = peer_of(host)
    for closed in closed_windows(connection, host, until):
        waits = [
            e for e in connection.sent[peer] if closed.start <= e.time <= closed.end + SECOND and e.sequence_length
        ]
        probes = [
            e
            for e in connection.sent[peer]
            if closed.start <= e.time <= closed.end and connection.cause(e).traits.probe
        ]
        if waits or probes:
            yield Stretch(K.WINDOW, closed.start, closed.end)


def _held(connection: SeenFlow, host: Host) -> Iterator[Stretch]:
    """Yield how long Nagle's algorithm held bytes, and within that how long the ACK was delayed."""
    for held in held_by_nagle(connection, host):
        yield Stretch(K.NAGLE, held.packet.time - held.waited, held.packet.time)
        sent = held.ack.sent if held.ack.sent is not None else held.ack.arrived or 0
        yield Stretch(K.DELAYED_ACK, max(sent - held.delay, held.packet.time - held.waited), sent)


def _sending(connection: SeenFlow, host: Host) -> Iterator[Stretch]:
    """Yield the times between two segments of one burst: of a write in progress, or of the congestion window.

    Where an ACK that came in between made room (the bytes had been written before), the congestion window had held the
    second one.
    """
    known = connection.knows(host)
    own = connection.calls[host]
    before: Crossing | None = None
    heard = False
    for packet in connection.packets:
        if packet.sender != host:
            if packet.length:
                before = None
            heard = heard or packet.arrived is not None
            continue
        if not packet.length:
            continue
        if before is not None and packet.start >= before.end:
            writers = own.writers(packet) if known else ()
            waiting = bool(writers) and all(share.call.start < before.time for share in writers)
            ack = connection.cause(packet).packets
            if waiting and heard and ack:
                yield Stretch(K.CONGESTION, before.time, packet.time)
            elif waiting or (not known and packet.time - before.time < (connection.round_trip or 0)):
                yield Stretch(K.SENDING, before.time, packet.time)
        before, heard = packet, False
