"""Scenario files as pytest collects them: a test for each variant of the matrix."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from testbed.model.errors import BothendsError
from testbed.plugin.make_run import ExpectationsFailed, judge, make_run


class ScenarioTestFile(pytest.File):
    """A scenario file; one that cannot be read fails the collection with its line, column and caret."""

    def collect(self) -> Iterable[ScenarioItem]:
        """Yield a test for each variant."""
        from testbed.scenario.load import load
        from testbed.scenario.variants import combinations

        try:
            scenario = load(self.path)
        except BothendsError as error:
            raise self.CollectError(str(error)) from None
        for settings in combinations(scenario.matrix):
            name = ",".join(f"{key}={value}" for key, value in settings.items())
            item = ScenarioItem.from_parent(self, name=f"{scenario.name}[{name}]" if name else scenario.name)
            item.settings = settings
            item.add_marker("bothends")
            yield item


class ScenarioItem(pytest.Item):
    """A scenario, or one variant of it, as a test."""

    settings: Mapping[str, Any] = {}

    def runtest(self) -> None:
        """Run it; every expectation must hold."""
        try:
            result = make_run(self, self.path, settings=self.settings)
        except BothendsError as error:
            raise ExpectationsFailed(str(error)) from error
        judge(self.config, result)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:  # noqa: ANN401 - pytest's
        """Say what does not hold; where in our code it was noticed helps nobody."""
        if isinstance(excinfo.value, ExpectationsFailed):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Say where the test is."""
        return self.path, 0, self.name
