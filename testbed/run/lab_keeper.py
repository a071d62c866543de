"""The process that holds a lab to use by hand, with its taps running, until it gets SIGTERM (kept_labs.py)."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from types import FrameType

from testbed.lab.choose_engine import choose
from testbed.lab.engine_kind import InsideFactory
from testbed.lab.identity import is_alive, owner
from testbed.run.evaluate import evaluate
from testbed.run.finish import Finish
from testbed.run.held_lab import HeldLab, hold
from testbed.run.kept_labs import LABS, KeptLab
from testbed.run.scenario_to_lab import lab_spec
from testbed.run.through_guest import hold_in_guest
from testbed.rundir.layout import RUNS, SCENARIO_COPY, RunDirectory
from testbed.scenario.load import load

LOOK = 1.0
"""Seconds between two looks at whether whoever the lab is tied to still runs."""


def keep(scenario_path: Path, root: Path, engine_name: str, finish: Finish, tied_to: str = "") -> None:
    """Be the keeper: lab up, say so on standard output, wait for SIGTERM, and end like a run.

    ``tied_to`` is a process, as :func:`testbed.lab.identity.owner` names it, with which the lab ends too.
    """

    def progress(text: str) -> None:
        sys.stderr.write(f"{text}\n")

    scenario = load(scenario_path)
    spec = lab_spec(scenario, by_hand=True)
    over = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        over.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    directory = RunDirectory.create(root, scenario.name, spec.run_id)
    directory.write_text(SCENARIO_COPY, scenario.source)
    note = root / RUNS / LABS / f"{spec.run_id}.json"

    def is_up(held: HeldLab) -> None:
        lab = KeptLab(
            run_id=spec.run_id,
            scenario=scenario.name,
            directory=str(directory.path),
            keeper=owner(),
            pid=os.getpid(),
            addresses=held.addresses,
            names=held.names,
            engine=held.engine,
            manifest=held.manifest,
        )
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps(asdict(lab)), encoding="utf-8")
        sys.stdout.write(json.dumps(asdict(lab)) + "\n")
        sys.stdout.flush()
        _leave_terminal()

    def is_over() -> bool:
        return over.wait(LOOK) or bool(tied_to and not is_alive(tied_to))

    make_engine = choose(engine_name).make
    try:
        if isinstance(make_engine, InsideFactory):
            hold_in_guest(scenario, spec, directory, make_engine, progress, is_up, is_over)
        else:
            hold(scenario, spec, directory, make_engine, progress, is_up, is_over)
    finally:
        note.unlink(missing_ok=True)
    finish.write(directory, evaluate(directory, scenario))
    directory.point_latest()


def _leave_terminal() -> None:
    """Let go of the caller's standard output and error, so that it can end."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    os.close(nothing)
