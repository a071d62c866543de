"""What is done with a run once it is analysed. Passed in from above: a run knows nothing of reports."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from testbed.model import Analysis
from testbed.rundir.layout import RunDirectory


@dataclass(frozen=True, slots=True)
class Finish:
    """What is done with a run's analysis before ``latest`` points to the run: reports are written, for instance.

    ``write`` is called while the lab goes down; ``modules`` are those that it needs, imported while the lab comes up.
    """

    write: Callable[[RunDirectory, Analysis], None]
    modules: Sequence[str] = ()


NOTHING_MORE = Finish(lambda _directory, _analysis: None)
"""For runs of which the artefacts and the analysis are enough."""
