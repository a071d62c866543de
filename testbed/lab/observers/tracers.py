"""Observers that trace a program with ptrace(2): how the program is held until the tracer has it.

The program is started as ``hold PROGRAM ARGUMENT...`` by the host's agent, so that its streams, its exit status and
the signals sent to it are its own as without a tracer; the tracer is a second child of the agent in the same container.
``hold`` lets it in, waits for SIGUSR1 and becomes the program. So no image needs a debugger, no host a capability, and
there is no sidecar into whose PID namespace one would have to reach.
"""

from __future__ import annotations

import json
import queue
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from testbed.lab.agent import Agent, AgentProcess, AgentRefused
from testbed.lab.engine import DEBUGGER_DIRECTORY, TOOLS_DIRECTORY, Debugger
from testbed.lab.observers.executables import why_blind
from testbed.lab.observers.held_program import refused_by_hold
from testbed.lab.observers.hold_rules import CallHold, Event
from testbed.model import Host
from testbed.model.errors import LabError, LabTimeout, Unsupported
from testbed.observe.gdb import gdb_calls
from testbed.observe.observation import Observation
from testbed.observe.strace import strace_log

ATTACH_TIMEOUT = 20.0
END_TIMEOUT = 10.0


class Tracer:
    """What the tracers have in common: hold the program, start the tracer, let the program go."""

    name: str
    environment: Mapping[str, str] = MappingProxyType({})

    def __init__(self, agent: Agent, host: Host, debugger: Debugger) -> None:
        self.agent = agent
        self.host: Host = host
        self.debugger = debugger
        self.attached = threading.Event()
        self.errors = b""
        self.process: AgentProcess | None = None
        self._program = ""

    def command(self, argv: Sequence[str]) -> tuple[str, ...]:
        """Return the program behind ``hold``."""
        self._program = argv[0]
        return (f"{TOOLS_DIRECTORY}/hold", *argv)

    def start_tracer(
        self,
        process: AgentProcess,
        argv: Sequence[str],
        *,
        stdin: bool = False,
        env: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Start the tracer, wait until it has the program, let the program go."""
        self._wait_held(process)
        self.process = self.agent.start(
            argv, out=self.take, err=self.take_error, on_end=self.attached.set, stdin=stdin, env=env
        )
        if not self.attached.wait(ATTACH_TIMEOUT):
            raise LabTimeout(
                f"{self.name} did not attach to the {self.host}'s program in {ATTACH_TIMEOUT:g} s",
                last_output=self.errors.decode(errors="replace"),
            )
        if self.process.ended.is_set():
            raise Unsupported(
                f"{self.name} cannot trace the {self.host}'s program here",
                last_output=self.errors.decode(errors="replace"),
                hint=self._other_observer(),
            )
        process.signal(signal.SIGUSR1)

    def take(self, data: bytes) -> None:
        """Take what the tracer prints on standard output."""
        raise NotImplementedError

    def take_error(self, data: bytes) -> None:
        """Take what the tracer prints on standard error."""
        self.errors = (self.errors + data)[-4000:]

    def wait_ended(self) -> str:
        """Wait until the tracer has ended after its program; say so if it does not."""
        if self.process is None or self.process.wait(END_TIMEOUT) is not None:
            return ""
        self.process.signal(signal.SIGKILL)
        return f"{self.name} did not end with the program"

    def _other_observer(self) -> str:
        """Say what needs no ptrace and works for this program."""
        reason = why_blind(self.agent, self._program)
        if not reason:
            return f"`observe: {{{self.host}: probe}}` needs no ptrace"
        others = f"`observe: {{{self.host}: trace}}` needs no ptrace; `none`: causes from the packets alone"
        return f"{others} (the probe would be blind: {reason})"

    def _wait_held(self, process: AgentProcess) -> None:
        """Wait until SIGUSR1 would be waited for and not kill."""
        deadline = time.monotonic() + ATTACH_TIMEOUT
        while not process.ended.is_set():
            try:
                name = self.agent.read_file(f"/proc/{process.pid}/comm")
            except AgentRefused:
                break
            if name == b"held\n":
                return
            if time.monotonic() > deadline:
                break
            time.sleep(0.002)
        refused_by_hold(process)
        raise LabError(f"the {self.host}'s program could not be held at its start for {self.name} to attach")


class StraceObserver(Tracer):
    """strace, also for static and Go programs, which no library can be loaded into."""

    name = "strace"

    def __init__(self, agent: Agent, host: Host, debugger: Debugger) -> None:
        super().__init__(agent, host, debugger)
        self._trace: list[bytes] = []

    def attach(self, process: AgentProcess) -> None:
        """Attach strace and let the program go."""
        argv = [*self.debugger.strace, *strace_log.OPTIONS, "-o", "/dev/stdout", "-p", str(process.pid)]
        self.start_tracer(process, argv)

    def take(self, data: bytes) -> None:
        """Keep the trace."""
        self._trace.append(data)

    def take_error(self, data: bytes) -> None:
        """Look for the line that says it has attached."""
        super().take_error(data)
        if b" attached" in self.errors:
            self.attached.set()

    def collect(self) -> Observation:
        """Read the trace."""
        problem = self.wait_ended()
        recorded = strace_log.decode(b"".join(self._trace).decode(errors="replace").split("\n"), self.host)
        problems = [*([problem] if problem else []), *recorded.problems]
        if recorded.blind:
            problems.append("strace recorded no call of the program")
        return Observation(recorded.calls, tuple(problems), blind=recorded.blind)


class GdbObserver(Tracer):
    """gdb, which holds each socket call before and after it; ``hold`` says for how long."""

    name = "gdb"

    def __init__(self, agent: Agent, host: Host, debugger: Debugger, hold: CallHold) -> None:
        super().__init__(agent, host, debugger)
        self._hold = hold
        self._lines: list[str] = []
        self._rest = b""
        self._held: queue.SimpleQueue[Event | None] = queue.SimpleQueue()

    def attach(self, process: AgentProcess) -> None:
        """Attach gdb and let the program go; from now on a thread answers each stop."""
        argv = [*self.debugger.gdb, "-nx", "-q", "-batch", "-p", str(process.pid)]
        argv += ["-x", f"{DEBUGGER_DIRECTORY}/held.py"]
        env = {"PYTHONDONTWRITEBYTECODE": "1", "HOME": "/nonexistent", **self.debugger.environment}
        self.start_tracer(process, argv, stdin=True, env=env)
        threading.Thread(target=self._answer, name=f"gdb of the {self.host}", daemon=True).start()

    def take(self, data: bytes) -> None:
        """Keep gdb's events; hand those that hold the program to the thread that answers."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            text = line.decode(errors="replace")
            if not text.startswith("{"):
                continue  # where gdb itself found the program, before the script took its standard output away
            self._lines.append(text)
            if '"event": "attached"' in text:
                self.attached.set()
            elif '"event": "enter"' in text or '"event": "return"' in text:
                self._held.put(json.loads(text))

    def lines(self) -> list[str]:
        """Return all events so far, as lines for :func:`testbed.observe.gdb.gdb_calls.decode`."""
        return list(self._lines)

    def collect(self) -> Observation:
        """Read the events."""
        problem = self.wait_ended()
        self._held.put(None)
        recorded = gdb_calls.decode(self.lines(), self.host)
        return Observation(recorded.calls, (*([problem] if problem else []), *recorded.problems), blind=recorded.blind)

    def _answer(self) -> None:
        while (event := self._held.get()) is not None:
            (self._hold.before if event["event"] == "enter" else self._hold.after)(event)
            if self.process is None or self.process.ended.is_set():
                return
            try:
                self.process.write(b"go\n")
            except LabError:  # the host is gone; the session says so
                return
