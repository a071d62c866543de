"""One run: a scenario through a lab into a run directory, and on to its meaning."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import io
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from testbed.lab import kernel_trace, pinned_sysctls
from testbed.lab.choose_engine import EngineFactory
from testbed.lab.collected import Collected
from testbed.lab.engine import ACTOR, INTERFACE, PROBE_ENVIRONMENT, Engine, HostSpec, LabSpec, LiveLab, Progress
from testbed.lab.identity import new_run_id
from testbed.lab.observers.hold_rules import ForTime, Hold
from testbed.lab.running_program import ProgramSpec, Ready
from testbed.lab.session import Session
from testbed.model import HOSTS, Analysis, Host
from testbed.model.errors import BothendsError, CaptureError, EngineError
from testbed.run import manifest
from testbed.run.evaluate import SCENARIO_COPY, evaluate, write_result
from testbed.rundir.layout import KERNEL, MANIFEST, RECORDING, RunDirectory

if TYPE_CHECKING:
    from testbed.capture.arrivals import Arrivals
    from testbed.cli.step_command import StepperMaker
    from testbed.scenario.link.link_plan import LinkPlan
    from testbed.scenario.scenario import Scenario

AFTER_THE_LAB = (
    "testbed.observe.probe.probe_log",
    "testbed.observe.calls_jsonl",
    "testbed.capture",
    "testbed.analysis.join.join",
    "testbed.crossings.frame_labels",
    "testbed.analysis.analyse",
    "testbed.report.json.result_json",
    "testbed.report.text.run_summary",
    "rich.console",
)
TRACERS = ("gdb", "strace")


@dataclass(frozen=True, slots=True)
class Finished:
    """A run that has left its artefacts; ``result`` is what ``result.json`` holds."""

    directory: RunDirectory
    analysis: Analysis
    result: dict[str, Any]


def run(
    scenario: Scenario,
    *,
    root: Path,
    make_engine: EngineFactory,
    progress: Progress,
    make_stepper: StepperMaker | None = None,
) -> Finished:
    """Run a scenario once; artefacts go below ``root/runs``. With ``make_stepper`` calls under gdb wait for its word.

    Raises BothendsError when the run could not be carried through; what was captured until then, and a manifest with
    the error, is in the run directory, which the error names (``kept``).
    """
    spec = lab_spec(scenario)
    directory = RunDirectory.create(root, scenario.name, spec.run_id)
    warm_up = threading.Thread(target=_import_analysis, daemon=True)
    warm_up.start()
    with ThreadPoolExecutor(1) as pool:
        down = _through_lab(scenario, spec, directory, make_engine, progress, pool, make_stepper)
        analysis = evaluate(directory, scenario)
        result = write_result(directory, analysis)
        directory.point_latest()
        down()
    return Finished(directory, analysis, result)


def lab_spec(scenario: Scenario) -> LabSpec:
    """Say what lab a scenario needs; the run gets its id here."""
    run_id = new_run_id()
    return LabSpec(
        run_id=run_id,
        hosts={
            host: HostSpec(
                described.image,
                pinned_sysctls.for_host(described.sysctl),
                pinned_sysctls.congestion_control(described.sysctl),
                debugger=getattr(scenario.observe, host) in TRACERS,
                route_options=described.route.words,
            )
            for host, described in scenario.hosts.items()
        },
        ip=scenario.ip,
        routed=scenario.routed,
        witness=_recorder(scenario, run_id) if scenario.observe.kernel else (),
    )


def _recorder(scenario: Scenario, run_id: str) -> tuple[str, ...]:
    observe = scenario.observe
    arrivals = observe.kernel_arrivals
    if arrivals is None:
        arrivals = all(host.steps is not None for host in scenario.hosts.values())
    return kernel_trace.command(run_id, buffer=observe.kernel_buffer, arrivals=arrivals)


def egress_of(scenario: Scenario) -> dict[Host, int]:
    """Return the rate of each host whose interface is slowed down, in bits per second."""
    return {host: described.egress for host, described in scenario.hosts.items() if described.egress is not None}


def hold_of(scenario: Scenario) -> Hold | None:
    """Return how long gdb holds each call; None where the scenario does not say."""
    return ForTime(scenario.observe.hold / 1000) if scenario.observe.hold is not None else None


def plan_of(scenario: Scenario, live: LiveLab) -> LinkPlan | None:
    """Return what the link host of a lab that is up shall do; None without one."""
    if live.link is None:
        return None
    from testbed.scenario.link.link_plan import link_plan

    return link_plan(scenario, live.addresses, live.link.addresses)


def _through_lab(
    scenario: Scenario,
    spec: LabSpec,
    directory: RunDirectory,
    make_engine: EngineFactory,
    progress: Progress,
    pool: ThreadPoolExecutor,
    make_stepper: StepperMaker | None,
) -> Callable[[], None]:
    """Bring a lab up, run in it, write the artefacts; return what waits for its going down."""
    started = datetime.now(UTC)
    live: LiveLab | None = None
    session: Session | None = None
    error = ""
    engine = make_engine(progress)
    try:
        directory.write_text(SCENARIO_COPY, scenario.source)
        live = _bring_up(engine, spec, scenario)
        stepper = make_stepper(live, directory.path) if make_stepper is not None else None
        session = Session(
            live,
            directory.path,
            progress,
            plan=plan_of(scenario, live),
            hold=stepper or hold_of(scenario),
            needs_witness=scenario.observe.kernel is True,
        )
        session.start_taps(offloads=scenario.offloads, egress=egress_of(scenario))
        session.run(program_specs(scenario, live.addresses), scenario.timeout)
        session.settle()
        if stepper is not None:
            stepper.finish()
        session.prove()
        session.collect()
    except BaseException as caught:
        error = str(caught) or type(caught).__name__
        deaths = "; ".join(filter(None, (engine.describe_death(host) for host in HOSTS))) if live else ""
        if isinstance(caught, BothendsError):
            caught.state = "; ".join(filter(None, (caught.state, deaths)))
            caught.kept = str(directory)
        if session is not None:
            progress("keeping what was captured")
            session.salvage()
        raise
    finally:
        # From here on the lab is only in the way: it goes down while we write and analyse.
        down = pool.submit(engine.take_down)
        write_artefacts(
            scenario,
            spec,
            directory,
            started,
            live,
            session.collected if session else None,
            error,
            by_hand=make_stepper is not None,
        )
        if error:
            _wait_down(down.result, error, str(directory))
    return down.result


def _bring_up(engine: Engine, spec: LabSpec, scenario: Scenario) -> LiveLab:
    try:
        return engine.bring_up(spec)
    except pinned_sysctls.BadSysctlError as bad:
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


def write_artefacts(
    scenario: Scenario,
    spec: LabSpec,
    directory: RunDirectory,
    started: datetime,
    live: LiveLab | None,
    collected: Collected | None,
    error: str,
    *,
    by_hand: bool = False,
) -> None:
    """Write call logs and manifest, whatever there is; ``by_hand``: calls were made or let go by a person."""
    observed: dict[Host, str] = {"client": scenario.observe.client, "server": scenario.observe.server}
    if collected is not None:
        _write_calls(directory, collected)
        if live is not None:
            _write_kernel(directory, live, collected, needed=scenario.observe.kernel is True)
    source = scenario.source.encode()
    directory.write_json(
        MANIFEST,
        manifest.build(
            scenario={
                "name": scenario.name,
                "summary": scenario.summary,
                "path": str(scenario.path),
                "sha256": hashlib.sha256(source).hexdigest(),
                "settings": scenario.settings,
                "seed": scenario.seed,
                "timeout_s": scenario.timeout,
                "offloads": scenario.offloads,
                "by_hand": by_hand,
            },
            spec=spec,
            started=started,
            observed=observed,
            live=live,
            collected=collected,
            error=error,
            witness=witness_wanted(scenario),
        ),
    )


def witness_wanted(scenario: Scenario) -> str:
    """Say whether the kernel's trace is ``demanded``, ``offered`` or ``none``."""
    wanted = scenario.observe.kernel
    return "offered" if wanted == "offered" else "demanded" if wanted else "none"


def _write_calls(directory: RunDirectory, collected: Collected) -> None:
    from testbed.observe.calls_jsonl import write_jsonl

    for host in HOSTS:
        lines = io.StringIO()
        write_jsonl(collected.calls.get(host, ()), lines)
        directory.write_text(f"{host}.calls.jsonl", lines.getvalue())


def _write_kernel(directory: RunDirectory, live: LiveLab, collected: Collected, *, needed: bool) -> None:
    """Turn the witness's recording into ``kernel.jsonl``; what is wrong with it is noted."""
    recording = directory.file(RECORDING)
    if not recording.exists():
        return
    from testbed.observe.kernel.kernel_jsonl import write_jsonl
    from testbed.observe.kernel.trace_recording import decode

    try:
        log = decode(
            recording,
            {host: [live.addresses[host]] for host in HOSTS},
            INTERFACE,
            lambda: _arrivals(directory, live.addresses),
        )
    except CaptureError as error:
        problems: tuple[str, ...] = (error.what,)
    else:
        lines = io.StringIO()
        write_jsonl(log, lines)
        directory.write_text(KERNEL, lines.getvalue())
        problems = log.problems
    finally:
        recording.unlink()
    (collected.incomplete if needed else collected.notes).extend(problems)


def _arrivals(directory: RunDirectory, addresses: Mapping[Host, str]) -> dict[Host, Arrivals]:
    """Read what came to each host that has a capture; what is wrong with one is told where it is evaluated."""
    from testbed.capture import read
    from testbed.capture.arrivals import Arrivals

    found = {}
    for host in HOSTS:
        with contextlib.suppress(CaptureError):
            found[host] = Arrivals(read(directory.file(f"{host}.pcap")), addresses[host])
    return found


def program_specs(scenario: Scenario, addresses: Mapping[Host, str]) -> dict[Host, ProgramSpec]:
    """Turn a scenario's programs into what the session starts, with the lab's addresses filled in."""
    return {
        "server": _program_spec(scenario, "server", addresses, ready=_server_ready(scenario)),
        "client": _program_spec(scenario, "client", addresses, ready=None),
    }


def _server_ready(scenario: Scenario) -> Ready | None:
    server = scenario.server
    if server.steps is not None:
        return Ready("event") if server.announces else None
    if server.ready is None:
        return None
    return Ready("udp", server.ready.udp) if server.ready.udp is not None else Ready("tcp", server.ready.port or 0)


def _program_spec(scenario: Scenario, host: Host, addresses: Mapping[Host, str], *, ready: Ready | None) -> ProgramSpec:
    from testbed.scenario.language.values import fill
    from testbed.scenario.steps.actor_script import actor_script

    described = scenario.hosts[host]
    observer = scenario.observe.server if host == "server" else scenario.observe.client
    script = None
    if described.steps is not None:
        family: Literal["inet", "inet6"] = "inet" if scenario.ip == 4 else "inet6"
        script = actor_script(described.steps, family=family, addresses=addresses, seed=scenario.seed)
    return ProgramSpec(
        host=host,
        argv=tuple(fill(word, addresses) for word in described.command or ACTOR),
        image=described.image,
        env={
            **(PROBE_ENVIRONMENT if observer == "probe" else {}),
            **{name: fill(value, addresses) for name, value in described.env.items()},
        },
        script=script,
        ready=ready,
        stop_with_client=host == "server" and scenario.server.until == "client-ends",
        expected_exit=described.ends,
        observer=observer,
    )


def _import_analysis() -> None:
    """Import what comes after the lab while the engine is busy starting containers."""
    for module in AFTER_THE_LAB:
        importlib.import_module(module)
    manifest.package_versions()
