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
    order, again = connection.segments[packet.sender], _again(connection, packet)
    meant: list[Crossing] = []
    for each in order.after(packet):
        if len(meant) == _TAIL or (again is not None and each.n >= again.n):
            break
        if each.seq > packet.seq and not connection.cause(each).traits.sent_again:
            meant.append(each)
    if len(meant) < _TAIL and all(each.fate is Fate.LOST for each in meant):
        return FindingName.TAIL_LOSS
    ours, at = order.segments, order.place(packet) - 1
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
    order = connection.segments[packet.sender]
    alike = [each for each in order.from_before(packet, packet.seq) if each.length]
    if any(each.start <= packet.start < each.end for each in alike):
        return 0
    given_up = any(
        (each.sender == packet.sender or connection.reached(each)) and connection.cause(each).rule not in _TIMEOUTS
        for each in connection.resets
    )
    arrived = any(
        each.start <= packet.start and each.end >= packet.end and connection.reached(each)
        for each in (packet, *alike, *order.beyond(packet, packet.seq + packet.length))
        if each.length
    )
    return 0 if given_up or arrived else packet.length


def _again(connection: SeenFlow, packet: Crossing) -> Crossing | None:
    """Return what made good for a lost packet: its bytes again; for an ACK, the peer's bytes again."""
    if packet.sequence_length:
        repeats = connection.segments[packet.sender].from_before(packet, packet.seq)
        return next((each for each in repeats if packet.seq < each.seq + each.sequence_length), None)
    if packet.ack is None:
        return None
    return next(connection.segments[peer_of(packet.sender)].from_before(packet, packet.ack - 1), None)
