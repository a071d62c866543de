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
    """Whether a program's sockets are there: those that listen on the TCP ports, those bound to the UDP ports."""
    listening = tcp_sockets(agent) if ready.tcp else []
    if not all(tcp_table.listens(listening, port) for port in ready.tcp):
        return False
    datagrams = [socket for path in tcp_table.UDP_FILES for socket in _table(agent, path)] if ready.udp else []
    return all(tcp_table.bound(datagrams, port) for port in ready.udp)


def counters(agent: Agent) -> dict[str, int]:
    """Return what the kernel has counted in an agent's network namespace; see :mod:`testbed.model.kernel_counters`."""
    found: dict[str, int] = {}
    for path in proc_counters.FILES:
        with contextlib.suppress(AgentRefused):  # no IPv6 in this kernel
            found |= proc_counters.parse(path, agent.read_file(path).decode())
    return found
