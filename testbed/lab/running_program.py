"""One host's program: started through the agent, its output kept in files, its events put on a queue."""

from __future__ import annotations

import contextlib
import queue
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal

from testbed.lab import wine
from testbed.lab.agent import Agent, AgentProcess, ProgramExit
from testbed.model import Host, Program, ProgramEnd, StopReason
from testbed.model.errors import LabError
from testbed.observe.actor_events import ActorEvent, parse_event

OUTPUT_LIMIT = 16 << 20
"""Bytes of each output stream that are kept; the rest is read and dropped, so that a flood blocks nothing."""
_SILENT = "one that inetd could start writes to its standard input: sh -c 'exec PROGRAM 0>&2' shows that"
_INSIDE = frozenset({"probe", "winsock", "gdb", "strace"})
"""Observers that a program can notice: they load a library into it or stop it."""
TERM_GRACE = 3.0
"""Seconds between SIGTERM and SIGKILL."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """When a program counts as ready: sockets are bound to all these ``ports``, or (``event``) the actor says so."""

    kind: Literal["ports", "event"]
    tcp: tuple[int, ...] = ()
    udp: tuple[int, ...] = ()

    def __str__(self) -> str:
        if self.kind == "event":
            return "its listening socket"
        return " and ".join(
            f"a socket on {kind} port {port}" for kind in ("tcp", "udp") for port in getattr(self, kind)
        )


@dataclass(frozen=True, slots=True)
class ProgramSpec:
    """What a host shall run. ``script`` is the actor's script, None for any other program.

    ``directories`` are made before it starts. ``expected_exit`` is an exit status, a signal's name, or None for any.
    ``starts_in`` is the directory in which it starts, empty for its agent's.
    """

    host: Host
    argv: tuple[str, ...]
    image: str
    env: Mapping[str, str] = field(default_factory=dict)
    directories: tuple[str, ...] = ()
    script: str | None = None
    ready: Readiness | None = None
    stop_with_client: bool = False
    expected_exit: int | str | None = 0
    observer: str = "none"
    starts_in: str = ""

    @property
    def executable(self) -> str:
        """Where its program is looked for: a name, or a path from the root."""
        name = self.argv[0]
        return f"{self.starts_in}/{name}" if "/" in name and not name.startswith("/") else name


@dataclass(frozen=True, slots=True)
class ProgramEvent:
    """What a program did: an actor's event, or its end (``actor`` None). ``problem``: what it wrote is no event."""

    host: Host
    actor: ActorEvent | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class LinkDeath:
    """The link program ended by itself."""


@dataclass(frozen=True, slots=True)
class TapDeath:
    """The capture at a host ended by itself."""

    host: Host


@dataclass(frozen=True, slots=True)
class PacketSeen:
    """The capture at a host has the packet that this step of its program waits for."""

    host: Host
    step: int


LabEvent = ProgramEvent | LinkDeath | TapDeath | PacketSeen
"""What happens while programs run."""


class RunningProgram:
    """A started program; ``argv`` and ``env`` are what its observer wants to be started instead of ``spec``'s."""

    def __init__(
        self,
        spec: ProgramSpec,
        argv: Sequence[str],
        env: Mapping[str, str],
        agent: Agent,
        directory: Path,
        events: queue.Queue[LabEvent],
    ) -> None:
        self.spec = spec
        self.failed_step: ActorEvent | None = None
        self.stopped: StopReason | None = None
        self._events = events
        self._line = b""
        self._wine = wine.ServerWatch(agent, spec.host) if wine.is_wine(spec.argv) else None
        self._out = _Output(directory / f"{spec.host}.out")
        self._err = _Output(directory / f"{spec.host}.err")
        try:
            self.process: AgentProcess = agent.start(
                argv,
                env=env,
                out=self._take_out,
                err=self._err.write,
                on_end=self._note_end,
                stdin=spec.script is not None,
                directory=spec.starts_in,
            )
            if spec.script is not None:
                self.process.write(spec.script.encode())
        except LabError:
            self.close()
            raise

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self.process.ended.is_set()

    def check(self) -> None:
        """Raise wine.ServerDied if it is a Windows program that cannot go on: Wine's server is gone."""
        if self._wine is not None and not self.ended:
            self._wine.check()

    def release(self, barrier: str) -> None:
        """Let the actor go on after a barrier."""
        self.process.write(f"go {barrier}\n".encode())

    def ask_to_stop(self, why: StopReason) -> None:
        """Send SIGTERM, if it still runs."""
        if not self.ended:
            self.stopped = why
            self.process.signal(signal.SIGTERM)

    def stop(self, why: StopReason, grace: float = TERM_GRACE) -> None:
        """End it: SIGTERM, then SIGKILL after a grace, in seconds."""
        self.ask_to_stop(why)
        if self.process.wait(grace) is None:
            self.process.signal(signal.SIGKILL)
            self.process.wait(TERM_GRACE)

    def close(self) -> None:
        """Close the output files; what comes later is dropped."""
        self._out.close()
        self._err.close()

    def result(self) -> Program:
        """Say how it went; for a program that has ended."""
        ended: ProgramExit | None = self.process.exit
        return Program(
            host=self.spec.host,
            argv=self.spec.argv,
            image=self.spec.image,
            end=ProgramEnd(ended.status if ended else None, ended.signal if ended else None, self.stopped),
            started=self.process.started,
            ended=ended.time if ended else 0,
            output_truncated=self._out.truncated or self._err.truncated,
        )

    @property
    def ended_otherwise(self) -> bool:
        """Whether it ended by itself in another way than the scenario says."""
        ended, expected = self.process.exit, self.spec.expected_exit
        if self.stopped is not None or ended is None or expected is None:
            return False
        return (ended.signal or ended.status) != expected

    def how_it_ended(self, observer: str) -> str:
        """Say how it ended, how it should have, and the last lines of its error output, each in a line of its own.

        What ``observer`` put into the program might be why: how to find out is said.
        """
        spec = self.spec
        expected = f"exit status {spec.expected_exit}" if isinstance(spec.expected_exit, int) else spec.expected_exit
        last = self.last_error_output()
        printed = f"; last output:\n{last}" if last else f"; it printed nothing ({_SILENT})"
        beside = f" (unobserved too? `observe: {{{spec.host}: none}}`)" if observer in _INSIDE else ""
        return f"{spec.host}: `{spec.argv[0]}` ended with {self.process.exit}{beside}, expected {expected}{printed}"

    def last_error_output(self) -> str:
        """Return the end of what it printed on standard error, or else on standard output."""
        return self._err.tail() or ("" if self.spec.script is not None else self._out.tail())

    def problems(self) -> list[str]:
        """Say what of its output could not be kept."""
        return [f"{self.spec.host}: output lost: {kept.error}" for kept in (self._out, self._err) if kept.error]

    def _note_end(self) -> None:
        self._events.put(ProgramEvent(self.spec.host))

    def _take_out(self, data: bytes) -> None:
        self._out.write(data)
        if self.spec.script is None:
            return
        *lines, self._line = (self._line + data).split(b"\n")
        for line in lines:
            try:
                event = parse_event(line)
            except LabError as error:
                self._events.put(ProgramEvent(self.spec.host, problem=str(error)))
                continue
            if event.failed:
                self.failed_step = event
            self._events.put(ProgramEvent(self.spec.host, event))


class _Output:
    """A file that takes the first OUTPUT_LIMIT bytes and remembers the last few; ``error`` says why it stopped."""

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO | None = path.open("wb")
        self._left = OUTPUT_LIMIT
        self._last = b""
        self.truncated = False
        self.error: OSError | None = None

    def write(self, data: bytes) -> None:
        self._last = (self._last + data)[-2000:]
        self.truncated = self.truncated or len(data) > self._left
        if self._file is not None and self._left and self.error is None:
            try:
                self._file.write(data[: self._left])
                self._file.flush()
            except OSError as error:  # the disk is full; the program must not be blocked by that
                self.error = error
            self._left -= min(len(data), self._left)

    def tail(self) -> str:
        return "\n".join(self._last.decode(errors="replace").splitlines()[-12:])

    def close(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):  # ``error`` already says what could not be flushed
                self._file.close()
            self._file = None
