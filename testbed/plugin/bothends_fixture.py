"""The fixture ``bothends``: runs of scenarios, and labs for programs of the test itself."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from testbed.api.runs import RunResult
from testbed.plugin.kept_reports import remember_watch
from testbed.plugin.lab_by_test import LabByTest
from testbed.plugin.make_run import judge, make_run, project_of

if TYPE_CHECKING:  # the engine's client is slow to import
    from testbed.plugin.watch_by_test import WatchByTest


class Bothends:
    """Makes the runs of one test."""

    def __init__(self, config: pytest.Config, item: pytest.Item) -> None:
        self._config = config
        self._item = item
        self._labs = ExitStack()

    def run(self, scenario: str | Path, *, set: Mapping[str, Any] | None = None, check: bool = True) -> RunResult:  # noqa: A002 - as the option
        """Run a scenario and return what both ends saw: ``result.ledger.client.read == 8``.

        ``scenario`` is a path, relative to the test's file or the project, or a name. ``set`` are settings as
        ``--set`` has them: ``{"link.delay": "5ms"}``. With ``check`` a run that does not pass fails the test: with
        file and line of the expectation, or with why the observation is not complete.
        """
        result = make_run(self._item, self._found(str(scenario)), settings=set)
        if check:
            judge(self._config, result)
        return result

    def lab(
        self,
        *,
        client: Mapping[str, Any] | None = None,
        server: Mapping[str, Any] | None = None,
        **members: Any,  # noqa: ANN401 - members of a scenario
    ) -> LabByTest:
        """Bring up a lab for programs of the test; use it with ``with``. Both ends are captured until its end.

        ``client`` and ``server`` are members of those hosts, such as ``image`` and ``files``; ``members`` further ones
        of a scenario: ``link={"delay": "5ms"}``, ``observe={"client": "none"}``. Of the test's own files a host has
        only what ``files`` gives it.
        """
        return self._labs.enter_context(LabByTest(self._item, client or {}, server or {}, members))

    def watch(self, *targets: str, calls: str = "", headers: bool = False, compose: str = "") -> WatchByTest:
        """Watch programs that run already from now on: containers, compose services, ``pid:1234``, ``name:nginx``.

        It ends with ``with``, else with the test; then ``runs`` has one for each pair of targets that talked.
        ``calls``: ``trace`` demands the kernel's trace, ``strace`` uses that, ``none`` leaves calls out; ``headers``
        keeps 128 bytes of each packet; ``compose`` is the file of whose project services are.
        """
        from testbed.cli.watch_options import watch_order
        from testbed.plugin.watch_by_test import WatchByTest

        order = watch_order(seconds="", until="", headers=headers, compose=compose, calls=calls)
        watched = WatchByTest(self._item, targets, order)
        remember_watch(self._item, watched)
        return self._labs.enter_context(watched)

    def close(self) -> None:
        """End the labs that are up, and watching."""
        self._labs.close()

    def _found(self, name: str) -> str:
        beside = self._item.path.parent / name
        if name.endswith((".yaml", ".yml")) and beside.is_file():
            return str(beside)
        return project_of(self._config).path_of(name)
