"""The program files of a host, read through its agent: whether the probe can see a program, and its source lines."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from testbed.lab.agent import Agent, AgentRefused

if TYPE_CHECKING:  # what decodes is imported when there is something to decode: the lab comes up meanwhile
    from testbed.observe.source_lines import ReadPart, SourceLines


def why_blind(agent: Agent, program: str) -> str:
    """Say why the probe sees nothing of a program of the agent's host; empty if it should, or nobody knows."""
    from testbed.observe import preloadable
    from testbed.observe.source_lines import FileParts

    for path in executable_paths(agent, program):
        try:
            return preloadable.why_not_preloadable(FileParts(_reader(agent), path))
        except OSError:
            continue
    return ""


def is_there(agent: Agent, program: str) -> bool:
    """Say whether the agent's host has a program."""
    for path in executable_paths(agent, program):
        try:
            return bool(agent.read_part(path, 0, 1))
        except AgentRefused:
            continue
    return False


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
