"""TAP version 13 (testanything.org; Perl's prove knows no later one): one test point a case, diagnostics as YAML."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from testbed.report.ci.ci_cases import Case, Reported
from testbed.report.text.terminal_text import escape


def tap_report(records: Sequence[Reported]) -> str:
    """Return the test points of all runs, numbered from 1."""
    points = [(record, case) for record in records for case in record.cases()]
    lines = ["TAP version 13", f"1..{len(points)}"]
    for number, (record, case) in enumerate(points, start=1):
        lines += _point(number, record, case)
    return "\n".join(lines) + "\n"


def _point(number: int, record: Reported, case: Case) -> Iterator[str]:
    word = "ok" if case.state in ("passed", "skipped") else "not ok"
    description = _described(f"{record.scenario}: {case.name}")
    skip = f" # SKIP {_described(case.message)}" if case.state == "skipped" else ""
    yield f"{word} {number} - {description}{skip}"
    if word == "ok":
        return
    yield "  ---"
    yield f"  severity: {'fail' if case.state == 'failed' else 'error'}"
    # a JSON string is a YAML string, whatever it holds
    yield f"  message: {json.dumps(escape(case.message))}"
    if case.detail:
        yield "  detail: |"
        yield from (f"    {escape(line).lstrip()}" for line in case.detail.splitlines())
    yield "  ..."


def _described(text: str) -> str:
    """Return text as a description: a backslash before what TAP would read as a directive."""
    return escape(text).replace("\\", "\\\\").replace("#", "\\#")
