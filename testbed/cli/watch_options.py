"""The options of ``invoke watch`` as values."""

from __future__ import annotations

from collections.abc import Callable

from testbed.model.errors import UsageError
from testbed.scenario.language.values import duration_ms, size_bytes
from testbed.watch.happenings import parse_wanted
from testbed.watch.watch_order import CallSource, WatchOrder

HEADERS = 128
"""Bytes that are kept of each packet where only headers are wanted."""
_RING = 64 << 20
"""Bytes of each capture that are kept where an event is awaited, if nothing else is said: it may take days."""
_CALLS = (CallSource.TRACE, CallSource.STRACE, CallSource.NONE)


def watch_order(
    *,
    seconds: str,
    until: str,
    after: str = "2s",
    every: bool = False,
    ring: str = "",
    headers: bool = False,
    compose: str = "",
    calls: str = "",
    sentinel: bool = False,
) -> WatchOrder:
    """Read the options. Raises UsageError."""
    if every and not until:
        raise UsageError("--every keeps each event: --until says which")
    if calls and calls not in _CALLS:
        raise UsageError(f"--calls: `{calls}` is none of {', '.join(_CALLS)}")
    wanted = parse_wanted(until) if until else None
    default = 0 if wanted is None else _RING
    return WatchOrder(
        seconds=_read("--for", seconds, duration_ms) / 1000 if seconds else 0.0,
        until=wanted,
        after=_read("--after", after, duration_ms) / 1000,
        ring=_read("--ring", int(ring) if ring.isdecimal() else ring, size_bytes) if ring else default,
        every=every,
        headers=HEADERS if headers else 0,
        compose=compose,
        calls=CallSource(calls or CallSource.OFFERED),
        sentinel=sentinel,
    )


def _read(option: str, value: object, read: Callable[[object], int]) -> int:
    try:
        return read(value)
    except ValueError as error:
        message, *hints = error.args
        raise UsageError(f"{option}: {message}", hint=hints[0] if hints else "") from error
