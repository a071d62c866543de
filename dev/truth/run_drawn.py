"""Run drawn scenarios in namespaces with the kernel trace, in worker processes, and compare each."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from dev.truth.compare_run import Disagreement, Tally, compare_run
from dev.truth.draw_scenario import Document, as_scenario, draw_scenario
from testbed.lab.choose_engine import NAMESPACE, choose
from testbed.lab.engine_kind import EngineFactory
from testbed.model.errors import BothendsError, ScenarioError
from testbed.run.live_lab import run


@dataclass(frozen=True, slots=True)
class Measured:
    """One scenario, its tally and what was wrong; ``number`` is None for one that was not drawn but made smaller."""

    number: int | None
    document: Document
    tally: Tally
    disagreements: tuple[Disagreement, ...]


def measure_number(seed: int, number: int) -> Measured:
    """Draw a scenario, run it and compare."""
    return measure(draw_scenario(seed, number), number)


def measure(document: Document, number: int | None = None) -> Measured:
    """Run a document's scenario and compare. A run that cannot be carried through is skipped, with the reason."""
    root = Path(tempfile.mkdtemp(prefix="bothends-truth-"))
    try:
        scenario = as_scenario({**document, "observe": {"kernel": True, "kernel_buffer": "32MiB"}}, "drawn")
        finished = run(scenario, root=root, make_engine=_engine(), progress=lambda _: None)
        analysis = finished.analysis
        if analysis.inputs.cut_short or analysis.inputs.incomplete:
            reason = analysis.inputs.cut_short or analysis.inputs.incomplete[0]
            return Measured(number, document, _skipped(reason), ())
        tally, found = compare_run(document, analysis)
        return Measured(number, document, tally, found)
    except ScenarioError:
        raise
    except BothendsError as error:
        return Measured(number, document, _skipped(error.what), ())
    finally:
        with contextlib.suppress(OSError):
            shutil.rmtree(root)


def _skipped(reason: str) -> Tally:
    tally = Tally(runs=1)
    tally.skipped[reason.splitlines()[0][:100]] += 1
    return tally


@cache
def _engine() -> EngineFactory:
    return choose(NAMESPACE).make
