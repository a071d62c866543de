"""Two things at once: C, and most of NumPy, pass over columns without the interpreter, so that each has a core."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from typing import Generic, TypeVar

Made = TypeVar("Made")


class AtOnce(Thread, Generic[Made]):
    """Calls a function at once in a thread of its own; nobody waits for it who does not ask for its result."""

    def __init__(self, make: Callable[[], Made]) -> None:
        super().__init__(daemon=True)
        self._make = make
        self._made: list[Made] = []
        self._problem: BaseException | None = None
        self.start()

    def run(self) -> None:
        """Call it, and keep what it returns or raises."""
        try:
            self._made.append(self._make())
        except BaseException as problem:  # noqa: BLE001 - who asks for the result gets it
            self._problem = problem
        del self._make

    def result(self) -> Made:
        """Wait, and return what the function returned, once; raise what it raised."""
        self.join()
        if self._problem is not None:
            raise self._problem
        return self._made.pop()


def at_once(make: Callable[[], Made]) -> Callable[[], Made]:
    """Call a function in a thread; return what waits for its result (:data:`testbed.pairing.passes.Aside`)."""
    return AtOnce(make).result
