"""What works here, what is missing, and what to do: findings for ``invoke doctor``."""

from __future__ import annotations

import platform
from collections.abc import Iterator

from testbed.lab.choose_engine import engine_kinds
from testbed.lab.fact import DoctorFinding


def examine() -> Iterator[DoctorFinding]:
    """Yield findings on all engines as they are made; never raises for something that is merely missing."""
    yield DoctorFinding("Python", True, platform.python_version(), needed=True)
    for kind in engine_kinds():
        yield from kind.examine()
