"""`invoke setup`: says what it will do, does it as root, and else says one command."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from dev import machine_setup

ROOT = Path(__file__).parents[3]


@pytest.fixture
def lacking(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine_setup, "missing_packages", lambda: ["tcpdump", "chromium"])
    monkeypatch.setattr(machine_setup, "TRACEFS", tmp_path)
    monkeypatch.setattr(machine_setup, "_MOUNTED", tmp_path / "instances")
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")


def carried_out(monkeypatch: pytest.MonkeyPatch, user: int, code: int = 0) -> tuple[int, str, list[Sequence[str]]]:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    said: list[str] = []
    run: list[Sequence[str]] = []

    def execute(command: Sequence[str]) -> int:
        run.append(command)
        return code

    return machine_setup.set_up(said.append, execute), "\n".join(said), run


def test_root_is_told_and_it_is_done(lacking: None, monkeypatch: pytest.MonkeyPatch) -> None:
    del lacking
    code, said, run = carried_out(monkeypatch, 0)
    assert code == 0
    assert [command[0] for command in run] == ["apt-get", "apt-get", "mount"]
    assert run[1][-2:] == ["tcpdump", "chromium"]
    assert "apt-get install" in said


def test_a_plain_user_is_told_one_command(lacking: None, monkeypatch: pytest.MonkeyPatch) -> None:
    del lacking
    code, said, run = carried_out(monkeypatch, 1000)
    assert (code, run) == (0, [])
    assert said.count("sudo ") == 1
    assert "tcpdump chromium" in said


def test_what_cannot_be_installed_stops_it(lacking: None, monkeypatch: pytest.MonkeyPatch) -> None:
    del lacking
    code, said, run = carried_out(monkeypatch, 0, code=100)
    assert (code, len(run)) == (3, 1)
    assert "that failed: apt-get update" in said


def test_ci_begins_with_the_same_list(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any package of ours: .ci/run has no environment yet."""
    assert "dev/machine_setup.py" in (ROOT / ".ci/run").read_text()
    monkeypatch.delenv("PYTHONPATH", raising=False)
    done = subprocess.run(
        [sys.executable, "-S", "-I", ROOT / "dev/machine_setup.py"], capture_output=True, text=True, check=True
    )
    everything = {name for names in machine_setup.PACKAGES.values() for name in names}
    assert set(done.stdout.split()) <= everything
