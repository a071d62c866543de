"""What the machine did not give is said as that, not as an error of Bothends."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.cli.scarce_machine import FILES, MEMORY, what_is_scarce

ROOT = Path(__file__).parents[3]


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), MEMORY),
        (OSError(12, "Cannot allocate memory"), MEMORY),
        (caused(ImportError("NumPy"), ImportError("x.so: failed to map segment from shared object")), MEMORY),
        (caused(ValueError("x"), OSError(24, "Too many open files")), FILES),
        (RuntimeError("can't start new thread"), "this process may not start more threads"),
        (RuntimeError("another"), ""),
        (ImportError("No module named x"), ""),
        (OSError(28, "No space left on device"), ""),
    ],
)
def test_what_is_scarce(error: Exception, said: str) -> None:
    assert what_is_scarce(error) == said


def test_a_run_in_64_mib_says_what_is_missing(tmp_path: Path) -> None:
    """Exit 3, the memory named, no traceback."""
    words = [sys.executable, "-m", "invoke", "run", "connect-send-close", "--engine", "namespace"]
    done = subprocess.run(
        [*words, "--runs", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (64 << 20, 64 << 20)),
    )
    assert done.returncode == 3, done.stderr
    assert "this process may have 64 MiB of memory" in done.stderr
    assert "Traceback" not in done.stderr
