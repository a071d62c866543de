"""A run directory of format 1, kept from a real run, still gives everything that a report needs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from testbed.model import Outcome
from testbed.model.errors import UsageError
from testbed.report.run_files import MADE, rebuild
from testbed.run.evaluate import evaluate
from testbed.rundir.layout import RunDirectory

KEPT = next((Path(__file__).parents[2] / "data/run-v1/server-reads-once").iterdir())


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    path = tmp_path / "runs/server-reads-once" / KEPT.name
    shutil.copytree(KEPT, path)
    return RunDirectory(path)


def test_an_old_run_gives_all_reports_from_its_directory_alone(run: RunDirectory) -> None:
    recorded = run.read_json("result.json")
    run.file("result.json").unlink()
    analysis = rebuild(run)
    assert analysis.outcome is Outcome.PASS
    assert all(run.file(name).stat().st_size > 1000 for name in MADE)
    again = run.read_json("result.json")
    for member in ("format", "outcome", "verdict", "flows"):
        assert again[member] == recorded[member]
    assert len(recorded["ledger"]) == 2
    for one, other in zip(again["ledger"], recorded["ledger"], strict=True):
        assert {name: one[name] for name in other} == other  # members may have been added since
    for one, other in zip(again["checks"], recorded["checks"], strict=True):
        # `where` names the copy, as the scenario may have changed; members may have been added since.
        assert {name: one[name] for name in other} | {"where": ""} == other | {"where": ""}
    assert [one["cause"]["rule"] for one in again["crossings"]] == [
        one["cause"]["rule"] for one in recorded["crossings"]
    ]
    assert "closed with 7 unread" in run.file("report.html").read_text(encoding="utf-8")
    assert not [path for path in run.path.iterdir() if path.name.startswith(".")]


def test_a_scenario_that_this_version_cannot_read_keeps_its_recorded_expectations(run: RunDirectory) -> None:
    run.file("scenario.yaml").write_text("summary: x\nword_of_another_version: 1\n")
    for _ in range(2):
        analysis = rebuild(run)
        assert analysis.outcome is Outcome.PASS
        assert len(analysis.checks) == 7
        assert analysis.reasons == (
            "this version cannot read the run's scenario.yaml; expectations and outcome are as they were recorded",
        )


def test_a_manifest_of_another_format_is_refused_and_says_so(run: RunDirectory) -> None:
    manifest = json.loads(run.file("manifest.json").read_text())
    run.file("manifest.json").write_text(json.dumps(manifest | {"format": "bothends-manifest/9"}))
    with pytest.raises(UsageError, match="bothends-manifest/9"):
        evaluate(run)


def test_a_run_without_a_capture_still_has_a_page(run: RunDirectory) -> None:
    run.file("server.pcap").unlink()
    analysis = rebuild(run)
    assert analysis.outcome is not Outcome.PASS
    assert "the capture is missing" in run.file("report.html").read_text(encoding="utf-8")
