"""Who owns what on an engine: run ids, labels, and whether the owner of a label is still alive."""

from __future__ import annotations

import os
import platform
import secrets
from pathlib import Path

RUN_LABEL = "bothends.run"
OWNER_LABEL = "bothends.owner"
ROLE_LABEL = "bothends.role"
_INITIAL_PID_NAMESPACE = 0xEFFFFFFC  # PROC_PID_INIT_INO


def new_run_id() -> str:
    """Return 8 random hex digits."""
    return secrets.token_hex(4)


def owner() -> str:
    """Name this process so that another can tell whether it still runs: ``<boot id>/<pid>/<start time>``."""
    return f"{boot_id()}/{os.getpid()}/{_start_time(os.getpid())}"


def is_alive(owner_label: str) -> bool | None:
    """Say whether the process named by :func:`owner` runs; None if it is another machine's, which we cannot see."""
    try:
        boot, pid, start_time = owner_label.split("/")
        number = int(pid)
    except ValueError:
        return False
    if boot != boot_id():
        # A reboot of this machine changes its boot id too, but then no container of it is running either.
        return None
    return _start_time(number) == start_time


def numbers_tasks_as_the_kernel() -> bool:
    """Say whether process ids are the machine's own here, as in the kernel's trace: a container has others."""
    return Path("/proc/self/ns/pid").stat().st_ino == _INITIAL_PID_NAMESPACE


def boot_id() -> str:
    """Return the kernel's boot id, or the machine's name where there is no /proc (macOS, Windows)."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return platform.node().replace("/", "-")


def _start_time(pid: int) -> str:
    """Return when a process started, in clock ticks (proc(5), field 22); ``gone``; ``0`` where there is no /proc."""
    if Path("/proc/self/stat").exists():
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return "gone"
        return stat.rpartition(")")[2].split()[19]
    try:
        os.kill(pid, 0)
    except OSError:
        return "gone"
    return "0"
