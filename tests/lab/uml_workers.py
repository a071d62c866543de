"""Workers for a kernel of our own that do what no worker should: ``python -m tests.lab.uml_workers HOW DIRECTORY``."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def panic() -> None:
    """Take all memory, where that is a reason to panic."""
    Path("/proc/sys/vm/panic_on_oom").write_text("2")
    os.posix_fallocate(os.memfd_create("all"), 0, 1 << 40)


def hang() -> None:
    """Compute for ever: without a system call virtual time stands still."""
    while True:
        pass


if __name__ == "__main__":
    {"panic": panic, "hang": hang}[sys.argv[1]]()
