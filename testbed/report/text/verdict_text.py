"""The verdict in sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from testbed.model import Analysis, Flow, Host, LedgerPoint, LedgerRow, peer_of
from testbed.model.ledgers import ResetOrigin
from testbed.model.verdicts import (
    BrokenOff,
    ConnectionRefused,
    ConnectsFailed,
    DatagramsRefused,
    DeadLock,
    EventsEnd,
    FlowTotals,
    GivenUp,
    NeverOpened,
    NoData,
    NoFlows,
    NoPackets,
    OpeningFailure,
    ProgramFailed,
    SenderTotals,
    SocketEvents,
    Transfer,
    UnreadEnd,
    VerdictFact,
)
from testbed.report.evidence_text import sentence
from testbed.report.no_packet_text import given_up
from testbed.report.text.contradiction_text import kernel_contradictions, label_contradictions
from testbed.report.text.ledger_text import difference_text, equal_text


def verdict_text(analysis: Analysis) -> tuple[str, ...]:
    """Return one sentence for each fact of a run's verdict, then for each contradiction of its causes."""
    contradictions = (*label_contradictions(analysis), *kernel_contradictions(analysis))
    return (*sentences(analysis.verdict, analysis.inputs.joined.flows), *map(sentence, contradictions))


def sentences(facts: Sequence[VerdictFact], flows: Sequence[Flow]) -> Iterator[str]:
    """Yield one sentence for each fact; a flow is named if there are several."""
    busy = Counter(fact.row.flow for fact in facts if isinstance(fact, Transfer))
    for fact in facts:
        match fact:
            case ProgramFailed():
                yield f"the {fact.host}'s program failed before a packet went between the hosts: {fact.end}"
            case NoPackets() if any(isinstance(each, ProgramFailed) for each in facts):
                pass
            case NoPackets():
                yield "no packet went between the two hosts"
            case NoFlows():
                yield f"{fact.packets} packets crossed, none of them of TCP or UDP"
            case FlowTotals():
                yield _flow_totals(fact)
            case SenderTotals():
                yield _sender_totals(fact)
            case DeadLock(calls=(client, server)):
                blocked = sentence((client, " and ", server))
                both = f"dead-lock: both programs are in a write ({blocked}), both windows are 0, and neither reads"
                yield _named(flows, fact.flow) + both
            case Transfer():
                row = fact.row
                direction = f"{row.sender} to {peer_of(row.sender)}: " if busy[row.flow] > 1 else ""
                described = _stream(fact) if row.sent.datagrams is None else _datagrams(fact)
                yield _named(flows, row.flow) + direction + described
            case ConnectionRefused() | NeverOpened() | NoData():
                yield _named(flows, fact.flow) + _without_transfer(fact, flows[fact.flow])
            case BrokenOff() | GivenUp() | DatagramsRefused():
                yield _named(flows, fact.flow) + _broken(fact)
            case ConnectsFailed():
                yield _failed_connects(fact)
            case SocketEvents():
                yield _named(flows, fact.flow) + _socket_events(fact)


def _named(flows: Sequence[Flow], index: int) -> str:
    return f"#{index + 1} {flows[index].client} - {flows[index].server}: " if len(flows) > 1 else ""


def _socket_events(fact: SocketEvents) -> str:
    """Say what a Windows program was told, and by which of Winsock's rules (WSAAsyncSelect, Remarks)."""
    return f"{_events_and_rule(fact)}; {_seen_by_program(fact)}"


def _events_and_rule(fact: SocketEvents) -> str:
    last = sentence((fact.last,))
    told = f"the {fact.host} program got FD_READ {_times(fact.told)} and read {_times(fact.reads)}"
    match fact.end:
        case EventsEnd.NOT_READ:
            why = "Winsock posts another FD_READ only after a call that reads, and FD_CLOSE only when all is read"
            return f"{told}: it did not read after {last}, and {why}"
        case EventsEnd.CLOSED:
            late = f"; what was posted before came all the same ({_some(fact.late, 'FD_READ')})" if fact.late else ""
            return f"{told}, then closed the socket: with that Winsock tells no more of it{late}"
        case EventsEnd.RESET:
            return f"{told}; after a RST Winsock announces no data, and FD_CLOSE comes at once with an error"
        case EventsEnd.ALL_READ:
            again = "Winsock posts FD_READ again after a call that reads and leaves data, or when more arrives"
            close = f", and FD_CLOSE ({sentence((fact.close,))}) once all is read" if fact.close is not None else ""
            return f"{told}: {again}{close}"


def _seen_by_program(fact: SocketEvents) -> str:
    """Say whether the program can have shown less than the capture of its host, as in the experiment."""
    if not fact.unread:
        return f"so it has all {fact.arrived:,} bytes that its capture has"
    read = fact.arrived - fact.unread
    return f"so it has {f'only the first {read:,}' if read else 'none'} of the {fact.arrived:,} bytes in its capture"


def _times(number: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(number, f"{number:,} times")


def _without_transfer(fact: ConnectionRefused | NeverOpened | NoData, flow: Flow) -> str:
    match fact:
        case ConnectionRefused(host=host):
            why = "nobody took it on" if fact.listening else "nothing listened on"
            return f"the {host} refused the connection: {why} {flow.endpoint(host)} (RST)"
        case NeverOpened():
            return f"the connection never opened: {_never_opened(fact)}"
        case NoData():
            return f"the connection was opened, no data was sent; {_ending(fact)}"


def _never_opened(fact: NeverOpened) -> str:
    opener, peer = fact.opener, peer_of(fact.opener)
    match fact.reason:
        case OpeningFailure.GIVEN_UP:
            return f"the {opener} had given it up before the {peer}'s answer came (RST)"
        case OpeningFailure.ANSWERS_LOST:
            return f"the {peer}'s {_some(fact.packets, 'answer')} did not arrive"
        case OpeningFailure.SYNS_LOST:
            return f"{_some(fact.packets, 'SYN')} to the {peer}, none of them arrived"
        case OpeningFailure.NO_ANSWER:
            return f"{_some(fact.packets, 'SYN')} to the {peer}, it did not answer"


def _broken(fact: BrokenOff | GivenUp | DatagramsRefused) -> str:
    match fact:
        case GivenUp():
            return f"the {fact.host}'s kernel gave the connection up: it {sentence(given_up(fact.end))}"
        case DatagramsRefused():
            why = "nothing takes datagrams on that port" if fact.port else "they could not be delivered"
            return f"the {fact.host} answered by {_some(fact.errors, 'ICMP error')} (#{fact.packet}): {why}"
    reset, why = fact.reset, sentence(fact.evidence)
    lost = ", which was lost" if reset.lost else ""
    match reset.origin:
        case ResetOrigin.HOST:
            return f"the {reset.host} reset the connection (RST #{reset.packet}{lost}): {why}"
        case ResetOrigin.LINK:
            return f"RST #{reset.packet} in the {reset.host}'s name broke the connection off: {why}"
    return f"RST #{reset.packet}, which the {reset.host} never sent, broke the connection off: {why}"


def _failed_connects(fact: ConnectsFailed) -> str:
    to = f" to {fact.address}" if fact.address is not None else ""
    if fact.count == 1:
        return f"{fact.first.name} #{fact.first.n} of the {fact.host}{to} failed: {fact.errno}"
    return f"{fact.count:,} connects of the {fact.host}{to} failed, the first #{fact.first.n}: {fact.errno}"


def _some(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


def _ending(fact: NoData) -> str:
    if fact.reset_by is not None:
        return "it was broken off"
    if len(fact.closed_by) == 2:
        return "both ends closed it"
    return f"only the {fact.closed_by[0]} closed it" if fact.closed_by else "it is still open"


def _stream(fact: Transfer) -> str:
    row, receiver = fact.row, peer_of(fact.row.sender)
    points = _points(row, datagrams=False)
    total = points[0][1]
    count = _some(total, "byte")
    every = f"all {count}" if total > 1 else f"the {count}"
    read, arrived = row.read.bytes, row.arrived.bytes or 0
    if row.lost_at is None and not row.unread:
        return _all(f"{every} {'were' if total > 1 else 'was'}", row, points, _unobserved(row))
    if arrived >= total:
        refused, unread = fact.refused, (row.unread or 0) - fact.refused
        text = f"{every} reached the {receiver}" + ("" if refused else "'s socket")
        if refused:
            text += f"; no socket took {'them' if refused == total else f'the last {refused:,}'} (RST)"
        if read is not None and unread > 0:
            some = f"{read:,}" if read else "none"
            text += f"; the {receiver} program read {some} and {_UNREAD[fact.unread_end]} {unread:,} unread"
        elif refused:
            text += f"; the {receiver} program read {read:,}" if read else ""
        else:
            text += f", {row.acknowledged.bytes:,} were acknowledged as far as the {row.sender} saw"
    else:
        text = _shortfall(row.sender, points, "byte")
        if read is not None and row.unread:
            ended = fact.unread_end is not UnreadEnd.UNKNOWN
            how = f"the {receiver} program {_UNREAD[fact.unread_end]} {row.unread:,} unread"
            text += f"; {how}" if ended else f"; {row.unread:,} that arrived were not read"
    return text + _unobserved(row) + _difference(row)


_UNREAD = {UnreadEnd.CLOSED: "closed with", UnreadEnd.EXITED: "ended with", UnreadEnd.UNKNOWN: "left"}


def _datagrams(fact: Transfer) -> str:
    row = fact.row
    points = _points(row, datagrams=True)
    total = points[0][1]
    reader = "" if fact.refused and fact.refused == row.arrived.datagrams else _unobserved(row)
    if all(number == total for _, number in points):
        every = f"all {total:,} datagrams were" if total > 1 else "the datagram was"
        return _all(every, row, points, reader)
    return _shortfall(row.sender, points, "datagram") + reader + _difference(row)


def _all(every: str, row: LedgerRow, points: list[tuple[LedgerPoint, int]], reader: str) -> str:
    equal = f"but contents differ: {difference_text(row)}" if row.difference is not None else equal_text(row)
    return f"{every} {_listed([point for point, _ in points])}; {equal}{reader}"


def _unobserved(row: LedgerRow) -> str:
    """Say that nothing is known of what the receiver's program read, if so."""
    if row.read.bytes is not None:
        return ""
    receiver = peer_of(row.sender)
    if row.unlogged_read:
        some = f"{_some(row.unlogged_read, 'byte')} by calls that nobody logged"
        return f"; the {receiver} program read {some} (a FIN went out, where unread bytes would have made it a RST)"
    return f"; what the {receiver}'s program read was not observed"


def _difference(row: LedgerRow) -> str:
    return "" if row.difference is None else f"; contents differ: {difference_text(row)}"


def _shortfall(sender: Host, points: list[tuple[LedgerPoint, int]], unit: str) -> str:
    receiver = peer_of(sender)
    steps = {
        LedgerPoint.SENT: f"left the {sender}",
        LedgerPoint.ARRIVED: f"reached the {receiver}",
        LedgerPoint.ACKNOWLEDGED: "were acknowledged",
        LedgerPoint.READ: f"were read by the {receiver} program",
    }
    first, total = points[0]
    text = f"{_some(total, unit)} {'was' if total == 1 else 'were'} {first}"
    before = total
    for point, number in points[1:]:
        if number != before:
            text += f", {number:,} {steps[point]}"
        before = number
    return text


def _points(row: LedgerRow, *, datagrams: bool) -> list[tuple[LedgerPoint, int]]:
    found = [(point, count.datagrams if datagrams else count.bytes) for point, count in row.points()]
    return [(point, number) for point, number in found if number is not None]


def _listed(words: Sequence[str]) -> str:
    """Return ``a, b and c``."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _flow_totals(fact: FlowTotals) -> str:
    counted = " and ".join(
        f"{number} {'connections' if protocol == 'tcp' else 'UDP conversations'}" for protocol, number in fact.flows
    )
    bad = (("refused", fact.refused), ("never opened", fact.never_opened), ("broken off", fact.broken_off))
    said = [f"{number:,} {what}" for what, number in bad if number]
    return counted + (f", of which {_listed(said)}" if said else "")


def _sender_totals(fact: SenderTotals) -> str:
    total = fact.bytes[0][1]
    if all(number == total for _, number in fact.bytes):
        text = f"all {total:,} bytes were {_listed([point for point, _ in fact.bytes])}"
    else:
        text = ", ".join(f"{number:,} {point}" for point, number in fact.bytes)
    equal = f"contents differ on {fact.differing}" if fact.differing else "contents are equal"
    if fact.unseen and not fact.differing:
        equal = "contents are equal as far as they were seen"
    return f"{fact.sender} to {peer_of(fact.sender)}: {text}; {equal}"
