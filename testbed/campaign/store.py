"""A campaign's directory: ``runs/campaigns/<UTC time>-<id>/``.

``plan.json`` holds the plan with the scenarios' text, ``results.jsonl`` a line for each run that has ended, ``runs/``
the run directories that are kept. A campaign that was stopped goes on from these.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from testbed.campaign.task_list import Plan
from testbed.campaign.work import Report, encode, plan_from_json, plan_to_json
from testbed.lab.identity import new_run_id
from testbed.model.errors import BothendsError, UsageError
from testbed.rundir.layout import CAMPAIGNS, RUNS

PLAN = "plan.json"
RESULTS = "results.jsonl"


class Unstored:
    """Keeps no notes and every run directory: for runs that belong to no campaign."""

    def reports(self) -> dict[str, Report]:
        """Return nothing: there was nothing before."""
        return {}

    def add(self, report: Report) -> None:
        """Note nothing."""

    def thin(self, report: Report | None) -> None:
        """Remove nothing."""

    def sweep(self, reports: Iterable[Report]) -> None:
        """Remove nothing."""


class Store:
    """One campaign's files."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, root: Path, plan: Plan) -> Store:
        """Make the directory of a new campaign below ``root/runs``; BothendsError if that cannot be written."""
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        path = root / RUNS / CAMPAIGNS / f"{stamp}-{new_run_id()}"
        try:
            path.mkdir(parents=True)
            (path / PLAN).write_text(json.dumps(plan_to_json(plan), indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise BothendsError(f"cannot make the campaign's directory {path}: {error.strerror}") from error
        return cls(path)

    @classmethod
    def find(cls, root: Path, name: str) -> Store:
        """Find a campaign by its directory, its id, or ``latest``; UsageError if there is none."""
        name = name.removeprefix(f"{CAMPAIGNS}/")
        all_of_them = sorted((root / RUNS / CAMPAIGNS).glob("*-*"))
        named = [path for path in all_of_them if path.name.endswith(f"-{name}")]
        if name == "latest":
            named = all_of_them[-1:]
        if (Path(name) / PLAN).is_file():
            named = [Path(name).resolve()]
        if len(named) != 1:
            listed = ", ".join(path.name for path in all_of_them[-5:]) or "none"
            raise UsageError(f"there is no campaign `{name}`", hint=f"the last ones: {listed}")
        return cls(named[0])

    def plan(self) -> Plan:
        """Read the plan; UsageError if it is broken."""
        try:
            return plan_from_json(json.loads((self.path / PLAN).read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{self.path / PLAN} cannot be read: {error}") from error

    def reports(self) -> dict[str, Report]:
        """Return the reports by their tasks' keys: no task counts twice. A line cut short by a crash is left out."""
        found = {}
        path = self.path / RESULTS
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    report = Report.from_json(json.loads(line))
                except (ValueError, KeyError, TypeError):
                    continue
                found[report.task.key] = report
        return found

    def add(self, report: Report) -> None:
        """Note that a task has ended; BothendsError if the disk takes no more."""
        try:
            with (self.path / RESULTS).open("ab") as file:
                file.write(encode(report.to_json()))
        except OSError as error:
            raise BothendsError(f"cannot write {self.path / RESULTS}: {error.strerror}") from error

    def thin(self, report: Report | None) -> None:
        """Remove a run's directory, if it has one."""
        if report is not None and report.directory:
            shutil.rmtree(self.path / RUNS / report.directory, ignore_errors=True)

    def remove(self) -> None:
        """Remove a campaign of which there is nothing to keep."""
        shutil.rmtree(self.path, ignore_errors=True)

    def sweep(self, reports: Iterable[Report]) -> None:
        """Remove run directories that no report names: of runs that were cut short and made again."""
        known = {report.directory for report in reports}
        for path in (self.path / RUNS).glob("*/*"):
            if path.is_symlink():
                if not path.exists():
                    path.unlink()
            elif str(path.relative_to(self.path / RUNS)) not in known:
                shutil.rmtree(path, ignore_errors=True)
