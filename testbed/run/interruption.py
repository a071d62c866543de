"""How a run ends when somebody wants it to: Ctrl-C, a cancelled CI job (SIGTERM), a closed terminal (SIGHUP).

The first signal is a KeyboardInterrupt: what was captured is kept, and the lab is removed. A later one hurries: it ends
the keeping, never the removal.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Ending:
    """What the signal handler knows. A process has one set of signal handlers, so there is one of these."""

    def __init__(self) -> None:
        self.begun = self.noted = self.shielded = self.may_hurry = False

    def on_signal(self, _signal: int, _frame: FrameType | None) -> None:
        if self.shielded:
            self.noted = True
        elif not self.begun:
            self.begun = True
            raise KeyboardInterrupt
        elif self.may_hurry:
            self.may_hurry = False
            raise KeyboardInterrupt


_ending = _Ending()


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """Turn the first ending signal into a KeyboardInterrupt. One that is ignored, as under nohup, stays ignored.

    Once a signal has come they are all ignored afterwards: the process ends, with the exit code that it had in mind.
    """
    global _ending  # noqa: PLW0603 - as there is one set of signal handlers
    before_ending, _ending = _ending, _Ending()
    handled = [number for number in ENDING if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, _ending.on_signal) for number in handled}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if _ending.begun else handler)
        _ending = before_ending


@contextlib.contextmanager
def may_be_hurried() -> Iterator[None]:
    """Let the next ending signal end this part, and nothing else. It reaches only the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _ending.may_hurry = True
    try:
        with contextlib.suppress(KeyboardInterrupt):
            yield
    finally:
        _ending.may_hurry = False


@contextlib.contextmanager
def not_interrupted() -> Iterator[None]:
    """Put off the first ending signal until the end of this part. It reaches only the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _ending.shielded = True
    try:
        yield
    finally:
        _ending.shielded = False
    if _ending.noted and not _ending.begun:
        _ending.begun = True
        raise KeyboardInterrupt
