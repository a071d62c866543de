"""Check what a scenario expects against what a run showed.

The models stand in :mod:`testbed.scenario.expect`. A check that the observation cannot support is neither true nor
false (``ok`` None): one on packets or bytes when the observation is incomplete, one on a value that no observer saw.

**The packets of a call** are those that it caused (rules of kind ``call`` and ``exit``) and the answers to them, and to
these in turn (:func:`packets_of`): SYN, SYN+ACK and ACK for a connect; a segment and its ACK for a send. Repeats,
repeated ACKs and timers' packets are left out, since TCP may send them at any time, and so are packets that a call of
the other host caused. Compared in order, as follows:

- A pure ACK that is there but not listed is passed over. One that is listed but not there is forgiven when a later
  packet of that host acknowledged the same (it was delayed, or rode on data), except in a handshake.
- Flags must be equal as a set of letters; a ``P`` more is allowed on a FIN, which may ride on data.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from testbed.analysis.streams import Streams
from testbed.model import Call, Cause, CauseKind, Check, Crossing, Host, Inputs, LedgerRow, Program
from testbed.scenario.expect import (
    CallExpectation,
    CrossingsExpectation,
    ExitExpectation,
    Expectation,
    LedgerExpectation,
    OutputExpectation,
    PacketFigures,
    PacketsExpectation,
    Payload,
    Segments,
)

_REPEATS = frozenset({"fast-retransmission", "recovery", "d-sack", "duplicate-ack", "probe-answer", "not-taken"})
_SHOWN = 40


@dataclass(frozen=True)
class Findings:
    """What the checks look at; ``causes`` are aligned with the crossings."""

    inputs: Inputs
    streams: Streams
    causes: Sequence[Cause]
    ledger: Sequence[LedgerRow]

    @property
    def complete(self) -> bool:
        """Whether captures and call logs hold all there was."""
        return not self.inputs.incomplete

    @property
    def crossings(self) -> Sequence[Crossing]:
        """All packets in time order."""
        return self.inputs.joined.crossings

    @cached_property
    def answers(self) -> dict[int, list[int]]:
        """Crossings that answer a crossing: ``{answered: [answers]}``."""
        found: dict[int, list[int]] = defaultdict(list)
        for crossing, cause in zip(self.crossings, self.causes, strict=True):
            if cause.kind is CauseKind.ANSWER and cause.rule not in _REPEATS:
                for n in cause.packets:
                    found[n].append(crossing.n)
        return found

    @cached_property
    def caused(self) -> dict[tuple[Host, int], list[int]]:
        """Crossings that a call caused: ``{(host, Call.n): [crossings]}``."""
        found: dict[tuple[Host, int], list[int]] = defaultdict(list)
        for crossing, cause in zip(self.crossings, self.causes, strict=True):
            if cause.kind in (CauseKind.CALL, CauseKind.EXIT):
                for n in cause.calls:
                    found[crossing.sender, n].append(crossing.n)
        return found


@dataclass(frozen=True, slots=True)
class _Result:
    ok: bool | None
    expected: str
    actual: str


def check(expectations: Iterable[Expectation], findings: Findings) -> tuple[Check, ...]:
    """Return one check for each expectation, in order."""
    checks = []
    for expectation in expectations:
        result = _evaluate(expectation, findings)
        checks.append(
            Check(expectation.text, result.ok, result.expected, result.actual, expectation.where, expectation.share)
        )
    return tuple(checks)


def _evaluate(expectation: Expectation, findings: Findings) -> _Result:
    for model, evaluate in _CHECKS:
        if isinstance(expectation, model):
            return evaluate(expectation, findings)
    raise TypeError(f"no check for {type(expectation).__name__}")


def packets_of(call: Call, findings: Findings) -> list[Crossing]:
    """Return the packets of a call (see the module's docstring) in time order."""
    chain = set(findings.caused.get((call.host, call.n), ()))
    todo = list(chain)
    while todo:
        for n in findings.answers.get(todo.pop(), ()):
            if n not in chain:
                chain.add(n)
                todo.append(n)
    return [findings.crossings[n] for n in sorted(chain)]


def _call(expectation: CallExpectation, findings: Findings) -> _Result:
    host = expectation.host
    wanted = _wanted(expectation)
    if not findings.streams.observed[host]:
        return _Result(None, wanted, f"no observer on {host}")
    calls = [call for call in findings.inputs.calls.get(host, ()) if call.name == expectation.call]
    calls.sort(key=lambda call: (call.start, call.n))
    if len(calls) < expectation.nth:
        return _Result(
            False if findings.complete else None, wanted, f"{len(calls)} calls of {expectation.call} by {host}"
        )
    call = calls[expectation.nth - 1]
    results: list[bool | None] = []
    actual = []
    if expectation.packets is not None:
        found = packets_of(call, findings)
        same = _same_packets(expectation.packets, found, findings)
        results.append(same if findings.complete else None)
        actual.append(f"packets: {', '.join(map(_flags_text, found)) or 'none'}")
    ended = call.end is not None
    if expectation.result is not None:
        results.append(ended and call.result == expectation.result)
        actual.append(f"result: {call.result if ended else 'never returned'}")
    if expectation.errno is not None:
        results.append(call.errno == expectation.errno)
        actual.append(f"errno: {call.errno or 'none'}")
    elif call.errno is not None and False in results:
        actual.append(f"errno: {call.errno}")
    return _Result(_all(results), wanted, "; ".join(actual))


def _wanted(expectation: CallExpectation) -> str:
    parts = []
    if expectation.packets is not None:
        parts.append(f"packets: {', '.join(expectation.packets) or 'none'}")
    if expectation.result is not None:
        parts.append(f"result: {expectation.result}")
    if expectation.errno is not None:
        parts.append(f"errno: {expectation.errno}")
    return "; ".join(parts)


def _same_packets(wanted: Sequence[str], found: list[Crossing], findings: Findings) -> bool:
    at = 0
    for text in wanted:
        while at < len(found) and not _matches(text, found[at]) and _is_pure_ack(found[at]):
            at += 1
        if at < len(found) and _matches(text, found[at]):
            at += 1
        elif not text.endswith(" .") or not _acknowledged_otherwise(text, found[:at], findings):
            return False
    return all(_is_pure_ack(packet) for packet in found[at:])


def _matches(text: str, packet: Crossing) -> bool:
    host, _, flags = text.partition(" ")
    if packet.sender != host:
        return False
    extra = set(packet.flags) - set(flags)
    return set(flags) <= set(packet.flags) and (not extra or (extra == {"P"} and "F" in flags))


def _is_pure_ack(packet: Crossing) -> bool:
    return packet.flags == "." and packet.length == 0


def _acknowledged_otherwise(text: str, before: list[Crossing], findings: Findings) -> bool:
    """Say whether a host acknowledged the data or FIN that the other one had sent in ``before``, by any packet."""
    host: Host = "client" if text.startswith("client") else "server"
    asked = [packet for packet in before if packet.sender != host and (packet.length or "F" in packet.flags)]
    if not asked or asked[-1].flow is None:
        return False
    last = asked[-1]
    edge = last.seq + last.length + ("F" in last.flags)
    answers = findings.streams.by_sender.get((asked[-1].flow, host), ())
    return any(packet.n > last.n and packet.ack is not None and packet.ack >= edge for packet in answers)


def _flags_text(packet: Crossing) -> str:
    return f"{packet.sender} {packet.flags or packet.protocol}"


def _segments(expectation: Segments, findings: Findings) -> _Result:
    wanted, actual, results = [], [], []
    for host, payloads in expectation.segments.items():
        found = first_transmissions(findings.crossings, host)
        same = len(found) == len(payloads) and all(map(_is_payload, payloads, found))
        results.append(same if findings.complete else None)
        wanted.append(f"{host}: {_listed([_payload_text(payload) for payload in payloads])}")
        texts = [_bytes_text(data, sized=_sized(payloads, index)) for index, data in enumerate(found)]
        actual.append(f"{host}: {_listed(texts)}")
    return _Result(_all(results), "; ".join(wanted), "; ".join(actual))


def first_transmissions(crossings: Iterable[Crossing], host: Host) -> list[bytes]:
    """Return the payloads that a host sent, in time order, each without the bytes that it had sent before."""
    edge: dict[int | None, int] = {}
    found = []
    for packet in crossings:
        if packet.sender != host or packet.sent is None or packet.protocol not in ("tcp", "udp"):
            continue
        if packet.protocol == "udp":
            found.append(packet.payload)
        elif packet.length and packet.end > edge.get(packet.flow, 0):
            found.append(packet.payload[max(edge.get(packet.flow, 0) - packet.start, 0) :])
            edge[packet.flow] = packet.end
    return found


def _is_payload(wanted: Payload, found: bytes) -> bool:
    return found == wanted.content if wanted.content is not None else len(found) == wanted.length


def _sized(payloads: Sequence[Payload], index: int) -> bool:
    return index < len(payloads) and payloads[index].content is None


def _payload_text(wanted: Payload) -> str:
    return f"{wanted.length} bytes" if wanted.content is None else _bytes_text(wanted.content, sized=False)


def _bytes_text(data: bytes, *, sized: bool) -> str:
    if sized or len(data) > _SHOWN:
        return f"{len(data)} bytes"
    text = data.decode("utf-8", "replace")
    return text if text.isprintable() and text.strip() == text and text else f'"{data.hex()}"'


def _ledger(expectation: LedgerExpectation, findings: Findings) -> _Result:
    wanted, actual = [], []
    results: list[bool | None] = []
    for host, figures in expectation.ledger.items():
        rows = [row for row in findings.ledger if row.sender == host]
        expected, shown = [], []
        for name in sorted(figures.model_fields_set, key=list(type(figures).model_fields).index):
            target = getattr(figures, name)
            value = _content(rows) if name == "content" else _sum(rows, name)
            expected.append(f"{name} {target}")
            shown.append(f"{name} {'not observed' if value is None else value}")
            results.append(None if value is None or not findings.complete else value == target)
        wanted.append(f"{host}: {', '.join(expected)}")
        actual.append(f"{host}: {', '.join(shown)}")
    return _Result(_all(results), "; ".join(wanted), "; ".join(actual))


def _content(rows: list[LedgerRow]) -> str:
    return next((row.difference for row in rows if row.difference is not None), "equal")


def _sum(rows: list[LedgerRow], name: str) -> int | None:
    """Add a figure of all flows up; None as soon as one of them could not be observed."""
    total = 0
    for row in rows:
        if name == "unread":
            number = row.unread
        elif name == "datagrams":
            number = row.sent.datagrams or 0
        else:
            number = getattr(row, name).bytes
        if number is None:
            return None
        total += number
    return total


def _crossings(expectation: CrossingsExpectation, findings: Findings) -> _Result:
    figures = expectation.crossings
    numbers = {
        "lost": sum(packet.fate == "lost" for packet in findings.crossings),
        "altered": sum(bool(packet.changes) for packet in findings.crossings),
        "appeared": sum(packet.fate == "appeared" for packet in findings.crossings),
    }
    asked = [name for name in numbers if name in figures.model_fields_set]
    same = all(numbers[name] == getattr(figures, name) for name in asked)
    return _Result(
        same if findings.complete else None,
        ", ".join(f"{name} {getattr(figures, name)}" for name in asked),
        ", ".join(f"{name} {numbers[name]}" for name in asked),
    )


def _packets(expectation: PacketsExpectation, findings: Findings) -> _Result:
    figures = expectation.packets
    number = sum(
        _is_meant(figures, packet, cause) for packet, cause in zip(findings.crossings, findings.causes, strict=True)
    )
    kind = f"{figures.sender} {figures.flags}" if figures.flags else f"packets from {figures.sender}"
    kind += f" that are {figures.fate}" if figures.fate else ""
    kind += f" by {figures.cause}" if figures.cause else ""
    same = figures.count.holds(number)
    return _Result(same if findings.complete else None, f"{figures.count} {kind}", f"{number} {kind}")


def _is_meant(figures: PacketFigures, packet: Crossing, cause: Cause) -> bool:
    """Say whether a packet is one of those counted; what appeared on the way only if it is asked for."""
    if figures.cause is None and figures.fate is None and packet.sent is None:
        return False
    return (
        packet.sender == figures.sender
        and (figures.flags is None or (packet.protocol == "tcp" and set(packet.flags) == set(figures.flags)))
        and (figures.cause is None or cause.rule == figures.cause)
        and (figures.fate is None or packet.fate == figures.fate)
    )


def _exit(expectation: ExitExpectation, findings: Findings) -> _Result:
    programs = {program.host: program for program in findings.inputs.programs}
    wanted, actual = [], []
    results: list[bool | None] = []
    for host, target in expectation.exit.items():
        program = programs.get(host)
        wanted.append(f"{host}: {target}")
        if program is None:
            actual.append(f"{host}: not run")
            results.append(None)
            continue
        value = program.exit_status if isinstance(target, int) else program.signal
        results.append(value == target)
        actual.append(f"{host}: {_ending(program)}")
    return _Result(_all(results), "; ".join(wanted), "; ".join(actual))


def _ending(program: Program) -> str:
    ending = program.signal if program.signal is not None else str(program.exit_status)
    return f"{ending} (stopped: {program.stopped_by_us})" if program.stopped_by_us else ending


def _output(expectation: OutputExpectation, findings: Findings) -> _Result:
    cut = {program.host for program in findings.inputs.programs if program.output_truncated}
    wanted, actual = [], []
    results: list[bool | None] = []
    for host, text in expectation.output.items():
        written = findings.inputs.output.get(host)
        found = written is not None and text in written
        results.append(found or (None if written is None or host in cut else False))
        wanted.append(f"{host}: {_excerpt(text)}")
        actual.append(f"{host}: {_excerpt(text) if found else _excerpt(written or '')}")
    return _Result(_all(results), "; ".join(wanted), "; ".join(actual))


def _excerpt(text: str) -> str:
    line = repr(text)
    return line if len(line) <= 2 * _SHOWN else f"{line[: 2 * _SHOWN]}... ({len(text)} characters)"


def _listed(texts: list[str]) -> str:
    if len(texts) > 12:
        texts = [*texts[:8], f"... {len(texts) - 9} more ...", texts[-1]]
    return f"[{', '.join(texts)}]"


def _all(results: Sequence[bool | None]) -> bool | None:
    """One that is false decides; else one that is unknown."""
    if False in results:
        return False
    return None if None in results else True


_CHECKS: tuple[tuple[type[Expectation], Callable[..., _Result]], ...] = (
    (CallExpectation, _call),
    (Segments, _segments),
    (LedgerExpectation, _ledger),
    (CrossingsExpectation, _crossings),
    (PacketsExpectation, _packets),
    (ExitExpectation, _exit),
    (OutputExpectation, _output),
)
