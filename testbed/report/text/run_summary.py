"""The summary of a run: one screen of plain words; into a file or a pipe, whole sentences.

Every section is made as lines of known length and given a share of the screen; the ladder gets what is left. Foreign
text is escaped (``terminal_text.py``) and never read as markup.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, TextIO

from testbed.model import (
    HOSTS,
    Analysis,
    Cause,
    CauseKind,
    Count,
    Fate,
    LedgerPoint,
    LedgerRow,
    Outcome,
    peer_of,
)
from testbed.report.text.check_text import check_lines
from testbed.report.text.counter_text import dropped_lines
from testbed.report.text.finding_text import named, summary_lines, time_text
from testbed.report.text.kernel_text import kernel_lines
from testbed.report.text.ladder import Line, ladder
from testbed.report.text.ledger_text import close_text, difference_text
from testbed.report.text.link_text import impaired_packets
from testbed.report.text.terminal_text import clip, counted, duration, escape, paragraph, shortened
from testbed.report.text.verdict_text import verdict_text

if TYPE_CHECKING:
    from rich.console import Console

SCREEN = 46
"""Lines of a summary."""

_WIDEST = 120
_LADDER_LEAST = 10
_OUTPUT_LINES = 2
_OUTPUT_UNCUT = 10
_LINK_LINES = 4
_LINK_UNCUT = 40


class Extent(Enum):
    """How much of a run is shown."""

    SCREEN = auto()
    """One screen: what fits in :data:`SCREEN` lines, and more only where more failed, closed or was reset."""
    UNCUT = auto()
    """Every sentence whole; only the ladder and the ledger are shortened."""
    FULL = auto()
    """All of it."""


@dataclass(frozen=True, slots=True)
class _Room:
    """How much of each section is shown, each None for all: rows, findings, connections, three of lines, expectations.

    ``sentence`` is how many lines each reason may take, ``content`` how many more than one the words of a ledger's row.
    """

    ledger: int | None = None
    findings: int | None = None
    time: int | None = None
    verdict: int | None = None
    reasons: int | None = None
    programs: int | None = None
    checks: int | None = None
    sentence: int | None = None
    content: int | None = None


_ROOMS = {
    Extent.SCREEN: (
        _Room(ledger=6, findings=3, time=2, verdict=8, reasons=5, programs=6, checks=3, sentence=2, content=2),
        _Room(ledger=4, findings=3, time=1, verdict=3, reasons=3, programs=2, checks=1, sentence=2, content=0),
    ),
    Extent.UNCUT: (_Room(ledger=20, time=10),),
    Extent.FULL: (_Room(),),
}
"""The room there is, the next where the one before leaves the ladder too little."""
_LADDER_UNCUT = 40

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


def console_for(stream: TextIO) -> tuple[Console, Extent]:
    """Return how to print on a stream: one screen on a terminal, whole sentences into a file or a pipe.

    These have no width: lines of 120 characters, unless COLUMNS says otherwise.
    """
    from rich.console import Console

    if stream.isatty():
        return Console(file=stream), Extent.SCREEN
    width = None if os.environ.get("COLUMNS", "").isdigit() else _WIDEST
    return Console(file=stream, width=width), Extent.UNCUT


def render(analysis: Analysis, meta: Mapping[str, Any], console: Console, extent: Extent = Extent.SCREEN) -> None:
    """Print the summary of a run.

    ``meta`` names the run: ``scenario``, ``summary``, ``directory``, ``engine`` and ``notes`` (a list of sentences);
    what it lacks is left out.
    """
    from rich.text import Text

    width = console.width if extent is Extent.FULL else min(console.width, _WIDEST)
    for line in summary(analysis, meta, width, extent):
        text = Text(line.text, style=_STYLES.get(line.style, ""), no_wrap=True, overflow="ignore")
        console.print(text, soft_wrap=extent is not Extent.SCREEN, highlight=False)


def summary(analysis: Analysis, meta: Mapping[str, Any], width: int, extent: Extent = Extent.SCREEN) -> list[Line]:
    """Return the summary's lines, each at most ``width`` characters (but for a path that is longer, off a screen)."""
    first = _ROOMS[extent][0]
    head = [*_headline(analysis, meta, width, first), *_separated(_findings(analysis, width, first))]
    body: list[Line] = []
    left = 0
    for room in _ROOMS[extent]:
        body = [
            line
            for section in (
                _wire(analysis, width, room),
                _time(analysis, width, room),
                _ledger(analysis.ledger, analysis.causes, width, room),
                _verdict(analysis, meta, width, room),
                _programs(analysis, width, room),
                check_lines(analysis.checks, width, most=room.checks, sentence_lines=room.sentence),
            )
            for line in _separated(section)
        ]
        left = SCREEN - len(head) - 1 - len(body)
        if left >= _LADDER_LEAST:
            break
    heights = {Extent.SCREEN: max(left, _LADDER_LEAST), Extent.UNCUT: _LADDER_UNCUT, Extent.FULL: None}
    steps = ladder(analysis, width, heights[extent])
    lines = [*head, Line(""), *steps, *body]
    return lines if extent is not Extent.SCREEN else [Line(clip(line.text, width), line.style) for line in lines]


def _separated(section: Iterator[Line]) -> Iterator[Line]:
    """Put an empty line before a section that is not empty."""
    for n, line in enumerate(section):
        if n == 0:
            yield Line("")
        yield line


def _headline(analysis: Analysis, meta: Mapping[str, Any], width: int, room: _Room) -> Iterator[Line]:
    outcome = analysis.outcome
    about = f"  {escape(str(meta['summary']))}" if meta.get("summary") else ""
    yield Line(f"{escape(str(meta.get('scenario', '')))}: {outcome.value.upper()}{about}", outcome.value)
    observers = ", ".join(f"{host}: {escape(analysis.inputs.observed.get(host, 'none'))}" for host in HOSTS)
    engine = f"{escape(str(meta['engine']))}; " if meta.get("engine") else ""
    yield from _whole(f"{escape(str(meta.get('directory', '')))}  ({engine}observers {observers})", width, room)


def _whole(text: str, width: int, room: _Room, style: str = "") -> Iterator[Line]:
    """Yield a line that is cut on a screen only; elsewhere it goes on below."""
    if room.sentence is not None:
        yield Line(clip(text, width), style)
        return
    # A path is one word, however long.
    parts = textwrap.wrap(text, width, subsequent_indent=" " * 10, break_long_words=False, break_on_hyphens=False)
    yield from (Line(part, style) for part in parts)


# ------------------------------------------------------------------ what is wrong


def _findings(analysis: Analysis, width: int, room: _Room) -> Iterator[Line]:
    if analysis.diagnosis is None:
        return
    for text, style in summary_lines(analysis.diagnosis, analysis.inputs.joined.flows, width, most=room.findings):
        yield Line(text, style)


def _time(analysis: Analysis, width: int, room: _Room) -> Iterator[Line]:
    accounts = () if analysis.diagnosis is None else analysis.diagnosis.time
    texts = [f"time      {named(analysis.inputs.joined.flows, each.flow)}{time_text(each)}" for each in accounts]
    for text in shortened(texts, room.time, "connection"):
        yield from (Line(part) for part in paragraph(text, width, indent_next=10, lines=room.sentence))


# ------------------------------------------------------------------ the wire


def _wire(analysis: Analysis, width: int, room: _Room) -> Iterator[Line]:
    joined = analysis.inputs.joined
    fates = [crossing.fate for crossing in joined.crossings]
    altered = sum(1 for crossing in joined.crossings if crossing.changes)
    seen = ", ".join(f"{joined.packets.get(host, 0):,} at {host}" for host in HOSTS)
    lost, appeared = fates.count(Fate.LOST), fates.count(Fate.APPEARED)
    joined_text = f"{fates.count(Fate.CROSSED):,} matched, {lost:,} lost, {altered:,} altered, {appeared:,} appeared"
    style = "lost" if lost or altered or appeared else ""
    yield from (Line(text, style) for text in paragraph(f"packets   {seen}: {joined_text}", width, lines=room.sentence))
    for host in HOSTS:
        delay = analysis.delays.get(host)
        if delay is not None and delay.count:
            values = (("min", delay.minimum), ("median", delay.median), ("max", delay.maximum))
            said = ", ".join(f"{name} {duration(ns)}" for name, ns in values if ns is not None)
            yield Line(f"delay     {host} to {peer_of(host)}: {said}")
    link = list(impaired_packets(joined))
    whole = room.sentence is None and len(link) <= _LINK_UNCUT
    for text in link if whole else shortened(link, _LINK_LINES, "impaired packet"):
        yield from (Line(part) for part in paragraph(text, width, indent_next=10, lines=room.sentence))
    if analysis.kernel is not None:
        for text, style in kernel_lines(analysis.kernel):
            yield from _whole(text, width, room, style)
    elif analysis.causes:
        yield Line(clip("kernel    no trace: causes are inferred from captures and calls", width), "folded")
    unknown = sum(1 for cause in analysis.causes if cause.kind is CauseKind.UNKNOWN)
    if unknown:
        yield Line(f"causes    {counted(unknown, 'packet')} without a known cause", "failed")
    others = [
        f"{host} {escape(name)} {count:,}" for host in HOSTS for name, count in joined.other.get(host, {}).items()
    ]
    for text in dropped_lines(analysis.inputs.counters):
        yield from _whole(text, width, room, "failed")
    for host, looped in analysis.inputs.loopback.items():
        amount = f"{counted(looped.total, 'packet')}, {counted(looped.length, 'byte')} of data"
        yield Line(f"loopback  {host} to itself: {amount}")
    if others:
        yield from _whole(f"others    {', '.join(others)}", width, room)


# ------------------------------------------------------------------ the ledger

_POINTS = ("written", "sent", "arrived", "acknowledged", "read")


def _ledger(rows: Sequence[LedgerRow], causes: Sequence[Cause], width: int, room: _Room) -> Iterator[Line]:
    if not rows:
        return
    # Rows with something to tell come first; an idle direction comes last.
    ordered = sorted(rows, key=lambda row: (not _is_wrong(row), _is_idle(row)))
    most = len(rows) if room.ledger is None else room.ledger
    shown = ordered if len(rows) <= most else ordered[: most - 1]
    rest = ordered[len(shown) :]
    table = [["bytes", *("acked" if point == "acknowledged" else point for point in _POINTS), "content"]]
    table += [
        [f"#{row.flow + 1} from {row.sender}", *(_count(count) for count in _counts(row)), _content(row, causes)]
        for row in shown
    ]
    styles = ["head", *("failed" if _is_wrong(row) else "" for row in shown)]
    if rest:
        bad = _bad(rest)
        table.append(
            [f"{len(rest):,} more", *(_total(rest, point) for point in range(len(_POINTS))), bad or _good(rest)]
        )
        styles.append("failed" if bad else "")
    widths = [max(len(line[column]) for line in table) for column in range(len(_POINTS) + 1)]
    for cells, style in zip(table, styles, strict=True):
        numbers = "".join(f"{cell:>{wide + 2}}" for cell, wide in zip(cells[1:-1], widths[1:], strict=True))
        start = f"{cells[0]:<{widths[0]}}{numbers}   "
        yield from (Line(text, style) for text in _with_content(start, cells[-1], width, room))


_CONTENT_LEAST = 30
"""Columns below which the words about a row's content get lines of their own."""


def _with_content(start: str, content: str, width: int, room: _Room) -> Iterator[str]:
    """Yield a row and the words about its content, which go on below it."""
    if room.content == 0:
        yield start + content
        return
    if width - len(start) >= min(_CONTENT_LEAST, len(content)):
        first, *others = textwrap.wrap(content, width - len(start)) or [""]
        yield start + first
        indent = " " * len(start)
    else:
        others = textwrap.wrap(content, width - 4)
        yield start.rstrip()
        indent = " " * 4
    if room.content is not None and len(others) > room.content:
        others = [*others[: room.content - 1], clip(" ".join(others[room.content - 1 :]), width - len(indent))]
    yield from (indent + other for other in others)


def _bad(rows: Sequence[LedgerRow]) -> str:
    """Say how many rows are incomplete, and how many directions never opened or were broken off."""
    ends = [row.close for row in rows if row.close is not None]
    counts = (
        (sum(_is_wrong(row) for row in rows), "incomplete"),
        (sum(not end.opened for end in ends), "never opened"),
        (sum(end.opened and end.reset is not None for end in ends), "reset"),
    )
    said = [(number, what) for number, what in counts if number]
    return ", ".join(f"{number:,}{' of them' * (not place)} {what}" for place, (number, what) in enumerate(said))


def _good(rows: Sequence[LedgerRow]) -> str:
    known = all(count.bytes is not None for row in rows for count in (row.written, row.read))
    if all(_is_idle(row) for row in rows):
        return "nothing"
    known = known and not any(row.unseen for row in rows)
    return "all complete and equal" if known else "nothing missing as far as observed"


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
        cut = {LedgerPoint.SENT, LedgerPoint.ARRIVED} & set(row.unseen)
        equal = "not known" if cut else "equal on the wire" if row.unseen else "equal"
        parts.append("nothing" if _is_idle(row) else f"{equal} ({digest})" if digest else equal)
    if closed := close_text(row, causes):
        parts.append(escape(closed))
    return "; ".join(parts)


# ------------------------------------------------------------------ sentences


def _verdict(analysis: Analysis, meta: Mapping[str, Any], width: int, room: _Room) -> Iterator[Line]:
    longest = None if room.sentence is None else room.sentence + 1
    sentences = [text for each in verdict_text(analysis) for text in paragraph(each, width, lines=longest)]
    yield from (Line(text, "head") for text in shortened(sentences, room.verdict, "line"))
    label = "note" if analysis.outcome is Outcome.PASS else "why"
    reasons = [f"{label}: {reason}" for reason in analysis.reasons]
    # The analysis may repeat these among its reasons; what it does not repeat must not be lost.
    told = set(analysis.reasons)
    reasons += [f"failed: {text}" for text in analysis.inputs.failures if text not in told]
    reasons += [f"incomplete: {text}" for text in analysis.inputs.incomplete if text not in told]
    reasons += [f"note: {text}" for text in meta.get("notes", ())]
    lines = [text for reason in reasons for text in _reason(reason, width, room.sentence)]
    yield from (Line(text, "failed") for text in shortened(lines, room.reasons, "line"))


def _reason(reason: str, width: int, longest: int | None) -> Iterator[str]:
    """Yield a reason's sentence, then what was printed, in its own lines."""
    said, *printed = reason.splitlines()
    yield from paragraph(said, width, lines=longest)
    for line in printed:
        yield from paragraph(line, width, indent="  | ", indent_next=4, lines=longest) or ("  |",)


def _programs(analysis: Analysis, width: int, room: _Room) -> Iterator[Line]:
    """Programs that ended badly, with the end of what they printed."""
    lines = []
    for program in analysis.inputs.programs:
        if program.end.usual:
            continue
        name = escape(program.argv[0]) if program.argv else "program"
        longest = None if room.sentence is None else 1
        lines += paragraph(f"{program.host}: {name}: {program.end}", width, lines=longest)
        printed = [line for line in analysis.inputs.output.get(program.host, "").splitlines() if line.strip()]
        for line in printed[-(_OUTPUT_LINES if room.programs is not None else _OUTPUT_UNCUT) :]:
            lines += paragraph(line, width, indent="  | ", indent_next=4, lines=longest)
    yield from (Line(text, "failed") for text in shortened(lines, room.programs, "line"))
