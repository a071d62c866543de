"""Everything that can go wrong, in one tree, each with its exit code.

::

    BothendsError                 3  (infrastructure)
    ├── UsageError                2  a name or an option that does not exist
    │   └── ScenarioError         2  a scenario that cannot be read: file, line, column, caret
    ├── Unsupported               4  this machine or engine lacks what is asked for
    ├── EngineError               3  the engine refused, failed or went away
    │   └── ImageError            3  an image could not be found, pulled, made or built
    ├── LabError                  3  a part of the lab did not come up, or died
    │   └── LabTimeout            3  it did not become ready in time
    └── CaptureError              3  a capture file cannot be read at all

Errors of docker, requests, scapy and the OS are turned into these at one seam each
(``lab/docker/docker_errors.py``, ``capture/read_file.py``). A message says what happened, the state, the last
output and what to do; :class:`BothendsError` carries these apart so that a printer can lay them out.
"""

from __future__ import annotations


class BothendsError(Exception):
    """An error to show to a person.

    ``what`` is one sentence; ``state`` (how things stood), ``last_output`` (the last lines that the failing
    part printed) and ``hint`` (what to do) are optional text. ``kept`` is the run directory that holds what there was
    until then; empty where there is none.
    """

    exit_code = 3

    def __init__(self, what: str, *, state: str = "", last_output: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.state = state
        self.last_output = last_output
        self.hint = hint
        self.kept = ""

    def __str__(self) -> str:
        parts = [self.what]
        if self.state:
            parts.append(f"state: {self.state}")
        if self.last_output:
            indented = "\n".join("  | " + line for line in self.last_output.rstrip().splitlines())
            parts.append(f"last output:\n{indented}")
        if self.kept:
            parts.append(f"kept: {self.kept}")
        if self.hint:
            parts.append(f"to do: {self.hint}")
        return "\n".join(parts)


class UsageError(BothendsError):
    """A name or an option that does not exist."""

    exit_code = 2


class ScenarioError(UsageError):
    """A scenario that cannot be read; ``what`` holds every problem, each with file, line, column, caret."""


class Unsupported(BothendsError):  # noqa: N818 - it is an outcome, not a fault
    """The machine or the engine lacks something that was asked for; ``what`` names it."""

    exit_code = 4


class EngineError(BothendsError):
    """The engine refused, failed or went away."""


class ImageError(EngineError):
    """An image could not be found, pulled, made or built."""


class LabError(BothendsError):
    """A part of the lab did not come up, or died."""


class LabTimeout(LabError):  # noqa: N818 - reads as what it is
    """A part of the lab did not become ready in time."""


class CaptureError(BothendsError):
    """A capture file cannot be read at all."""
