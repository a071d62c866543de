"""How a run ended, in one word: a module of its own, which a command needs before it knows of any run."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """How a run ended. ``exit_code`` is what `invoke run` returns for it."""

    PASS = "pass"  # noqa: S105 - not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    UNSUPPORTED = "unsupported"

    @property
    def exit_code(self) -> int:
        """0 pass, 1 fail, 3 inconclusive, 4 unsupported (2 is bad use)."""
        return {"pass": 0, "fail": 1, "inconclusive": 3, "unsupported": 4}[self.value]
