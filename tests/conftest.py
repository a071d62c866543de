"""What holds for all tests: property tests are judged by what they find, and CI skips only what may be skipped."""

from __future__ import annotations

import os
import sys

import pytest
from hypothesis import HealthCheck, settings

from tests.allowed_skips import counted, unexpected

# jsonschema, when imported, makes a parser of addresses (RFC 3987): 3 s of each process, and no schema here needs it.
sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]

# In CI a property is tried on half as many examples as on a developer's machine, for the time that CI has.
settings.register_profile(
    "no clock",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    max_examples=50 if os.environ.get("CI") else 100,
)
settings.load_profile("no clock")


LONGEST = (
    *("test_walks", "test_scenarios", "test_witness", "test_engine_faults", "test_namespace", "test_images"),
    *("test_link", "test_observers", "test_campaign", "test_by_hand", "test_cluster", "test_faults", "test_programs"),
    *("test_compare_pairs", "test_package", "test_compose", "test_hard_cases", "test_atlas", "test_guide", "test_soak"),
)
"""Files that take longest, roughly in that order. They begin first, so that none is left for one worker at the end.

Most of them wait for labs, so that one that computes begins with them.
"""

LAST = ("test_uml_bad_luck", "test_uml_by_hand", "test_uml")
"""Files that need a kernel of our own, which CI builds beside all others."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first; all others stay in their order. Tests do not depend on it."""
    items.sort(key=lambda item: _place(item.path.stem))


def _place(stem: str) -> int:
    if stem in LAST:
        return len(LONGEST) + 1
    return LONGEST.index(stem) if stem in LONGEST else len(LONGEST)


def skipped(config: pytest.Config) -> list[str]:
    """Return the reason of each skipped test so far; none in a worker of xdist, whose controller hears of them."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    reports = reporter.stats.get("skipped", []) if reporter is not None and not hasattr(config, "workerinput") else []
    return [str(report.longrepr[2]).removeprefix("Skipped: ") for report in reports]


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run in CI in which a test was skipped that may not be."""
    if os.environ.get("CI") and unexpected(skipped(session.config)) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Count what was skipped by reason, and say what fails CI."""
    reasons = skipped(config)
    for line in counted(reasons):
        terminalreporter.write_line(line)
    if os.environ.get("CI"):
        for line in unexpected(reasons):
            terminalreporter.write_line(f"not allowed in CI (tests/allowed_skips.py): {line}", red=True)
