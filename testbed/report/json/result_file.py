"""``result.json`` of a run directory."""

from __future__ import annotations

from typing import Any

from testbed.model import Analysis
from testbed.report.json.result_json import to_json
from testbed.rundir.layout import RESULT, RunDirectory
from testbed.rundir.manifest import meta


def result_of(directory: RunDirectory, analysis: Analysis) -> dict[str, Any]:
    """Return what ``result.json`` of a run holds."""
    return to_json(analysis, meta(directory))


def write_result(directory: RunDirectory, analysis: Analysis) -> None:
    """Write ``result.json``. Raises BothendsError if the disk takes no more."""
    directory.write_json(RESULT, result_of(directory, analysis))
