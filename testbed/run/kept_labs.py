"""Labs that are up by hand: each is held by a process of its own (lab_keeper.py). Needs nothing of what makes a lab.

``invoke up`` starts it, ``invoke down`` ends it (SIGTERM) and shows what was captured: a by-hand lab leaves a run
directory like any run. Where the keepers are is in ``runs/.labs/<run id>.json``.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.lab.identity import is_alive, owner
from testbed.model import Host
from testbed.model.errors import LabError, LabTimeout, UsageError
from testbed.rundir.layout import RUNS, RunDirectory
from testbed.shipped.files import CODE

LABS = ".labs"
"""The folder below ``runs/`` that has a file for each lab."""
DOWN_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class KeptLab:
    """A lab that is up: its keeper as :func:`testbed.lab.identity.owner` names it, and its run directory.

    ``manifest`` is what the engine tells of the lab (:attr:`testbed.lab.engine.LiveLab.manifest`).
    """

    run_id: str
    scenario: str
    directory: str
    keeper: str
    pid: int
    addresses: dict[Host, str]
    names: dict[str, str]
    engine: str
    manifest: dict[str, Any]


def up(scenario: Path, root: Path, engine: str, *, keeper: str, outlives_us: bool = True) -> KeptLab:
    """Start a keeper and wait until its lab is up. Its progress goes to standard error.

    ``keeper`` is the module that the process runs: it calls ``lab_keeper.keep`` with what is to be done at the end. A
    lab that does not outlive this process ends with it, however it ends.
    """
    tied = [] if outlives_us else [owner()]
    with subprocess.Popen(
        [sys.executable, "-m", keeper, str(scenario), str(root), engine, *tied],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
        cwd=CODE,
        text=True,
    ) as process:
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        line = process.stdout.readline()
        if not line:
            process.wait(DOWN_TIMEOUT)
            raise LabError(
                "the lab did not come up",
                state=f"the process that holds it ended with {process.returncode}",
            )
        process.returncode = 0  # it lives on; do not wait for it
        return KeptLab(**json.loads(line))


def kept(root: Path) -> list[KeptLab]:
    """Return the labs that are up, forgetting those whose keeper is gone."""
    found = []
    for path in sorted((root / RUNS / LABS).glob("*.json")):
        lab = KeptLab(**json.loads(path.read_text(encoding="utf-8")))
        if is_alive(lab.keeper):
            found.append(lab)
        else:
            path.unlink(missing_ok=True)
    return found


def only(root: Path, run_id: str | None) -> KeptLab:
    """Return the one lab that is up, or the one with this id; UsageError if that is not one."""
    labs = [lab for lab in kept(root) if run_id is None or lab.run_id == run_id]
    if len(labs) == 1:
        return labs[0]
    names = ", ".join(f"{lab.run_id} ({lab.scenario})" for lab in kept(root)) or "none"
    raise UsageError(
        f"{'several labs are' if labs else 'no such lab is'} up: {names}",
        hint="name one with --lab" if labs else "`invoke up SCENARIO`",
    )


def down(lab: KeptLab) -> RunDirectory:
    """End a lab; return its run directory once everything is written and removed."""
    os.kill(lab.pid, signal.SIGTERM)
    deadline = time.monotonic() + DOWN_TIMEOUT
    while is_alive(lab.keeper):
        with contextlib.suppress(ChildProcessError):  # who brought the lab up in this process waits for its keeper
            os.waitpid(lab.pid, os.WNOHANG)
        if time.monotonic() > deadline:
            raise LabTimeout(f"the keeper of lab {lab.run_id} (process {lab.pid}) did not end in {DOWN_TIMEOUT:g} s")
        time.sleep(0.02)
    return RunDirectory(Path(lab.directory))
