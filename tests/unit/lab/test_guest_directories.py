"""Directories of kernels of our own: those of kernels that run or begin are left alone, the others are found."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from testbed.lab.uml import guest
from testbed.model.errors import Unsupported


def _directory(parent: Path, name: str, pid: int | None, age: float) -> Path:
    made = parent / f"bothends-guest-{name}"
    (made / "guest").mkdir(parents=True)
    if pid is not None:
        (made / "guest" / "pid").write_text(f"{pid}\n")
    os.utime(made, (made.stat().st_mtime - age,) * 2)
    return made


def test_only_the_directories_of_kernels_that_are_gone_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    gone = _directory(tmp_path, "gone", 2**22 + 1, 1000)
    other = _directory(tmp_path, "other", os.getpid(), 1000)  # the number is another process's by now
    without = _directory(tmp_path, "without", None, 1000)
    _directory(tmp_path, "begins", None, 0)
    runs = _directory(tmp_path, "runs", os.getpid(), 1000)
    monkeypatch.chdir(runs)
    assert guest.abandoned() == sorted([gone, other, without])


@pytest.mark.parametrize("path", ["/dev/shm/runs", "/proc/1", "/sys"])  # noqa: S108
def test_a_path_that_a_guest_cannot_see_is_refused(path: str) -> None:
    with pytest.raises(Unsupported, match="cannot see"):
        guest.check_visible(Path(path))
