"""Run directories from elsewhere may hold anything: what no run writes becomes our error, and says where."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from testbed.model.errors import UsageError
from testbed.rundir.layout import RunDirectory

_FOREIGN = (ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, TypeError, ValueError, OSError)


@contextmanager
def read_from(directory: RunDirectory) -> Iterator[None]:
    """Turn what a broken or made-up file of a run directory leads to into a UsageError. Ours pass unchanged."""
    try:
        yield
    except _FOREIGN as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        raise UsageError(
            f"{directory} holds what no run writes: {type(error).__name__}: {error}"[:500],
            state=f"met at {Path(frame.filename).name}:{frame.lineno}",
            hint="a file of it was changed or broken. If it is as a run of this version left it, that is an error of "
            "ours: please report it, with the directory",
        ) from error
