"""What `invoke run` shows and writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # every `invoke run` imports this module, few write reports for a CI system
    from testbed.report.ci.ci_files import CiFiles


@dataclass(frozen=True, slots=True)
class Outputs:
    """What `invoke run` shows and writes besides the run directory.

    ``pages``: each run's page and annotated capture. ``ci``: reports for a CI system of what was run, even if it was
    interrupted.
    """

    as_json: bool = False
    quiet: bool = False
    pages: bool = False
    ci: CiFiles | None = None
