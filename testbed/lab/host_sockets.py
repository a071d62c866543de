"""The sockets and counters of a host, as its agent reads them from the kernel."""

from __future__ import annotations

import contextlib

from testbed.lab import proc_counters, tcp_table
from testbed.lab.agent import Agent, AgentRefused
from testbed.lab.running_program import Readiness


def tcp_sockets(agent: Agent) -> list[tcp_table.TcpSocket]:
    """Return all TCP sockets of an agent's host."""
    return [socket for path in tcp_table.TCP_FILES for socket in _table(agent, path)]


def _table(agent: Agent, path: str) -> list[tcp_table.TcpSocket]:
    try:
        return tcp_table.parse(agent.read_file(path).decode())
    except AgentRefused:  # no IPv6 in this kernel
        return []


def is_bound(agent: Agent, ready: Readiness) -> bool:
    """Whether a program's socket is there: one that listens on the TCP port, one that is bound to the UDP port."""
    if ready.kind == "tcp":
        return tcp_table.listens(tcp_sockets(agent), ready.port)
    return any(tcp_table.bound(_table(agent, path), ready.port) for path in tcp_table.UDP_FILES)


def counters(agent: Agent) -> dict[str, int]:
    """Return what the kernel has counted in an agent's network namespace; see :mod:`testbed.model.kernel_counters`."""
    found: dict[str, int] = {}
    for path in proc_counters.FILES:
        with contextlib.suppress(AgentRefused):  # no IPv6 in this kernel
            found |= proc_counters.parse(path, agent.read_file(path).decode())
    return found
