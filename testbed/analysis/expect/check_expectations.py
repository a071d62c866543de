"""Check what a scenario expects against what a run showed.

The models stand in :mod:`testbed.scenario.expect.expectations`. A check that the observation cannot support is
neither true nor
false (``ok`` None): one on packets or bytes when the observation is incomplete, one on a value that no observer saw.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from testbed.analysis.expect.expected_calls import check_call
from testbed.analysis.expect.expected_packets import (
    check_causes,
    check_labels,
    check_never,
    check_order,
    check_packets,
    check_timer,
)
from testbed.analysis.expect.run_facts import Findings, Result, every, listed
from testbed.model import Check, Crossing, Fate, Host, LedgerRow, Program
from testbed.scenario.expect.expectations import (
    CallExpectation,
    CausesExpectation,
    CrossingsExpectation,
    ExitExpectation,
    Expectation,
    LabelsExpectation,
    LedgerExpectation,
    NeverExpectation,
    OrderExpectation,
    OutputExpectation,
    PacketsExpectation,
    Segments,
    TimerExpectation,
)
from testbed.scenario.language.payload import SHOWN, Payload, bytes_shown


def check(expectations: Iterable[Expectation], findings: Findings) -> tuple[Check, ...]:
    """Return one check for each expectation, in order."""
    checks = []
    for expectation in expectations:
        result = _evaluate(expectation, findings)
        checks.append(
            Check(expectation.text, result.ok, result.expected, result.actual, expectation.where, expectation.share)
        )
    return tuple(checks)


def _evaluate(expectation: Expectation, findings: Findings) -> Result:
    for model, evaluate in _CHECKS:
        if isinstance(expectation, model):
            return evaluate(expectation, findings)
    raise TypeError(f"no check for {type(expectation).__name__}")


def _segments(expectation: Segments, findings: Findings) -> Result:
    wanted, actual, results = [], [], []
    for host, payloads in expectation.segments.items():
        found = first_transmissions(findings.crossings, host)
        same = len(found) == len(payloads) and all(map(_is_payload, payloads, found))
        results.append(same if findings.complete else None)
        wanted.append(f"{host}: [{listed([payload.shown for payload in payloads], empty='')}]")
        texts = [
            f"{len(data)} bytes" if _sized(payloads, index) else bytes_shown(data) for index, data in enumerate(found)
        ]
        actual.append(f"{host}: [{listed(texts, empty='')}]")
    return Result(every(results), "; ".join(wanted), "; ".join(actual))


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


def _ledger(expectation: LedgerExpectation, findings: Findings) -> Result:
    wanted, actual = [], []
    results: list[bool | None] = []
    for host, figures in expectation.ledger.items():
        rows = [
            row
            for row in findings.ledger
            if row.sender == host and expectation.connection in (None, findings.connections.get(row.flow))
        ]
        expected, shown = [], []
        for name in sorted(figures.model_fields_set, key=list(type(figures).model_fields).index):
            target = getattr(figures, name)
            value = _WORDS[name](rows) if name in _WORDS else _sum(rows, name)
            expected.append(f"{name} {target}")
            shown.append(f"{name} {'not observed' if value is None else value}")
            same = value == target if isinstance(target, str) else value is not None and target.holds(value)
            results.append(None if value is None or not findings.complete else same)
        wanted.append(f"{host}: {', '.join(expected)}")
        actual.append(f"{host}: {', '.join(shown)}")
    return Result(every(results), "; ".join(wanted), "; ".join(actual))


def _content(rows: list[LedgerRow]) -> str:
    found = next((row.difference for row in rows if row.difference is not None), None)
    if found is None:
        return "equal"
    where = f"datagram {found.datagram}, byte" if found.datagram is not None else "byte"
    return f"differs ({found.first} and {found.second}, {where} {found.offset})"


def _lost_at(rows: list[LedgerRow]) -> str:
    return next((row.lost_at.value for row in rows if row.lost_at is not None), "nowhere")


_WORDS = {"content": _content, "lost_at": _lost_at}


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


def _crossings(expectation: CrossingsExpectation, findings: Findings) -> Result:
    figures = expectation.crossings
    numbers = {
        "lost": sum(packet.fate is Fate.LOST for packet in findings.crossings),
        "altered": sum(bool(packet.changes) for packet in findings.crossings),
        "appeared": sum(packet.fate is Fate.APPEARED for packet in findings.crossings),
    }
    asked = [name for name in numbers if name in figures.model_fields_set]
    same = all(getattr(figures, name).holds(numbers[name]) for name in asked)
    return Result(
        same if findings.complete else None,
        ", ".join(f"{name} {getattr(figures, name)}" for name in asked),
        ", ".join(f"{name} {numbers[name]}" for name in asked),
    )


def _exit(expectation: ExitExpectation, findings: Findings) -> Result:
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
    return Result(every(results), "; ".join(wanted), "; ".join(actual))


def _ending(program: Program) -> str:
    ending = program.signal if program.signal is not None else str(program.exit_status)
    return f"{ending} (stopped: {program.stopped_by_us})" if program.stopped_by_us else ending


def _output(expectation: OutputExpectation, findings: Findings) -> Result:
    cut = {program.host for program in findings.inputs.programs if program.output_truncated}
    wanted, actual = [], []
    results: list[bool | None] = []
    for host, text in expectation.output.items():
        written = findings.inputs.output.get(host)
        found = written is not None and text in written
        results.append(found or (None if written is None or host in cut else False))
        wanted.append(f"{host}: {_excerpt(text)}")
        actual.append(f"{host}: {_excerpt(text) if found else _excerpt(written or '')}")
    return Result(every(results), "; ".join(wanted), "; ".join(actual))


def _excerpt(text: str) -> str:
    line = repr(text)
    return line if len(line) <= 2 * SHOWN else f"{line[: 2 * SHOWN]}... ({len(text)} characters)"


_CHECKS: tuple[tuple[type[Expectation], Callable[..., Result]], ...] = (
    (CallExpectation, check_call),
    (Segments, _segments),
    (LedgerExpectation, _ledger),
    (CrossingsExpectation, _crossings),
    (PacketsExpectation, check_packets),
    (NeverExpectation, check_never),
    (OrderExpectation, check_order),
    (TimerExpectation, check_timer),
    (CausesExpectation, check_causes),
    (LabelsExpectation, check_labels),
    (ExitExpectation, _exit),
    (OutputExpectation, _output),
)
