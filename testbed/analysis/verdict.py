"""What became of the data: one fact for each connection, or direction of one, that matters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from testbed.model import HOSTS, Cause, Crossing, Fate, Flow, Joined, LedgerRow, peer_of
from testbed.model.verdicts import (
    ConnectionRefused,
    FlowTotals,
    NeverOpened,
    NoData,
    NoFlows,
    NoPackets,
    OpeningFailure,
    SenderTotals,
    Transfer,
    UnreadEnd,
    VerdictFact,
)

MOST_FLOWS = 3
"""With more flows than this the verdict gives totals and the worst flows only."""


def verdict(joined: Joined, ledger: Sequence[LedgerRow], causes: Sequence[Cause]) -> tuple[VerdictFact, ...]:
    """Return one or more facts; ``ledger`` is of the same run, ``causes`` are aligned with the crossings."""
    if not joined.crossings:
        return (NoPackets(),)
    if not joined.flows:
        return (NoFlows(len(joined.crossings)),)
    packets: dict[int, list[Crossing]] = {flow.index: [] for flow in joined.flows}
    for crossing in joined.crossings:
        if crossing.flow is not None:
            packets[crossing.flow].append(crossing)
    rows: dict[int, list[LedgerRow]] = {flow.index: [] for flow in joined.flows}
    for row in ledger:
        rows[row.flow].append(row)

    def facts(flow: Flow) -> Iterator[VerdictFact]:
        return _of_flow(flow, rows[flow.index], packets[flow.index], causes)

    if len(joined.flows) <= MOST_FLOWS:
        return tuple(fact for flow in joined.flows for fact in facts(flow))
    trouble = {flow.index: _trouble(rows[flow.index], packets[flow.index], causes) for flow in joined.flows}
    worst = sorted(joined.flows, key=lambda flow: -trouble[flow.index])[:MOST_FLOWS]
    return (
        *_totals(joined, ledger, packets, causes),
        *(fact for flow in worst if trouble[flow.index] for fact in facts(flow)),
    )


def _of_flow(
    flow: Flow, rows: list[LedgerRow], packets: list[Crossing], causes: Sequence[Cause]
) -> Iterator[VerdictFact]:
    unopened = _unopened(flow, packets, causes) if flow.protocol == "tcp" else None
    if unopened is not None:
        yield unopened
        return
    busy = [row for row in rows if _moved(row)]
    if not busy:
        yield _without_data(flow, packets)
    for row in busy:
        if flow.protocol == "udp":
            yield Transfer(row)
        else:
            yield Transfer(row, _refused(row, packets, causes), _unread_end(row, packets, causes))


def _unopened(flow: Flow, packets: list[Crossing], causes: Sequence[Cause]) -> ConnectionRefused | NeverOpened | None:
    """Return why a connection never opened, None if it did (or if its opening was not captured)."""
    for packet in packets:
        if causes[packet.n].rule == "closed-port":
            if packet.fate is Fate.LOST:
                break
            return ConnectionRefused(flow.index, packet.sender, listening="nothing" not in causes[packet.n].evidence)
    if "S" not in packets[0].flags:
        return None
    opener = packets[0].sender
    if any(packet.ack is not None and "R" not in packet.flags for packet in packets if packet.sender == opener):
        return None
    syns = [packet for packet in packets if "S" in packet.flags]
    answers = [packet for packet in packets if packet.sender == peer_of(opener)]
    if any(packet.fate is not Fate.LOST for packet in answers):
        if any("S" in packet.flags for packet in answers) and any("R" in packet.flags for packet in packets):
            return NeverOpened(flow.index, opener, OpeningFailure.GIVEN_UP, len(syns))
        return None
    if answers:
        return NeverOpened(flow.index, opener, OpeningFailure.ANSWERS_LOST, len(answers))
    lost = all(packet.fate is Fate.LOST for packet in syns)
    return NeverOpened(flow.index, opener, OpeningFailure.SYNS_LOST if lost else OpeningFailure.NO_ANSWER, len(syns))


def _without_data(flow: Flow, packets: list[Crossing]) -> NoData:
    resets = [packet.sender for packet in packets if "R" in packet.flags]
    if resets:
        return NoData(flow.index, reset_by=resets[0])
    closed = {packet.sender for packet in packets if "F" in packet.flags}
    return NoData(flow.index, closed_by=tuple(host for host in HOSTS if host in closed))


def _refused(row: LedgerRow, packets: list[Crossing], causes: Sequence[Cause]) -> int:
    """Return how many of the last bytes came when no socket was there: a RST answered them, and no ACK covers them."""
    answered = {n for packet in packets if causes[packet.n].rule == "reset-answer" for n in causes[packet.n].packets}
    late = [
        packet.start for packet in packets if packet.n in answered and packet.sender == row.sender and packet.length
    ]
    reached = max(row.acknowledged.bytes or 0, row.read.bytes or 0)
    return max((row.arrived.bytes or 0) - max(min(late), reached), 0) if late else 0


def _unread_end(row: LedgerRow, packets: list[Crossing], causes: Sequence[Cause]) -> UnreadEnd:
    rules = {causes[packet.n].rule for packet in packets if packet.sender == peer_of(row.sender)}
    if "reset-unread" in rules:
        return UnreadEnd.CLOSED
    return UnreadEnd.EXITED if "reset-exit" in rules else UnreadEnd.UNKNOWN


def _moved(row: LedgerRow) -> bool:
    if row.sent.datagrams is not None:
        return bool(row.sent.datagrams or row.written.datagrams or row.arrived.datagrams)
    return bool(row.sent.bytes or row.written.bytes or row.arrived.bytes)


def _trouble(rows: list[LedgerRow], packets: list[Crossing], causes: Sequence[Cause]) -> int:
    """Rank flows: content that differs, then bytes lost on the way or unread, then refused connections."""
    missing = sum(max((row.written.bytes or row.sent.bytes or 0) - (row.arrived.bytes or 0), 0) for row in rows)
    unread = sum(row.unread or 0 for row in rows)
    differs = any(row.difference is not None for row in rows)
    return (differs << 62) + (missing << 1) + unread + _was_refused(packets, causes)


def _was_refused(packets: list[Crossing], causes: Sequence[Cause]) -> bool:
    return any(causes[packet.n].rule == "closed-port" for packet in packets)


def _totals(
    joined: Joined, ledger: Sequence[LedgerRow], packets: dict[int, list[Crossing]], causes: Sequence[Cause]
) -> Iterator[FlowTotals | SenderTotals]:
    kinds = Counter(flow.protocol for flow in joined.flows)
    yield FlowTotals(tuple(kinds.items()), sum(_was_refused(packets[flow.index], causes) for flow in joined.flows))
    for sender in HOSTS:
        rows = [row for row in ledger if row.sender == sender and _moved(row)]
        if not rows:
            continue
        sums = []
        for each in zip(*(row.points() for row in rows), strict=True):
            numbers = [count.bytes for _, count in each if count.bytes is not None]
            if len(numbers) == len(rows):
                sums.append((each[0][0], sum(numbers)))
        yield SenderTotals(sender, tuple(sums), sum(row.difference is not None for row in rows))
