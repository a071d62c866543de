"""What connections wait for: a delayed ACK by Nagle, a program that does not read, a window too small, tiny writes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from testbed.analysis.causes.endpoint import OPTIONS_MOST
from testbed.analysis.causes.release import AT_ONCE
from testbed.diagnosis.observed import MS, SECOND, Observed, SeenFlow
from testbed.model import HOSTS, Call, CauseName, Crossing, Host, PacketRef, call_ref, peer_of
from testbed.model.call_table import going
from testbed.model.evidence import Duration, Part, Quantity
from testbed.model.findings import (
    Certainty,
    Cost,
    Finding,
    FindingName,
    Severity,
    Undecided,
    program_of,
)
from testbed.model.verdicts import DeadLock

Found = Iterator[Finding | Undecided]

DELAYED = 20 * MS
"""Least time (ns) that an ACK waits if it is a delayed one: the kernel's shortest is 40 ms (TCP_DELACK_MIN)."""
_CLOSED_LONG = 200 * MS
"""Least time (ns) of a window of 0 that is worth a word: the first window probe is not sent earlier."""
_IGNORED = SECOND
"""Least time (ns) for which data lies unread until its program counts as not reading."""
_GAVE_UP = 200 * MS
"""The same where the program that waits gave up."""
_READS = going("in")


class Held(NamedTuple):
    """A segment that Nagle's algorithm held until a delayed ACK.

    ``before`` is the segment that was not acknowledged, ``ack`` its ACK; ``waited`` and ``delay`` are ns: how long the
    bytes were held, and how long the ACK was delayed. ``call`` wrote them, None where no call was seen.
    """

    packet: Crossing
    before: Crossing
    ack: Crossing
    waited: int
    delay: int
    call: Call | None


def held_by_nagle(connection: SeenFlow, host: Host) -> list[Held]:
    """Return the small segments of a host that left with the ACK of a small one before, which had been delayed."""
    found: list[Held] = []
    mss = min(
        (int(each.options["mss"]) for each in connection.packets if "S" in each.flags and "mss" in each.options),
        default=536,
    )
    full = mss - OPTIONS_MOST
    before: Crossing | None = None
    last_ack: Crossing | None = None
    own = connection.calls[host]
    known = connection.knows(host)
    high = -1
    for packet in connection.packets:
        if packet.sender != host:
            if packet.ack is not None and packet.arrived is not None:
                last_ack = packet
            continue
        if not packet.length or packet.start < high:
            continue
        small = packet.length < full
        if before is not None and last_ack is not None and small and before.length < full:
            held = _held(connection, packet, before, last_ack)
            if held is not None and not (known and own.nodelay(packet.time)):
                writers = own.writers(packet) if known else ()
                written = writers[0].call if writers else None
                if written is None or (written.end is not None and written.end <= (held.ack.arrived or 0)):
                    if written is not None and written.end is not None:
                        held = held._replace(waited=packet.time - written.end, call=written)
                    found.append(held)
        before, high = packet, packet.end
    return found


def _held(connection: SeenFlow, packet: Crossing, before: Crossing, ack: Crossing) -> Held | None:
    """Return how a segment was held, None if it left for another reason than that ACK, or if the ACK came at once."""
    arrived = ack.arrived or 0
    if ack.ack is None or ack.ack < before.seq + before.length or not 0 <= packet.time - arrived < AT_ONCE:
        return None
    if ack.length or packet.time < before.time + DELAYED:
        return None
    if connection.both_ends and before.arrived is not None and ack.sent is not None:
        delay = ack.sent - before.arrived
    else:
        delay = arrived - before.time - (connection.round_trip or 0)
    if delay < DELAYED:
        return None
    return Held(packet, before, ack, packet.time - before.time, delay, None)


def nagle(seen: Observed) -> Found:
    """Yield each connection on which small writes waited for a delayed ACK."""
    for connection in seen.tcp:
        for host in HOSTS:
            found = held_by_nagle(connection, host)
            known = connection.knows(host)
            if not found or (not known and len(found) < 2):
                continue
            longest = max(found, key=lambda each: each.waited)
            pieces = connection.data[host]
            turns = sum(1 for n, each in enumerate(pieces) if not n or _peer_between(connection, pieces[n - 1], each))
            facts: dict[str, Part] = {
                "host": host,
                "peer": peer_of(host),
                "waits": Quantity(len(found)),
                "turns": Quantity(max(turns, len(found))),
                "longest": Duration(longest.waited),
                "total": Duration(sum(each.waited for each in found)),
                "call": call_ref(longest.call) if longest.call is not None else PacketRef(longest.packet.n),
                "ack": PacketRef(longest.ack.n),
            }
            yield Finding(
                FindingName.NAGLE_DELAYED_ACK,
                Severity.WARNING,
                program_of(host),
                connection.index,
                facts,
                packets=tuple(n for each in found for n in (each.before.n, each.ack.n, each.packet.n)),
                calls=tuple(call_ref(each.call) for each in found if each.call is not None),
                cost=Cost(wait=sum(each.delay for each in found), of_wait=connection.span),
                certainty=Certainty.PROVEN if known and seen.both_ends else Certainty.INFERRED,
            )


def _peer_between(connection: SeenFlow, one: Crossing, other: Crossing) -> bool:
    return any(each.sender != one.sender and one.n < each.n < other.n for each in connection.packets if each.length)


class Closed(NamedTuple):
    """A time in which a host offered no window: the first packet that said so, from when until when (ns)."""

    packet: Crossing
    start: int
    end: int
    reopened: bool


def closed_windows(connection: SeenFlow, host: Host, until: int) -> list[Closed]:
    """Return when a host's window was 0, by its own packets (a RST's window says nothing)."""
    found: list[Closed] = []
    first: Crossing | None = None
    for packet in connection.sent[host]:
        if "R" in packet.flags or packet.ack is None:
            continue
        if packet.window == 0 and first is None:
            first = packet
        elif packet.window and first is not None:
            found.append(Closed(first, first.time, packet.time, reopened=True))
            first = None
    if first is not None:
        reset = next((e.time for e in connection.packets if "R" in e.flags and e.time > first.time), None)
        found.append(Closed(first, first.time, reset or max(until, first.time), reopened=False))
    return found


def dead_locked(seen: Observed) -> Found:
    """Yield each connection on which both programs write and neither reads."""
    told: set[int] = set()
    for fact in seen.verdicts(DeadLock):
        if not isinstance(fact, DeadLock):
            continue
        connection = next(each for each in seen.tcp if each.index == fact.flow)
        yield _deadlock(seen, connection, fact)
        told.add(fact.flow)
    for connection in seen.tcp:
        if connection.index in told or all(connection.knows(host) for host in HOSTS):
            continue
        shut = {host: closed_windows(connection, host, seen.until(host)) for host in HOSTS}
        if all(shut.values()) and min(_overlap(shut["client"][-1], shut["server"][-1]), key=int) >= SECOND:
            yield _deadlock(seen, connection, None)


def _overlap(one: Closed, other: Closed) -> tuple[int, ...]:
    return (min(one.end, other.end) - max(one.start, other.start),)


def _deadlock(seen: Observed, connection: SeenFlow, fact: DeadLock | None) -> Finding:
    shut = {host: closed_windows(connection, host, seen.until(host)) for host in HOSTS}
    both = [shut[host][-1] for host in HOSTS if shut[host]]
    waited = max(_overlap(both[0], both[1])[0], 0) if len(both) == 2 else 0
    unread = sum((connection.rows[host].unread or 0) for host in HOSTS if host in connection.rows)
    facts: dict[str, Part] = {"waited": Duration(waited), "unread": Quantity(unread, "byte")}
    if fact is not None:
        facts |= {"client_call": fact.calls[0], "server_call": fact.calls[1]}
    return Finding(
        FindingName.WRITE_DEADLOCK,
        Severity.ERROR,
        program_of("client"),
        connection.index,
        facts,
        variant="" if fact is not None else "no-calls",
        packets=tuple(each.packet.n for each in both),
        calls=fact.calls if fact is not None else (),
        cost=Cost(
            sum(max(connection.written(host) - connection.got(host), 0) for host in HOSTS),
            sum(connection.written(host) for host in HOSTS),
            waited,
            connection.span,
        ),
        certainty=Certainty.PROVEN if fact is not None else Certainty.INFERRED,
    )


def not_reading(seen: Observed, dead: frozenset[int] = frozenset()) -> Found:
    """Yield each receiver whose window was 0 for long: its program did not read."""
    for connection in seen.tcp:
        if connection.index in dead:
            continue
        for host in HOSTS:
            shut = [
                each for each in closed_windows(connection, host, seen.until(host)) if _waited_for(connection, each)
            ]
            shut = [each for each in shut if each.end - each.start >= _CLOSED_LONG]
            if not shut:
                continue
            peer = peer_of(host)
            longest = max(shut, key=lambda each: each.end - each.start)
            total = sum(each.end - each.start for each in shut)
            blocked = _blocked(connection, peer, longest)
            missing = max(connection.written(peer) - connection.got(peer), 0)
            facts: dict[str, Part] = {
                "host": host,
                "peer": peer,
                "closed": Duration(longest.end - longest.start),
                "packet": PacketRef(longest.packet.n),
                "times": Quantity(len(shut), "time"),
            }
            if blocked is not None:
                facts |= {
                    "call": call_ref(blocked),
                    "blocked": Duration((blocked.end or longest.end) - blocked.start),
                    "how": f"and ended with {blocked.errno}" if blocked.errno else "",
                }
            failed = not longest.reopened and missing > 0
            yield Finding(
                FindingName.ZERO_WINDOW,
                Severity.ERROR if failed else Severity.WARNING,
                program_of(host),
                connection.index,
                facts,
                variant=("blocked" if blocked is not None else "") + ("-for-good" if failed else ""),
                packets=tuple(each.packet.n for each in shut),
                calls=() if blocked is None else (call_ref(blocked),),
                cost=Cost(missing if failed else 0, connection.written(peer), total, connection.span),
            )


def _waited_for(connection: SeenFlow, closed: Closed) -> bool:
    """Whether the sender had something to send meanwhile: it sent a probe, or went on as soon as the window opened."""
    peer = peer_of(closed.packet.sender)
    for packet in connection.sent[peer]:
        if packet.time < closed.start:
            continue
        if connection.cause(packet).rule is CauseName.WINDOW_PROBE or packet.length:
            return True
        if packet.time > closed.end + SECOND:
            break
    return False


def _blocked(connection: SeenFlow, host: Host, closed: Closed) -> Call | None:
    """Return the write of a host that waited longest in a time of no window; None where none did."""
    if not connection.knows(host):
        return None
    during = [
        call
        for call in connection.calls[host].calls
        if call.direction == "out" and call.start < closed.end and (call.end is None or call.end > closed.start)
    ]
    during = [call for call in during if (call.end or closed.end) - call.start >= _CLOSED_LONG]
    return max(during, key=lambda call: (call.end or closed.end) - call.start, default=None)


def never_read(seen: Observed) -> Found:
    """Yield each program that got data, never read any of it, and was waited for."""
    for connection in seen.tcp:
        for host in HOSTS:
            peer = peer_of(host)
            row = connection.rows.get(peer)
            if row is None or not connection.knows(host) or not connection.data[peer]:
                continue
            if row.read.bytes != 0 or connection.calls[host].uses_stdio:
                continue
            first = next((each for each in connection.data[peer] if connection.reached(each)), None)
            if first is None or first.arrived is None:
                continue
            waiting = _waiting_read(connection, peer, first.time)
            if waiting is None or connection.data[host]:
                continue
            until = waiting.end or seen.until(peer)
            if until - first.arrived < (_GAVE_UP if waiting.errno else _IGNORED):
                continue
            facts: dict[str, Part] = {
                "host": host,
                "peer": peer,
                "bytes": Quantity(row.arrived.bytes or 0, "byte"),
                "call": call_ref(waiting),
                "waited": Duration(until - first.arrived),
                "packet": PacketRef(first.n),
                "how": f"and ended with {waiting.errno}" if waiting.errno else "",
            }
            yield Finding(
                FindingName.REQUEST_NEVER_READ,
                Severity.ERROR,
                program_of(host),
                connection.index,
                facts,
                packets=(first.n,),
                calls=(call_ref(waiting),),
                cost=Cost(row.arrived.bytes or 0, connection.written(peer), until - first.arrived, connection.span),
            )


def _waiting_read(connection: SeenFlow, host: Host, after: int) -> Call | None:
    """Return the read (or the wait for something to read) of a host after a time that got nothing for long."""
    waits = ("poll", "ppoll", "select", "pselect", "epoll_wait", "epoll_pwait")
    for call in connection.calls[host].calls:
        long = call.end is None or call.end - call.start >= (_GAVE_UP if call.errno else _IGNORED)
        if call.start >= after and long and not call.length and call.name in (*_READS, *waits):
            return call
    return None


_TINY, _MANY = 64, 50


def tiny(seen: Observed) -> Found:
    """Yield each program that wrote a stream in very many very small pieces, most of which left as packets."""
    for connection in seen.tcp:
        for host in HOSTS:
            writes = connection.writes(host) if connection.knows(host) else []
            if len(writes) < _MANY:
                continue
            size = sum(call.length for call in writes)
            pieces = connection.data[host]
            turns = sum(1 for n, each in enumerate(pieces) if n and _peer_between(connection, pieces[n - 1], each))
            if size > _TINY * len(writes) or len(writes) < 4 * max(turns, 1):
                continue
            facts: dict[str, Part] = {
                "host": host,
                "writes": Quantity(len(writes), "write"),
                "bytes": Quantity(size, "byte"),
                "packets": Quantity(len(pieces), "packet"),
                "mean": Quantity(max(size // len(writes), 1), "byte"),
                "call": call_ref(writes[0]),
            }
            yield Finding(
                FindingName.TINY_WRITES,
                Severity.NOTE,
                program_of(host),
                connection.index,
                facts,
                packets=tuple(each.n for each in pieces[:8]),
                calls=(call_ref(writes[0]),),
                cost=Cost(of_bytes=size),
            )
