"""The time between a lab's coming up and its going down: run both programs, settle, prove, collect.

The same on every engine: all goes through the agents.
"""

from __future__ import annotations

import contextlib
import queue
import secrets
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from testbed.lab import host_sockets, tcp_table
from testbed.lab.agent import Agent, AgentRefused
from testbed.lab.collected import Collected
from testbed.lab.engine import INTERFACE, LiveLab, Progress
from testbed.lab.kernel_trace import Witness, unsupported
from testbed.lab.link_host import Link, LinkDied
from testbed.lab.observers.hold_rules import Hold, UntilQuiet
from testbed.lab.observers.observers import HostObserver, ProbeObserver, make_observer
from testbed.lab.pinned_sysctls import parse_listing
from testbed.lab.running_program import Event, ProgramSpec, Ready, RunningProgram
from testbed.lab.tcpdump import SENTINEL_PREFIX, Tap, parse_features
from testbed.model import HOSTS, Host, peer_of
from testbed.model.errors import LabError, UsageError
from testbed.observe.actor_events import explain
from testbed.rundir.layout import RECORDING
from testbed.scenario.link.link_plan import LinkPlan

READY_POLL = 0.005
SETTLE_POLL = 0.005
SETTLE_LIMIT = 3.0
"""Seconds to wait for the kernels to finish (FINs answered, data acknowledged) once both programs have ended."""
SENTINEL_TIMEOUT = 5.0
AFTER_FAILURE = 1.0
"""Seconds that one program may go on after the other has failed."""


class Session:
    """One run in a live lab; artefacts go to ``directory`` as they arise.

    ``needs_witness``: without the kernel's trace there is no run; otherwise it is left out with a note where it cannot
    be.
    ``plan`` is what its link host, if there is one, shall do. ``hold`` is how long gdb, where it observes, holds each
    call; default: until the wire is quiet.
    """

    def __init__(
        self,
        live: LiveLab,
        directory: Path,
        progress: Progress,
        *,
        plan: LinkPlan | None = None,
        hold: Hold | None = None,
        needs_witness: bool = False,
    ) -> None:
        self.live = live
        self.collected = Collected()
        self._directory = directory
        self._progress = progress
        self._events: queue.Queue[Event] = queue.Queue()
        self._programs: dict[Host, RunningProgram] = {}
        self._hold = hold or UntilQuiet(self.captured)
        self._observers: dict[Host, HostObserver] = {
            host: ProbeObserver(agent, host) for host, agent in live.hosts.items()
        }
        self._waiting: dict[str, set[Host]] = {}
        self._seen: dict[Host, bool] = {}
        self._taps = {host: Tap(host, agent, directory / f"{host}.pcap") for host, agent in live.taps.items()}
        self._plan = plan
        self._link: Link | None = None
        if live.link is not None and plan is not None:
            self._link = Link(live.link, plan.ip, directory, lambda: self._events.put(Event("client", link_died=True)))

        self._needs_witness = needs_witness
        self._witness = Witness(live.witness, directory / RECORDING) if live.witness is not None else None

    def start_taps(self, *, offloads: bool, egress: Mapping[Host, int]) -> None:
        """Prepare and start taps, link and witness; return when all of them record and packets pass.

        ``egress`` holds the rate in bits per second of each host whose interface is slowed down.
        """
        with ThreadPoolExecutor(4) as pool:
            linked = pool.submit(self._start_link)
            witnessed = pool.submit(self._start_witness)
            list(
                pool.map(
                    lambda tap: self._start_tap(tap, offloads=offloads, rate=egress.get(tap.host)), self._taps.values()
                )
            )
            linked.result()
            witnessed.result()

    def _start_witness(self) -> None:
        refusal = unsupported(self.live.witness_refused) if self.live.witness_refused else None
        if self._witness is not None:
            refusal = self._witness.wait_ready()
        if refusal is None:
            return
        if self._needs_witness:
            raise refusal
        self._witness = None
        self.collected.notes.append(f"no witness: {refusal.what}")

    def _start_link(self) -> None:
        if self._link is not None and self._plan is not None:
            self._link.prepare()
            self._link.start(self._plan)

    def _start_tap(self, tap: Tap, *, offloads: bool, rate: int | None) -> None:
        routed = tap.begin_routes(self.live.routes[tap.host])
        if not offloads:
            tap.turn_off_offloads()
        if rate is not None:
            tap.slow_down(rate)
        tap.start()
        routed()

    def captured(self) -> int:
        """Return how many bytes both captures have so far."""
        return sum(tap.path.stat().st_size for tap in self._taps.values() if tap.path.exists())

    # Programs

    def run(self, specs: Mapping[Host, ProgramSpec], timeout: float) -> None:
        """Run both programs to their end, the server first. What goes wrong with them is in ``collected.failures``."""
        deadline = time.monotonic() + timeout
        try:
            if self._start(specs["server"], deadline):
                self._start(specs["client"], deadline)
                self._serve(deadline)
        except LinkDied:
            self._link_died()
        finally:
            for program in self._programs.values():
                program.stop("the run ended")
                program.close()
                self.collected.incomplete += program.problems()
            self.collected.programs = [program.result() for program in self._programs.values()]
        for program in self._programs.values():
            self._judge(program)

    def _start(self, spec: ProgramSpec, deadline: float) -> bool:
        self._progress(f"starting the {spec.host}'s program")
        agent = self.live.hosts[spec.host]
        observer = self._observers[spec.host] = make_observer(
            spec.observer, agent, spec.host, self.live.debugger, self._hold
        )
        try:
            program = RunningProgram(spec, observer.command(spec.argv), agent, self._directory, self._events)
        except AgentRefused as error:
            raise UsageError(
                f"{spec.host}: cannot execute `{spec.argv[0]}` in image `{spec.image}`: {error.what}",
                hint=f"`invoke up` the scenario and `invoke shell {spec.host}` to look around in it",
            ) from error
        self._programs[spec.host] = program
        observer.attach(program.process)
        if spec.ready is None or self._wait_ready(program, spec.ready, agent, deadline):
            return True
        if not program.ended:
            program.stop("not ready in time")
            wanted = f"{spec.ready.kind} port {spec.ready.port}" if spec.ready.port else "its socket to be bound"
            self.collected.failures.append(f"{spec.host}: was not ready in time (awaited: {wanted})")
        return False

    def _wait_ready(self, program: RunningProgram, ready: Ready, agent: Agent, deadline: float) -> bool:
        kept: list[Event] = []
        found = False
        while not found and time.monotonic() < deadline:
            if ready.kind == "event":
                try:
                    event = self._events.get(timeout=max(0.0, deadline - time.monotonic()))
                except queue.Empty:
                    break
                if self._changes_link(event):
                    continue
                kept.append(event)
                if event.link_died:
                    break
                found = event.actor is not None and event.actor.event == "listening"
                if event.actor is None:
                    break
            else:
                if program.ended:
                    break
                found = host_sockets.is_bound(agent, ready)
                if not found:
                    time.sleep(READY_POLL)
        for event in kept:
            self._events.put(event)
        return found

    def _serve(self, deadline: float) -> None:
        """Handle events until both programs have ended or the time is over."""
        client, server = self._programs["client"], self._programs["server"]
        while not (client.ended and server.ended):
            try:
                event = self._events.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                self._time_is_over()
                return
            if event.link_died:
                self._link_died()
                return
            if event.problem:
                self.collected.failures.append(f"{event.host}: {event.problem}")
            elif event.actor is None:
                deadline = self._after_end(self._programs[event.host], deadline)
            elif self._changes_link(event):
                continue
            elif event.actor.event == "barrier":
                self._meet(event.host, event.actor.name or "")
            elif event.actor.failed:
                deadline = min(deadline, time.monotonic() + AFTER_FAILURE)

    def _time_is_over(self) -> None:
        failed = any(program.failed_step is not None or program.ended_otherwise for program in self._programs.values())
        running = [program for program in self._programs.values() if not program.ended]
        for program in running:
            program.ask_to_stop("the other program had failed" if failed else "timeout")
            if not failed:
                waiting = [name for name, hosts in self._waiting.items() if program.spec.host in hosts]
                where = f" at barrier `{waiting[0]}`" if waiting else ""
                self.collected.failures.append(f"{program.spec.host}: still running{where} when the time was over")
        for program in running:
            program.stop(program.stopped_by_us)

    def _after_end(self, ended: RunningProgram, deadline: float) -> float:
        """React to one program's end; return the new deadline."""
        other = self._programs[peer_of(ended.spec.host)]
        if ended.process.exit is None:
            raise self.live.hosts[ended.spec.host].gone_error()
        if other.ended:
            return deadline
        if other.spec.stop_with_client:
            other.stop("the client ended")
        elif ended.ended_otherwise:
            return min(deadline, time.monotonic() + AFTER_FAILURE)
        for name, hosts in self._waiting.items():
            if other.spec.host in hosts:
                self.collected.failures.append(
                    f"{other.spec.host}: waits at barrier `{name}`, but the {ended.spec.host}'s program has ended"
                )
                other.stop("nobody comes to its barrier")
        return deadline

    def _meet(self, host: Host, name: str) -> None:
        hosts = self._waiting.setdefault(name, set())
        hosts.add(host)
        if len(hosts) == len(HOSTS):
            del self._waiting[name]
            if self._link is not None:
                self._link.pass_barrier(name)
            for program in self._programs.values():
                program.release(name)

    def _changes_link(self, event: Event) -> bool:
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

    def _link_died(self) -> None:
        assert self._link is not None  # noqa: S101 - it told us
        self.collected.cut_short = str(self._link.death())
        for program in self._programs.values():
            program.ask_to_stop("the link died")
        for program in self._programs.values():
            program.stop("the link died")

    def _judge(self, program: RunningProgram) -> None:
        """Note a failure if a program ended otherwise than expected."""
        spec = program.spec
        if program.failed_step is not None:
            self.collected.failures.append(explain(program.failed_step, host=spec.host))
        elif program.ended_otherwise:
            self.collected.failures.append(program.how_it_ended())

    # After the programs

    def settle(self) -> None:
        """Wait until neither kernel has anything more to send by itself, up to SETTLE_LIMIT; note what is left."""
        self._progress("waiting for the connections to settle")
        limit = 0.0 if self.collected.cut_short else SETTLE_LIMIT + self._patience
        deadline = time.monotonic() + limit
        while True:
            left = {
                host: tcp_table.unsettled(host_sockets.tcp_sockets(agent)) for host, agent in self.live.hosts.items()
            }
            if not any(left.values()) and self._is_quiet():
                return
            if time.monotonic() > deadline:
                break
            time.sleep(SETTLE_POLL)
        for host, sockets in left.items():
            for socket in sockets:
                self.collected.notes.append(f"{host}: not settled after {limit:g} s: {socket}")

    def _is_quiet(self) -> bool:
        """Whether the link holds nothing that may yet be answered. One that dies here cuts the run short as well."""
        if self._link is None or self.collected.cut_short:
            return True
        try:
            return self._link.is_quiet()
        except LinkDied as death:
            self.collected.cut_short = str(death)
            return True

    def prove(self) -> None:
        """Send a sentinel each way and wait until both taps have both."""
        self._progress("proving that both captures are complete")
        texts = {host: f"{SENTINEL_PREFIX} {host} {secrets.token_hex(8)}" for host in HOSTS}
        for tap in self._taps.values():
            tap.expect(list(texts.values()))
        try:
            for agent in self.live.hosts.values():
                agent.open_sentinel()
            for host, agent in self.live.hosts.items():
                agent.send_sentinel(self.live.addresses[peer_of(host)], texts[host])
        except LabError as error:
            self.collected.incomplete.append(f"the sentinel could not be sent: {error.what}")
        deadline = time.monotonic() + (0.0 if self.collected.cut_short else SENTINEL_TIMEOUT + self._patience)
        for host, tap in self._taps.items():
            self._seen[host] = tap.wait_seen(max(0.0, deadline - time.monotonic()))

    @property
    def _patience(self) -> float:
        return self._plan.patience if self._plan is not None else 0.0

    def _end_link(self) -> None:
        if self._link is None:
            return
        try:
            self._link.stop()
        except LabError as error:
            self.collected.incomplete.append(str(error))
        self.collected.incomplete += self._link.problems()
        self.collected.link_totals = {name: n for name, n in self._link.totals.items() if isinstance(n, int)}

    def _end_witness(self) -> None:
        if self._witness is None:
            return
        try:
            self._witness.stop()
        except LabError as error:
            self._note_witness(str(error))
        self._witness.close()
        for problem in self._witness.problems():
            self._note_witness(problem)

    def _note_witness(self, problem: str) -> None:
        (self.collected.incomplete if self._needs_witness else self.collected.notes).append(problem)

    def _end_taps(self, endings: Mapping[Host, Future[None]]) -> None:
        for host, tap in self._taps.items():
            error = endings[host].exception() or tap.died()
            if error is not None and not isinstance(error, LabError):
                raise error
            self.collected.incomplete += [str(error)] if error else []
            self.collected.incomplete += tap.problems(sentinel_seen=self._seen.get(host, False))
            self.collected.tap_statistics[host] = tap.statistics

    def collect(self) -> None:
        """End the taps, and fetch call logs and the namespaces' settings from both hosts."""
        self._progress("collecting")
        self._end_link()
        with ThreadPoolExecutor(5) as pool:
            witnessed = pool.submit(self._end_witness)
            endings = {host: pool.submit(tap.stop) for host, tap in self._taps.items()}
            list(pool.map(self._collect_from, HOSTS))
            witnessed.result()
        self._end_taps(endings)

    def _collect_from(self, host: Host) -> None:
        tap = self.live.taps[host]
        # Some files can only be written; grep passes over them and then exits with 2.
        sysctls = tap.begin(["grep", "-rs", "", "/proc/sys/net/core", "/proc/sys/net/ipv4"], fine=(0, 2))
        features = tap.begin(["ethtool", "-k", INTERFACE])
        version = tap.begin(["tcpdump", "--version"])
        observation = self._observers[host].collect()
        self.collected.calls[host] = observation.calls
        self.collected.incomplete += [f"{host}: {problem}" for problem in observation.problems]
        self.collected.sysctls[host] = parse_listing(sysctls())
        self.collected.offloads[host] = parse_features(features())
        self.collected.tcpdump[host] = version().partition("\n")[0]

    def salvage(self) -> None:
        """Fetch what can still be had after the run was cut short; what cannot is left out."""
        self._end_link()
        self._end_witness()
        with ThreadPoolExecutor(2) as pool:
            endings = {host: pool.submit(tap.stop) for host, tap in self._taps.items()}
        for host in HOSTS:
            with contextlib.suppress(LabError):
                self._collect_from(host)
        self._end_taps(endings)
