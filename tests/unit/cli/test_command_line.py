"""What is wrong on the command line is bad use, exit code 2; 1 is kept for scenarios that failed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("words", [("frob",), ("run", "echo", "--frob"), ("show",), ("bench", "nothing")])
def test_bad_use(words: tuple[str, ...]) -> None:
    """An unknown task, option or benchmark, a word that is missing: said, with what to do."""
    argv = [sys.executable, "-m", "invoke", *words]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stdout + done.stderr
    assert words[-1] in done.stderr
    assert "to do: " in done.stderr


def test_a_reader_that_goes_away_is_no_error() -> None:
    """`invoke list --json | head -1`: ends as SIGPIPE would, without a word."""
    argv = [sys.executable, "-m", "invoke", "list", "--json"]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        said = running.stderr.read()
    assert (running.returncode, said) == (128 + signal.SIGPIPE, "")


def test_a_package_that_is_not_installed_is_named(tmp_path: Path) -> None:
    (tmp_path / "yaml.py").write_text("raise ModuleNotFoundError(name='yaml')\n")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    argv = [sys.executable, "-m", "invoke", "list"]
    done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "`yaml` is not installed" in done.stderr
    assert "pip install --require-hashes -r requirements.txt" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_error_of_our_own_is_no_failed_expectation(tmp_path: Path) -> None:
    """What no task foresaw: the traceback, that it is a bug, what to do, and exit code 3."""
    (tmp_path / "tasks.py").write_text(
        "from invoke import task\n"
        "from testbed.cli.report_errors import report_errors\n"
        "@task\n@report_errors\ndef divide(_, by: int = 0) -> int:\n    return 1 // by\n"
    )
    argv = [sys.executable, "-m", "invoke", "divide"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(argv, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    told = done.stderr.splitlines()
    assert told[0].startswith("Traceback")
    assert told[-3].startswith("an error in Bothends itself, not in what it ran: ZeroDivisionError: ")
    assert told[-1].startswith("to do: report it")
