"""What became of the data: one fact for each connection, or direction of one, that matters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from testbed.analysis.absent.broken_off import End, broken_off
from testbed.analysis.calls.call_effects import connect_error, endpoint_argument
from testbed.analysis.calls.streams import Streams
from testbed.analysis.causes.datagrams import is_port_unreachable
from testbed.model import (
    HOSTS,
    Call,
    Cause,
    CauseName,
    Crossing,
    Endpoint,
    Fate,
    Flow,
    Host,
    Joined,
    LedgerRow,
    call_ref,
    peer_of,
)
from testbed.model.causes import Refusal
from testbed.model.ledgers import ConnectionReset
from testbed.model.programs import Program
from testbed.model.verdicts import (
    BrokenOff,
    ConnectionRefused,
    ConnectsFailed,
    DatagramsRefused,
    FlowTotals,
    GivenUp,
    NeverOpened,
    NoData,
    NoFlows,
    NoPackets,
    OpeningFailure,
    ProgramFailed,
    SenderTotals,
    Transfer,
    UnreadEnd,
    VerdictFact,
)

MOST_FLOWS = 3
"""With more flows than this the verdict gives totals and the worst flows only."""


def verdict(
    joined: Joined, ledger: Sequence[LedgerRow], causes: Sequence[Cause], streams: Streams
) -> tuple[VerdictFact, ...]:
    """Return one or more facts; ``ledger`` and ``streams`` are of the same run, ``causes`` aligned with its packets."""
    failed = tuple(_failed_connects(streams))
    if not joined.crossings:
        return (NoPackets(), *failed)
    if not joined.flows:
        return (NoFlows(len(joined.crossings)), *failed)
    run = _Run.of(joined, ledger, causes, streams)
    if len(joined.flows) <= MOST_FLOWS:
        return (*(fact for flow in joined.flows for fact in _of_flow(run, flow)), *failed)
    trouble = {flow.index: _trouble(run, flow) for flow in joined.flows}
    worst = sorted(joined.flows, key=lambda flow: -trouble[flow.index])[:MOST_FLOWS]
    return (
        *_totals(run, joined, ledger),
        *(fact for flow in worst if trouble[flow.index] for fact in _of_flow(run, flow)),
        *failed,
    )


def programs_failed(joined: Joined, programs: Sequence[Program]) -> tuple[VerdictFact, ...]:
    """Return the programs whose failure is all there is to say: of a run without any packet."""
    if joined.crossings:
        return ()
    return tuple(ProgramFailed(program.host, program.end) for program in programs if not program.end.usual)


class _Run(NamedTuple):
    """What the facts are found in; ``packets``, ``rows`` and ``errors`` (ICMP errors about its packets) by flow."""

    causes: Sequence[Cause]
    ends: Mapping[tuple[int, Host], End]
    errors: dict[int, list[Crossing]]
    packets: dict[int, list[Crossing]]
    rows: dict[int, list[LedgerRow]]

    @classmethod
    def of(cls, joined: Joined, ledger: Sequence[LedgerRow], causes: Sequence[Cause], streams: Streams) -> _Run:
        """Sort a run's packets and rows by flow."""
        packets: dict[int, list[Crossing]] = {flow.index: [] for flow in joined.flows}
        errors: dict[int, list[Crossing]] = {flow.index: [] for flow in joined.flows}
        for crossing in joined.crossings:
            if crossing.flow is not None:
                packets[crossing.flow].append(crossing)
            elif causes[crossing.n].rule is CauseName.ICMP_ERROR:
                for index in {joined.crossings[n].flow for n in causes[crossing.n].packets}:
                    if index is not None:
                        errors[index].append(crossing)
        rows: dict[int, list[LedgerRow]] = {flow.index: [] for flow in joined.flows}
        for row in ledger:
            rows[row.flow].append(row)
        return cls(causes, broken_off(joined.crossings, streams), errors, packets, rows)


def _failed_connects(streams: Streams) -> Iterator[ConnectsFailed]:
    """Yield the connects that failed and of which no packet was captured, those of one address and error together."""
    found: dict[tuple[Host, str, Endpoint | None], list[Call]] = {}
    for host in HOSTS:
        for socket in streams.sockets[host]:
            connect: Call | None = None
            for call in socket.calls:
                connect = call if call.name == "connect" else connect
                errno = connect_error(call)
                if socket.protocol == "tcp" and socket.flow is None and errno is not None and connect is not None:
                    address = endpoint_argument(connect) or socket.peer
                    found.setdefault((host, errno, address), []).append(connect)
    for (host, errno, address), calls in found.items():
        yield ConnectsFailed(host, call_ref(calls[0]), address, errno, len(calls))


def _of_flow(run: _Run, flow: Flow) -> Iterator[VerdictFact]:
    packets, rows = run.packets[flow.index], run.rows[flow.index]
    unopened = why_unopened(flow, packets, run.causes) if flow.protocol == "tcp" else None
    if unopened is not None:
        yield unopened
        return
    busy = [row for row in rows if _moved(row)]
    if not busy:
        yield _without_data(flow, packets, _reset(rows))
    told: set[CauseName] = set()  # reasons for a RST that are part of another sentence
    for row in busy:
        if flow.protocol == "udp":
            yield Transfer(row, _refused_by(run, row))
            continue
        transfer = Transfer(row, _refused(row, packets, run.causes), _unread_end(row, packets, run.causes))
        if transfer.refused:
            told.add(CauseName.RESET_ANSWER)
        if row.unread and transfer.unread_end is not UnreadEnd.UNKNOWN:
            told |= {CauseName.RESET_UNREAD, CauseName.RESET_EXIT}
        yield transfer
    if flow.protocol == "udp":
        yield from _refused_datagrams(run, flow)
        return
    gave_up = [GivenUp(flow.index, host, end.gave_up) for host, end in _ends(run, flow) if end.gave_up is not None]
    yield from gave_up
    reset = _reset(rows)
    if reset is not None and run.causes[reset.packet].rule not in told and not gave_up:
        yield BrokenOff(flow.index, reset, run.causes[reset.packet].evidence)


def _refused_by(run: _Run, row: LedgerRow) -> int:
    """Return how many datagrams of a direction the receiver's host answered by "port unreachable"."""
    ours = {packet.n for packet in run.packets[row.flow] if packet.sender == row.sender}
    errors = [error for error in run.errors[row.flow] if error.sender != row.sender and is_port_unreachable(error)]
    return len({n for error in errors for n in run.causes[error.n].packets if n in ours})


def _ends(run: _Run, flow: Flow) -> Iterator[tuple[Host, End]]:
    for host in HOSTS:
        end = run.ends.get((flow.index, host))
        if end is not None:
            yield host, end


def _reset(rows: Sequence[LedgerRow]) -> ConnectionReset | None:
    """Return the RST that broke a connection off."""
    return next((row.close.reset for row in rows if row.close is not None and row.close.reset is not None), None)


def _refused_datagrams(run: _Run, flow: Flow) -> Iterator[DatagramsRefused]:
    """Yield who answered datagrams by ICMP errors (RFC 1122 section 3.2.2.1, RFC 4443 section 3.1)."""
    for host in HOSTS:
        errors = [error for error in run.errors[flow.index] if error.sender == host and not error.made]
        if errors:
            yield DatagramsRefused(flow.index, host, errors[0].n, len(errors), port=is_port_unreachable(errors[0]))


def _goes_on(packet: Crossing) -> bool:
    return not packet.made and packet.ack is not None and not {"S", "R"} & set(packet.flags)


def why_unopened(
    flow: Flow, packets: list[Crossing], causes: Sequence[Cause]
) -> ConnectionRefused | NeverOpened | None:
    """Return why a connection never opened, None if it did (or if its opening was not captured)."""
    for packet in packets:
        if causes[packet.n].rule is CauseName.CLOSED_PORT:
            if any(map(_goes_on, packets)):
                break  # it had been open, or opened after all: a SYN came late, or was forged
            if packet.fate is Fate.LOST:
                continue  # a later one may have arrived
            listening = causes[packet.n].refusal in (Refusal.NOT_ACCEPTED, Refusal.CONNECTION_ENDED)
            return ConnectionRefused(flow.index, packet.sender, listening=listening)
    if "S" not in packets[0].flags:
        return None
    opener = packets[0].sender
    if any(packet.ack is not None and "R" not in packet.flags for packet in packets if packet.sender == opener):
        return None
    syns = [packet for packet in packets if "S" in packet.flags]
    answers = [packet for packet in packets if packet.sender == peer_of(opener)]
    came = [packet for packet in answers if packet.fate is not Fate.LOST]
    if came:
        # it had given up by when the first SYN+ACK came; later ones may follow what ended it since
        resets = (packet for packet in packets if packet.sender == opener and "R" in packet.flags and not packet.made)
        if "S" in came[0].flags and any(came[0].n in causes[reset.n].packets for reset in resets):
            return NeverOpened(flow.index, opener, OpeningFailure.GIVEN_UP, len(syns))
        return None
    if answers:
        return NeverOpened(flow.index, opener, OpeningFailure.ANSWERS_LOST, len(answers))
    lost = all(packet.fate is Fate.LOST for packet in syns)
    return NeverOpened(flow.index, opener, OpeningFailure.SYNS_LOST if lost else OpeningFailure.NO_ANSWER, len(syns))


def _without_data(flow: Flow, packets: list[Crossing], reset: ConnectionReset | None) -> NoData:
    if reset is not None:
        return NoData(flow.index, reset_by=reset.host)
    closed = {packet.sender for packet in packets if "F" in packet.flags}
    return NoData(flow.index, closed_by=tuple(host for host in HOSTS if host in closed))


def _refused(row: LedgerRow, packets: list[Crossing], causes: Sequence[Cause]) -> int:
    """Return how many of the last bytes came when no socket was there: a RST answered them, and no ACK covers them."""
    answered = {
        n for packet in packets if causes[packet.n].rule is CauseName.RESET_ANSWER for n in causes[packet.n].packets
    }
    late = [
        packet.start for packet in packets if packet.n in answered and packet.sender == row.sender and packet.length
    ]
    reached = max(row.acknowledged.bytes or 0, row.read.bytes or 0)
    return max((row.arrived.bytes or 0) - max(min(late), reached), 0) if late else 0


def _unread_end(row: LedgerRow, packets: list[Crossing], causes: Sequence[Cause]) -> UnreadEnd:
    told = (causes[packet.n] for packet in packets if packet.sender == peer_of(row.sender))
    rules = {cause.rule for cause in told if not cause.alternatives}
    if CauseName.RESET_UNREAD in rules:
        return UnreadEnd.CLOSED
    return UnreadEnd.EXITED if CauseName.RESET_EXIT in rules else UnreadEnd.UNKNOWN


def _moved(row: LedgerRow) -> bool:
    if row.sent.datagrams is not None:
        return bool(row.sent.datagrams or row.written.datagrams or row.arrived.datagrams)
    return bool(row.sent.bytes or row.written.bytes or row.arrived.bytes)


def _trouble(run: _Run, flow: Flow) -> int:
    """Rank flows: content that differs, bytes lost on the way or unread, then what was refused or broken off."""
    rows, packets = run.rows[flow.index], run.packets[flow.index]
    missing = sum(max((row.written.bytes or row.sent.bytes or 0) - (row.arrived.bytes or 0), 0) for row in rows)
    unread = sum(row.unread or 0 for row in rows)
    differs = any(row.difference is not None for row in rows)
    broken = flow.protocol == "tcp" and (_is_broken(run, flow) or why_unopened(flow, packets, run.causes) is not None)
    refused = flow.protocol == "udp" and any(True for _ in _refused_datagrams(run, flow))
    return (differs << 62) + (missing << 2) + (unread << 1) + (broken or refused)


def _is_broken(run: _Run, flow: Flow) -> bool:
    return _reset(run.rows[flow.index]) is not None or any(end.gave_up is not None for _, end in _ends(run, flow))


def _totals(run: _Run, joined: Joined, ledger: Sequence[LedgerRow]) -> Iterator[FlowTotals | SenderTotals]:
    kinds = Counter(flow.protocol for flow in joined.flows)
    refused = never = broken = 0
    for flow in joined.flows:
        if flow.protocol == "tcp":
            unopened = why_unopened(flow, run.packets[flow.index], run.causes)
            refused += isinstance(unopened, ConnectionRefused)
            never += isinstance(unopened, NeverOpened)
            broken += unopened is None and _is_broken(run, flow)
    yield FlowTotals(tuple(kinds.items()), refused, never, broken)
    for sender in HOSTS:
        rows = [row for row in ledger if row.sender == sender and _moved(row)]
        if not rows:
            continue
        sums = []
        for each in zip(*(row.points() for row in rows), strict=True):
            numbers = [count.bytes for _, count in each if count.bytes is not None]
            if len(numbers) == len(rows):
                sums.append((each[0][0], sum(numbers)))
        differing = sum(row.difference is not None for row in rows)
        yield SenderTotals(sender, tuple(sums), differing, sum(bool(row.unseen) for row in rows))
