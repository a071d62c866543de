"""What `invoke run --all` says: a line for each run, and one that sums them up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from testbed.model import Outcome
from testbed.report.ci.ci_cases import RunRecord
from testbed.report.text.terminal_text import escape

_WORDS = {Outcome.PASS: "passed", Outcome.FAIL: "failed", Outcome.INCONCLUSIVE: "inconclusive"}


def line(record: RunRecord) -> str:
    """Return how a run ended: outcome, wall time, scenario, and why where it could not be run."""
    error = record.error.what.splitlines()[0] if record.error is not None else ""
    told = f"{record.outcome.value.upper():<12} {record.seconds:5.1f} s  {escape(record.scenario)}"
    return f"{told}: {escape(error)}" if error else told


def closing(records: Sequence[RunRecord], seconds: float, engine: str) -> str:
    """Return how many runs ended how, on which engine, in how much time."""
    found = Counter(record.outcome for record in records)
    counts = [f"{found[outcome]} {word}" for outcome, word in _WORDS.items() if found[outcome]]
    skipped = found[Outcome.UNSUPPORTED]
    counts += [f"{skipped} unsupported here"] if skipped else []
    return f"{len(records)} runs on {engine} in {seconds:.0f} s: {', '.join(counts) or 'none'}"
