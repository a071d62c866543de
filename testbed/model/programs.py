"""What a host ran, and how that ended. Pure data."""

from __future__ import annotations

from dataclasses import dataclass

from testbed.model.hosts import Host


@dataclass(frozen=True, slots=True)
class Program:
    """What a host ran and how that ended.

    ``exit_status`` is the exit code, or None when a ``signal`` (name, ``SIGSEGV``) ended it. ``stopped_by_us`` says
    why the runner ended it (``client ended``, ``timeout``), empty when it ended by itself. Times are ns.
    """

    host: Host
    argv: tuple[str, ...]
    image: str
    exit_status: int | None
    signal: str | None
    started: int
    ended: int
    stopped_by_us: str = ""
    output_truncated: bool = False
