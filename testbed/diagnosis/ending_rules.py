"""What is wrong with the end of connections: data destroyed by a RST, requests that met a close, forgotten sockets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from testbed.analysis.absent.broken_off import was_taken
from testbed.analysis.calls.call_effects import resets_on_close
from testbed.analysis.causes.endpoint import arrival_time
from testbed.diagnosis.observed import MS, SECOND, Observed, SeenFlow
from testbed.model import HOSTS, CauseName, Crossing, Endpoint, Fate, Host, PacketRef, call_ref, peer_of
from testbed.model.call_table import going
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
    program_of,
)
from testbed.model.programs import Program

Found = Iterator[Finding | Undecided]

_FORGOTTEN = 2 * SECOND
"""How long (ns) after the peer's FIN a socket is open without anything being sent until it counts as forgotten."""
_UNTOLD = 10 * SECOND
"""The same where its program has not read so far: it may be busy with other connections."""
_NOT_CLOSED = 500 * MS
"""The same where its program was told of the end and never closed the socket but by its own end."""
_WRITES = going("out")
_READS = going("in")


def aborted(seen: Observed) -> Found:
    """Yield each connection that its program broke off with data unread or unsent."""
    by_program = (CauseName.RESET_UNREAD, CauseName.RESET_LINGER, CauseName.RESET_EXIT)
    for connection in seen.tcp:
        told: set[Host] = set()
        for packet in connection.packets:
            cause = connection.cause(packet)
            if packet.sender in told or "R" not in packet.flags:
                continue
            if cause.rule in by_program and not cause.alternatives and connection.knows(packet.sender):
                told.add(packet.sender)
                yield from _aborted(connection, packet, cause.calls)
            elif cause.rule is CauseName.RESET_UNSEEN and packet.sent is not None:
                told.add(packet.sender)
                names = (
                    FindingName.UNREAD_DATA_RESET,
                    FindingName.LINGER_ZERO_ABORT,
                    FindingName.PROCESS_DIED,
                    FindingName.NEVER_ACCEPTED,
                )
                why = Unknown.NO_CALLS if seen.both_ends else Unknown.ONE_END
                yield Undecided(names, why, connection.index, (packet.n,))


def _aborted(connection: SeenFlow, reset: Crossing, calls: tuple[int, ...]) -> Found:
    host, peer = reset.sender, peer_of(reset.sender)
    own = connection.calls[host]
    linger = own.option("SO_LINGER", reset.time)
    unread = max(_arrived_by(connection, peer, reset.time) - own.read_by(reset.time), 0)
    written, got = connection.written(host), connection.got(host)
    thrown = max(written - got, 0)
    closer = next((call for call in reversed(own.calls) if call.n in calls), None)
    by_exit = closer is None or closer.name == "exit"
    facts: dict[str, Part] = {
        "host": host,
        "peer": peer,
        "reset": PacketRef(reset.n),
        "unread": Quantity(unread, "byte"),
        "thrown": Quantity(thrown, "byte"),
        "written": Quantity(written, "byte"),
        "got": Quantity(got, "byte"),
        "closer": "its end" if by_exit or closer is None else call_ref(closer),
    }
    if unread:  # __tcp_close looks for unread bytes first
        name, variant = FindingName.UNREAD_DATA_RESET, "" if thrown else "nothing-lost"
        severity = Severity.ERROR if thrown else Severity.WARNING
        linger = None
    elif linger is not None and resets_on_close(linger):
        name, variant = FindingName.LINGER_ZERO_ABORT, "" if thrown else "nothing-lost"
        severity = Severity.ERROR if thrown else Severity.NOTE
        facts["option"] = call_ref(linger)
    else:
        return
    yield Finding(
        name,
        severity,
        program_of(host),
        connection.index,
        facts,
        variant=variant,
        packets=(reset.n,),
        calls=tuple(call_ref(each) for each in (closer, linger) if each is not None),
        cost=Cost(bytes=thrown, of_bytes=written),
    )


def never_accepted(seen: Observed) -> Found:
    """Yield each listener whose close reset connections that its program had not accepted."""
    groups: dict[tuple[Host, Endpoint], list[tuple[SeenFlow, Crossing]]] = defaultdict(list)
    for connection in seen.tcp:
        reset = next(iter(connection.caused_by(CauseName.RESET_LISTENER)), None)
        if reset is not None:
            groups[reset.sender, connection.flow.endpoint(reset.sender)].append((connection, reset))
    for (host, endpoint), group in groups.items():
        peer, closes = peer_of(host), set(group[0][0].cause(group[0][1]).calls)
        closer = next((call for call in seen.facts.inputs.calls[host] if call.n in closes), None)
        thrown = sum(_arrived_by(connection, peer, reset.time) for connection, reset in group)
        yield Finding(
            FindingName.NEVER_ACCEPTED,
            Severity.ERROR if thrown else Severity.WARNING,
            program_of(host),
            group[0][0].index,
            {
                "host": host,
                "peer": peer,
                "endpoint": endpoint,
                "connections": Quantity(len(group), "connection"),
                "closer": call_ref(closer) if closer is not None else f"the end of the {host} program",
                "unread": Quantity(thrown, "byte"),
            },
            variant="" if thrown else "nothing-lost",
            packets=tuple(reset.n for _, reset in group),
            calls=(call_ref(closer),) if closer is not None else (),
            cost=Cost(bytes=thrown, of_bytes=sum(connection.written(peer) for connection, _ in group)),
        )


def _arrived_by(connection: SeenFlow, sender: Host, time: int) -> int:
    """Return the stream offset up to which a host's bytes had arrived by a time."""
    return max((e.end for e in connection.data[sender] if e.arrived is not None and e.arrived <= time), default=0)


def raced(seen: Observed) -> Found:
    """Yield each request that crossed, or came after, the close of an idle connection by its server.

    It is one if both ends had sent data before, its sender had got an answer to what it had sent before, the server's
    FIN acknowledges nothing of it, and a RST answers it.
    """
    for connection in seen.tcp:
        answers = [each for each in connection.packets if connection.cause(each).rule is CauseName.RESET_ANSWER]
        for answer in answers:
            found = _raced(seen, connection, answer)
            if found is not None:
                yield found
                break


def _raced(seen: Observed, connection: SeenFlow, answer: Crossing) -> Finding | None:
    closer, asker = answer.sender, peer_of(answer.sender)
    fin = next((each for each in connection.sent[closer] if "F" in each.flags), None)
    named = [seen.facts.crossings[n] for n in connection.cause(answer).packets]
    request = next((each for each in named if each.length and each.sender == asker), None)
    if fin is None or request is None or fin.ack is None or request.seq < fin.ack or answer.sent is None:
        return None
    before = all(any(each.time < fin.time for each in connection.data[host]) for host in HOSTS)
    if not before or not _is_next_request(connection, request):
        return None
    if any(each.sender == closer and each.length and each.time > fin.time for each in connection.packets):
        return None
    closed = connection.calls[closer].fin_ender(fin.time) if connection.knows(closer) else None
    close = closed.call if closed is not None else None
    crossed = request.time < arrival_time(fin)
    lost = sum(each.length for each in connection.data[asker] if each.start >= request.start and each.fate is not None)
    number = 1 + sum(_begins_turn(connection, each) for each in connection.data[asker] if each.n < request.n)
    return Finding(
        FindingName.KEEP_ALIVE_RACE,
        Severity.ERROR,
        Culprit.UNDECIDED if crossed else program_of(asker),
        connection.index,
        {
            "asker": asker,
            "closer": closer,
            "number": Quantity(number),
            "after": Duration(max(request.time - fin.time, 0)),
            "close": call_ref(close) if close is not None else PacketRef(fin.n),
            "request": PacketRef(request.n),
            "bytes": Quantity(min(lost, connection.written(asker) - request.start), "byte"),
            "answer": PacketRef(answer.n),
        },
        variant="" if crossed else "late",
        unknown=Unknown.RACE if crossed else Unknown.NONE,
        packets=(fin.n, request.n, answer.n),
        calls=(call_ref(close),) if close is not None else (),
        cost=Cost(bytes=connection.written(asker) - request.start, of_bytes=connection.written(asker)),
        certainty=Certainty.PROVEN if seen.both_ends else Certainty.INFERRED,
    )


def _is_next_request(connection: SeenFlow, request: Crossing) -> bool:
    """Whether its sender had got an answer to what it had sent before: else it may be the rest of that."""
    asker = request.sender
    sent = [each for each in connection.data[asker] if each.n < request.n]
    if not sent:
        return False
    if connection.knows(asker):
        own = connection.calls[asker]
        return own.read_by(request.time) > own.read_by(sent[-1].time)
    answers = connection.data[peer_of(asker)]
    return any(sent[-1].time < arrival_time(each) <= request.time for each in answers)


def _begins_turn(connection: SeenFlow, packet: Crossing) -> bool:
    """Whether a segment is the first of its sender's after bytes of the peer's, or at all."""
    before = [each for each in connection.packets if each.length and each.n < packet.n]
    return not before or before[-1].sender != packet.sender


def late(seen: Observed, explained: frozenset[int | None]) -> Found:
    """Yield each connection on which bytes came when their receiver had closed its socket.

    It had sent its FIN, no RST before, and a RST answers them: no socket took them. ``explained`` are flows of which
    another finding says so.
    """
    for connection in seen.tcp:
        for host in HOSTS:
            answer = next((each for each in connection.sent[host] if "R" in each.flags), None)
            fin = next((each for each in connection.sent[host] if "F" in each.flags), None)
            if connection.index in explained or answer is None or fin is None or fin.time > answer.time:
                continue
            cause = connection.cause(answer)
            if cause.rule is not CauseName.RESET_ANSWER or cause.alternatives or answer.sent is None:
                continue
            named = [seen.facts.crossings[n] for n in cause.packets]
            first = next((each for each in named if each.length and each.sender != host), None)
            if first is not None:
                yield _late(seen, connection, first, fin, answer)


def _late(seen: Observed, connection: SeenFlow, first: Crossing, fin: Crossing, answer: Crossing) -> Finding:
    host, peer = answer.sender, first.sender
    close = next((call for call in reversed(connection.calls[host].closes) if call.start <= answer.time), None)
    came = max((each.end for each in connection.data[peer] if each.arrived is not None), default=first.end)
    bytes_late = max(came - first.start, first.length)
    return Finding(
        FindingName.SENT_AFTER_CLOSE,
        Severity.WARNING,
        program_of(host),
        connection.index,
        {
            "host": host,
            "peer": peer,
            "late": Quantity(bytes_late, "byte"),
            "close": call_ref(close) if close is not None else PacketRef(fin.n),
            "answer": PacketRef(answer.n),
        },
        packets=(fin.n, first.n, answer.n),
        calls=(call_ref(close),) if close is not None else (),
        cost=Cost(bytes=bytes_late, of_bytes=connection.written(peer)),
        certainty=Certainty.PROVEN if seen.both_ends else Certainty.INFERRED,
    )


def died(seen: Observed) -> Found:
    """Yield each program that a signal ended while it had a connection open."""
    for program in seen.facts.inputs.programs:
        if program.end.signal is None or program.end.stopped is not None:
            continue
        cut = [each for each in seen.tcp if _cut(each, program)]
        if not cut:
            continue
        connection = cut[0]
        end = next(each for each in connection.sent[program.host] if connection.cause(each).rule in _BY_EXIT)
        yield Finding(
            FindingName.PROCESS_DIED,
            Severity.ERROR,
            program_of(program.host),
            connection.index,
            {
                "host": program.host,
                "signal": program.end.signal,
                "end": PacketRef(end.n),
                "kind": "RST" if "R" in end.flags else "FIN",
                "connections": Quantity(len(cut), "connection"),
                "peer": peer_of(program.host),
            },
            variant="" if "F" in end.flags else "reset",
            packets=(end.n,),
        )


_BY_EXIT = (CauseName.EXIT, CauseName.RESET_EXIT)


def _cut(connection: SeenFlow, program: Program) -> bool:
    return any(connection.cause(each).rule in _BY_EXIT for each in connection.sent[program.host])


def forged(seen: Observed, silenced: frozenset[int]) -> Found:
    """Yield each RST that its sender never sent; ``silenced`` are those that another finding explains."""
    if not seen.both_ends:
        return
    for connection in seen.tcp:
        for packet in connection.packets:
            if "R" not in packet.flags or packet.fate is not Fate.APPEARED:
                continue
            taken = was_taken(packet, seen.facts.streams)
            if taken and packet.n in silenced:
                continue
            yield Finding(
                FindingName.FORGED_RESET,
                Severity.ERROR if taken else Severity.NOTE,
                Culprit.PATH,
                connection.index,
                {"host": packet.sender, "peer": peer_of(packet.sender), "reset": PacketRef(packet.n)},
                variant="" if taken else "ignored",
                packets=(packet.n,),
            )
            break


def forgotten(seen: Observed) -> Found:
    """Yield each connection that one end closed and the other never did, for long."""
    for connection in seen.tcp:
        for host in HOSTS:
            peer = peer_of(host)
            fin = next((e for e in connection.sent[peer] if "F" in e.flags and connection.reached(e)), None)
            if fin is None or any("R" in each.flags for each in connection.packets):
                continue
            complete = connection.complete_at(peer, fin.seq + fin.sequence_length)
            if complete is None:
                continue
            came = complete
            end = fin.seq + fin.sequence_length
            if not any(each.ack is not None and each.ack >= end for each in connection.sent[host]):
                continue
            if any("F" in each.flags and each.time <= came for each in connection.sent[host]):
                continue  # it had ended its own side before: nothing is left to be closed
            later = [each for each in connection.sent[host] if each.time > came and (each.length or "F" in each.flags)]
            until = later[0].time if later else seen.until(host)
            known = connection.knows(host)
            left = known and _never_closed(connection, host, came)
            told = _told(connection, host, came) if known else came
            since = until - (came if told is None else told)
            least = _NOT_CLOSED if left else _UNTOLD if told is None else _FORGOTTEN
            if since < least or (later and later[0].length):
                continue
            if known and any(call.start > came and call.name in _WRITES for call in connection.calls[host].calls):
                continue
            name = FindingName.CLOSE_WAIT_FORGOTTEN if known else FindingName.FIN_WAIT_FORGOTTEN
            if not known and not seen.both_ends and later:
                continue
            yield Finding(
                name,
                Severity.WARNING,
                program_of(host),
                connection.index,
                {
                    "host": host,
                    "peer": peer,
                    "fin": PacketRef(fin.n),
                    "waited": Duration(until - came),
                },
                variant="exit" if left else "closed-late" if later else "",
                packets=(fin.n,),
                cost=Cost(wait=until - came, of_wait=connection.span),
                certainty=Certainty.PROVEN if known else Certainty.INFERRED,
            )


def _told(connection: SeenFlow, host: Host, came: int) -> int | None:
    """Return when a program read the end of the stream, which had come; None: it never did."""
    return next(
        (
            call.end
            for call in connection.calls[host].calls
            if call.name in _READS and call.end is not None and call.end >= came and not call.errno and call.result == 0
        ),
        None,
    )


def _never_closed(connection: SeenFlow, host: Host, came: int) -> bool:
    """Whether a program read the end of the stream and made no call to close or shut its socket after it."""
    own = connection.calls[host]
    return _told(connection, host, came) is not None and not own.closes and not own.shutdowns
