"""Expectations on the terminal: how many hold, and those that do not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from testbed.model import Check
from testbed.report.evidence_text import sentence
from testbed.report.text.ladder import Line
from testbed.report.text.terminal_text import counted, paragraph


def check_lines(checks: Sequence[Check], width: int, *, most: int | None, sentence_lines: int | None) -> Iterator[Line]:
    """Yield how many expectations hold and which do not; ``most`` of these, each in so many lines (None: all)."""
    if not checks:
        return
    elsewhere = [check for check in checks if not check.applies]
    checks = [check for check in checks if check.applies]
    held = sum(1 for check in checks if check.ok)
    style = "pass" if held == len(checks) else "fail"
    yield Line(f"{held:,} of {counted(len(checks), 'expectation')} {'holds' if held == 1 else 'hold'}", style)
    named = elsewhere if most is None else elsewhere[:most]
    for check in named:
        where = f"{check.where}: " if check.where else ""
        for_others = f"not applicable {where}{check.text}: for {check.expected}, this is {sentence(check.actual)}"
        yield from (Line(text) for text in paragraph(for_others, width, lines=sentence_lines))
    if len(elsewhere) > len(named):
        yield Line(f"  ... {counted(len(elsewhere) - len(named), 'more expectation')} for other kernels ...")
    # What failed comes before what could not be decided.
    others = sorted((check for check in checks if not check.ok), key=lambda check: check.ok is None)
    shown = others if most is None else others[:most]
    for check in shown:
        where = f"{check.where}: " if check.where else ""
        word = "undecided" if check.ok is None else "FAILED"
        parts = (f"expected: {check.expected}", f"actual:   {sentence(check.actual)}")
        texts = paragraph(f"{word} {where}{check.text}", width, lines=sentence_lines)
        yield from (Line(text, "failed") for text in texts)
        for part in parts:
            yield from (Line(text) for text in paragraph(part, width, indent="  ", lines=sentence_lines))
    if len(others) > len(shown):
        yield Line(
            f"  ... {counted(len(others) - len(shown), 'more expectation')} failed or undecided, see result.json ..."
        )
