"""How the tasks were called: messages name commands as the user can type them.

Texts are written with ``invoke run``; whoever called ``bothends run`` or ``inv wire.run`` reads that instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

USUAL = "invoke "


class CallersWords:
    """Puts what was typed in place of ``invoke`` before a task's name; changes nothing until it is told."""

    def __init__(self) -> None:
        self._prefix = USUAL
        self._command: re.Pattern[str] | None = None

    def called_as(self, prefix: str, tasks: Iterable[str]) -> None:
        """Take ``bothends `` or ``inv wire.`` as what stands before the tasks' names."""
        self._prefix = prefix
        names = "|".join(sorted(map(re.escape, tasks)))
        self._command = re.compile(rf"(?<!-m )\binvoke (?=(?:{names})\b)") if prefix != USUAL else None

    def __call__(self, text: str) -> str:
        """Return a text with its commands as the caller would type them."""
        return self._command.sub(self._prefix, text) if self._command is not None else text


in_callers_words = CallersWords()
