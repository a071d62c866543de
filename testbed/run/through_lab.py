"""Bring a lab up for a scenario, run its programs in it, write the artefacts, take the lab down."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from testbed.lab.engine import Engine, LabSpec, LiveLab, Progress
from testbed.lab.engine_kind import EngineFactory
from testbed.lab.observers.hold_rules import CallStepper, Dialogue
from testbed.lab.pinned_sysctls import BadSysctlError
from testbed.lab.session import Session
from testbed.model.errors import BothendsError, EngineError
from testbed.run.artefacts import write_artefacts
from testbed.run.capture_files import CaptureFiles
from testbed.run.interruption import may_be_hurried, not_interrupted
from testbed.run.scenario_to_lab import (
    capture_buffer_of,
    egress_of,
    hold_of,
    loopbacks_of,
    mtu_of,
    packet_waits_of,
    plan_of,
    program_specs,
    traced_programs,
)
from testbed.rundir.layout import SCENARIO_COPY, RunDirectory

if TYPE_CHECKING:  # pydantic is slow to import: whoever has a scenario has imported what it needs
    from testbed.scenario.scenario import Scenario

MakeStepper = Callable[[LiveLab, Path, Dialogue], CallStepper]
"""Makes what gdb asks before and after each call, of a lab that is up, the run directory and whoever answers."""


class LabOver(NamedTuple):
    """What is left of a lab whose programs have ended.

    ``end`` collects what it knows, lets it go down and writes the artefacts, ``down`` waits until it is removed. Both
    raise BothendsError as :func:`testbed.run.live_lab.run` does.
    """

    end: Callable[[], None]
    down: Callable[[], None]


class Stepping(NamedTuple):
    """A run whose calls a person lets go one by one. ``make_stepper`` can be pickled: it may be wanted elsewhere."""

    make_stepper: MakeStepper
    dialogue: Dialogue


def through_lab(
    scenario: Scenario,
    spec: LabSpec,
    directory: RunDirectory,
    make_engine: EngineFactory,
    progress: Progress,
    pool: ThreadPoolExecutor,
    stepping: Stepping | None,
    captures: CaptureFiles | None = None,
) -> LabOver:
    """Bring a lab up and run in it; return what is left to do, for any thread.

    The lab goes down in ``pool``, after an error as well; then the artefacts are written at once. ``captures`` are
    those of the directory, where they are wanted afterwards too. Raises BothendsError as
    :func:`testbed.run.live_lab.run` does.
    """
    started = datetime.now(UTC)
    live: LiveLab | None = None
    session: Session | None = None
    down: Future[None] | None = None
    engine = make_engine(progress)

    def write(error: str = "") -> None:
        with not_interrupted():
            write_artefacts(
                scenario,
                spec,
                directory,
                started,
                live,
                session.collected if session else None,
                error,
                by_hand=stepping is not None,
                captures=captures,
            )

    @contextmanager
    def kept() -> Iterator[None]:
        """Keep what there is if the lab fails, and remove it."""
        error = ""
        try:
            yield
        except BaseException as caught:
            error = str(caught) or type(caught).__name__
            deaths = "; ".join(filter(None, (engine.describe_death(host) for host in live.hosts))) if live else ""
            if isinstance(caught, BothendsError):
                caught.state = "; ".join(filter(None, (caught.state, deaths)))
                caught.kept = str(directory)
            if session is not None:
                progress("keeping what was captured")
                with may_be_hurried():
                    session.salvage()
            raise
        finally:
            if error:
                removed = pool.submit(engine.take_down)
                write(error)
                _wait_down(removed.result, error, str(directory))

    with kept():
        directory.write_text(SCENARIO_COPY, scenario.source)
        live = _bring_up(engine, spec, scenario)
        stepper = stepping.make_stepper(live, directory.path, stepping.dialogue) if stepping is not None else None
        session = Session(
            live,
            directory.path,
            progress,
            plan=plan_of(scenario, live),
            hold=stepper or hold_of(scenario),
            needs_witness=scenario.observe.kernel is True,
            traced=traced_programs(scenario, spec.run_id),
            run_id=spec.run_id,
            packet_waits=packet_waits_of(scenario),
            loopbacks=loopbacks_of(scenario),
            capture_buffer=capture_buffer_of(scenario),
        )
        session.start_taps(offloads=scenario.offloads, egress=egress_of(scenario), mtu=mtu_of(scenario))
        session.run(program_specs(scenario, spec, live.addresses), scenario.timeout)
        session.settle()
        if stepper is not None:
            stepper.finish()
        session.prove()

    def end() -> None:
        nonlocal down
        with kept():
            session.collect()
        # From here on the lab is only in the way: it goes down while we write and analyse.
        down = pool.submit(engine.take_down)
        write()

    def wait_down() -> None:
        if down is not None:
            down.result()

    return LabOver(end, wait_down)


def _bring_up(engine: Engine, spec: LabSpec, scenario: Scenario) -> LiveLab:
    try:
        return engine.bring_up(spec)
    except BadSysctlError as bad:
        from testbed.scenario.refused import sysctl_refused

        raise sysctl_refused(scenario, bad.name, bad.what, bad.hint) or bad from bad


def _wait_down(wait: Callable[[], None], error: str, kept: str) -> None:
    """Wait for the lab's removal after a failure; a second failure must not hide the first."""
    try:
        wait()
    except EngineError as second:
        both = EngineError(f"{error}\n{second.what}", hint=second.hint)
        both.kept = kept
        raise both from second
