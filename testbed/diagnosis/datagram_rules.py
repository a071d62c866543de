"""What became of datagrams: too large, refused, lost with a fragment, dropped as nobody read; slow name servers."""

from __future__ import annotations

from collections.abc import Iterator

from testbed.analysis.causes.datagrams import is_port_unreachable
from testbed.diagnosis.observed import MS, Observed, SeenFlow
from testbed.model import HOSTS, Crossing, Fate, Host, PacketRef, call_ref, peer_of
from testbed.model.call_table import going
from testbed.model.evidence import Duration, Part, Quantity
from testbed.model.findings import Cost, Culprit, Finding, FindingName, Severity, Undecided, Unknown, program_of

Found = Iterator[Finding | Undecided]

_WRITES = going("out")
_LARGEST = 1472
"""Bytes of the largest datagram that fits into one packet of Ethernet (1,500 bytes) over IPv4."""
_NAMES = 53
_SLOW_NAME = 500 * MS


def refused_datagrams(seen: Observed) -> Found:
    """Yield each conversation whose datagrams met a port that nothing takes."""
    for connection in seen.udp:
        for host in HOSTS:
            errors = [e for e in connection.errors if e.sender == host and not e.made and is_port_unreachable(e)]
            if not errors:
                continue
            peer = peer_of(host)
            refused = sorted({n for error in errors for n in seen.facts.causes[error.n].packets})
            unheard = not any(error.arrived is not None for error in errors)
            yield Finding(
                FindingName.PORT_UNREACHABLE,
                Severity.ERROR,
                program_of(host),
                connection.index,
                {
                    "host": host,
                    "peer": peer,
                    "endpoint": connection.flow.endpoint(host),
                    "datagrams": Quantity(len(refused) or len(errors), "datagram"),
                    "error": PacketRef(errors[0].n),
                },
                variant="unheard" if unheard else "",
                packets=(*refused[:8], errors[0].n),
                cost=Cost(
                    bytes=sum(seen.facts.crossings[n].length for n in refused), of_bytes=connection.written(peer)
                ),
            )


def too_large(seen: Observed) -> Found:
    """Yield each host whose datagrams were too large to be sent (EMSGSIZE)."""
    for host in HOSTS:
        failed = [
            call
            for call in seen.facts.inputs.calls.get(host, ())
            if call.errno == "EMSGSIZE" and call.name in _WRITES and call.socket and call.socket.protocol == "udp"
        ]
        if failed:
            facts: dict[str, Part] = {
                "host": host,
                "call": call_ref(failed[0]),
                "calls": Quantity(len(failed), "datagram"),
                "size": Quantity(int(failed[0].args.get("size", failed[0].args.get("length", 0)) or 0), "byte"),
            }
            yield Finding(
                FindingName.DATAGRAM_TOO_LARGE,
                Severity.ERROR,
                program_of(host),
                None,
                facts,
                calls=tuple(map(call_ref, failed)),
            )


def fragments(seen: Observed) -> Found:
    """Yield datagrams that were sent as several fragments and of which not all arrived."""
    if not seen.both_ends:
        return
    for connection in seen.udp:
        for host in HOSTS:
            large = [each for each in connection.sent[host] if each.length > _LARGEST]
            gone = [each for each in large if each.fate is Fate.LOST]
            if gone:
                yield Finding(
                    FindingName.FRAGMENTS_LOST,
                    Severity.WARNING,
                    Culprit.PATH,
                    connection.index,
                    {
                        "host": host,
                        "peer": peer_of(host),
                        "datagrams": Quantity(len(gone), "datagram"),
                        "of": Quantity(len(large), "large datagram"),
                        "size": Quantity(gone[0].length, "byte"),
                        "first": PacketRef(gone[0].n),
                    },
                    packets=tuple(each.n for each in gone),
                    cost=Cost(bytes=sum(each.length for each in gone), of_bytes=connection.written(host)),
                )


def overrun(seen: Observed) -> Found:
    """Yield each socket whose receive buffer was full, so that its kernel dropped datagrams that had arrived."""
    for connection in seen.udp:
        for host in HOSTS:
            peer = peer_of(host)
            counted = max(seen.counter(host, "UdpRcvbufErrors"), seen.counter(host, "Udp6RcvbufErrors"))
            dropped = _passed_over(connection, host)
            arrived = [each for each in connection.sent[peer] if connection.reached(each)]
            row = connection.rows.get(peer)
            left = row is not None and row.read.datagrams is not None and len(arrived) - row.read.datagrams
            counted = min(counted, left or 0) if len(seen.udp) == 1 else 0
            if not dropped and not counted:
                continue
            facts: dict[str, Part] = {
                "host": host,
                "peer": peer,
                "dropped": Quantity(max(len(dropped), counted), "datagram"),
                "of": Quantity(len(arrived)),
            }
            if dropped:
                facts["first"] = PacketRef(dropped[0].n)
            yield Finding(
                FindingName.UDP_RECEIVE_OVERRUN,
                Severity.ERROR,
                program_of(host),
                connection.index,
                facts,
                variant="" if dropped else "counted",
                packets=tuple(each.n for each in dropped),
                counters={"UdpRcvbufErrors": counted} if counted else {},
                cost=Cost(
                    bytes=sum(e.length for e in dropped) or counted * arrived[0].length,
                    of_bytes=sum(e.length for e in arrived),
                ),
            )


def _passed_over(connection: SeenFlow, host: Host) -> list[Crossing]:
    """Return datagrams that arrived and were not read although later ones were: a queue is first in, first out."""
    if not connection.knows(host):
        return []
    peer = peer_of(host)
    read = {
        n for each in connection.facts.streams.datagrams.get((connection.index, host, "in"), ()) for n in each.crossings
    }
    came = sorted(
        (each for each in connection.sent[peer] if connection.reached(each)), key=lambda each: each.arrived or 0
    )
    last = max((at for at, each in enumerate(came) if each.n in read), default=-1)
    return [each for each in came[: last + 1] if each.n not in read]


def slow_names(seen: Observed) -> Found:
    """Yield each name whose resolution took long (DNS over UDP, port 53)."""
    for connection in seen.udp:
        host = next((each for each in HOSTS if connection.flow.endpoint(each).port == _NAMES), None)
        if host is None:
            continue
        asked = [each for each in connection.sent[peer_of(host)] if each.length > 2]
        answers = [each for each in connection.sent[host] if each.length > 2 and each.fate is not Fate.LOST]
        for query in {each.payload[:2]: each for each in reversed(asked)}.values():
            answer = next((each for each in answers if each.payload[:2] == query.payload[:2]), None)
            same = [each for each in asked if each.payload[:2] == query.payload[:2]]
            until, tries = answer.time if answer is not None else same[-1].time, len(same)
            if until - query.time < _SLOW_NAME:
                continue
            yield Finding(
                FindingName.SLOW_NAME_RESOLUTION,
                Severity.WARNING if answer is not None else Severity.ERROR,
                Culprit.UNDECIDED,
                connection.index,
                {
                    "peer": peer_of(host),
                    "endpoint": connection.flow.endpoint(host),
                    "waited": Duration(until - query.time),
                    "tries": Quantity(tries, "query" if tries == 1 else "querie"),
                    "query": PacketRef(query.n),
                },
                variant="" if answer is not None else "unanswered",
                unknown=Unknown.PATH_OR_HOST,
                packets=(query.n, *((answer.n,) if answer is not None else ())),
                cost=Cost(wait=until - query.time, of_wait=connection.span),
            )
