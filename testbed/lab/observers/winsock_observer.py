"""The observer of Windows programs under Wine: a library that is brought into the program logs its calls of Winsock."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

from testbed.lab import wine
from testbed.lab.agent import Agent
from testbed.lab.engine import LOG_DIRECTORY
from testbed.lab.observers.executables import is_there
from testbed.lab.observers.probe_observer import NoObserver
from testbed.model import Host
from testbed.model.errors import Unsupported
from testbed.observe.observation import Observation

STARTER = "/opt/winsock/winstart.exe"
"""What starts a Windows program with the library in it (compose/winstart), in the image `winsock`."""


def can_observe(agent: Agent, argv: Sequence[str]) -> bool:
    """Say whether a command is a Windows program's, and its host has what observes it."""
    return wine.is_wine(argv) and is_there(agent, STARTER)


class WinsockObserver(NoObserver):
    """Starts the program by :data:`STARTER`; its logs are read afterwards."""

    environment = MappingProxyType({"BOTHENDS_LOG_DIR": LOG_DIRECTORY})

    def __init__(self, agent: Agent, host: Host) -> None:
        self._agent = agent
        self._host = host
        self._program = ""

    def command(self, argv: Sequence[str]) -> tuple[str, ...]:
        """Return the program behind its starter.

        Raises Unsupported where there is none, or where the command starts no Windows program.
        """
        if not wine.is_wine(argv) or len(argv) < 2:
            raise Unsupported(
                f"the observer winsock records Windows programs under Wine; the {self._host}'s command is `{argv[0]}`",
                hint=f"`command: wine PROGRAM.exe`, or another observer: `observe: {{{self._host}: auto}}`",
            )
        if not is_there(self._agent, STARTER):
            raise Unsupported(
                f"the {self._host}'s image has no {STARTER}, which the observer winsock needs",
                hint=f"use an image made FROM ours (`invoke images` lists them), or `observe: {{{self._host}: trace}}`",
            )
        wine_program, self._program, *arguments = argv
        return (wine_program, STARTER, self._program, *arguments)

    def collect(self) -> Observation:
        """Read and decode the logs."""
        from testbed.observe.winsock import winsock_log

        files = [name for name in self._agent.list_directory(LOG_DIRECTORY) if name.startswith(winsock_log.PREFIX)]
        logs = {name: self._agent.read_file(f"{LOG_DIRECTORY}/{name}") for name in files}
        decoded = winsock_log.decode(logs, self._host)
        problems = list(decoded.problems)
        if not decoded.programs:
            problems.append(
                f"the observer winsock left no log of `{self._program}`: a 32-bit program, or one that did not start? "
                "`trace` would see its system calls"
            )
        elif not winsock_log.seen(decoded.calls):
            problems.append(
                f"the observer winsock saw no call of `{self._program}`: do its children, or libraries other than "
                "Winsock, make them? `trace` would see their system calls"
            )
        return Observation(decoded.calls, tuple(problems), blind=not decoded.programs)
