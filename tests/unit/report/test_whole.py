"""What `invoke run --all` says of its runs."""

from __future__ import annotations

from testbed.model import Outcome
from testbed.model.errors import BothendsError, Unsupported
from testbed.report.ci.ci_cases import RunRecord
from testbed.report.text.catalogue_text import closing, line


def test_a_line_tells_outcome_time_and_why() -> None:
    """One line a run; an error's first line is in it, control characters are made visible."""
    assert line(RunRecord("echo", 1.25, "d", ended=Outcome.PASS)) == "PASS           1.2 s  echo"
    broken = RunRecord("x", 0.0, error=BothendsError("no\x1b disk\nmore"))
    assert line(broken) == "INCONCLUSIVE   0.0 s  x: no\\x1b disk"
    assert line(RunRecord("x", 0.0, error=Unsupported("no gdb"))).startswith("UNSUPPORTED")


def test_the_closing_line_counts_outcomes() -> None:
    """Every run is counted once; what cannot run here is told apart from what failed."""
    records = [
        RunRecord("a", 1.0, "d", ended=Outcome.PASS),
        RunRecord("b", 1.0, "d", ended=Outcome.FAIL),
        RunRecord("c", 0.0, error=Unsupported("no gdb")),
    ]
    assert closing(records, 3.4, "docker") == "3 runs on docker in 3 s: 1 passed, 1 failed, 1 unsupported here"
