"""What is to be watched for, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from testbed.rundir.layout import RunDirectory
from testbed.watch.happenings import Happening, Wanted


class CallSource(StrEnum):
    """How calls are recorded."""

    OFFERED = "offered"
    """By the kernel's trace where it can be had."""
    TRACE = "trace"
    STRACE = "strace"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class WatchOrder:
    """How long to watch, and what to keep.

    ``until`` ends watching ``after`` seconds later, or with ``every`` this run of it; ``seconds`` in any case (0: only
    by hand). ``ring`` bounds what is kept of each capture and of the trace, bytes (0: all); ``headers``: only so many
    bytes of each packet (0: all). ``sentinel``: send a datagram each way at the end, which both captures must have.
    """

    seconds: float = 0.0
    until: Wanted | None = None
    after: float = 2.0
    every: bool = False
    ring: int = 0
    headers: int = 0
    compose: str = ""
    calls: CallSource = CallSource.OFFERED
    sentinel: bool = False


@dataclass(slots=True)
class Kept:
    """A run of two targets: ``client`` and ``server`` as they were named; ``one_end``: the other was outside."""

    directory: RunDirectory
    client: str
    server: str
    one_end: bool = False
    happened: Happening | None = None


@dataclass(slots=True)
class Watched:
    """What came of it: a run for each pair that talked, and the last event, if one was awaited."""

    kept: list[Kept] = field(default_factory=list)
    silent: list[tuple[str, str]] = field(default_factory=list)
    happened: Happening | None = None
    ended: str = ""
    """Why it ended before its time: a target that went away, a tap that died, an engine that does not answer."""
    left: tuple[str, ...] = ()
    """What of ours could not be removed, and why."""
