"""What a host ran, and how that ended. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from testbed.model.hosts import Host


class StopReason(StrEnum):
    """Why the runner ended a program; the value is what manifests and people read."""

    CLIENT_ENDED = "the client ended"
    """How a server usually ends."""
    RUN_ENDED = "the run ended"
    NOT_READY = "not ready in time"
    TIMEOUT = "timeout"
    OTHER_FAILED = "the other program had failed"
    ALONE_AT_BARRIER = "nobody comes to its barrier"
    LINK_DIED = "the link died"
    CAPTURE_ENDED = "a capture ended"
    WINE_DIED = "Wine's server died"


@dataclass(frozen=True, slots=True)
class ProgramEnd:
    """How a program ended.

    ``status`` is the exit status, None where a ``signal`` (name, ``SIGSEGV``) ended it or where it is not known.
    ``stopped`` says why the runner ended it, None where it ended by itself.
    """

    status: int | None
    signal: str | None = None
    stopped: StopReason | None = None

    @property
    def usual(self) -> bool:
        """Whether it ended as in a run that goes well: by itself with status 0, or stopped after the client ended."""
        return self.stopped is StopReason.CLIENT_ENDED or (self.stopped is None and not self.signal and not self.status)

    def __str__(self) -> str:
        how = f"killed by {self.signal}" if self.signal else f"exit status {self.status}"
        return f"{how}, stopped: {self.stopped}" if self.stopped is not None else how


@dataclass(frozen=True, slots=True)
class Program:
    """What a host ran and how that ended; ``started`` and ``ended`` are ns on the captures' clock."""

    host: Host
    argv: tuple[str, ...]
    image: str
    end: ProgramEnd
    started: int
    ended: int
    output_truncated: bool = False
