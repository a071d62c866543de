"""The catalogue as a table in text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from testbed.report.text.terminal_text import escape

_GAP = "  "
_NARROWEST = 30


def scenario_list(scenarios: Iterable[tuple[str, str, Sequence[str]]], width: int | None) -> Iterator[str]:
    """Yield lines of name, summary and tags of each.

    Summaries are wrapped so that lines are ``width`` characters long at most where the other columns allow that; with
    None each scenario is one line.
    """
    rows = [("scenario", "summary", "tags")]
    rows += [(escape(name), escape(summary), escape(" ".join(tags))) for name, summary, tags in scenarios]
    names, summaries, tags_room = (max(len(row[column]) for row in rows) for column in range(3))
    if width is not None:
        summaries = min(summaries, max(width - names - tags_room - 2 * len(_GAP), _NARROWEST))
    for name, summary, tags in rows:
        first, *others = textwrap.wrap(summary, summaries) if width is not None else [summary]
        yield f"{name:<{names}}{_GAP}{first:<{summaries}}{_GAP}{tags}".rstrip()
        yield from (f"{'':<{names}}{_GAP}{other}" for other in others)
