"""Connections that the path forgot while they were idle, and keep-alive that began too late for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise

from testbed.analysis.calls.call_effects import option_value, switched_on
from testbed.analysis.causes.endpoint import arrival_time
from testbed.diagnosis.observed import MS, SECOND, Observed, SeenFlow, lost
from testbed.model import HOSTS, CauseName, Crossing, Fate, Host, PacketRef, call_ref, peer_of
from testbed.model.evidence import Duration, Part, Quantity
from testbed.model.findings import Certainty, Cost, Culprit, Finding, FindingName, Severity, Undecided, program_of

Found = Iterator[Finding | Undecided]

_SILENCE = 900 * MS
"""Least time (ns) without a packet after which the path may have forgotten a connection: the least TCP_KEEPIDLE, less
what the last packet was on its way."""
_SHORT_SILENCE = 300 * MS
"""The same where what the peer sends passes, or a RST in its name comes: no break of the path does that."""
_TRIES = 3
"""Least packets in a row that are lost, and so are no accident."""
_AGAIN = 5
"""So often the same bytes must be lost in a row for a path that lets nothing pass: less may be loss as any other."""
_AS_LONG = 0.9
"""A silence so much as long that the path had not forgotten in it says that it was something else."""
_GIVEN_UP = (CauseName.KEEP_ALIVE_TIMEOUT, CauseName.USER_TIMEOUT)
"""Where the kernel then ended the connection, _TRIES are enough."""


def after_silence(connection: SeenFlow, host: Host) -> list[Crossing]:
    """Return what a host sent after a silence, if none of it arrived any more; else nothing."""
    ours = connection.sent[host]
    gone: list[Crossing] = []
    for packet in reversed(ours):
        if "R" in packet.flags and not gone and packet.fate is not Fate.LOST:
            continue  # it answers what came after the connection had ended
        if packet.fate is not Fate.LOST:
            break
        gone.append(packet)
    gone.reverse()
    if len(gone) < _TRIES or len(gone) == len(ours):
        return []
    before = sorted(arrival_time(each) for each in connection.packets if each.time < gone[0].time)
    passes = any(each.length and connection.reached(each) for each in _meanwhile(connection, gone))
    least = _SHORT_SILENCE if passes else _SILENCE
    if not before or gone[0].time - before[-1] < least:
        return []
    survived = max((later - earlier for earlier, later in pairwise(before)), default=0)
    return [] if survived >= _AS_LONG * (gone[0].time - before[-1]) else gone


def _meanwhile(connection: SeenFlow, gone: Sequence[Crossing]) -> list[Crossing]:
    """Return what the peer sent while a host's packets were lost, before the last of them."""
    theirs = connection.sent[peer_of(gone[0].sender)]
    return [each for each in theirs if gone[0].time < each.time < gone[-1].time]


def idle(seen: Observed) -> Found:
    """Yield each connection of which the path lets nothing pass in one direction after a silence, and why too late."""
    for connection in seen.tcp if seen.both_ends else ():
        late = False
        for host in HOSTS:
            gone = after_silence(connection, host)
            if not gone:
                continue
            peer = peer_of(host)
            before = max(arrival_time(each) for each in connection.packets if each.time < gone[0].time)
            other = _meanwhile(connection, gone)
            passes = any(each.arrived is not None for each in other)
            missing = max(connection.written(host) - connection.got(host), 0)
            facts: dict[str, Part] = {
                "host": host,
                "peer": peer,
                "silence": Duration(gone[0].time - before),
                "lost": Quantity(len(gone), "packet"),
                "first": PacketRef(gone[0].n),
            }
            cost = Cost(missing, connection.written(host), gone[-1].time - gone[0].time, connection.span)
            variant = "other-passes" if passes else "both" if lost(other) else ""
            yield Finding(
                FindingName.IDLE_FORGOTTEN,
                Severity.ERROR,
                Culprit.PATH,
                connection.index,
                facts,
                variant=variant,
                packets=tuple(each.n for each in gone),
                cost=cost,
                certainty=Certainty.INFERRED,
            )
            yield from _too_late(connection, gone[0], facts)
            late = True
        yield from _reset_after_silence(connection)
        for host in () if late else HOSTS:
            yield from _probed_too_late(connection, host)


def down(seen: Observed, explained: frozenset[int]) -> Found:
    """Yield the connections on which from some packet on nothing passed in either direction (one finding for all).

    ``explained`` are packets whose loss another finding explains. Where only one end sent, its peer may be fine.
    """
    for connection in seen.tcp if seen.both_ends else ():
        passed = max((at for at, each in enumerate(connection.packets) if each.fate is not Fate.LOST), default=None)
        if passed is None:
            continue
        gone = connection.packets[passed + 1 :]
        mine = {host: [each for each in gone if each.sender == host] for host in HOSTS}
        if len(gone) < _TRIES or not all(mine.values()) or explained & {each.n for each in gone}:
            continue
        host = gone[0].sender
        missing = {side: max(connection.written(side) - connection.got(side), 0) for side in HOSTS}
        yield Finding(
            FindingName.PATH_DOWN,
            Severity.ERROR,
            Culprit.PATH,
            connection.index,
            {
                "host": host,
                "peer": peer_of(host),
                "first": PacketRef(gone[0].n),
                "lost": Quantity(len(mine[host]), "packet"),
                "theirs": Quantity(len(mine[peer_of(host)]), "packet"),
            },
            packets=tuple(each.n for each in gone),
            cost=Cost(
                sum(missing.values()),
                sum(connection.written(side) for side in HOSTS),
                arrival_time(gone[-1]) - gone[0].time,
                connection.span,
            ),
            certainty=Certainty.INFERRED,
        )


def outages(seen: Observed, explained: frozenset[int]) -> Found:
    """Yield each direction of a connection in which nothing passed for a time, while the same bytes were sent again.

    ``explained`` are packets whose loss another finding explains.
    """
    for connection in seen.tcp if seen.both_ends else ():
        for host in HOSTS:
            gone = _outage(connection, host)
            if not gone or explained & {each.n for each in gone}:
                continue
            peer, last = peer_of(host), gone[-1]
            later = [each for each in connection.sent[host] if each.n > last.n and "R" not in each.flags]
            back = later[0] if later else None
            facts: dict[str, Part] = {
                "host": host,
                "peer": peer,
                "first": PacketRef(gone[0].n),
                "lost": Quantity(len(gone), "packet"),
                "lasted": Duration(last.time - gone[0].time),
            }
            if back is not None:
                facts |= {"back": PacketRef(back.n), "pause": Duration(back.time - last.time)}
            missing = 0 if back is not None else max(connection.written(host) - connection.got(host), 0)
            waited = (last if back is None else back).time - gone[0].time
            yield Finding(
                FindingName.PATH_DOWN,
                Severity.ERROR if back is None else Severity.WARNING,
                Culprit.PATH,
                connection.index,
                facts,
                variant="one-way" if back is None else "back",
                packets=tuple(each.n for each in gone),
                cost=Cost(missing, connection.written(host), waited, connection.span),
                certainty=Certainty.INFERRED,
            )


def _outage(connection: SeenFlow, host: Host) -> list[Crossing]:
    """Return the most packets of a host's that were lost one after the other, the same thing tried often among them."""
    ours = [each for each in connection.sent[host] if "R" not in each.flags]
    ended = any(connection.cause(each).rule in _GIVEN_UP for each in connection.sent[host])
    least = _TRIES if ended else _AGAIN
    runs = [list(group) for lost_now, group in groupby(ours, lambda each: each.fate is Fate.LOST) if lost_now]
    return max((run for run in runs if _tries(connection, run) >= least), key=len, default=[])


def _tries(connection: SeenFlow, packets: Sequence[Crossing]) -> int:
    """Return how often what was sent most often was sent: bytes, or a probe."""
    tried = Counter(each.seq for each in packets if each.length or connection.cause(each).traits.probe)
    return max(tried.values(), default=0)


def _probed_too_late(connection: SeenFlow, host: Host) -> Found:
    """Yield a keep-alive whose first probe was lost, as all others, while what the peer sends passes."""
    ended = [each for each in connection.sent[host] if connection.cause(each).rule is CauseName.KEEP_ALIVE_TIMEOUT]
    probes = [each for each in connection.sent[host] if connection.cause(each).rule is CauseName.KEEP_ALIVE_PROBE]
    if not ended or not probes or len(lost(probes)) < len(probes) or not connection.knows(host):
        return
    peer, first = peer_of(host), probes[0]
    setter = connection.calls[host].switched_on_by("SO_KEEPALIVE", first.time)
    before = [arrival_time(each) for each in connection.packets if each.time < first.time]
    passes = any(each.time > first.time and connection.reached(each) for each in connection.sent[peer])
    if setter is None or not before or not passes or first.time - max(before) < _SILENCE:
        return
    yield Finding(
        FindingName.KEEP_ALIVE_TOO_LATE,
        Severity.WARNING,
        program_of(host),
        connection.index,
        {
            "keeper": host,
            "peer": peer,
            "idle": Duration(first.time - max(before)),
            "call": call_ref(setter),
            "first": PacketRef(first.n),
        },
        variant="timeout",
        packets=tuple(each.n for each in (*probes, *ended)),
        calls=(call_ref(setter),),
        certainty=Certainty.INFERRED,
    )


def _reset_after_silence(connection: SeenFlow) -> Found:
    """Yield the RST that nobody sent and that answered the first packet after a silence, which did not arrive."""
    for reset in connection.packets:
        if "R" not in reset.flags or reset.fate is not Fate.APPEARED:
            continue
        host = peer_of(reset.sender)
        before = [each for each in connection.packets if each.n < reset.n]
        gone = [each for each in before if each.sender == host and each.fate is Fate.LOST]
        earlier = [arrival_time(each) for each in before if gone and each.n < gone[0].n]
        if not gone or not earlier or gone[0].time - max(earlier) < _SHORT_SILENCE:
            continue
        missing = max(connection.written(host) - connection.got(host), 0)
        yield Finding(
            FindingName.IDLE_FORGOTTEN,
            Severity.ERROR,
            Culprit.PATH,
            connection.index,
            {
                "host": host,
                "peer": reset.sender,
                "silence": Duration(gone[0].time - max(earlier)),
                "first": PacketRef(gone[0].n),
                "reset": PacketRef(reset.n),
            },
            variant="reset",
            packets=(*(each.n for each in gone), reset.n),
            cost=Cost(missing, connection.written(host)),
            certainty=Certainty.INFERRED,
        )
        return


def _too_late(connection: SeenFlow, first: Crossing, facts: dict[str, Part]) -> Found:
    """Yield the end that had switched keep-alive on, but with a first probe after the path had forgotten."""
    for host in HOSTS:
        own = connection.calls[host]
        setter = own.switched_on_by("SO_KEEPALIVE", first.time) if connection.knows(host) else None
        if setter is None:
            continue
        if any(
            connection.cause(each).rule is CauseName.KEEP_ALIVE_PROBE and each.time < first.time
            for each in connection.sent[host]
        ):
            continue
        sysctls = connection.facts.inputs.sysctls.get(host, {})
        seconds = int(sysctls.get("net.ipv4.tcp_keepalive_time", 7200))
        chosen = own.option("TCP_KEEPIDLE", first.time)
        if chosen is not None and option_value(chosen):
            seconds = option_value(chosen)[0]
        yield Finding(
            FindingName.KEEP_ALIVE_TOO_LATE,
            Severity.WARNING,
            program_of(host),
            connection.index,
            {**facts, "keeper": host, "idle": Duration(seconds * SECOND), "call": call_ref(setter)},
            packets=(first.n,),
            calls=(
                call_ref(setter),
                *((call_ref(chosen),) if chosen is not None and switched_on(chosen, "TCP_KEEPIDLE") else ()),
            ),
        )
