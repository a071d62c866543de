"""`invoke soak`: every scenario many times; what did not pass is told, with a run directory to look at."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dev import soak_catalogue
from testbed.campaign.campaign_options import Options
from testbed.lab.choose_engine import NAMESPACE

from .conftest import ROOT


@pytest.mark.usefixtures("namespaces")
def test_soak_tells_only_what_did_not_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two scenarios three times, one of them wrong: its kind of run is told once, with its directory; exit code 1."""
    folder = tmp_path / "scenarios"
    folder.mkdir()
    right = (ROOT / "scenarios/connect-send-close.yaml").read_text()
    (folder / "right.yaml").write_text(right)
    (folder / "wrong.yaml").write_text(right.replace("segments: {client: [c, c, string]}", "segments: {client: [x]}"))
    options = Options(repeat=3, jobs=2)
    assert soak_catalogue.main(catalogue=tmp_path, runs=tmp_path, engine=NAMESPACE, options=options) == 1
    told = capsys.readouterr().out
    assert "wrong: 3 runs: 3 fail" in told
    assert "right:" not in told
    assert f"6 runs of 2 variants on {NAMESPACE}: 3 did not pass" in told
    (example,) = re.findall(r"fail  (wrong/\S+)", told)
    assert list(tmp_path.glob(f"runs/campaigns/*/runs/{example}/result.json"))
