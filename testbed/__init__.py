"""Bothends: what a socket call put on the wire, what the other end saw, and where the bytes went.

The public API (docs/api.md) is what this module exports; each name is imported when it is first used, so that
``import testbed`` costs nothing. Everything below ``testbed.model`` may be used as well: the values that it returns.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from testbed.analysis.analyse import analyse
    from testbed.api.captures import CaptureComparison, ComparedFlow, compare_captures
    from testbed.api.runs import RunResult, load_run, run_scenario
    from testbed.model.errors import BothendsError
    from testbed.model.version import VERSION as __version__  # noqa: N811 - the name that Python packages use

__all__ = [
    "BothendsError",
    "CaptureComparison",
    "ComparedFlow",
    "RunResult",
    "__version__",
    "analyse",
    "compare_captures",
    "load_run",
    "run_scenario",
]

_HOME = {
    "BothendsError": "testbed.model.errors",
    "CaptureComparison": "testbed.api.captures",
    "ComparedFlow": "testbed.api.captures",
    "RunResult": "testbed.api.runs",
    "analyse": "testbed.analysis.analyse",
    "compare_captures": "testbed.api.captures",
    "load_run": "testbed.api.runs",
    "run_scenario": "testbed.api.runs",
}


def __getattr__(name: str) -> object:
    """Import an exported name from its module (PEP 562)."""
    if name == "__version__":
        return import_module("testbed.model.version").VERSION
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
