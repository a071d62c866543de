"""Whether two runs are the same to the last bit, as lines of text."""

from __future__ import annotations

from collections.abc import Sequence

from testbed.report.text.terminal_text import duration, escape
from testbed.run.exact_difference import ArtefactDifference

IDENTICAL = "identical: captures, calls and output are the same byte for byte, and all times to the nanosecond"


def exact_lines(found: Sequence[ArtefactDifference]) -> list[str]:
    """Return one line for each artefact that differs; one line that says so where none does."""
    return [_line(each) for each in found] or [IDENTICAL]


def _line(found: ArtefactDifference) -> str:
    name = escape(found.artefact)
    place = f"{found.unit} {found.place}: " if found.unit else ""
    if found.what == ("present",):
        return f"{name}: {place}only one run has it"
    later = ""
    if found.apart is not None:
        later = f" ({duration(abs(found.apart))} {'later' if found.apart > 0 else 'earlier'} in the second)"
    return f"{name}: {place}{', '.join(map(escape, found.what))} differ{'s' if len(found.what) == 1 else ''}{later}"
