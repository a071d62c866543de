"""Instances of tracefs that runs have left, and whether the kernel's trace can be recorded here."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from testbed.lab.kernel_trace import is_owner_alive, run_of
from testbed.lab.remains import Remains
from testbed.model.errors import EngineError

RunRecorder = Callable[[Sequence[str]], str]
"""Runs the recorder with these arguments; returns its output, raises EngineError with what it printed."""
TIMEOUT = 30
"""Seconds that the recorder may take to list or remove instances."""


def try_recorder(run: RunRecorder) -> tuple[bool, str]:
    """Return whether the recorder can use tracefs, and what it printed if it cannot."""
    try:
        run(["list"])
    except EngineError as error:
        return False, error.what
    return True, "the kernel's tracepoints can be recorded"


def clean_instances(run: RunRecorder, remains: Remains, *, foreign_too: bool = False) -> None:
    """Remove the instances of runs whose runner is gone, and no other. Without tracefs there are none."""
    try:
        names = run(["list"]).split()
    except EngineError:
        return
    for name in names:
        alive = is_owner_alive(name)
        if alive:
            remains.alive.add(run_of(name))
        elif alive is None and not foreign_too:
            remains.foreign.add(run_of(name))
        else:
            try:
                run(["remove", name])
            except EngineError as error:
                remains.failed.append(error.what)
            else:
                remains.removed.append(f"trace instance {name}")
