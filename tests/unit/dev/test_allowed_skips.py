"""CI fails on a skip that is not on the list, and says which; elsewhere it is only counted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.allowed_skips import ALLOWED

ROOT = Path(__file__).parents[3]
FILE = """import pytest

@pytest.mark.parametrize("number", [1, 2])
def test_one(number):
    pytest.skip({reason!r})

def test_other():
    pass
"""


def run(folder: Path, reason: str, *words: str, ci: bool) -> subprocess.CompletedProcess[str]:
    (folder / "test_skipping.py").write_text(FILE.format(reason=reason))
    environment = {key: value for key, value in os.environ.items() if key != "CI"} | ({"CI": "true"} if ci else {})
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", "-p", "no:cacheprovider", *words, str(folder)]
    return subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("words", [(), ("-n", "1")], ids=["alone", "xdist"])
def test_ci_fails_on_a_skip_that_is_not_allowed(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = run(tmp_path, "no unobtainium here", *words, ci=True)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "not allowed in CI (tests/allowed_skips.py): 2 skipped: no unobtainium here" in done.stdout


def test_elsewhere_skips_are_counted(tmp_path: Path) -> None:
    done = run(tmp_path, "no unobtainium here", ci=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\n2 skipped: no unobtainium here\n" in done.stdout
    assert "not allowed" not in done.stdout


def test_what_is_on_the_list_may_be_skipped(tmp_path: Path) -> None:
    done = run(tmp_path, f"{ALLOWED[0].reason}somewhere", ci=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 skipped: " in done.stdout
