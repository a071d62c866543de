"""A summary in Markdown for a CI system's page (``$GITHUB_STEP_SUMMARY``): a table, then what went wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from testbed.model import Outcome
from testbed.report.ci.ci_cases import Reported
from testbed.report.text.terminal_text import counted, escape

_SIGNS = {Outcome.PASS: "✅", Outcome.FAIL: "❌", Outcome.INCONCLUSIVE: "❓", Outcome.UNSUPPORTED: "⏭️"}
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~&])")
_WIDTH, _HEIGHT = 110, 40
_MOST = 20  # runs that are told in detail: CI pages are limited to about a megabyte


def markdown(records: Sequence[Reported]) -> str:
    """Return the summary of all runs; those that passed are one line each."""
    lines = ["| | scenario | outcome | expectations | seconds | verdict |", "|---|---|---|---|---:|---|"]
    lines += [_row(record) for record in records]
    told = [record for record in records if record.outcome is not Outcome.PASS]
    for record in told[:_MOST]:
        lines += ["", *_detail(record)]
    if len(told) > _MOST:
        lines += ["", f"And {counted(len(told) - _MOST, 'more run')} that did not pass."]
    return "\n".join(lines) + "\n"


def _row(record: Reported) -> str:
    expectations = [case for case in record.cases()[1:] if case.state != "skipped"]
    held = f"{sum(case.state == 'passed' for case in expectations)} of {len(expectations)}" if expectations else ""
    cells = [
        _SIGNS[record.outcome],
        _text(record.scenario),
        record.outcome.value,
        held,
        f"{record.seconds:.1f}",
        _text(record.verdict()),
    ]
    return f"| {' | '.join(cells)} |"


def _detail(record: Reported) -> Iterator[str]:
    yield f"### {_SIGNS[record.outcome]} {_text(record.scenario)}"
    for case in record.cases():
        if case.state == "passed":
            continue
        yield ""
        yield f"**{case.state}** {_text(case.name)}: {_text(case.message)}"
        if case.detail:
            yield from _fenced(escape(line) for line in case.detail.splitlines())
    drawing = record.drawing(_WIDTH, _HEIGHT)
    if drawing:
        yield ""
        yield "<details><summary>Ladder</summary>"
        yield ""
        yield from _fenced(iter(drawing))
        yield ""
        yield "</details>"
    if record.directory:
        yield ""
        yield f"Run directory: {_text(record.directory)}"


def _text(text: str) -> str:
    """Return text that stays text: on one line, Markdown's and HTML's characters escaped."""
    return _SPECIAL.sub(r"\\\1", escape(text))


def _fenced(lines: Iterator[str]) -> list[str]:
    """Return a code block whose fence is longer than any run of backticks in it."""
    body = list(lines)
    longest = max((len(run) for line in body for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}text", *body, fence]
