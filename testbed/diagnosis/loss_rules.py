"""What the path lost, by kind: acknowledgments, the last packets, several in a row, single ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from testbed.diagnosis.observed import Observed, SeenFlow
from testbed.model import HOSTS, CauseName, Crossing, Fate, Host, PacketRef, peer_of
from testbed.model.evidence import Duration, Quantity
from testbed.model.findings import Cost, Culprit, Finding, FindingName, Severity, Undecided

Found = Iterator[Finding | Undecided]

_TAIL = 3
"""Most packets at the end of what was sent whose loss counts as that of the last one."""


def losses(seen: Observed, explained: frozenset[int]) -> Found:
    """Yield what was lost in each direction, by kind: ACKs, the last packets, several in a row, single ones.

    ``explained`` are packets whose loss another finding explains.
    """
    if not seen.both_ends:
        return
    errors = [error for each in seen.connections for error in each.errors]
    told = {n for error in errors for n in seen.facts.causes[error.n].packets}
    quoted = {(error.options.get("about") or {}).get("raw_seq") for error in errors} - {None}
    explained |= told | {each.n for flow in seen.tcp for each in flow.packets if each.raw_seq in quoted}
    for host in HOSTS:
        kinds: dict[FindingName, list[tuple[SeenFlow, Crossing]]] = defaultdict(list)
        for connection in seen.tcp:
            for packet in connection.sent[host]:
                probe = connection.cause(packet).traits.probe
                opens_or_aborts = packet.flags.startswith(("S", "R"))
                if packet.fate is Fate.LOST and packet.n not in explained and not opens_or_aborts and not probe:
                    kinds[_kind_of_loss(connection, packet)].append((connection, packet))
        for name, gone in kinds.items():
            yield _loss(seen, host, name, gone)


def _kind_of_loss(connection: SeenFlow, packet: Crossing) -> FindingName:
    if not packet.sequence_length:
        return FindingName.ACK_LOSS
    ours = [each for each in connection.sent[packet.sender] if each.sequence_length]
    again = _again(connection, packet)
    meant = [
        each
        for each in ours
        if packet.n < each.n
        and (again is None or each.n < again.n)
        and each.seq > packet.seq
        and not connection.cause(each).traits.sent_again
    ]
    if len(meant) < _TAIL and all(each.fate is Fate.LOST for each in meant):
        return FindingName.TAIL_LOSS
    at = ours.index(packet)
    beside = [*ours[max(at - 1, 0) : at], *ours[at + 1 : at + 2]]
    in_a_row = any(each.fate is Fate.LOST and each.seq != packet.seq for each in beside)
    return FindingName.BURST_LOSS if in_a_row else FindingName.RANDOM_LOSS


def _loss(seen: Observed, host: Host, name: FindingName, gone: Sequence[tuple[SeenFlow, Crossing]]) -> Finding:
    flows = {connection.index for connection, _ in gone}
    packets = [packet for _, packet in gone]
    waited, worst, missing = 0, packets[0], 0
    for connection, packet in gone:
        missing += _missing(connection, packet)
        again = _again(connection, packet)
        if again is not None and again.time - packet.time > waited:
            waited, worst = again.time - packet.time, packet
    spans = sum(connection.span for connection in {each.index: each for each, _ in gone}.values())
    total = sum(1 for connection in seen.tcp if connection.index in flows for _ in connection.sent[host])
    return Finding(
        name,
        Severity.ERROR
        if missing
        else Severity.NOTE
        if name is FindingName.ACK_LOSS and not waited
        else Severity.WARNING,
        Culprit.PATH,
        next(iter(flows)) if len(flows) == 1 else None,
        {
            "host": host,
            "peer": peer_of(host),
            "lost": Quantity(len(packets), "packet"),
            "of": Quantity(total),
            "first": PacketRef(worst.n),
            "waited": Duration(waited),
            "missing": Quantity(missing, "byte"),
        },
        variant="never" if missing else "" if waited else "free",
        packets=tuple(packet.n for packet in packets),
        cost=Cost(missing, missing, min(waited, spans), spans),
    )


_TIMEOUTS = (CauseName.USER_TIMEOUT, CauseName.KEEP_ALIVE_TIMEOUT)


def _missing(connection: SeenFlow, packet: Crossing) -> int:
    """Return how many bytes of a lost segment, the last that carried them, never arrived, though nobody gave up."""
    later = [each for each in connection.data[packet.sender] if each.n > packet.n and each.end > packet.start]
    if any(each.start <= packet.start for each in later):
        return 0
    given_up = any(
        "R" in each.flags
        and (each.sender == packet.sender or connection.reached(each))
        and connection.cause(each).rule not in _TIMEOUTS
        for each in connection.packets
    )
    arrived = any(
        each.end >= packet.end and connection.reached(each)
        for each in connection.data[packet.sender]
        if each.start <= packet.start
    )
    return 0 if given_up or arrived else packet.length


def _again(connection: SeenFlow, packet: Crossing) -> Crossing | None:
    """Return what made good for a lost packet: its bytes again; for an ACK, the peer's bytes again."""
    if packet.sequence_length:
        return next(
            (
                each
                for each in connection.sent[packet.sender]
                if each.n > packet.n and each.seq <= packet.seq < each.seq + each.sequence_length
            ),
            None,
        )
    peer = connection.sent[peer_of(packet.sender)]
    return next(
        (
            each
            for each in peer
            if each.n > packet.n and each.sequence_length and packet.ack is not None and each.seq < packet.ack
        ),
        None,
    )
