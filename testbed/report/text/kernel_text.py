"""What the witness says, as lines of the summary."""

from __future__ import annotations

from collections.abc import Iterator

from testbed.analysis.kernel.kernel_evidence import tally
from testbed.model import Analysis
from testbed.model.kernel_log import Matched
from testbed.report.text.terminal_text import counted

_MOST = 3


def witnessed(analysis: Analysis) -> Iterator[tuple[str, str]]:
    """Yield lines and their style: the agreement, what was sent again, RSTs and drops with their reasons."""
    testimony = analysis.testimony
    assert testimony is not None  # noqa: S101 - the caller has looked
    counts = tally(testimony)
    told = f"{counts['confirmed']:,} causes confirmed, {counts['contradicted']:,} contradicted"
    told += f", {counts['not covered']:,} not covered; {counted(len(testimony.changes), 'state change')}"
    if not testimony.log.complete:
        told += "; INCOMPLETE"
    wrong = counts["contradicted"] or testimony.unmatched or not testimony.log.complete
    yield f"kernel    {told}", "failed" if wrong else ""
    yield from _told("RST", testimony.resets)
    yield from _told("dropped", testimony.drops)
    if testimony.log.missing:
        yield f"kernel    lacks {', '.join(testimony.log.missing)}", "folded"


def _told(what: str, matched: tuple[Matched, ...]) -> Iterator[tuple[str, str]]:
    for each in matched[:_MOST]:
        packets = " ".join(f"#{number}" for number in each.packets) or "a packet"
        place = f" in {each.event.fields['place']}" if each.event.fields.get("place") else ""
        yield f"kernel    {each.event.host} {what} {packets}: {each.event.fields.get('reason', 'no reason')}{place}", ""
    if len(matched) > _MOST:
        yield f"kernel    ... {len(matched) - _MOST} more {what} ...", "folded"
