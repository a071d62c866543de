"""One task of a campaign on a worker of a cluster: what is sent there, and what comes back.

Light: a worker imports it, whatever the campaign at its caller has imported.
"""

from __future__ import annotations

import hashlib
import io
import tempfile
import zipfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from testbed.campaign.task_list import ScenarioSource, Task
from testbed.campaign.work import Report, carry_out, failed, load
from testbed.lab.choose_engine import choose
from testbed.lab.engine_kind import Choice
from testbed.model import Outcome
from testbed.model.errors import BothendsError, UsageError
from testbed.run.finish import Finish
from testbed.rundir.layout import RUNS, RunDirectory, what_to_do
from testbed.shipped.files import CODE, COMPOSE

_CODE = CODE / "testbed"
_SUFFIXES = frozenset({".py", ".c", ".h", ".json"})


@dataclass(frozen=True, slots=True)
class RunOrder:
    """A task with all that a worker must know of it. ``engine`` is empty where the worker shall choose its own.

    ``known`` as for :func:`testbed.campaign.work.carry_out`; ``version`` is the caller's.
    """

    task: Task
    source: ScenarioSource
    settings: Mapping[str, Any]
    engine: str
    known: tuple[str, ...]
    version: str


@dataclass(frozen=True, slots=True)
class Parcel:
    """A report, and its run directory as a zip file; empty where the report names none."""

    report: Report
    directory: bytes


@cache
def version() -> str:
    """Return a hash of this program's own code: two machines must run the same."""
    digest = hashlib.sha256()
    for folder in (_CODE, COMPOSE):
        for path in sorted(folder.rglob("*")):
            installed = folder == _CODE and folder / "shipped" in path.parents  # compose/ of a wheel, and its tools
            if path.suffix in _SUFFIXES and not installed:
                digest.update(f"{path.relative_to(folder.parent)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


@cache
def _engine(name: str) -> Choice:
    return choose(name)


def carry_out_here(order: RunOrder, finish: Finish) -> Parcel:
    """Run a task in a directory of this worker's own and return all of it; nothing stays here.

    Raises UsageError where this worker's program is not the caller's.
    """
    from distributed import get_worker

    if order.version != version():
        raise UsageError(
            f"the worker {get_worker().address} runs another version of Bothends than the caller",
            hint="start workers from the same state of the repository",
        )
    with tempfile.TemporaryDirectory(dir=get_worker().local_directory, prefix="bothends-") as name:
        return _carry_out(order, Path(name), finish)


def _carry_out(order: RunOrder, root: Path, finish: Finish) -> Parcel:
    try:
        engine = _engine(order.engine)
        scenario = load(order.source, order.settings)
    except BothendsError as error:
        return Parcel(failed(order.task, error.what, Outcome.INCONCLUSIVE, 0.0), b"")
    report = carry_out(order.task, scenario, root=root, make_engine=engine.make, known=order.known, finish=finish)
    return Parcel(report, _packed(root / RUNS / report.directory) if report.directory else b"")


def _packed(directory: Path) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        for path in sorted(directory.iterdir()):
            file.write(path, path.name)
    return packed.getvalue()


def unpack(parcel: Parcel, root: Path) -> None:
    """Put a run's directory below ``root/runs``, whole or not at all; BothendsError if the disk takes no more."""
    if not parcel.directory:
        return
    target = root / RUNS / parcel.report.directory
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".") as name:
            fresh = Path(name) / target.name
            with zipfile.ZipFile(io.BytesIO(parcel.directory)) as file:
                file.extractall(fresh)
            fresh.rename(target)
        RunDirectory(target).point_latest()
    except OSError as error:
        raise BothendsError(
            f"cannot write {target}: {error.strerror}", hint=f"{what_to_do(error)}, then --resume"
        ) from error


def order_for(
    task: Task, source: ScenarioSource, settings: Mapping[str, Any], engine: str, known: Collection[str]
) -> RunOrder:
    """Return the order for a task."""
    return RunOrder(task, source, settings, engine, tuple(sorted(known)), version())
