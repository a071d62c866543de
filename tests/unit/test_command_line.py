"""What is wrong on the command line is bad use, exit code 2; 1 is kept for scenarios that failed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("words", [("frob",), ("run", "echo", "--frob"), ("show",), ("bench", "nothing")])
def test_bad_use(words: tuple[str, ...]) -> None:
    """An unknown task, option or benchmark, a word that is missing: said, with what to do."""
    argv = [sys.executable, "-m", "invoke", *words]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stdout + done.stderr
    assert words[-1] in done.stderr
    assert "to do: " in done.stderr
