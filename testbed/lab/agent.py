"""The runner's side of an agent: start programs, pass their streams, read files (compose/agent/agent.c).

A :class:`Channel` is a two-way byte stream to an agent's standard input and output, made by an engine. One thread for
each agent reads it; everything else may be called from any thread.
"""

from __future__ import annotations

import itertools
import os
import signal
import struct
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Protocol

from testbed.model.errors import LabError, LabTimeout

PROTOCOL_VERSION = 1
ANSWER_TIMEOUT = 7.0
"""Seconds to wait for an answer that takes an agent microseconds; only a stopped host or a dead engine is this slow."""
HELPER_TIMEOUT = 20.0
"""Seconds that a short program may take."""

_HEADER = struct.Struct(">cII")
_STAMPED = struct.Struct(">IQ")

Sink = Callable[[bytes], None]


class Channel(Protocol):
    """A two-way byte stream to one agent."""

    def receive(self) -> bytes:
        """Return the next bytes, ``b""`` at the end. Blocks."""

    def send(self, data: bytes) -> None:
        """Send all of ``data``; raise OSError when the other end is gone."""

    def close(self) -> None:
        """End the stream both ways; a blocked :meth:`receive` returns."""

    def last_words(self) -> str:
        """Return what the agent itself printed on standard error, and how it ended if that is known."""


class AgentRefused(LabError):  # noqa: N818 - an answer, not a fault of the channel
    """The agent could not do what was asked; ``number`` is the errno."""

    def __init__(self, what: str, number: int) -> None:
        super().__init__(f"{what}: {os.strerror(number)}")
        self.number = number


@dataclass(frozen=True, slots=True)
class ProgramExit:
    """How a program ended: ``status`` is the exit code or None, ``signal`` the signal's name or None, ``time`` ns."""

    status: int | None
    signal: str | None
    time: int

    def __str__(self) -> str:
        return f"killed by {self.signal}" if self.signal else f"exit status {self.status}"


class AgentProcess:
    """A program that an agent runs. ``pid`` is in the host's PID namespace, ``started`` in ns."""

    def __init__(
        self, agent: Agent, number: int, argv: tuple[str, ...], out: Sink, err: Sink, on_end: Callable[[], None]
    ) -> None:
        self._agent = agent
        self._on_end = on_end
        self.number = number
        self.argv = argv
        self.out = out
        self.err = err
        self.pid = 0
        self.started = 0
        self.exit: ProgramExit | None = None
        self.ended = threading.Event()

    def wait(self, timeout: float) -> ProgramExit | None:
        """Wait up to ``timeout`` seconds; None if it runs on. Raises LabError when the agent is gone.

        Of a host that does not answer nothing is waited for.
        """
        if not self.ended.wait(0.0 if self._agent.silent else timeout):
            return None
        if self.exit is None:
            raise self._agent.gone_error()
        return self.exit

    def note_end(self, ended: ProgramExit | None) -> None:
        """Take notice of its end (None: the agent is gone); called by the agent's reader thread."""
        if not self.ended.is_set():
            self.exit = ended
            self.ended.set()
            self._on_end()

    def write(self, data: bytes) -> None:
        """Give bytes to its standard input (the agent keeps what the pipe does not take yet)."""
        self._agent.request(b"I", self.number, data)

    def end_input(self) -> None:
        """Close its standard input once all of it was taken."""
        self._agent.request(b"E", self.number)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to its process group."""
        self._agent.request(b"K", self.number, struct.pack(">I", number))


class Agent:
    """One agent. ``name`` is for messages (``client host``, ``server tap``)."""

    def __init__(self, channel: Channel, name: str) -> None:
        self.name = name
        self._channel = channel
        self._ids = itertools.count(1)
        self._sending = threading.Lock()
        self._state = threading.Lock()
        self._answers: dict[int, Future[bytes]] = {}
        self._chunks: dict[int, list[bytes]] = {}
        self._processes: dict[int, AgentProcess] = {}
        self._closing = False
        self.gone = threading.Event()
        self._silent = threading.Event()
        self._reader = threading.Thread(target=self._read, name=f"agent {name}", daemon=True)
        self._reader.start()

    def hello(self) -> int:
        """Wait until the agent answers; return its clock (ns since the epoch)."""
        version, now = _STAMPED.unpack(self._ask(b"H", b""))
        if version != PROTOCOL_VERSION:
            raise LabError(
                f"the agent of the {self.name} speaks protocol {version}, this program {PROTOCOL_VERSION}",
                hint="`invoke images` builds the images that belong to this version",
            )
        return int(now)

    def check(self) -> None:
        """Raise LabError if the agent is gone, LabTimeout if it does not answer: its host is stopped, or the engine."""
        self._ask(b"H", b"")

    @property
    def silent(self) -> bool:
        """Whether it owes an answer: whoever asks it again need not wait."""
        return self._silent.is_set()

    def start(
        self,
        argv: Sequence[str],
        *,
        out: Sink,
        err: Sink,
        on_end: Callable[[], None] = lambda: None,
        env: Mapping[str, str] = MappingProxyType({}),
        stdin: bool = False,
        directory: str = "",
    ) -> AgentProcess:
        """Start a program, in ``directory`` or the agent's own; ``env`` is added to the container's environment.

        ``out`` and ``err`` are called with its output, ``on_end`` after it ended, from the agent's reader thread.
        Raises :class:`AgentRefused` when it cannot be executed (ENOENT, EACCES, ...).
        """
        number = next(self._ids)
        process = AgentProcess(self, number, tuple(argv), out, err, on_end)
        entries = [b"a" + os.fsencode(word) for word in argv]
        entries += [b"e" + os.fsencode(f"{key}={value}") for key, value in env.items()]
        if directory:
            entries.append(b"d" + os.fsencode(directory))
        if stdin:
            entries.append(b"i")
        with self._state:
            self._processes[number] = process
        try:
            pid, process.started = _STAMPED.unpack(self._ask(b"S", b"".join(e + b"\0" for e in entries), number))
        except LabError:
            with self._state:
                self._processes.pop(number, None)
            raise
        process.pid = pid
        return process

    def run(self, argv: Sequence[str], *, text: str = "", fine: Collection[int] = (0,)) -> str:
        """Run a short helper with ``text`` as its input and return its standard output.

        LabError unless it exits with a ``fine`` status.
        """
        return self.begin(argv, text=text, fine=fine)()

    def begin(self, argv: Sequence[str], *, text: str = "", fine: Collection[int] = (0,)) -> Callable[[], str]:
        """Start what :meth:`run` runs; call the answer to wait for its end."""
        out: list[bytes] = []
        err: list[bytes] = []
        process = self.start(argv, out=out.append, err=err.append, stdin=bool(text))
        if text:
            process.write(text.encode())
            process.end_input()

        def finish() -> str:
            ended = process.wait(HELPER_TIMEOUT)
            if ended is None:
                process.signal(signal.SIGKILL)
                raise LabTimeout(f"`{' '.join(argv)}` in the {self.name} did not end in {HELPER_TIMEOUT:g} s")
            if ended.status not in fine:
                raise LabError(
                    f"`{' '.join(argv)}` in the {self.name} failed",
                    state=str(ended),
                    last_output=b"".join(err or out).decode(errors="replace"),
                )
            return b"".join(out).decode(errors="replace")

        return finish

    def read_file(self, path: str) -> bytes:
        """Return a file's content; :class:`AgentRefused` if it cannot be read."""
        return self.begin_file(path)()

    def begin_file(self, path: str) -> Callable[[], bytes]:
        """Start to read a file; call the answer for what :meth:`read_file` returns."""
        return partial(self._wait, self._begin(b"F", os.fsencode(path)))

    def read_part(self, path: str, offset: int, length: int) -> bytes:
        """Return ``length`` bytes of a file from ``offset`` on, fewer where it ends before."""
        return self._ask(b"F", os.fsencode(path) + f"\0{offset}\0{length}".encode())

    def list_directory(self, path: str) -> list[str]:
        """Return the names in a directory, sorted."""
        listed = self._ask(b"D", os.fsencode(path))
        return sorted(os.fsdecode(name) for name in listed.split(b"\0") if name)

    def begin_trees(self, directories: Sequence[str], without: Sequence[str] = ()) -> Callable[[], dict[str, str]]:
        """Start to read the files below some directories, but for those in directories named ``without``.

        Call the answer for them: content by path, of those that can be read. They are text, of 4096 bytes at most.
        """
        wanted = b"".join(os.fsencode(name) + b"\0" for name in (*directories, "", *without))
        answer = self._begin(b"R", wanted)

        def finish() -> dict[str, str]:
            paths_and_contents = self._wait(answer).decode(errors="replace").split("\0")
            return dict(zip(paths_and_contents[::2], paths_and_contents[1::2], strict=False))

        return finish

    def turn_off_offloads(self, interface: str) -> None:
        """Make an interface send and take segments as they are on a wire; :class:`AgentRefused` if it cannot."""
        self._ask(b"T", interface.encode())

    def offloads(self, interface: str) -> dict[str, str]:
        """Return what an interface does for the kernel (ethtool(8)'s features), by name: ``on`` or ``off``."""
        listed = self._ask(b"G", interface.encode()).decode().split("\0")
        return dict(pair.split("=", 1) for pair in listed if pair)

    def open_sentinel(self) -> None:
        """Bind the sentinel's port, so that the peer's sentinel is not answered by ICMP."""
        self._ask(b"O", b"")

    def send_sentinel(self, address: str, text: str) -> None:
        """Send the datagram that proves both captures complete."""
        self._ask(b"U", address.encode() + b"\0" + text.encode())

    def signal_all(self, number: signal.Signals) -> None:
        """Send a signal to every process of the host but the agent."""
        self.request(b"K", 0, struct.pack(">I", number))

    def close(self) -> None:
        """End the channel; the agent kills what it started and exits."""
        self._closing = True
        self._channel.close()
        self._reader.join(timeout=5)

    def gone_error(self) -> LabError:
        """Return the error to raise because this agent does not answer any more."""
        return LabError(
            f"the {self.name} went away",
            state="its channel ended while the lab was in use",
            last_output=self._channel.last_words(),
            hint="`invoke doctor` says whether the engine still works; `invoke clean` removes what is left",
        )

    def request(self, kind: bytes, number: int, payload: bytes = b"") -> None:
        """Send one frame that has no answer."""
        try:
            with self._sending:
                self._channel.send(_HEADER.pack(kind, number, len(payload)) + payload)
        except OSError as error:
            raise self.gone_error() from error

    def _ask(self, kind: bytes, payload: bytes, number: int | None = None) -> bytes:
        return self._wait(self._begin(kind, payload, number))

    def _begin(self, kind: bytes, payload: bytes, number: int | None = None) -> Future[bytes]:
        number = next(self._ids) if number is None else number
        answer: Future[bytes] = Future()
        with self._state:
            if self.gone.is_set():
                raise self.gone_error()
            if self._silent.is_set():
                raise self._silent_error()
            self._answers[number] = answer
        self.request(kind, number, payload)
        return answer

    def _wait(self, answer: Future[bytes]) -> bytes:
        try:
            return answer.result(ANSWER_TIMEOUT)
        except FutureTimeoutError:
            self._silent.set()
            raise self._silent_error() from None

    def _silent_error(self) -> LabTimeout:
        return LabTimeout(
            f"the {self.name} did not answer in {ANSWER_TIMEOUT:g} s",
            state="its channel is open: its host is stopped, or the engine is, or the machine is far too busy",
            last_output=self._channel.last_words(),
            hint="`invoke doctor` says whether the engine still works",
        )

    def _read(self) -> None:
        buffer = bytearray()
        while True:
            try:
                data = self._channel.receive()
            except OSError:
                data = b""
            if not data:
                break
            self._silent.clear()
            buffer += data
            at = 0
            while len(buffer) - at >= _HEADER.size:
                kind, number, size = _HEADER.unpack_from(buffer, at)
                if len(buffer) - at - _HEADER.size < size:
                    break
                at += _HEADER.size
                self._dispatch(kind, number, bytes(buffer[at : at + size]))
                at += size
            del buffer[:at]
        self._end()

    def _dispatch(self, kind: bytes, number: int, payload: bytes) -> None:
        if kind in b"12":
            process = self._processes.get(number)
            if process is not None:
                (process.out if kind == b"1" else process.err)(payload)
        elif kind == b"x":
            process = self._processes.get(number)
            if process is not None:
                process.note_end(_exit(*_STAMPED.unpack(payload)))
        elif kind == b"f":
            self._chunks.setdefault(number, []).append(payload)
        else:
            with self._state:
                answer = self._answers.pop(number, None)
            if answer is None:
                return
            if kind == b"n":
                error = int.from_bytes(payload[:4])
                answer.set_exception(AgentRefused(f"{self.name}: {payload[4:].decode(errors='replace')}", error))
            else:
                answer.set_result(b"".join(self._chunks.pop(number, [])) if kind == b"k" else payload)

    def _end(self) -> None:
        with self._state:
            self.gone.set()
            waiting = list(self._answers.values())
            self._answers.clear()
        for answer in waiting:
            answer.set_exception(self.gone_error())
        for process in list(self._processes.values()):
            process.note_end(None)


def _exit(status: int, time: int) -> ProgramExit:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        try:
            name = signal.Signals(number).name
        except ValueError:  # a real-time signal
            name = f"signal {number}"
        return ProgramExit(None, name, time)
    return ProgramExit(os.waitstatus_to_exitcode(status), None, time)
