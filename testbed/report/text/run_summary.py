"""The summary of a run: one screen of plain words.

Every section is made as lines of known length and given a share of the screen; the ladder gets what is left. Foreign
text is escaped (``plain.py``) and never read as markup.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from testbed.model import (
    HOSTS,
    Analysis,
    Cause,
    CauseKind,
    Check,
    Count,
    Delay,
    Fate,
    LedgerRow,
    LinkAction,
    LinkOrigin,
    Outcome,
    peer_of,
)
from testbed.report.evidence_text import sentence
from testbed.report.text.kernel_text import kernel_lines
from testbed.report.text.ladder import Line, ladder
from testbed.report.text.ledger_text import close_text, difference_text
from testbed.report.text.link_text import link_texts
from testbed.report.text.terminal_text import clip, counted, duration, escape, paragraph, shortened
from testbed.report.text.verdict_text import verdict_text

if TYPE_CHECKING:
    from rich.console import Console

SCREEN = 46
"""Lines of a summary."""

_WIDEST = 120
_LADDER_LEAST = 10
_OUTPUT_LINES = 2
_LINK_LINES = 4


@dataclass(frozen=True, slots=True)
class _Room:
    """How much of each section is shown: rows, lines, lines, lines, expectations."""

    ledger: int
    verdict: int
    reasons: int
    programs: int
    checks: int


_WIDE = _Room(ledger=6, verdict=6, reasons=5, programs=6, checks=3)
_TIGHT = _Room(ledger=4, verdict=3, reasons=3, programs=2, checks=1)

_STYLES = {
    "head": "bold",
    "lost": "red",
    "failed": "yellow",
    "folded": "dim",
    "pass": "bold green",
    "fail": "bold red",
    "inconclusive": "bold yellow",
    "unsupported": "bold magenta",
}


def render(analysis: Analysis, meta: Mapping[str, Any], console: Console) -> None:
    """Print the summary of a run, at most :data:`SCREEN` lines.

    ``meta`` names the run: ``scenario``, ``summary``, ``directory``, ``engine`` and ``notes`` (a list of sentences);
    what it lacks is left out.
    """
    from rich.text import Text

    for line in summary(analysis, meta, min(console.width, _WIDEST)):
        text = Text(line.text, style=_STYLES.get(line.style, ""), no_wrap=True, overflow="crop")
        console.print(text, soft_wrap=False, highlight=False, crop=True)


def summary(analysis: Analysis, meta: Mapping[str, Any], width: int) -> list[Line]:
    """Return the summary's lines, each at most ``width`` characters."""
    head = list(_headline(analysis, meta, width))
    for room in (_WIDE, _TIGHT):
        body = [
            line
            for section in (
                _wire(analysis, width),
                _ledger(analysis.ledger, analysis.causes, room),
                _verdict(analysis, meta, width, room),
                _programs(analysis, width, room),
                _checks(analysis.checks, width, room),
            )
            for line in _separated(section)
        ]
        left = SCREEN - len(head) - 1 - len(body)
        if left >= _LADDER_LEAST:
            break
    steps = ladder(analysis, width, max(left, _LADDER_LEAST))
    return [Line(clip(line.text, width), line.style) for line in (*head, Line(""), *steps, *body)]


def _separated(section: Iterator[Line]) -> Iterator[Line]:
    """Put an empty line before a section that is not empty."""
    for n, line in enumerate(section):
        if n == 0:
            yield Line("")
        yield line


def _headline(analysis: Analysis, meta: Mapping[str, Any], width: int) -> Iterator[Line]:
    outcome = analysis.outcome
    about = f"  {escape(str(meta['summary']))}" if meta.get("summary") else ""
    yield Line(f"{escape(str(meta.get('scenario', '')))}: {outcome.value.upper()}{about}", outcome.value)
    observers = ", ".join(f"{host}: {escape(analysis.inputs.observed.get(host, 'none'))}" for host in HOSTS)
    engine = f"{escape(str(meta['engine']))}; " if meta.get("engine") else ""
    yield Line(clip(f"{escape(str(meta.get('directory', '')))}  ({engine}observers {observers})", width))


# ------------------------------------------------------------------ the wire


def _wire(analysis: Analysis, width: int) -> Iterator[Line]:
    joined = analysis.inputs.joined
    fates = [crossing.fate for crossing in joined.crossings]
    altered = sum(1 for crossing in joined.crossings if crossing.changes)
    seen = ", ".join(f"{joined.packets.get(host, 0):,} at {host}" for host in HOSTS)
    lost, appeared = fates.count(Fate.LOST), fates.count(Fate.APPEARED)
    joined_text = f"{fates.count(Fate.CROSSED):,} matched, {lost:,} lost, {altered:,} altered, {appeared:,} appeared"
    style = "lost" if lost or altered or appeared else ""
    yield from (Line(text, style) for text in paragraph(f"packets   {seen}: {joined_text}", width, lines=2))
    for host in HOSTS:
        delay = analysis.delays.get(host)
        if delay is not None and delay.count:
            yield Line(f"delay     {host} to {peer_of(host)}: {_delay(delay)}")
    yield from (Line(clip(text, width)) for text in shortened(list(_link(analysis)), _LINK_LINES, "impaired packet"))
    if analysis.kernel is not None:
        yield from (Line(clip(text, width), style) for text, style in kernel_lines(analysis.kernel))
    unknown = sum(1 for cause in analysis.causes if cause.kind is CauseKind.UNKNOWN)
    if unknown:
        yield Line(f"causes    {counted(unknown, 'packet')} without a known cause", "failed")
    others = [
        f"{host} {escape(name)} {count:,}" for host in HOSTS for name, count in joined.other.get(host, {}).items()
    ]
    if others:
        yield Line(clip(f"others    {', '.join(others)}", width))


def _link(analysis: Analysis) -> Iterator[str]:
    """Each packet that met more than a delay, and what it met."""
    for crossing in analysis.inputs.joined.crossings:
        met = link_texts(
            each for each in crossing.link if isinstance(each, LinkOrigin) or each.action is not LinkAction.DELAY
        )
        if met:
            about = escape(f"{crossing.sender} {crossing.flags or crossing.protocol}")
            yield f"link      #{crossing.n} {about}: {escape('; '.join(met))}"


def _delay(delay: Delay) -> str:
    named = (("min", delay.minimum), ("median", delay.median), ("max", delay.maximum))
    return ", ".join(f"{name} {duration(ns)}" for name, ns in named if ns is not None)


# ------------------------------------------------------------------ the ledger

_POINTS = ("written", "sent", "arrived", "acknowledged", "read")


def _ledger(rows: Sequence[LedgerRow], causes: Sequence[Cause], room: _Room) -> Iterator[Line]:
    if not rows:
        return
    # Rows with something to tell come first; an idle direction comes last.
    ordered = sorted(rows, key=lambda row: (not _is_wrong(row), _is_idle(row)))
    shown = ordered if len(rows) <= room.ledger else ordered[: room.ledger - 1]
    rest = ordered[len(shown) :]
    table = [["bytes", *("acked" if point == "acknowledged" else point for point in _POINTS), "content"]]
    table += [
        [f"#{row.flow} from {row.sender}", *(_count(count) for count in _counts(row)), _content(row, causes)]
        for row in shown
    ]
    styles = ["head", *("failed" if _is_wrong(row) else "" for row in shown)]
    if rest:
        wrong = sum(1 for row in rest if _is_wrong(row))
        content = f"{wrong:,} of them incomplete" if wrong else "all complete and equal"
        table.append([f"{len(rest):,} more", *(_total(rest, point) for point in range(len(_POINTS))), content])
        styles.append("failed" if wrong else "")
    widths = [max(len(line[column]) for line in table) for column in range(len(_POINTS) + 1)]
    for cells, style in zip(table, styles, strict=True):
        numbers = "".join(f"{cell:>{wide + 2}}" for cell, wide in zip(cells[1:-1], widths[1:], strict=True))
        yield Line(f"{cells[0]:<{widths[0]}}{numbers}   {cells[-1]}", style)


def _counts(row: LedgerRow) -> tuple[Count, ...]:
    return row.written, row.sent, row.arrived, row.acknowledged, row.read


def _is_wrong(row: LedgerRow) -> bool:
    return row.difference is not None or row.lost_at is not None or bool(row.unread)


def _is_idle(row: LedgerRow) -> bool:
    return not any(count.bytes or count.datagrams for count in _counts(row))


def _count(count: Count) -> str:
    if count.bytes is None:
        return "?"
    return f"{count.bytes:,}" if count.datagrams is None else f"{count.bytes:,} in {count.datagrams:,}"


def _total(rows: Sequence[LedgerRow], point: int) -> str:
    known = [count for count in (_counts(row)[point].bytes for row in rows) if count is not None]
    return f"{sum(known):,}" if known else "?"


def _content(row: LedgerRow, causes: Sequence[Cause]) -> str:
    parts = []
    if row.difference is not None:
        parts.append(f"differs: {escape(difference_text(row))}")
    if row.unread:
        parts.append(f"{row.unread:,} unread")
    elif row.lost_at is not None:
        parts.append(f"missing from '{row.lost_at}' on")
    if not parts:
        digest = next((count.digest for count in reversed(_counts(row)) if count.digest), None)
        parts.append("nothing" if _is_idle(row) else f"equal ({digest})" if digest else "equal")
    if closed := close_text(row, causes):
        parts.append(escape(closed))
    return "; ".join(parts)


# ------------------------------------------------------------------ sentences


def _verdict(analysis: Analysis, meta: Mapping[str, Any], width: int, room: _Room) -> Iterator[Line]:
    sentences = [text for each in verdict_text(analysis) for text in paragraph(each, width)]
    yield from (Line(text, "head") for text in shortened(sentences, room.verdict, "line"))
    label = "note" if analysis.outcome is Outcome.PASS else "why"
    reasons = [f"{label}: {reason}" for reason in analysis.reasons]
    # The analysis may repeat these among its reasons; what it does not repeat must not be lost.
    told = set(analysis.reasons)
    reasons += [f"failed: {text}" for text in analysis.inputs.failures if text not in told]
    reasons += [f"incomplete: {text}" for text in analysis.inputs.incomplete if text not in told]
    reasons += [f"note: {text}" for text in meta.get("notes", ())]
    lines = [text for reason in reasons for text in paragraph(reason, width, lines=2)]
    yield from (Line(text, "failed") for text in shortened(lines, room.reasons, "line"))


def _programs(analysis: Analysis, width: int, room: _Room) -> Iterator[Line]:
    """Programs that ended badly, with the end of what they printed."""
    lines = []
    for program in analysis.inputs.programs:
        if program.end.usual:
            continue
        name = escape(program.argv[0]) if program.argv else "program"
        lines.append(clip(f"{program.host}: {name}: {program.end}", width))
        printed = [line for line in analysis.inputs.output.get(program.host, "").splitlines() if line.strip()]
        lines += [clip(f"  | {escape(line)}", width) for line in printed[-_OUTPUT_LINES:]]
    yield from (Line(text, "failed") for text in shortened(lines, room.programs, "line"))


def _checks(checks: Sequence[Check], width: int, room: _Room) -> Iterator[Line]:
    if not checks:
        return
    elsewhere = [check for check in checks if not check.applies]
    checks = [check for check in checks if check.applies]
    held = sum(1 for check in checks if check.ok)
    style = "pass" if held == len(checks) else "fail"
    yield Line(f"{held:,} of {counted(len(checks), 'expectation')} {'holds' if held == 1 else 'hold'}", style)
    for check in elsewhere[: room.checks]:
        where = f"{check.where}: " if check.where else ""
        for_others = f"not applicable {where}{check.text}: for {check.expected}, this is {sentence(check.actual)}"
        yield from (Line(text) for text in paragraph(for_others, width, lines=2))
    if len(elsewhere) > room.checks:
        yield Line(f"  ... {counted(len(elsewhere) - room.checks, 'more expectation')} for other kernels ...")
    # What failed comes before what could not be decided.
    others = sorted((check for check in checks if not check.ok), key=lambda check: check.ok is None)
    for check in others[: room.checks]:
        where = f"{check.where}: " if check.where else ""
        word = "undecided" if check.ok is None else "FAILED"
        yield from (Line(text, "failed") for text in paragraph(f"{word} {where}{check.text}", width, lines=2))
        yield from (Line(text) for text in paragraph(f"expected: {check.expected}", width, indent="  ", lines=2))
        actual = f"actual:   {sentence(check.actual)}"
        yield from (Line(text) for text in paragraph(actual, width, indent="  ", lines=2))
    if len(others) > room.checks:
        yield Line(
            f"  ... {counted(len(others) - room.checks, 'more expectation')} failed or undecided, see result.json ..."
        )
