"""How long gdb holds a call, before it is made and after it: a rule that waits as long as is wanted."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

Event = dict[str, Any]
Size = Callable[[], int]

QUIET = 0.05
"""Seconds without a packet in either capture after which the wire counts as quiet."""
LIMIT = 5.0
"""Seconds after which a call is let go although the wire is not quiet."""
_POLL = 0.005


class CallHold(Protocol):
    """Waits while a call is held. Both are called from a thread of the observer's own."""

    def before(self, event: Event) -> None:
        """Wait before the call is given to the kernel."""

    def after(self, event: Event) -> None:
        """Wait before the program goes on after it."""


class CallStepper(CallHold, Protocol):
    """A hold that lets calls go one by one, as a person or a script wants."""

    def finish(self) -> None:
        """Do what is left once the programs have ended and the connections are settled."""


class Dialogue(Protocol):
    """Whoever decides about calls: a person, or a script."""

    def say(self, text: str) -> None:
        """Show text, which ends its own lines."""

    def ask(self) -> str:
        """Return a line of answer, empty once there are no more."""


class ForTime:
    """Holds each call for a given time, before it and after it."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def before(self, event: Event) -> None:
        """Wait."""
        del event
        time.sleep(self._seconds)

    def after(self, event: Event) -> None:
        """Wait."""
        self.before(event)


class UntilQuiet:
    """Holds each call until the wire is quiet; ``captured`` counts the bytes of both captures so far."""

    def __init__(self, captured: Size) -> None:
        self._captured = captured

    def before(self, event: Event) -> None:
        """Wait."""
        del event
        wait_quiet(self._captured)

    def after(self, event: Event) -> None:
        """Wait."""
        self.before(event)


def wait_quiet(captured: Size) -> None:
    """Wait until nothing was captured for QUIET seconds, at most LIMIT seconds."""
    deadline = time.monotonic() + LIMIT
    size, since = captured(), time.monotonic()
    while time.monotonic() < min(deadline, since + QUIET):
        time.sleep(_POLL)
        now = captured()
        if now != size:
            size, since = now, time.monotonic()
