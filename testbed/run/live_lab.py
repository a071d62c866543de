"""One run: a scenario through a lab into a run directory, and on to its analysis."""

from __future__ import annotations

import contextlib
import importlib
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.lab.engine import Progress
from testbed.lab.engine_kind import EngineFactory, InsideFactory, get_ready, run_id_for
from testbed.model import Analysis
from testbed.run.build_manifest import package_versions
from testbed.run.capture_files import CaptureFiles
from testbed.run.evaluate import evaluate
from testbed.run.finish import NOTHING_MORE, Finish
from testbed.run.scenario_to_lab import lab_spec
from testbed.run.through_guest import refusal, through_guest
from testbed.run.through_lab import Stepping, through_lab
from testbed.rundir.layout import RunDirectory

if TYPE_CHECKING:  # pydantic is slow to import: whoever has a scenario has imported what it needs
    from testbed.scenario.scenario import Scenario

ANALYSIS_MODULES = (
    "testbed.observe.probe.probe_log",
    "testbed.observe.calls_jsonl",
    "testbed.observe.kernel.kernel_jsonl",
    "testbed.observe.link_jsonl",
    "testbed.observe.kernel.trace_recording",
    "testbed.observe.trace.complete_log",
    "testbed.observe.trace.trace_calls",
    "testbed.capture.arrivals",
    "testbed.capture.directions",
    "testbed.capture.read_file",
    "testbed.analysis.join.join",
    "testbed.analysis.join.loopback_frames",
    "testbed.crossings.frame_labels",
    "testbed.analysis.analyse",
    "testbed.analysis.kernel.kernel_causes",
    "testbed.analysis.kernel.kernel_evidence",
    "testbed.analysis.kernel.packet_origins",
    "testbed.diagnosis.diagnose",
)
"""What a run needs once its lab is down: imported while the engine is busy bringing the lab up."""
TURN = 0.0005
"""How long a thread that imports keeps the interpreter from one that has an answer of the lab, in seconds."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A run that went to its end and has left its artefacts."""

    directory: RunDirectory
    analysis: Analysis


def run(
    scenario: Scenario,
    *,
    root: Path,
    make_engine: EngineFactory,
    progress: Progress,
    finish: Finish = NOTHING_MORE,
    stepping: Stepping | None = None,
) -> Finished:
    """Run a scenario once; artefacts go below ``root/runs``. With ``stepping`` gdb asks before each call.

    Raises BothendsError when the run could not be carried through; what was captured until then, and a manifest with
    the error, is in the run directory, which the error names (``kept``).
    """
    rest = begin(scenario, root=root, make_engine=make_engine, progress=progress, finish=finish, stepping=stepping)
    return rest()


def begin(
    scenario: Scenario,
    *,
    root: Path,
    make_engine: EngineFactory,
    progress: Progress,
    finish: Finish = NOTHING_MORE,
    stepping: Stepping | None = None,
) -> Callable[[], Finished]:
    """Run a scenario until its lab is no longer needed; call the answer for the rest, which waits until it is down.

    As :func:`run` otherwise. Raises BothendsError where the lab could not be carried through.
    """
    refused = refusal(scenario, make_engine)
    if refused is not None:
        raise refused
    spec = lab_spec(scenario, run_id_for(make_engine))
    get_ready(make_engine, progress)
    directory = RunDirectory.create(root, scenario.name, spec.run_id)
    captures = CaptureFiles(directory)
    ahead = threading.Thread(target=import_what_follows, args=(finish.modules,), daemon=True)
    ahead.start()
    pool = ThreadPoolExecutor(1)
    try:
        if isinstance(make_engine, InsideFactory):
            over = through_guest(scenario, spec, directory, make_engine, progress, stepping)
        else:
            over = through_lab(scenario, spec, directory, make_engine, progress, pool, stepping, captures)
    except BaseException:
        pool.shutdown()
        raise

    def rest() -> Finished:
        with pool:
            over.end()
            ahead.join()  # two threads that import at once wait for each other, or worse: see import_what_follows
            analysis = evaluate(directory, scenario, captures)
            finish.write(directory, analysis)
            directory.point_latest()
            over.down()
        return Finished(directory, analysis)

    return rest


def import_what_follows(modules: Sequence[str]) -> None:
    """Load ahead of its use what is needed once the lab has ended; a reason why that cannot be is told then.

    Under pytest no other thread may import meanwhile: it parses the modules of a plugin's package itself (to rewrite
    `assert`), which CPython 3.11 cannot do in two threads at once (SystemError: AST constructor recursion depth).
    """
    usual = sys.getswitchinterval()
    sys.setswitchinterval(TURN)
    try:
        with contextlib.suppress(OSError, ImportError, MemoryError):
            for module in (*ANALYSIS_MODULES, *modules):
                importlib.import_module(module)
            package_versions()
    finally:
        sys.setswitchinterval(usual)
