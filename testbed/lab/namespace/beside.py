"""Agents in network namespaces of this machine that others have made."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from testbed.lab.agent import Agent
from testbed.lab.engine import Progress
from testbed.lab.namespace import machine, toolchain
from testbed.lab.namespace.namespace_engine import SocketChannel
from testbed.model.errors import Unsupported

_END_TIMEOUT = 5.0


class WitnessProcess:
    """A process of ours that records the kernel's trace."""

    def __init__(self, words: Sequence[str | Path], errors: IO[bytes]) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                words,
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=errors,
                start_new_session=True,
                cwd="/",
                env={},
            )
        self.channel = SocketChannel(ours, errors)

    def remove(self) -> None:
        """End it; it removes its instance of tracefs. Idempotent."""
        self.channel.close()
        try:
            self._process.wait(_END_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.channel.release()


class Beside:
    """Starts agents beside processes of this machine. Leaving the context ends them, and what they run."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._words = os.fdopen(os.memfd_create("bothends-stderr"), "r+b", buffering=0)
        self._agents: list[tuple[Agent, SocketChannel, subprocess.Popen[bytes]]] = []
        self._witnesses: list[WitnessProcess] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for witness in self._witnesses:
            witness.remove()
        self._witnesses.clear()
        for agent, channel, process in self._agents:
            agent.close()  # an agent whose input ends kills what it started, and ends
            try:
                process.wait(_END_TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            channel.release()
        self._agents.clear()
        self._words.close()

    def tap(self, namespace: Path, role: str) -> Agent:
        """Start an agent in a network namespace. Raises Unsupported where this user or machine cannot."""
        if os.geteuid() != 0:
            raise Unsupported("processes of this machine can be watched by root only", hint="containers need no root")
        lacking = machine.missing(machine.TAP_PROGRAMS)
        if lacking:
            raise machine.lacks(lacking)
        enter = shutil.which("nsenter")
        if enter is None:
            raise Unsupported("nsenter is missing, which enters a network namespace", hint="apt-get install util-linux")
        tools = toolchain.provide(self._progress)
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(
                [enter, f"--net={namespace}", "--", tools.tools / "agent"],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=self._words,
                start_new_session=True,
                cwd="/",
                env={"PATH": machine.INSIDE_PATH},
            )
        channel = SocketChannel(ours, self._words)
        agent = Agent(channel, f"{role} tap")
        self._agents.append((agent, channel, process))
        return agent

    @staticmethod
    def strace() -> tuple[str, ...]:
        """Return how strace is started on this machine. Raises Unsupported where it is missing."""
        lacking = machine.missing(("strace",))
        if lacking:
            raise machine.lacks(lacking)
        return ("strace",)

    def witness(self, words: Sequence[str]) -> WitnessProcess:
        """Start the recorder of the kernel's trace on this machine."""
        witness = WitnessProcess([toolchain.provide(self._progress).witness, *words], self._words)
        self._witnesses.append(witness)
        return witness
