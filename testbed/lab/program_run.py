"""The programs of one run, from the first one's start to the last one's end: readiness, barriers, timeouts.

The same on every engine: all goes through the agents.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Mapping
from pathlib import Path

from testbed.lab import host_sockets
from testbed.lab.agent import Agent, AgentRefused
from testbed.lab.collected import Collected
from testbed.lab.engine import LiveLab, Progress
from testbed.lab.link_host import LinkDied, RunningLink
from testbed.lab.observers.hold_rules import CallHold
from testbed.lab.observers.make_observer import CallTrace, choose_observer, make_observer
from testbed.lab.observers.probe_observer import HostObserver
from testbed.lab.packet_watch import PacketWatch
from testbed.lab.running_program import (
    LabEvent,
    LinkDeath,
    PacketSeen,
    ProgramEvent,
    ProgramSpec,
    Readiness,
    RunningProgram,
    TapDeath,
)
from testbed.lab.wine import ServerDied
from testbed.model import Host, StopReason
from testbed.model.errors import Unsupported, UsageError
from testbed.observe.actor_events import explain
from testbed.scenario.language.kernel_names import NEW_OPTIONS, PACKET_BARRIER
from testbed.scenario.link.link_plan import LinkPlan

READY_POLL = 0.005
"""Seconds after which, when nothing happens, all parts of the lab are asked whether they are there."""
OVERTIME = 0.5
"""Seconds that all programs together have between SIGTERM and SIGKILL once the run's time is over."""
AFTER_FAILURE = 1.0
"""Seconds that the other programs may go on after one has failed."""


class ProgramRun:
    """The programs of a live lab. What comes of them is put into ``collected``, their output into ``directory``.

    ``observers`` gets each host's observer as its program starts. ``link`` and ``plan`` are None where no link host is.
    ``events`` is where ``link`` puts its death. ``hold`` is how long gdb, where it observes, holds each call.
    ``trace`` is what records each host's calls from the kernel, where that can be had.
    """

    def __init__(
        self,
        live: LiveLab,
        directory: Path,
        progress: Progress,
        *,
        collected: Collected,
        observers: dict[Host, HostObserver],
        events: queue.Queue[LabEvent],
        link: RunningLink | None,
        plan: LinkPlan | None,
        watches: Mapping[Host, PacketWatch],
        hold: CallHold,
        trace: Mapping[Host, CallTrace],
    ) -> None:
        self._live = live
        self._directory = directory
        self._progress = progress
        self._collected = collected
        self._observers = observers
        self._events = events
        self._link = link
        self._plan = plan
        self._watches = watches
        self._awaited: dict[tuple[Host, int], str] = {}
        self._hold = hold
        self._trace = trace
        self._programs: dict[Host, RunningProgram] = {}
        self._waiting: dict[str, set[Host]] = {}

    def run(self, specs: Mapping[Host, ProgramSpec], timeout: float) -> None:
        """Run the programs to their end, started in this order, each once the one before it is ready.

        ``timeout`` is in seconds. What goes wrong with them is in ``collected.failures``. Raises UsageError for a
        program that cannot be executed, LabError when a host is gone.
        """
        deadline = time.monotonic() + timeout
        try:
            if all(self._start(spec, deadline) for spec in specs.values()):
                self._serve(deadline)
        except LinkDied as died:
            self._cut_short(str(died), StopReason.LINK_DIED)
        except ServerDied as died:
            self._cut_short(str(died), StopReason.WINE_DIED)
        finally:
            for program in self._programs.values():
                program.stop(StopReason.RUN_ENDED)
                program.close()
                self._collected.incomplete += program.problems()
            self._collected.programs = [program.result() for program in self._programs.values()]
        for program in self._programs.values():
            self._judge(program)

    def _start(self, spec: ProgramSpec, deadline: float) -> bool:
        self._progress(f"starting the {spec.host}'s program")
        agent = self._live.hosts[spec.host]
        trace, debugger = self._trace.get(spec.host), self._live.debugger
        name, why = choose_observer(spec.observer, agent, spec.argv, spec.executable, debugger, trace=trace is not None)
        observer = make_observer(name, agent, spec.host, debugger, self._hold, trace)
        self._observers[spec.host] = observer
        self._collected.observers[spec.host] = name
        self._collected.notes += [f"{spec.host}: {why}"] if why else []
        environment = {**observer.environment, **spec.env}
        try:
            if spec.directories:
                agent.run(["mkdir", "-p", *spec.directories])
            program = RunningProgram(
                spec, observer.command(spec.argv), environment, agent, self._directory, self._events
            )
            self._programs[spec.host] = program
            observer.attach(program.process)
        except AgentRefused as error:
            raise UsageError(
                f"{spec.host}: cannot execute `{spec.argv[0]}` in image `{spec.image}`: {error.what}",
                hint=f"`invoke up` the scenario and `invoke shell {spec.host}` to look around in it",
            ) from error
        if spec.ready is None or self._wait_ready(program, spec.ready, agent, deadline):
            return True
        if not program.ended:
            program.stop(StopReason.NOT_READY)
            self._collected.failures.append(f"{spec.host}: was not ready in time: {spec.ready} was awaited")
        return False

    def _wait_ready(self, program: RunningProgram, ready: Readiness, agent: Agent, deadline: float) -> bool:
        kept: list[LabEvent] = []
        found = False
        while not found and time.monotonic() < deadline:
            if ready.kind == "event":
                try:
                    event = self._events.get(timeout=max(0.0, deadline - time.monotonic()))
                except queue.Empty:
                    break
                if isinstance(event, LinkDeath | TapDeath):
                    kept.append(event)
                    break
                if self._goes_on(event):
                    continue
                assert isinstance(event, ProgramEvent)  # noqa: S101 - the others are handled
                kept.append(event)
                if event.actor is None:
                    break
                found = event.actor.event == "listening"
            else:
                if program.ended:
                    break
                program.check()
                found = host_sockets.is_bound(agent, ready)
                if not found:
                    time.sleep(READY_POLL)
        for event in kept:
            self._events.put(event)
        return found

    def _serve(self, deadline: float) -> None:
        """Handle events until all programs have ended or the time is over."""
        while not all(program.ended for program in self._programs.values()):
            try:
                event = self._events.get(timeout=min(max(0.0, deadline - time.monotonic()), self._live.look))
            except queue.Empty:
                self._check_agents()
                if time.monotonic() < deadline:
                    continue
                self._time_is_over()
                return
            if isinstance(event, LinkDeath):
                assert self._link is not None  # noqa: S101 - it has died
                raise self._link.death()
            if isinstance(event, TapDeath):
                self._cut_short(f"the capture at the {event.host} ended", StopReason.CAPTURE_ENDED)
                return
            if self._goes_on(event):
                continue
            assert isinstance(event, ProgramEvent)  # noqa: S101 - the others are handled
            if event.problem:
                self._collected.failures.append(f"{event.host}: {event.problem}")
            elif event.actor is None:
                deadline = self._after_end(self._programs[event.host], deadline)
            elif event.actor.event == "barrier":
                self._meet(event.host, event.actor.name or "")
            elif event.actor.failed:
                deadline = min(deadline, time.monotonic() + AFTER_FAILURE)

    def _check_agents(self) -> None:
        """Raise LabError if a part of the lab is gone or does not answer: then nobody can say what its programs do."""
        for agent in (*self._live.hosts.values(), *self._live.taps.values()):
            agent.check()
        for program in self._programs.values():
            program.check()

    def _time_is_over(self) -> None:
        failed = any(program.failed_step is not None or program.ended_otherwise for program in self._programs.values())
        running = [program for program in self._programs.values() if not program.ended]
        why = StopReason.OTHER_FAILED if failed else StopReason.TIMEOUT
        for program in running:
            program.ask_to_stop(why)
            if not failed:
                waiting = [name for name, hosts in self._waiting.items() if program.spec.host in hosts]
                where = f" at barrier `{waiting[0]}`" if waiting else ""
                awaited = [text for (host, _), text in self._awaited.items() if host == program.spec.host]
                where = f" and waiting for the packet `{awaited[0]}`" if awaited else where
                self._collected.failures.append(f"{program.spec.host}: still running{where} when the time was over")
        over = time.monotonic() + OVERTIME
        for program in running:
            program.stop(why, max(0.0, over - time.monotonic()))

    def _after_end(self, ended: RunningProgram, deadline: float) -> float:
        """React to one program's end; return the new deadline."""
        if ended.process.exit is None:
            raise self._live.hosts[ended.spec.host].gone_error()
        for other in self._programs.values():
            if other.ended:
                continue
            if other.spec.stop_with_client and ended.spec.host == "client":
                other.stop(StopReason.CLIENT_ENDED)
            elif ended.ended_otherwise:
                deadline = min(deadline, time.monotonic() + AFTER_FAILURE)
                continue
            for name, hosts in self._waiting.items():
                if other.spec.host in hosts:
                    self._collected.failures.append(
                        f"{other.spec.host}: waits at barrier `{name}`, but the {ended.spec.host}'s program has ended"
                    )
                    other.stop(StopReason.ALONE_AT_BARRIER)
        return deadline

    def _meet(self, host: Host, name: str) -> None:
        """Note that a host has come to a barrier; let all go on once the last one has."""
        hosts = self._waiting.setdefault(name, set())
        hosts.add(host)
        if len(hosts) == len(self._live.hosts):
            del self._waiting[name]
            if self._link is not None:
                self._link.pass_barrier(name)
            for program in self._programs.values():
                program.release(name)

    def _goes_on(self, event: LabEvent) -> bool:
        """Handle what lets a step go on that waits for something else than the other host; False for other events."""
        if isinstance(event, PacketSeen):
            if self._awaited.pop((event.host, event.step), None) is not None:
                self._programs[event.host].release(f"{PACKET_BARRIER}{event.step}")
            return True
        if not isinstance(event, ProgramEvent) or event.actor is None or event.actor.event != "barrier":
            return False
        watch, step = self._watches.get(event.host), event.actor.step
        if watch is not None and step is not None and watch.waits_at(step):
            self._awaited[event.host, step] = watch.describe(step)
            watch.begin(step)
            return True
        return self._changes_link(event)

    def _changes_link(self, event: ProgramEvent) -> bool:
        """Carry out a step that changes the link, and let its host go on; False if the event is another."""
        actor = event.actor
        if actor is None or actor.event != "barrier" or actor.step is None or self._plan is None:
            return False
        change = self._plan.changes.get((event.host, actor.step))
        if change is None:
            return False
        assert self._link is not None  # noqa: S101 - a scenario with a plan is routed
        self._link.change(change)
        self._programs[event.host].release(actor.name or "")
        return True

    def _cut_short(self, why: str, stopped: StopReason) -> None:
        self._collected.cut_short = why
        for program in self._programs.values():
            program.ask_to_stop(stopped)
        for program in self._programs.values():
            program.stop(stopped)

    def _judge(self, program: RunningProgram) -> None:
        """Note a failure if a program ended otherwise than the scenario says; Unsupported for what its kernel lacks."""
        spec = program.spec
        step = program.failed_step
        if step is not None and step.errno in ("ENOPROTOOPT", "ENOENT") and step.name in NEW_OPTIONS:
            raise Unsupported(
                f"the {spec.host}'s kernel has no {step.name}: {step.call} gave {step.errno}",
                hint=NEW_OPTIONS[step.name],
            )
        if program.failed_step is not None:
            self._collected.failures.append(explain(program.failed_step, host=spec.host))
        elif program.ended_otherwise:
            self._collected.failures.append(program.how_it_ended(self._collected.observers[spec.host]))
