"""A kind of engine, as the commands see it. Each is a folder of ``lab/`` and one row of ``choose_engine.py``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from testbed.lab.engine import Engine, Progress
from testbed.lab.fact import DoctorFinding
from testbed.lab.identity import new_run_id
from testbed.lab.remains import Remains
from testbed.model import Host
from testbed.model.errors import Unsupported

EngineFactory = Callable[[Progress], Engine]


Tell = Callable[[bytes], None]
"""Gives a message to the worker inside."""


class Conversation(Protocol):
    """Whoever talks with the worker that carries an order out. Both are called from the thread that waits for it."""

    def heard(self, value: Mapping[str, Any], tell: Tell) -> None:
        """Take what the worker said; ``tell`` answers it. Meanwhile nothing else of it is heard."""

    def look(self, tell: Tell) -> None:
        """Say what there is to say; called about twice a second."""


@runtime_checkable
class KeepsUp(Protocol):
    """A factory that can keep what the labs of many runs share: ``keep_up``; ``close`` removes it."""

    keep_up: bool

    def close(self) -> None:
        """Remove what was kept. Idempotent."""


def keep_up(factory: object) -> Callable[[], None]:
    """Have an engine's factory keep what the labs of many runs share, if there is anything; return what removes it."""
    if not isinstance(factory, KeepsUp):
        return lambda: None
    factory.keep_up = True
    return factory.close


@runtime_checkable
class Overlaps(Protocol):
    """A factory with ``overlaps``: whether a lab may be made while the one before it, used no more, still goes down."""

    overlaps: bool


def may_overlap(factory: object) -> bool:
    """Say whether a lab of this factory may be made while the one before goes down."""
    return isinstance(factory, Overlaps) and factory.overlaps


@runtime_checkable
class GetsReady(Protocol):
    """A factory that has something to do before its first lab, in this process and not in the kernel or an engine."""

    def get_ready(self, progress: Progress) -> None:
        """Do it. What goes wrong is told where a lab is made."""


def get_ready(factory: object, progress: Progress) -> None:
    """Have an engine's factory do what it has to do before its first lab, if it has anything."""
    if isinstance(factory, GetsReady):
        factory.get_ready(progress)


@runtime_checkable
class BeginsEarly(Protocol):
    """A factory whose engine can be making something before anyone knows what the first lab will be."""

    def begin_early(self, run_id: str, *, witness: bool) -> None:
        """Have it begin, and do not wait; what no lab takes is removed at the end of this process.

        ``run_id`` is that of the run that the first lab is for. ``witness``: it is likely to want the kernel's trace.
        """

    def begun(self) -> str:
        """Return the id of the run for which something was begun, the first time; else an empty text."""


def begin_early(factory: object, *, witness: bool) -> None:
    """Have an engine begin what a first lab will need, if it can know any."""
    if isinstance(factory, BeginsEarly):
        factory.begin_early(new_run_id(), witness=witness)


def run_id_for(factory: object) -> str:
    """Return the id of the next run in a factory's labs."""
    return (factory.begun() if isinstance(factory, BeginsEarly) else "") or new_run_id()


class InsideFactory(ABC):
    """Where labs cannot be reached from outside: time passes only inside, so whoever takes decisions must be inside.

    It stands where others have an :data:`EngineFactory`, and makes the lab part of a run instead. ``keep_up``: what a
    run was made in makes the next ones too. That is quicker, and only the first one is then the same each time.
    """

    keep_up = False

    def __call__(self, progress: Progress) -> Engine:
        """Not possible."""
        del progress
        raise Unsupported("a lab of this engine is used only by runs of scenarios", hint="--engine namespace")

    @abstractmethod
    def carry_out(
        self,
        order: bytes,
        *,
        kernel: str,
        real_time: bool,
        seed: int,
        progress: Progress,
        conversation: Conversation | None = None,
    ) -> bytes:
        """Have an order carried out inside (:mod:`testbed.run.through_guest`), and return the answer to it.

        ``kernel``: a version, empty for any; ``seed`` is where all chance inside comes from. Raises BothendsError.
        """


@dataclass(frozen=True, slots=True)
class Choice:
    """An engine that was chosen: its name, how to make one for each lab, and why it was chosen where nobody asked.

    ``prepare`` makes what all labs share, so that many that begin at once need not.
    """

    name: str
    make: EngineFactory
    prepare: Callable[[Progress], None]
    why: str = ""


@dataclass(frozen=True, slots=True)
class ImageStatus:
    """One image of ours. ``id``, ``size`` (bytes) and ``created`` (RFC 3339) are None if the engine has none."""

    name: str
    tag: str
    id: str | None
    size: int | None
    created: str | None
    stale: tuple[str, ...]
    """Tags of earlier versions, which :meth:`ImageStore.remove_stale` removes."""
    on_demand: bool = False
    """Whether it is made only when a scenario asks for it, so that nothing is amiss where it is not there."""


class ImageStore(Protocol):
    """The images that an engine's labs are made of. Every method raises EngineError where the engine is not reached."""

    def make(self, progress: Progress) -> None:
        """Make all that are missing. Raises ImageError."""

    def status(self) -> Sequence[ImageStatus]:
        """Return what there is."""

    def remove_stale(self, progress: Progress) -> Sequence[str]:
        """Remove those that are out of date; return what was removed, a description each."""

    def save(self, path: Path) -> None:
        """Write all of them to one file. Raises ImageError."""

    def load(self, path: Path) -> None:
        """Take in the images of such a file. Raises UsageError, ImageError."""


class EngineKind(ABC):
    """What can be asked of an engine besides a lab. ``title`` is its name in sentences."""

    name: str
    title: str

    @abstractmethod
    def choose(self) -> Choice:
        """Return how to make labs. Raises EngineError where the engine cannot be reached."""

    @abstractmethod
    def examine(self) -> Iterator[DoctorFinding]:
        """Yield findings for ``invoke doctor`` as they are made; never raises for something that is merely missing."""

    @abstractmethod
    def clean(self, remains: Remains, *, foreign_too: bool) -> None:
        """Remove what runs whose runner is gone have left, and note it. Raises EngineError if it cannot be reached."""

    @abstractmethod
    def open_shell(
        self,
        run_id: str,
        manifest: Mapping[str, Any],
        host: Host,
        argv: Sequence[str],
        environment: Mapping[str, str],
    ) -> int:
        """Run a command in a host of a lab that is up, on our terminal if there is one; return its exit status.

        ``manifest`` is :attr:`testbed.lab.engine.LiveLab.manifest` of the lab.
        """

    def refusal(self) -> str:
        """Say why its labs cannot be made here, as far as that shows at once; empty where they can, or may."""
        return ""

    def images(self) -> ImageStore | None:
        """Return the engine's images, None where it has none. Raises EngineError if it cannot be reached."""
        return None
