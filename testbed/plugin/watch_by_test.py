"""Programs that run already, watched by a test: captures and calls from its beginning to its end."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import pytest

from testbed.api.finish_run import FINISH
from testbed.api.runs import RunResult, analyse_again
from testbed.model.errors import BothendsError, EngineError, LabTimeout, Unsupported, UsageError
from testbed.plugin.kept_reports import remember
from testbed.plugin.make_run import cannot, runs_of
from testbed.watch.target import parse_target
from testbed.watch.watch import watch
from testbed.watch.watch_order import Watched, WatchOrder

_BEGUN = "watching"
_TIMEOUT = 180.0
"""Seconds in which watching must have begun and ended: images may have to be built first."""


class WatchByTest:
    """Two or more targets that are watched. ``runs`` are there once watching has ended: at the end of ``with``."""

    def __init__(self, item: pytest.Item, targets: Sequence[str], order: WatchOrder) -> None:
        self._item = item
        self._targets = [parse_target(each) for each in targets]
        self._order = order
        self._begun, self._enough = threading.Event(), threading.Event()
        self._watched: Watched | None = None
        self._error: BaseException | None = None
        self._runs: tuple[RunResult, ...] | None = None
        self._said: list[str] = []
        self._thread = threading.Thread(target=self._watch, name="bothends watch", daemon=True)

    @property
    def runs(self) -> tuple[RunResult, ...]:
        """What each pair of targets that talked said to each other. Raises UsageError while they are watched."""
        if self._runs is None:
            raise UsageError("watching has no runs before it has ended", hint="look at them after the `with` block")
        return self._runs

    @property
    def result(self) -> RunResult:
        """The run of the only pair. Raises UsageError where there is none, or more than one."""
        if len(self.runs) != 1:
            raise UsageError(f"{len(self.runs)} pairs of targets talked", hint="`runs` has all of them")
        return self.runs[0]

    def __enter__(self) -> Self:
        if not self._thread.is_alive() and self._runs is None:
            self._thread.start()
            self._wait(self._begun)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        """End watching, analyse what was captured. Idempotent."""
        if self._runs is not None or self._thread.ident is None:
            return
        self._enough.set()
        self._thread.join(_TIMEOUT)
        if self._thread.is_alive():
            raise LabTimeout(f"watching did not end in {_TIMEOUT:g} s", state="; ".join(self._said[-1:]))
        self._raise()
        runs = []
        for kept in self._watched.kept if self._watched is not None else ():
            result = analyse_again(kept.directory)
            FINISH.write(kept.directory, result.analysis)
            kept.directory.point_latest()
            remember(self._item, result)
            runs.append(result)
        self._runs = tuple(runs)

    def _watch(self) -> None:
        root = runs_of(self._item.config).resolve()
        try:
            self._watched = watch(
                self._targets, self._order, root=root, progress=self._show, meanwhile=self._enough.is_set
            )
        except BaseException as error:  # noqa: BLE001 - raised again in the test's own thread
            self._error = error
        finally:
            self._begun.set()

    def _show(self, text: str) -> None:
        self._said.append(text)
        if text.startswith(_BEGUN):
            self._begun.set()

    def _wait(self, event: threading.Event) -> None:
        if not event.wait(_TIMEOUT):
            raise LabTimeout(f"watching did not begin in {_TIMEOUT:g} s", state="; ".join(self._said[-1:]))
        self._raise()

    def _raise(self) -> None:
        error, self._error = self._error, None
        if isinstance(error, (EngineError, Unsupported)):
            cannot(self._item.config, error)
        if isinstance(error, BothendsError):
            pytest.fail(f"bothends: {error}", pytrace=False)
        if error is not None:
            raise error
