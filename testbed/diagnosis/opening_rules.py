"""What is wrong with the opening of connections: refused, not answered, dropped, slow, or no local port left."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from testbed.analysis.calls.call_effects import is_accept, succeeded
from testbed.analysis.verdict import why_unopened
from testbed.diagnosis.observed import SECOND, Observed, SeenFlow, lost
from testbed.model import CallRef, CauseName, Crossing, Endpoint, Fate, Host, PacketRef, call_ref, peer_of
from testbed.model.causes import Refusal
from testbed.model.evidence import Duration, Part, Quantity
from testbed.model.findings import (
    Certainty,
    Cost,
    Culprit,
    Finding,
    FindingName,
    Severity,
    Undecided,
    Unknown,
    kernel_of,
    program_of,
)
from testbed.model.verdicts import ConnectionRefused, ConnectsFailed, NeverOpened, OpeningFailure

Found = Iterator[Finding | Undecided]

_TIME_WAIT = 60 * SECOND
"""TCP_TIMEWAIT_LEN."""


def refused(seen: Observed) -> Found:
    """Yield each address that refused connections."""
    groups: dict[tuple[Host, Endpoint], list[tuple[SeenFlow, ConnectionRefused, Crossing]]] = defaultdict(list)
    for connection in seen.tcp:
        fact = why_unopened(connection.flow, list(connection.packets), seen.facts.causes)
        if isinstance(fact, ConnectionRefused):
            answer = next(each for each in connection.packets if connection.cause(each).rule is CauseName.CLOSED_PORT)
            if answer.fate is Fate.CROSSED:
                groups[fact.host, connection.flow.endpoint(fact.host)].append((connection, fact, answer))
    for (host, endpoint), group in groups.items():
        connection, fact, answer = group[0]
        refusal = connection.cause(answer).refusal
        worked = any(
            each.opened and each.flow.endpoint(host).port == endpoint.port and each.index not in _indexes(group)
            for each in seen.tcp
        )
        variant = "ended" if refusal is Refusal.CONNECTION_ENDED else "busy" if fact.listening else ""
        yield Finding(
            FindingName.CONNECTION_REFUSED,
            Severity.WARNING if worked else Severity.ERROR,
            program_of(host) if seen.both_ends else Culprit.UNDECIDED,
            connection.index,
            {
                "host": host,
                "endpoint": endpoint,
                "connects": Quantity(len(group), "connect"),
                "answer": PacketRef(answer.n),
            },
            variant=variant,
            unknown=Unknown.NONE if seen.both_ends else Unknown.PATH_OR_HOST,
            packets=tuple(each.n for _, _, each in group),
            calls=_connects(group),
        )


def unanswered(seen: Observed) -> Found:
    """Yield each address that did not answer: filtered on the way, or dropped by a listener that is too busy."""
    groups: dict[tuple[Host, Endpoint], list[tuple[SeenFlow, list[Crossing]]]] = defaultdict(list)
    for connection in seen.tcp:
        opener = connection.opener
        if opener is None:
            continue
        syns = [each for each in connection.sent[opener] if each.flags.startswith("S") and each.ack is None]
        answers = [each for each in connection.sent[peer_of(opener)] if each.sent is not None or each.arrived]
        first = min((each.time for each in answers), default=None)
        silent = [each for each in syns if first is None or (each.arrived or each.time) < first]
        if first is None or len(silent) > 1:
            dropped = [each for each in silent if first is None or each.time < silent[-1].time]
            groups[peer_of(opener), connection.flow.endpoint(peer_of(opener))].append((connection, dropped))
    for (host, endpoint), group in groups.items():
        yield from _silent(seen, host, endpoint, group)


def _silent(seen: Observed, host: Host, endpoint: Endpoint, group: list[tuple[SeenFlow, list[Crossing]]]) -> Found:
    """Yield why SYNs to one address were not answered."""
    arrived = [(each, [syn for syn in syns if syn.arrived is not None]) for each, syns in group]
    dropped = [(each, syns) for each, syns in arrived if syns] if seen.both_ends else []
    if dropped:
        yield from _dropped_by_host(seen, host, endpoint, dropped)
    dropped_there = {each.index for each, _ in dropped}
    never = [(each, syns) for each, syns in group if each.index not in dropped_there and _gave_up(seen, each, syns)]
    if never:
        packets = [syn for _, syns in never for syn in syns]
        waited = max(syns[-1].time - syns[0].time for _, syns in never)
        yield Finding(
            FindingName.FILTERED,
            Severity.ERROR,
            Culprit.PATH if seen.both_ends else Culprit.UNDECIDED,
            never[0][0].index,
            {
                "host": host,
                "endpoint": endpoint,
                "connects": Quantity(len(never), "connect"),
                "syns": Quantity(len(packets), "SYN"),
                "waited": Duration(waited),
            },
            variant="" if seen.both_ends else "one-end",
            unknown=Unknown.NONE if seen.both_ends else Unknown.PATH_OR_HOST,
            packets=tuple(each.n for each in packets),
            cost=Cost(wait=waited, of_wait=waited),
        )


def _gave_up(seen: Observed, connection: SeenFlow, syns: list[Crossing]) -> bool:
    """Whether an opening had time to be answered and was not."""
    fact = why_unopened(connection.flow, list(connection.packets), seen.facts.causes)
    if not isinstance(fact, NeverOpened) or fact.reason not in (OpeningFailure.SYNS_LOST, OpeningFailure.NO_ANSWER):
        return False
    return len(syns) > 1


def _dropped_by_host(
    seen: Observed, host: Host, endpoint: Endpoint, group: list[tuple[SeenFlow, list[Crossing]]]
) -> Found:
    """Yield why SYNs that reached a host were not answered."""
    packets = [syn for _, syns in group for syn in syns]
    answered = [_answered(each, host) - syns[0].time for each, syns in group if each.sent[host]]
    waited = max(answered, default=max(syns[-1].time - syns[0].time for _, syns in group))
    overflows = seen.counter(host, "TcpExtListenOverflows")
    half_open = seen.counter(host, "TcpExtTCPReqQFullDrop")
    backlog, waiting = _queue(seen, host, endpoint.port, packets[0].arrived or 0)
    facts: dict[str, Part] = {
        "host": host,
        "endpoint": endpoint,
        "connects": Quantity(len(group), "connect"),
        "syns": Quantity(len(packets), "SYN"),
        "waited": Duration(waited),
        "waiting": Quantity(waiting, "connection"),
        "backlog": Quantity(backlog or 0),
    }
    numbers, cost = tuple(each.n for each in packets), Cost(wait=waited, of_wait=waited)
    full = backlog is not None and waiting > backlog
    if full or overflows:
        yield Finding(
            FindingName.ACCEPT_QUEUE_FULL,
            Severity.ERROR,
            program_of(host),
            group[0][0].index,
            facts,
            variant="counted" if not full else "" if answered else "never",
            counters={"TcpExtListenOverflows": overflows} if overflows else {},
            packets=numbers,
            cost=cost,
        )
    elif half_open:
        yield Finding(
            FindingName.SYN_BACKLOG_FULL,
            Severity.ERROR,
            kernel_of(host),
            group[0][0].index,
            facts,
            counters={"TcpExtTCPReqQFullDrop": half_open},
            packets=numbers,
            cost=cost,
        )
    elif len(packets) > 1:
        names = (FindingName.ACCEPT_QUEUE_FULL, FindingName.SYN_BACKLOG_FULL, FindingName.FILTERED)
        yield Undecided(names, Unknown.NO_CALLS, group[0][0].index, numbers)


def _answered(connection: SeenFlow, host: Host) -> int:
    """Return when a host first answered."""
    return min(each.time for each in connection.sent[host])


def _queue(seen: Observed, host: Host, port: int, time: int) -> tuple[int | None, int]:
    """Return a listener's backlog at a time (None: not known), and how many open connections nobody had accepted."""
    if not seen.facts.streams.observed[host] or not seen.facts.complete:
        return None, 0
    listens = [
        call
        for socket in seen.facts.streams.sockets[host]
        if socket.listening and socket.local is not None and socket.local.port == port
        for call in socket.calls
        if call.name == "listen" and succeeded(call) and call.start <= time
    ]
    if not listens or not isinstance(listens[-1].args.get("backlog"), int):
        return None, 0
    most = int(seen.facts.inputs.sysctls.get(host, {}).get("net.core.somaxconn", 4096))
    waiting = 0
    for connection in seen.tcp:
        if connection.opener != peer_of(host) or connection.flow.endpoint(host).port != port:
            continue
        acknowledged = [
            each.arrived
            for each in connection.sent[peer_of(host)]
            if each.ack is not None and "R" not in each.flags and each.arrived is not None
        ]
        opened = bool(acknowledged) and min(acknowledged) < time
        accepts = [call for call in connection.calls[host].calls if is_accept(call) and succeeded(call)]
        taken = any(call.end is not None and call.end <= time for call in accepts)
        waiting += opened and not taken
    return min(int(listens[-1].args["backlog"]), most), waiting


def slow(seen: Observed) -> Found:
    """Yield each connection that opened only after its SYN, or the answer, had been sent again."""
    for connection in seen.tcp:
        opener = connection.opener
        if opener is None or not connection.opened:
            continue
        syns = [each for each in connection.sent[opener] if each.flags.startswith("S") and each.ack is None]
        answers = [each for each in connection.sent[peer_of(opener)] if each.flags.startswith("S") and each.ack == 1]
        done = next((each for each in answers if each.arrived is not None), None)
        if done is None or len(syns) + len(answers) < 3:
            continue
        waited = max(syns[-1].time - syns[0].time, done.time - answers[0].time)
        missing = [*lost(syns), *lost(answers)] if seen.both_ends else []
        if seen.both_ends and not missing:
            continue
        yield Finding(
            FindingName.SLOW_CONNECT,
            Severity.WARNING,
            Culprit.PATH if seen.both_ends else Culprit.UNDECIDED,
            connection.index,
            {
                "waited": Duration(waited),
                "what": ("SYN" if missing[0] in syns else "SYN+ACK") if missing else "SYN or its answer",
                "times": Quantity(len(missing) or len(syns) + len(answers) - 2, "time"),
                "packet": PacketRef((missing or syns)[0].n),
            },
            variant="" if seen.both_ends else "one-end",
            unknown=Unknown.NONE if seen.both_ends else Unknown.PATH_OR_HOST,
            packets=tuple(each.n for each in missing or syns),
            cost=Cost(wait=waited, of_wait=connection.span),
        )


def no_port(seen: Observed) -> Found:
    """Yield connects for which no local port was left, as all are in TIME-WAIT after closes of this host."""
    for fact in seen.verdicts(ConnectsFailed):
        if not isinstance(fact, ConnectsFailed) or fact.errno != "EADDRNOTAVAIL" or fact.address is None:
            continue
        failed = next(call for call in seen.facts.inputs.calls[fact.host] if call.n == fact.first.n)
        waiting = [
            each
            for each in seen.tcp
            if each.flow.endpoint(peer_of(fact.host)) == fact.address and _in_time_wait(each, fact.host, failed.start)
        ]
        if not waiting:
            continue
        ports = _ports(seen.facts.inputs.sysctls.get(fact.host, {}))
        held = {each.flow.endpoint(fact.host).port for each in waiting}
        yield Finding(
            FindingName.TIME_WAIT_EXHAUSTION,
            Severity.ERROR,
            program_of(fact.host),
            None,
            {
                "host": fact.host,
                "connects": Quantity(fact.count, "connect"),
                "call": fact.first,
                "endpoint": fact.address,
                "ports": Quantity(len(held), "local port"),
            },
            packets=tuple(each.packets[-1].n for each in waiting),
            calls=(fact.first,),
            certainty=Certainty.PROVEN if ports is not None and len(held) >= ports else Certainty.INFERRED,
        )


def _in_time_wait(connection: SeenFlow, host: Host, time: int) -> bool:
    """Whether a host closed first and so keeps the pair of ports (RFC 9293 section 3.4.2)."""
    if any("R" in each.flags for each in connection.packets):
        return False
    fins = {side: next((e for e in connection.sent[side] if "F" in e.flags), None) for side in ("client", "server")}
    own, other = fins[host], fins[peer_of(host)]
    if own is None or other is None or other.arrived is None or other.arrived > time:
        return False
    return own.time < other.arrived and time - other.arrived < _TIME_WAIT


def _ports(sysctls: Mapping[str, str]) -> int | None:
    ends = sysctls.get("net.ipv4.ip_local_port_range", "").split()
    return int(ends[1]) - int(ends[0]) + 1 if len(ends) == 2 else None


def _indexes(group: Iterable[tuple[SeenFlow, object, object]]) -> set[int]:
    return {connection.index for connection, _, _ in group}


def _connects(group: Iterable[tuple[SeenFlow, ConnectionRefused, Crossing]]) -> tuple[CallRef, ...]:
    found = [connection.calls[peer_of(fact.host)].connects for connection, fact, _ in group]
    return tuple(call_ref(calls[0]) for calls in found if calls)


def cookies(seen: Observed) -> Found:
    """Yield each connection whose SYN+ACK was a SYN cookie and lost the options that the SYN had offered."""
    for connection in seen.tcp:
        opener = connection.opener
        if opener is None:
            continue
        host = peer_of(opener)
        forced = seen.facts.inputs.sysctls.get(host, {}).get("net.ipv4.tcp_syncookies") == "2"
        counted = seen.counter(host, "TcpExtSyncookiesSent")
        answer = next((each for each in connection.sent[host] if "S" in each.flags), None)
        if answer is None or not (forced or counted):
            continue
        offered, taken = connection.packets[0].options, answer.options
        if "wscale" not in offered or "wscale" in taken or taken.get("sack_permitted"):
            continue
        yield Finding(
            FindingName.SYN_COOKIES,
            Severity.NOTE,
            kernel_of(host),
            connection.index,
            {"host": host, "answer": PacketRef(answer.n)},
            packets=(connection.packets[0].n, answer.n),
            counters={"TcpExtSyncookiesSent": counted} if counted else {},
            certainty=Certainty.PROVEN if forced else Certainty.INFERRED,
        )
