"""Several images made at a time: most of a build waits for packages."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence

AT_ONCE = 4
"""Builds that run at a time."""


def side_by_side(names: Sequence[str], make: Callable[[str], str]) -> dict[str, str]:
    """Return what ``make`` returns for each name; the first error is raised, once nothing more is begun.

    An interruption does not wait for what was begun: the engine ends a build whose client is gone.
    """
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[str, str | Exception]] = queue.SimpleQueue()
    stop = threading.Event()
    for name in names:
        waiting.put(name)

    def work() -> None:
        while not stop.is_set():
            try:
                name = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                done.put((name, make(name)))
            except Exception as error:  # noqa: BLE001 - raised again below
                done.put((name, error))

    # A pool's threads would be waited for at the end of the process.
    for number in range(min(AT_ONCE, len(names))):
        threading.Thread(target=work, name=f"image {number}", daemon=True).start()
    made: dict[str, str] = {}
    try:
        while len(made) < len(names):
            name, result = done.get()
            if isinstance(result, Exception):
                raise result
            made[name] = result
    finally:
        stop.set()
    return made
