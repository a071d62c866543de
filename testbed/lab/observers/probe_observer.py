"""The preloaded probe at work in a lab, and what all observers have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

from testbed.lab.agent import Agent, AgentProcess
from testbed.lab.engine import ACTOR, LOG_DIRECTORY, PROBE_ENVIRONMENT
from testbed.lab.observers.executables import source_lines, why_blind
from testbed.model import Host
from testbed.observe.observation import Observation

_TRACERS = "`trace`, `strace` or `gdb`"


class HostObserver(Protocol):
    """One observer of one host's program. ``environment`` is what the program must be started with."""

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables for the program."""

    def command(self, argv: Sequence[str]) -> tuple[str, ...]:
        """Return what to start so that the program is observed."""

    def attach(self, process: AgentProcess) -> None:
        """Observe the process that :meth:`command` was started as; it begins to run as the program."""

    def collect(self) -> Observation:
        """Return what was recorded, once the program has ended."""


class NoObserver:
    """Looks at nothing."""

    environment: Mapping[str, str] = MappingProxyType({})

    def command(self, argv: Sequence[str]) -> tuple[str, ...]:
        """Return the program itself."""
        return tuple(argv)

    def attach(self, process: AgentProcess) -> None:
        """Do nothing."""

    def collect(self) -> Observation:
        """Return no calls."""
        return Observation()


class ProbeObserver(NoObserver):
    """The preloaded library: the environment brings it into the program, its logs are read afterwards.

    Also what is used in a lab by hand, for whatever was started there.
    """

    environment = MappingProxyType(PROBE_ENVIRONMENT)

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

        names = self._agent.list_directory(LOG_DIRECTORY)
        logs = {name: self._agent.read_file(f"{LOG_DIRECTORY}/{name}") for name in names}
        decoded = probe_log.decode(logs, self._host)
        problems = list(decoded.problems)
        if decoded.lost:
            problems.append(f"the call log was full; {decoded.lost} calls are not in it")
        if self._argv and not decoded.calls:
            reason = why_blind(self._agent, self._argv[0])
            blind = f"{reason}; {_TRACERS} would see its calls"
            if not decoded.processes:
                problems.append(
                    f"the probe left no log of `{self._argv[0]}`: {blind if reason else _TRACERS + ' would'}"
                )
            elif reason:
                problems.append(f"the probe saw no call of `{self._argv[0]}`: {blind}")
        calls = decoded.calls
        if self._argv != ACTOR:  # whose own lines tell nobody anything; a scenario's steps do
            calls = source_lines(self._agent).fill(calls)
        return Observation(calls, tuple(problems), blind=not decoded.processes)
