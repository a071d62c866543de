"""Run drawn scenarios in namespaces with the kernel trace, in worker processes, and compare each.

A run may be kept, in a directory named after its number, so that changed rules can be measured again on the same runs.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from dev.kept_engine import kept_engine
from dev.truth.compare_run import Tally, compare_run
from dev.truth.disagreement import Disagreement
from dev.truth.draw_scenario import Document, as_scenario, draw_scenario
from testbed.model import Analysis
from testbed.model.errors import BothendsError, ScenarioError
from testbed.run.evaluate import evaluate
from testbed.run.live_lab import run
from testbed.rundir.layout import RunDirectory

_DOCUMENT = "drawn.json"


@dataclass(frozen=True, slots=True)
class Measured:
    """One scenario, its tally and what was wrong; ``number`` is None for one that was not drawn but made smaller."""

    number: int | None
    document: Document
    tally: Tally
    disagreements: tuple[Disagreement, ...]


def measure_number(seed: int, number: int, keep: Path | None = None) -> Measured:
    """Draw a scenario, run it and compare; with ``keep`` the run stays below that directory."""
    return measure(draw_scenario(seed, number), number, None if keep is None else keep / f"{number:06}")


def measure(document: Document, number: int | None = None, keep: Path | None = None) -> Measured:
    """Run a document's scenario and compare. A run that cannot be carried through is skipped, with the reason."""
    root = Path(tempfile.mkdtemp(prefix="bothends-truth-"))
    try:
        scenario = as_scenario({**document, "observe": {"kernel": True, "kernel_buffer": "32MiB"}}, "drawn")
        finished = run(scenario, root=root, make_engine=kept_engine(), progress=lambda _: None)
        if keep is not None:
            (finished.directory.path / _DOCUMENT).write_text(json.dumps(document), encoding="utf-8")
            keep.parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(keep, ignore_errors=True)
            shutil.move(finished.directory.path, keep)
        return _compared(document, finished.analysis, number)
    except ScenarioError:
        raise
    except BothendsError as error:
        return Measured(number, document, _skipped(error.what), ())
    finally:
        with contextlib.suppress(OSError):
            shutil.rmtree(root)


def measure_kept(path: Path) -> Measured:
    """Compare a run that was kept, by the rules as they are now."""
    document: Document = json.loads((path / _DOCUMENT).read_text(encoding="utf-8"))
    return _compared(document, evaluate(RunDirectory(path)), int(path.name))


def kept_runs(directory: Path) -> list[Path]:
    """Return the runs that are kept in a directory, in the order of their numbers."""
    return sorted(path.parent for path in directory.glob(f"*/{_DOCUMENT}"))


def _compared(document: Document, analysis: Analysis, number: int | None) -> Measured:
    if analysis.inputs.cut_short or analysis.inputs.incomplete:
        return Measured(number, document, _skipped(analysis.inputs.cut_short or analysis.inputs.incomplete[0]), ())
    tally, found = compare_run(document, analysis)
    return Measured(number, document, tally, found)


def _skipped(reason: str) -> Tally:
    tally = Tally(runs=1)
    tally.skipped[reason.splitlines()[0][:100]] += 1
    return tally
