"""What pytest loads at its start, in every project where Bothends is installed: so nothing of it is imported here.

The fixture ``bothends`` makes runs; files ``*.wire.yaml`` are tests, one for each variant of their matrix. What an
engine cannot do here skips a test with the reason, or fails it under ``--bothends-required``.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.plugin.bothends_fixture import Bothends
    from testbed.plugin.scenario_items import ScenarioTestFile

ENDINGS = (".wire.yaml", ".wire.yml")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add our options."""
    group = parser.getgroup("bothends", "runs with both ends captured")
    group.addoption(
        "--bothends-required", action="store_true", help="fail, do not skip, where no engine can make a run"
    )
    group.addoption("--bothends-engine", default="", help="docker, namespace or uml (default: the first that works)")
    group.addoption("--bothends-runs", default="", help="directory in which runs/ is made (default: the project's)")


def pytest_configure(config: pytest.Config) -> None:
    """Name our marker."""
    config.addinivalue_line("markers", "bothends: makes runs in labs; every *.wire.yaml has it: -m 'not bothends'")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> ScenarioTestFile | None:
    """Take scenario files as tests."""
    if not file_path.name.endswith(ENDINGS):
        return None
    from testbed.plugin.scenario_items import ScenarioTestFile

    return ScenarioTestFile.from_parent(parent, path=file_path)


@pytest.fixture
def bothends(request: pytest.FixtureRequest) -> Generator[Bothends]:
    """Run scenarios, and labs for programs of the test: ``bothends.run("my.yaml")``, ``bothends.lab()``."""
    from testbed.plugin.bothends_fixture import Bothends

    made = Bothends(request.config, request.node)
    yield made
    made.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep the reports of the runs of a test that failed, and say where they are."""
    report = yield
    if report.failed and "testbed.plugin.kept_reports" in sys.modules:
        from testbed.plugin.kept_reports import keep_reports

        keep_reports(item, report)
    return report
