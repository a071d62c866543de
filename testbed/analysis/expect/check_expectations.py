"""Check what a scenario expects against what a run showed.

The expectations are values of :mod:`testbed.model.expect`. A check that the observation cannot support is neither true
nor false (``ok`` None): one on packets or bytes when the observation is incomplete, one on a value that was not
observed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from testbed.analysis.expect.expected_calls import check_call
from testbed.analysis.expect.expected_findings import applies, check_finding, check_findings
from testbed.analysis.expect.expected_packets import (
    check_causes,
    check_intervals,
    check_labels,
    check_order,
    check_packets,
)
from testbed.analysis.expect.expected_verdict import check_verdict
from testbed.analysis.expect.run_facts import Result, RunFacts, every, listed
from testbed.model import Check, Crossing, Fate, Host, LedgerRow
from testbed.model.expect import (
    SHOWN_BYTES,
    Expectation,
    ExpectedBytes,
    ExpectedCall,
    ExpectedCauses,
    ExpectedCrossings,
    ExpectedExit,
    ExpectedFinding,
    ExpectedFindings,
    ExpectedIntervals,
    ExpectedLabels,
    ExpectedLedger,
    ExpectedOrder,
    ExpectedOutput,
    ExpectedPackets,
    ExpectedSegments,
    ExpectedVerdict,
    Limits,
    bytes_text,
)
from testbed.model.kernel_versions import kernel_version
from testbed.model.ledgers import DifferenceKind


def check(expectations: Iterable[Expectation], facts: RunFacts) -> tuple[Check, ...]:
    """Return one check for each expectation, in order."""
    return tuple(_checked(each, facts) for each in expectations)


def _checked(expected: Expectation, facts: RunFacts) -> Check:
    of = (expected.where, expected.share)
    if expected.kernels is not None:
        release = facts.inputs.release
        version = kernel_version(release)
        if version is None or not expected.kernels.holds(version):
            found = f"a kernel {release}" if release else "a kernel of unknown version"
            return Check(expected.text, None, f"a kernel {expected.kernels}", (found,), *of, applies=version is None)
    if isinstance(expected.wanted, ExpectedFindings) and not applies(expected.wanted, facts):
        seen = ", ".join(f"{host}: {name}" for host, name in facts.inputs.observed.items())
        return Check(expected.text, None, "runs in which both hosts' calls are seen", (seen,), *of, applies=False)
    result = _CHECKS[type(expected.wanted)](expected.wanted, facts)
    actual = (result.actual,) if isinstance(result.actual, str) else result.actual
    return Check(expected.text, result.ok, result.expected, actual, *of)


def _segments(expected: ExpectedSegments, facts: RunFacts) -> Result:
    wanted, actual, results = [], [], []
    for host, payloads in expected.payloads.items():
        found = first_transmissions(facts.crossings, host)
        same = len(found) == len(payloads) and all(map(_is_payload, payloads, found))
        results.append(same if facts.complete else None)
        wanted.append(f"{host}: [{listed([payload.text for payload in payloads], empty='')}]")
        texts = [
            f"{len(data)} bytes" if _sized(payloads, index) else bytes_text(data) for index, data in enumerate(found)
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


def _is_payload(wanted: ExpectedBytes, found: bytes) -> bool:
    return found == wanted.content if wanted.content is not None else len(found) == wanted.length


def _sized(payloads: Sequence[ExpectedBytes], index: int) -> bool:
    return index < len(payloads) and payloads[index].content is None


def _ledger(expected: ExpectedLedger, facts: RunFacts) -> Result:
    wanted, actual = [], []
    results: list[bool | None] = []
    for host, figures in expected.figures.items():
        rows = [
            row
            for row in facts.ledger
            if row.sender == host and expected.connection in (None, facts.connections.get(row.flow))
        ]
        asked, found = [], []
        for name, target in figures.items():
            asked.append(f"{name} {target}")
            value = _WORDS[name](rows) if name in _WORDS else _sum(rows, name)
            found.append(f"{name} {'not observed' if value is None else value}")
            if value is None or not facts.complete:
                results.append(None)
            else:
                results.append(
                    target.holds(value) if isinstance(target, Limits) and isinstance(value, int) else value == target
                )
        wanted.append(f"{host}: {', '.join(asked)}")
        actual.append(f"{host}: {', '.join(found)}")
    return Result(every(results), "; ".join(wanted), "; ".join(actual))


def _content(rows: list[LedgerRow]) -> str | None:
    """Return how contents compare; None where nobody saw the content of what calls moved."""
    found = next((row.difference for row in rows if row.difference is not None), None)
    if found is None:
        return None if any(row.unseen for row in rows) else "equal"
    one = found.end - found.offset == 1
    place = f"byte {found.offset}" if one else f"bytes {found.offset}-{found.end - 1}"
    of = f" of datagram {found.datagram}" if found.datagram is not None else ""
    if found.kind is DifferenceKind.BYTE:
        return f"differs, {place}{of}: {found.before:02x} {found.first}, {found.after:02x} {found.second}"
    return f"differs, {place}{of}: {found.first} and {found.second}"


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


def _crossings(expected: ExpectedCrossings, facts: RunFacts) -> Result:
    numbers = {
        "lost": sum(packet.fate is Fate.LOST for packet in facts.crossings),
        "altered": sum(bool(packet.changes) for packet in facts.crossings),
        "appeared": sum(packet.fate is Fate.APPEARED for packet in facts.crossings),
    }
    same = all(limits.holds(numbers[name]) for name, limits in expected.counts.items())
    return Result(
        same if facts.complete else None,
        ", ".join(f"{name} {limits}" for name, limits in expected.counts.items()),
        ", ".join(f"{name} {numbers[name]}" for name in expected.counts),
    )


def _exit(expected: ExpectedExit, facts: RunFacts) -> Result:
    programs = {program.host: program for program in facts.inputs.programs}
    wanted, actual = [], []
    results: list[bool | None] = []
    for host, target in expected.endings.items():
        program = programs.get(host)
        wanted.append(f"{host}: {target}")
        if program is None:
            actual.append(f"{host}: not run")
            results.append(None)
            continue
        value = program.end.status if isinstance(target, int) else program.end.signal
        results.append(value == target)
        actual.append(f"{host}: {program.end}")
    return Result(every(results), "; ".join(wanted), "; ".join(actual))


def _output(expected: ExpectedOutput, facts: RunFacts) -> Result:
    cut = {program.host for program in facts.inputs.programs if program.output_truncated}
    wanted, actual = [], []
    results: list[bool | None] = []
    for host, text in expected.texts.items():
        written = facts.inputs.output.get(host)
        found = written is not None and text in written
        results.append(found or (None if written is None or host in cut else False))
        wanted.append(f"{host}: {_excerpt(text)}")
        actual.append(f"{host}: {_excerpt(text) if found else _excerpt(written or '')}")
    return Result(every(results), "; ".join(wanted), "; ".join(actual))


def _excerpt(text: str) -> str:
    line = repr(text)
    return line if len(line) <= 2 * SHOWN_BYTES else f"{line[: 2 * SHOWN_BYTES]}... ({len(text)} characters)"


_CHECKS: dict[type, Callable[..., Result]] = {
    ExpectedCall: check_call,
    ExpectedSegments: _segments,
    ExpectedLedger: _ledger,
    ExpectedCrossings: _crossings,
    ExpectedPackets: check_packets,
    ExpectedOrder: check_order,
    ExpectedIntervals: check_intervals,
    ExpectedCauses: check_causes,
    ExpectedLabels: check_labels,
    ExpectedExit: _exit,
    ExpectedOutput: _output,
    ExpectedVerdict: check_verdict,
    ExpectedFinding: check_finding,
    ExpectedFindings: check_findings,
}
