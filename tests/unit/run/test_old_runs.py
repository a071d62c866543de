"""Run directories of the first versions, with the commands as a user types them: show, report, diff."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
KEPT = next((ROOT / "tests/data/run-v1/server-reads-once").iterdir())
LATER = next((ROOT / "tests/data/campaign-v1").glob("*/runs/gdb-three-segments/*"))
WITNESSED = next((ROOT / "tests/data/witness-v1/keepalive-lookalike").iterdir())


def invoke(*words: str, runs: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "invoke", *words, "--runs", str(runs)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
        env={"PATH": "/usr/bin:/bin", "COLUMNS": "100", "PYTHONUTF8": "1"},
    )


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A directory with both runs, each where `invoke run` would have put it."""
    for kept, scenario in ((KEPT, "server-reads-once"), (LATER, "gdb-three-segments")):
        shutil.copytree(kept, tmp_path / "runs" / scenario / kept.name)
    return tmp_path


def test_an_old_run_is_shown_reported_and_compared_by_its_id(runs: Path) -> None:
    old, later = KEPT.name[-8:], LATER.name[-8:]
    shown = invoke("show", old, runs=runs)
    assert shown.returncode == 0, shown.stderr
    assert "the server program read 1 and closed with 7 unread" in shown.stdout
    reported = invoke("report", old, runs=runs)
    made = [Path(line) for line in reported.stdout.splitlines()]
    assert [path.name for path in made] == ["result.json", "report.html", "annotated.pcapng"], reported.stderr
    assert all((ROOT / path).stat().st_size > 1000 for path in made)
    same = invoke("diff", old, old, "--json", runs=runs)
    assert (same.returncode, json.loads(same.stdout)) == (0, []), same.stderr
    other = invoke("diff", old, later, runs=runs)
    assert other.returncode == 1, other.stderr
    assert "client: packets" in other.stdout


def test_what_the_kernel_said_of_an_old_run_is_told_again_from_its_directory_alone(tmp_path: Path) -> None:
    directory = tmp_path / "runs/keepalive-lookalike" / WITNESSED.name
    shutil.copytree(WITNESSED, directory)
    (directory / "result.json").unlink()
    reported = invoke("report", WITNESSED.name[-8:], runs=tmp_path)
    assert reported.returncode == 0, reported.stderr
    again = json.loads((directory / "result.json").read_text())["kernel"]
    before = json.loads((WITNESSED / "result.json").read_text())["kernel"]
    assert {**before, "agreement": again["agreement"], "stacks": [], "timers": []} == again
    assert again["agreement"] == {"confirmed": 0, "consistent": 5, "not covered": 8, "contradicted": 0}
    assert [(drop["packets"], drop["reason"]) for drop in again["drops"]] == [([4], "TCP_OLD_DATA")]
    shown = invoke("show", WITNESSED.name[-8:], runs=tmp_path)
    assert "server dropped #4: TCP_OLD_DATA in tcp_rcv_established" in shown.stdout
