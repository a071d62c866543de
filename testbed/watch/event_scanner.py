"""Looks for events in a capture while it is made, in a thread of its own: the one that reads it must keep pace."""

from __future__ import annotations

import threading
from collections.abc import Callable

from testbed.watch.happenings import Happening, HappeningWatch, Wanted

MOST_WAITING = 16 << 20
"""Bytes that may wait to be looked at. Then the reader waits, and in the end tcpdump counts what it has to drop."""


class EventScanner:
    """Calls ``found``, from its thread, with each event of what it is given, in order."""

    def __init__(self, wanted: Wanted, found: Callable[[Happening], None], most: int = MOST_WAITING) -> None:
        self._watch = HappeningWatch(wanted)
        self._found = found
        self._most = most
        self._waiting: list[bytes] = []
        self._size = 0
        self._ended = False
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="scanner", daemon=True)
        self._thread.start()

    def put(self, data: bytes) -> None:
        """Give it the next bytes of the capture; waits while too many have not been looked at."""
        with self._news:
            self._news.wait_for(lambda: self._size < self._most or self._ended)
            if not self._ended:
                self._waiting.append(data)
                self._size += len(data)
                self._news.notify_all()

    def end(self) -> None:
        """Look at all that it was given, and end. Idempotent."""
        with self._news:
            self._ended = True
            self._news.notify_all()
        self._thread.join()

    def _run(self) -> None:
        try:
            while data := self._next():
                for each in self._watch.feed(data):
                    self._found(each)
        finally:
            with self._news:
                self._ended = True
                self._news.notify_all()

    def _next(self) -> bytes:
        """Return what has come since the last time, nothing at the end."""
        with self._news:
            self._news.wait_for(lambda: self._waiting or self._ended)
            data = b"".join(self._waiting)
            self._waiting.clear()
            self._size = 0
            self._news.notify_all()
            return data
