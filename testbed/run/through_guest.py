"""A run in a kernel of our own: its lab part inside, where time passes; what comes after it out here.

Both sides of the order and its answer are here: :func:`through_guest` outside, :func:`carry_out_inside` in the kernel.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.lab.engine import LabSpec, Progress
from testbed.lab.engine_kind import EngineFactory, InsideFactory
from testbed.model import errors
from testbed.model.errors import BothendsError, Unsupported
from testbed.run.artefacts import write_artefacts
from testbed.run.through_lab import through_lab
from testbed.rundir.layout import MANIFEST, SCENARIO_COPY, RunDirectory

if TYPE_CHECKING:  # pydantic is slow to import: whoever has a scenario has imported what it needs
    from testbed.scenario.scenario import Scenario

_PARTS = ("what", "state", "last_output", "hint", "kept")


@dataclass(frozen=True, slots=True)
class GuestOrder:
    """What a worker inside is asked for: one run into a directory that exists."""

    scenario: Scenario
    spec: LabSpec
    directory: Path


def refusal(scenario: Scenario, make_engine: EngineFactory) -> Unsupported | None:
    """Return the error for a scenario that wants a kernel or a clock which the engine lacks; else None."""
    if isinstance(make_engine, InsideFactory):
        return None
    if scenario.kernel is not None:
        return Unsupported(
            f"the scenario asks for Linux {scenario.kernel}, and labs of this engine have the machine's",
            hint="--engine uml",
        )
    if scenario.clock == "virtual":
        return Unsupported(
            "the scenario takes longer than anybody waits: it is made for virtual time, which this engine has not",
            hint="--engine uml, or --real-time to wait for it",
        )
    return None


def through_guest(
    scenario: Scenario, spec: LabSpec, directory: RunDirectory, guests: InsideFactory, progress: Progress
) -> Callable[[], None]:
    """Have a run's lab part made inside; arguments, result and errors are those of ``through_lab``."""
    started = datetime.now(UTC)
    directory.write_text(SCENARIO_COPY, scenario.source)
    order = pickle.dumps(GuestOrder(scenario, spec, directory.path.resolve()))
    try:
        answer = guests.carry_out(
            order,
            kernel=scenario.kernel or "",
            real_time=scenario.clock == "real",
            seed=scenario.seed,
            progress=progress,
        )
        _raise_what_it_says(answer, directory)
    except BothendsError as error:
        error.kept = str(directory)
        if not directory.file(MANIFEST).exists():
            write_artefacts(scenario, spec, directory, started, None, None, str(error))
        raise
    return _nothing_to_wait_for


def carry_out_inside(order: bytes, make_engine: EngineFactory, progress: Progress) -> bytes:
    """Make the run that an order asks for; return the answer to it."""
    wanted: GuestOrder = pickle.loads(order)  # noqa: S301 - written by the process that started this kernel
    try:
        if not wanted.directory.is_dir():
            raise Unsupported(
                f"a kernel of our own cannot see {wanted.directory}: it has a /dev, /proc and /sys of its own",
                hint="--runs elsewhere",
            )
        with ThreadPoolExecutor(1) as pool:
            down = through_lab(
                wanted.scenario, wanted.spec, RunDirectory(wanted.directory), make_engine, progress, pool, None
            )
            down()
    except BothendsError as error:
        return json.dumps({"kind": type(error).__name__} | {part: getattr(error, part) for part in _PARTS}).encode()
    return b"{}"


def _raise_what_it_says(answer: bytes, directory: RunDirectory) -> None:
    said = json.loads(answer)
    if not said:
        return
    kind = getattr(errors, said["kind"], BothendsError)
    error: BothendsError = kind(said["what"], state=said["state"], last_output=said["last_output"], hint=said["hint"])
    error.kept = str(directory)
    raise error


def _nothing_to_wait_for() -> None:
    return None
