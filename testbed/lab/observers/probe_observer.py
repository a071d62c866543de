"""The observer of one host's program at work in a lab: how it is put in place, and what it leaves at the end."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from testbed.lab.agent import Agent, AgentRefused, Process
from testbed.lab.engine import ACTOR, LOG_DIRECTORY, Debugger
from testbed.lab.observers.hold_rules import Hold
from testbed.model import Host
from testbed.observe.observation import Observation

if TYPE_CHECKING:  # what decodes is imported when there is something to decode: the lab comes up meanwhile
    from testbed.observe.source_lines import ReadPart, SourceLines


class HostObserver(Protocol):
    """One observer of one host's program."""

    def command(self, argv: Sequence[str]) -> tuple[str, ...]:
        """Return what to start so that the program is observed."""

    def attach(self, process: Process) -> None:
        """Observe the process that :meth:`command` was started as; it begins to run as the program."""

    def collect(self) -> Observation:
        """Return what was seen, once the program has ended."""


class NoObserver:
    """Looks at nothing."""

    def command(self, argv: Sequence[str]) -> tuple[str, ...]:
        """Return the program itself."""
        return tuple(argv)

    def attach(self, process: Process) -> None:
        """Do nothing."""

    def collect(self) -> Observation:
        """Return no calls."""
        return Observation()


class ProbeObserver(NoObserver):
    """The preloaded library: the environment brings it into the program, its logs are read afterwards.

    Also what is used in a lab by hand, for whatever was started there.
    """

    def __init__(self, agent: Agent, host: Host) -> None:
        self._agent = agent
        self._host = host
        self._argv: tuple[str, ...] = ()

    def command(self, argv: Sequence[str]) -> tuple[str, ...]:
        """Return the program itself."""
        self._argv = tuple(argv)
        return self._argv

    def collect(self) -> Observation:
        """Read and decode the logs."""
        from testbed.observe.probe import probe_log
        from testbed.observe.visible import TRACERS

        names = self._agent.list_directory(LOG_DIRECTORY)
        logs = {name: self._agent.read_file(f"{LOG_DIRECTORY}/{name}") for name in names}
        decoded = probe_log.decode(logs, self._host)
        problems = list(decoded.problems)
        if decoded.lost:
            problems.append(f"the call log was full; {decoded.lost} calls are not in it")
        if self._argv and not decoded.calls:
            reason = why_blind(self._agent, self._argv[0])
            blind = f"{reason}; {TRACERS} would see its calls"
            if not decoded.processes:
                problems.append(
                    f"the probe left no log of `{self._argv[0]}`: {blind if reason else TRACERS + ' would'}"
                )
            elif reason:
                problems.append(f"the probe saw no call of `{self._argv[0]}`: {blind}")
        calls = decoded.calls
        if self._argv != ACTOR:  # whose own lines tell nobody anything; a scenario's steps do
            calls = source_lines(self._agent).fill(calls)
        return Observation(calls, tuple(problems), blind=not decoded.processes)


def why_blind(agent: Agent, program: str) -> str:
    """Say why the probe sees nothing of a program of the agent's host; empty if it should, or nobody knows."""
    from testbed.observe import visible
    from testbed.observe.source_lines import FileParts

    for path in executable_paths(agent, program):
        try:
            return visible.why_blind(FileParts(_reader(agent), path))
        except OSError:
            continue
    return ""


def source_lines(agent: Agent) -> SourceLines:
    """Return what resolves addresses in the modules of an agent's host."""
    from testbed.observe.source_lines import SourceLines

    return SourceLines(_reader(agent))


def _reader(agent: Agent) -> ReadPart:
    def read_part(path: str, offset: int, length: int) -> bytes:
        try:
            return agent.read_part(path, offset, length)
        except AgentRefused as error:
            raise OSError(error.number, os.strerror(error.number), path) from error

    return read_part


def executable_paths(agent: Agent, name: str) -> list[str]:
    """Return where execvp(3) would look for a program in the agent's host."""
    if "/" in name:
        return [name]
    environment = agent.read_file("/proc/self/environ").split(b"\0")
    search = next((entry[5:].decode() for entry in environment if entry.startswith(b"PATH=")), "/usr/bin:/bin")
    return [f"{directory or '.'}/{name}" for directory in search.split(":")]


def make_observer(name: str, agent: Agent, host: Host, debugger: Debugger, hold: Hold) -> HostObserver:
    """Make the observer that a scenario names; ``hold`` is how long gdb holds a call."""
    if name == "probe":
        return ProbeObserver(agent, host)
    if name == "strace":
        from testbed.lab.observers.tracers import StraceObserver

        return StraceObserver(agent, host, debugger)
    if name == "gdb":
        from testbed.lab.observers.tracers import GdbObserver

        return GdbObserver(agent, host, debugger, hold)
    return NoObserver()
