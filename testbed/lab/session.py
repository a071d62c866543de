"""The time between a lab's coming up and its going down: record, run the programs, wait, prove, collect.

The same on every engine: all goes through the agents.
"""

from __future__ import annotations

import contextlib
import queue
import secrets
import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from testbed.lab import host_sockets, pinned_sysctls, tcp_table
from testbed.lab.collected import Collected
from testbed.lab.engine import INTERFACE, LiveLab, Progress, device_name
from testbed.lab.kernel_trace import Witness, unsupported
from testbed.lab.link_host import LinkDied, RunningLink
from testbed.lab.loopback_taps import LoopbackTaps
from testbed.lab.observers.hold_rules import CallHold, UntilQuiet
from testbed.lab.observers.make_observer import CallTrace
from testbed.lab.observers.probe_observer import HostObserver, ProbeObserver
from testbed.lab.observers.trace_observer import TracedObserver
from testbed.lab.packet_watch import PacketWatch
from testbed.lab.program_run import ProgramRun
from testbed.lab.running_program import LabEvent, LinkDeath, PacketSeen, ProgramSpec, TapDeath
from testbed.lab.tcpdump import BUFFER_KIB, SENTINEL_PREFIX, Captured, TcpdumpTap
from testbed.model import Host
from testbed.model.awaited_packets import AwaitedPacket
from testbed.model.errors import LabError, Unsupported
from testbed.model.kernel_counters import KernelCounters
from testbed.rundir.layout import RECORDING
from testbed.scenario.link.link_plan import LinkPlan


@dataclass(frozen=True, slots=True)
class TracedPrograms:
    """Whose calls the kernel's trace tells: the name under which each host's program is held for it.

    ``needed``: without it there is no run. ``alone``: nothing else of the kernel's trace was asked for, so that nobody
    misses it where it cannot be had.
    """

    names: Mapping[Host, str] = field(default_factory=dict)
    needed: bool = False
    alone: bool = False


NONE_TRACED = TracedPrograms()
SETTLE_POLL = 0.005
SETTLE_SHARE = 0.05
"""What has taken long is looked at less often: at most this share of the time until now is added."""
SETTLE_LIMIT = 3.0
"""Seconds to wait for the kernels to finish (FINs answered, data acknowledged) once all programs have ended."""
SENTINEL_TIMEOUT = 5.0


class Session:
    """One run in a live lab; artefacts go to ``directory`` as they arise.

    ``needs_witness``: without the kernel's trace there is no run; otherwise it is left out with a note where it cannot
    be.
    ``traced``: whose calls the kernel's trace tells where it can be had.
    ``plan`` is what its link host, if there is one, shall do. ``hold`` is how long gdb, where it observes, holds each
    call; default: until the wire is quiet. ``run_id`` names the hosts' interfaces for the kernel's trace.
    ``packet_waits`` are the packets that steps wait for, by host and number of the step. ``loopbacks`` are the hosts
    whose loopback is captured too. ``capture_buffer`` is the memory that the kernel has for each capture, KiB.
    """

    def __init__(
        self,
        live: LiveLab,
        directory: Path,
        progress: Progress,
        *,
        plan: LinkPlan | None = None,
        hold: CallHold | None = None,
        needs_witness: bool = False,
        traced: TracedPrograms = NONE_TRACED,
        run_id: str = "",
        packet_waits: Mapping[Host, Mapping[int, AwaitedPacket]] | None = None,
        loopbacks: Collection[Host] = (),
        capture_buffer: str = BUFFER_KIB,
    ) -> None:
        self.live = live
        self.collected = Collected()
        self._directory = directory
        self._progress = progress
        self._events: queue.Queue[LabEvent] = queue.Queue()
        self._hold = hold or UntilQuiet(self.captured)
        self._observers: dict[Host, HostObserver] = {
            host: ProbeObserver(agent, host) for host, agent in live.hosts.items()
        }
        self._sentinel_captured: dict[Host, bool] = {}
        self._taps = {
            host: TcpdumpTap(
                host,
                agent,
                directory / f"{host}.pcap",
                partial(self._events.put, TapDeath(host)),
                captured=Captured(buffer=capture_buffer),
                program=live.capturing,
            )
            for host, agent in live.taps.items()
        }
        self._loopbacks = LoopbackTaps(live, directory, loopbacks)
        own = {host: addresses.all for host, addresses in live.addresses.items()}
        self._watches = {
            host: PacketWatch(waits, own, lambda step, host=host: self._events.put(PacketSeen(host, step)))  # type: ignore[misc]
            for host, waits in (packet_waits or {}).items()
        }
        for host, watch in self._watches.items():
            self._taps[host].watch = watch.feed
        self._plan = plan
        self._link: RunningLink | None = None
        if live.link is not None and plan is not None:
            self._link = RunningLink(live.link, directory, lambda: self._events.put(LinkDeath()))
        self._needs_witness = needs_witness
        self._traced = traced
        self._witness = Witness(live.witness, directory / RECORDING) if live.witness is not None else None
        self._run_id = run_id

    def start_taps(self, *, offloads: bool, egress: Mapping[Host, int], mtu: Mapping[Host, int] | None = None) -> None:
        """Prepare and start taps, link and witness; return when all of them record and packets pass.

        The kernels' counters are read then: see :mod:`testbed.model.kernel_counters`.

        ``egress`` holds the rate in bits per second of each host whose interface is slowed down, ``mtu`` that of each
        whose MTU is changed.
        """
        for host, size in (mtu or {}).items():
            self._taps[host].set_mtu(size)
        with ThreadPoolExecutor(6) as pool:
            linked = pool.submit(self._start_link)
            witnessed = pool.submit(self._start_witness)
            listening = self._loopbacks.begin(pool)
            list(
                pool.map(
                    lambda tap: self._start_tap(tap, witnessed, offloads=offloads, rate=egress.get(tap.host)),
                    self._taps.values(),
                )
            )
            for future in (linked, *listening):
                future.result()
        self._start_call_trace()
        for host, counted in self._counters().items():
            self.collected.counters[host] = KernelCounters(counted)

    def _counters(self) -> dict[Host, dict[str, int]]:
        begun = {host: host_sockets.begin_counters(agent) for host, agent in self.live.hosts.items()}
        return {host: finish() for host, finish in begun.items()}

    def _start_witness(self) -> None:
        refusal = unsupported(self.live.witness_refused) if self.live.witness_refused else None
        if self._witness is not None:
            refusal = self._witness.wait_ready()
        if refusal is not None:
            self._go_without_witness(refusal)

    def _start_call_trace(self) -> None:
        if self._witness is None:
            return
        refusal = self._witness.wait_calls()
        if refusal is not None:
            self._go_without_witness(refusal)
        elif self._traced.needed and self._witness.why_no_calls():
            raise unsupported(self._witness.why_no_calls())

    def _go_without_witness(self, refusal: Unsupported) -> None:
        if self._needs_witness or self._traced.needed:
            raise refusal
        if self._witness is not None:
            self._witness.path.unlink(missing_ok=True)  # it holds the refusal alone
        self._witness = None
        if not self._traced.alone:
            self.collected.notes.append(f"no kernel trace: {refusal.what}")

    def _start_link(self) -> None:
        if self._link is not None and self._plan is not None:
            self._link.prepare()
            self._link.start(self._plan)

    def _start_tap(self, tap: TcpdumpTap, witnessed: Future[None], *, offloads: bool, rate: int | None) -> None:
        if self._witness is not None and tap.host not in self.live.devices:
            name = device_name(self._run_id, tap.host)
            if tap.name_device(name):
                self.live.devices[tap.host] = name
        routed = tap.begin_routes(self.live.routes[tap.host])
        if not offloads:
            tap.turn_off_offloads()
        if rate is not None:
            tap.slow_down(rate)
        witnessed.result()  # what the capture has, the kernel's trace has too: it begins before and ends after it
        tap.start()
        routed()

    def captured(self) -> int:
        """Return how many bytes all captures have so far."""
        return sum(tap.path.stat().st_size for tap in self._taps.values() if tap.path.exists())

    def run(self, specs: Mapping[Host, ProgramSpec], timeout: float) -> None:
        """Run the programs to their end, in this order: see :meth:`ProgramRun.run`."""
        programs = ProgramRun(
            self.live,
            self._directory,
            self._progress,
            collected=self.collected,
            observers=self._observers,
            events=self._events,
            link=self._link,
            plan=self._plan,
            watches=self._watches,
            hold=self._hold,
            trace=self._call_trace(),
        )
        programs.run(specs, timeout)

    def _call_trace(self) -> dict[Host, CallTrace]:
        if self._witness is None or self._witness.why_no_calls():
            return {}
        return {host: CallTrace(self._witness, name) for host, name in self._traced.names.items()}

    def settle(self) -> None:
        """Wait until no kernel has anything more to send by itself, up to SETTLE_LIMIT; note what is left.

        What the kernels have counted until then is what they counted during the run.
        """
        self._wait_settled()
        for host, after in self._counters().items():
            self.collected.counters[host] = replace(self.collected.counters[host], after=after)

    def _wait_settled(self) -> None:
        if self._witness is not None:
            self._witness.await_no_program()
        self._progress("waiting until the kernels have nothing left to send")
        limit = 0.0 if self.collected.cut_short else SETTLE_LIMIT + self._patience
        begin = time.monotonic()
        while True:
            begun = {host: host_sockets.begin_tcp_sockets(agent) for host, agent in self.live.hosts.items()}
            left = {host: tcp_table.unsettled(finish()) for host, finish in begun.items()}
            if not any(left.values()) and self._is_quiet():
                return
            elapsed = time.monotonic() - begin
            if elapsed > limit:
                break
            time.sleep(max(SETTLE_POLL, elapsed * SETTLE_SHARE))
        for host, sockets in left.items():
            for socket in sockets:
                self.collected.notes.append(f"{host}: still busy {limit:g} s after the programs ended: {socket}")

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
        """Send a datagram, the sentinel, from each host to each other; wait until the taps of both have it.

        A capture is a queue: once the sentinel is in it, all that was sent before is in it too.
        """
        self._progress("proving that the captures are complete")
        ways = [(host, other) for host in self.live.hosts for other in self.live.hosts if other != host]
        texts = {way: f"{SENTINEL_PREFIX} {way[0]} {secrets.token_hex(8)}" for way in ways}
        for host, tap in self._taps.items():
            tap.expect([text for way, text in texts.items() if host in way])
        try:
            for agent in self.live.hosts.values():
                agent.open_sentinel()
            for (host, other), text in texts.items():
                self.live.hosts[host].send_sentinel(self.live.addresses[other].first, text)
        except LabError as error:
            self.collected.incomplete.append(f"the sentinel could not be sent: {error.what}")
        deadline = time.monotonic() + (0.0 if self.collected.cut_short else SENTINEL_TIMEOUT + self._patience)
        for host, tap in self._taps.items():
            self._sentinel_captured[host] = tap.wait_seen(max(0.0, deadline - time.monotonic()))
        self._loopbacks.prove(max(0.0, deadline - time.monotonic()))

    @property
    def _patience(self) -> float:
        """How long the link may hold a packet, in seconds."""
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

    def _end_witness(self, captures: Sequence[Future[None]]) -> None:
        """End the recording, once the captures have ended."""
        if self._witness is None:
            return
        wait(captures)
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
            self.collected.incomplete += tap.problems(sentinel_seen=self._sentinel_captured.get(host, False))
            self.collected.tap_statistics[host] = tap.statistics

    def collect(self) -> None:
        """End the taps, and fetch call logs and the namespaces' settings from all hosts."""
        self._progress("collecting")
        self._end_link()
        with ThreadPoolExecutor(5) as pool:
            endings = {host: pool.submit(tap.stop) for host, tap in self._taps.items()}
            witnessed = pool.submit(self._end_witness, list(endings.values()))
            ended = pool.submit(self._loopbacks.stop)
            list(pool.map(self._collect_from, self.live.hosts))
            witnessed.result()
        self._end_taps(endings)
        self.collected.notes += ended.result()

    def _collect_from(self, host: Host) -> None:
        tap = self.live.taps[host]
        sysctls = tap.begin_trees(pinned_sysctls.READ_BELOW, without=pinned_sysctls.OF_INTERFACES)
        # All taps of an engine are made of the same files.
        first = host == next(iter(self.live.hosts))
        version = tap.begin(["tcpdump", "--version"]) if first and not self.live.versions else None
        observer = self._observers[host]
        observation = observer.collect()
        if isinstance(observer, TracedObserver) and observer.pid:
            self.collected.traced[host] = (observer.held_name, observer.pid)
        self.collected.calls[host] = observation.calls
        self.collected.call_problems[host] = list(observation.problems)
        self.collected.sysctls[host] = pinned_sysctls.by_name(sysctls())
        self.collected.offloads[host] = tap.offloads(INTERFACE)
        if version is not None:
            self.live.versions["tcpdump"] = version().partition("\n")[0]
        if first:
            self.collected.tcpdump |= dict.fromkeys(self.live.hosts, self.live.versions["tcpdump"])

    def salvage(self) -> None:
        """Fetch what can still be had after the run was cut short; what cannot is left out."""
        self._end_link()
        with ThreadPoolExecutor(2) as pool:
            endings = {host: pool.submit(tap.stop) for host, tap in self._taps.items()}
            ended = pool.submit(self._loopbacks.stop)
        self.collected.notes += ended.result()
        self._end_witness(list(endings.values()))
        for host in self.live.hosts:
            with contextlib.suppress(LabError):
                self._collect_from(host)
        self._end_taps(endings)
