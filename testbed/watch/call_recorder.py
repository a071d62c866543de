"""The calls of targets while they are watched: by the kernel's trace, or by strace where that is asked for."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from testbed.lab import call_trace, kernel_trace
from testbed.lab.agent import Agent, AgentProcess
from testbed.lab.kernel_trace import Witness
from testbed.model import Call, Host
from testbed.model.errors import CaptureError, LabError, LabTimeout, Unsupported
from testbed.observe.kernel.observed_interface import SeenInterface
from testbed.observe.strace import strace_log
from testbed.observe.trace.trace_calls import calls_of
from testbed.observe.trace.trace_events import CallRecording, Entered, Event, Left, read_recording
from testbed.watch.find_target import FoundTarget
from testbed.watch.pcap_stream import RingFile, TraceFrames
from testbed.watch.read_processes import TargetState, everyone_in, members, read_states, tasks_of

_TRIES = 12
_PAUSE = 0.05
_CHOICE = 4
"""Moments between which is chosen once it is known what was captured in each."""
_ATTACH_TIMEOUT = 20.0
_MOST_CHECKPOINTS = 32


class Recorder(Protocol):
    """What the trace's program runs in."""

    @property
    def channel(self) -> object:
        """Its two-way stream."""

    def remove(self) -> None:
        """End it."""


@dataclass(frozen=True, slots=True)
class RecordedCalls:
    """A target's calls, and why they may not be all."""

    calls: tuple[Call, ...]
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What the targets were at one moment, by name; ``begun`` (ns) is when all of them had been read."""

    begun: int
    states: Mapping[str, TargetState]

    def busy(self, addresses: frozenset[str]) -> int:
        """Count the connections to some addresses that moved bytes at that moment."""
        found = {each for state in self.states.values() for each in state.open - state.quiet}
        return sum(peer.address in addresses for _, peer in found)


def pids_of(found: FoundTarget) -> list[int]:
    """Return the processes of a target: those of a container or a network namespace, or one with its descendants."""
    if found.outside is not None:
        return []
    if found.namespace is not None and not found.pid:
        return everyone_in(found.namespace)
    return members(found.pid, whole=bool(found.container))


class TraceRecorder:
    """The kernel's trace of targets that run already."""

    def __init__(
        self, targets: Sequence[FoundTarget], witness: Witness, ring: RingFile, addresses: frozenset[str]
    ) -> None:
        self.checkpoints: list[Checkpoint] = []
        self._targets = [each for each in targets if each.outside is None]
        self._witness = witness
        self._ring = ring
        self._addresses = addresses
        self._parts = 0
        self._recording: CallRecording | None = None
        self._events: list[Event] = []

    def begin(self) -> None:
        """Record the targets' processes; wait a moment for one in which no connection between them moves bytes.

        Raises Unsupported where the kernel cannot tell the calls.
        """
        refusal = self._witness.wait_ready() or self._witness.wait_calls()
        if refusal is not None:
            raise refusal
        if self._witness.why_no_calls():
            raise kernel_trace.unsupported(self._witness.why_no_calls())
        for _ in range(_TRIES):
            self._look()
            quiet = [each for each in self.checkpoints if not each.busy(self._addresses)]
            if len(quiet) == _CHOICE:
                break
            time.sleep(_PAUSE)

    def look(self, rings: Sequence[RingFile]) -> None:
        """Read the targets again where a ring has begun another part: what it forgets need not be known then."""
        parts = sum(ring.made for ring in (*rings, self._ring))
        if parts == self._parts:
            return
        self._parts = parts
        self._look()
        floor = max(ring.complete_since for ring in (*rings, self._ring))
        old = [each for each in self.checkpoints if each.begun < floor]
        self.checkpoints = [*old[-1:], *self.checkpoints[len(old) :]][-_MOST_CHECKPOINTS:]

    def _look(self) -> None:
        pids = {found.target.text: pids_of(found) for found in self._targets}
        for _ in range(_TRIES):  # until none was made meanwhile by one that was not recorded yet
            before = {task for own in pids.values() for task in tasks_of(own)}
            self._witness.add_tasks(before)
            pids = {found.target.text: pids_of(found) for found in self._targets}
            if {task for own in pids.values() for task in tasks_of(own)} <= before:
                break
        states = read_states(pids)
        self.checkpoints.append(Checkpoint(max(state.until for state in states.values()), states))

    def stop(self) -> str:
        """End the recording; return why it is not complete, empty if it is."""
        try:
            self._witness.stop()
        except LabError as error:
            return error.what
        finally:
            self._witness.close()
        return "; ".join(self._witness.problems())

    @property
    def path(self) -> Path:
        """The recording, once it is stopped."""
        return self._ring.path

    @property
    def complete_since(self) -> int:
        """Since when (ns) the recording has all."""
        return self._ring.complete_since

    def candidates(self, floor: int) -> list[Checkpoint]:
        """Return the first moments from which on everything is there; ``floor`` (ns) is that of the captures."""
        least = max(floor, self._ring.complete_since)
        return [each for each in self.checkpoints if each.begun > least][:_TRIES]

    def calls(self, name: str, host: Host, addresses: Sequence[str], at: Checkpoint) -> RecordedCalls:
        """Return the calls of one target since a checkpoint."""
        try:
            if self._recording is None:
                self._recording = read_recording(self.path)
                self._events = list(self._recording.events())
        except (CaptureError, ValueError, LookupError) as error:
            return RecordedCalls((), (f"the trace of the calls cannot be read: {error}",))
        state = at.states[name]
        running = {host: state.processes}
        traced = calls_of(_since(self._events, state), {}, {host: addresses}, running)[host]
        problems = []
        if self._recording.lost:
            problems.append(f"the kernel's buffer was too small: {self._recording.lost} events of its calls were lost")
        if not self._recording.ended:
            problems.append("the trace of its calls has no end")
        if traced.deferred:
            problems.append(f"io_uring gave {traced.deferred} requests to workers, whose calls are not traced")
        return RecordedCalls(traced.calls, tuple(problems))


def _since(events: Sequence[Event], state: TargetState) -> Iterator[Event]:
    """Yield the calls that were in progress at a moment, then all that came after it."""
    tasks = {task for process in state.processes for task in process.tasks}
    begun: dict[int, Entered] = {}
    rest = len(events)
    for at, event in enumerate(events):
        if event.time >= state.since:
            rest = at
            break
        if isinstance(event, Entered) and event.task in tasks:
            begun[event.task] = event
        elif isinstance(event, Left):
            begun.pop(event.task, None)
    waiting = {call.task: call for call in state.calls} | begun
    yield from sorted(waiting.values(), key=lambda each: each.time)
    yield from events[rest:]


def witness_words(run_id: str, seen: Iterable[SeenInterface] = ()) -> tuple[str, ...]:
    """Return the recorder's arguments for targets that run already: what happens on connections, and their calls.

    Call stacks are of frames that leave the ``seen`` interfaces, but for full ones, and of nothing else of the machine.
    """
    words = kernel_trace.command(run_id, buffer=call_trace.BUFFER, arrivals=False)
    return (*(word for word in words if not word.startswith(_NOT_OF_OTHERS)), *kernel_trace.stacks_of(seen), *_CALLS)


_CALLS = call_trace.running_arguments()
_NOT_OF_OTHERS = ("+", "timer/")
"""What would be recorded of every program of the machine."""


def make_witness(channel: object, path: Path, limit: int) -> tuple[Witness, RingFile]:
    """Return the recording of what comes through a channel, of bounded size (0: any)."""
    ring = RingFile(path, limit, TraceFrames())
    return Witness(channel, path, lambda _: ring), ring  # type: ignore[arg-type]


class StraceRecorder:
    """strace on every process of one target, attached to it from beside."""

    def __init__(self, host: str, agent: Agent, strace: Sequence[str], pids: Sequence[int]) -> None:
        self._name = host
        self._lines: list[bytes] = []
        self._errors = b""
        self._attached = threading.Event()
        self._wanted = len(pids)
        attach = [word for pid in pids for word in ("-p", str(pid))]
        argv = [*strace, *strace_log.OPTIONS, "-o", "/dev/stdout", *attach]
        self._process: AgentProcess = agent.start(
            argv, out=self._lines.append, err=self._take_error, on_end=self._attached.set
        )

    def begin(self) -> None:
        """Wait until it is attached. Raises Unsupported where it cannot be."""
        if not self._attached.wait(_ATTACH_TIMEOUT):
            raise LabTimeout(f"strace did not attach to `{self._name}` in {_ATTACH_TIMEOUT:g} s")
        if self._process.ended.is_set():
            said = self._errors.decode(errors="replace")
            raise Unsupported(f"strace cannot trace `{self._name}` here", last_output=said)

    def _take_error(self, data: bytes) -> None:
        self._errors = (self._errors + data)[-4000:]
        if self._errors.count(b" attached") >= self._wanted:
            self._attached.set()

    def stop(self) -> None:
        """Let the target go."""
        with contextlib.suppress(LabError):
            self._process.signal(signal.SIGINT)
            if self._process.wait(_ATTACH_TIMEOUT) is None:
                self._process.signal(signal.SIGKILL)

    def calls(self, host: Host) -> RecordedCalls:
        """Return what was traced."""
        recorded = strace_log.decode(b"".join(self._lines).decode(errors="replace").split("\n"), host)
        return RecordedCalls(recorded.calls, tuple(recorded.problems))
