"""The sockets and counters of a host, as its agent reads them from the kernel."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from testbed.lab import proc_counters, tcp_table
from testbed.lab.agent import Agent, AgentRefused
from testbed.lab.running_program import Readiness


def begin_tcp_sockets(agent: Agent) -> Callable[[], list[tcp_table.TcpSocket]]:
    """Start to read all TCP sockets of an agent's host; call the answer for them.

    The kernel looks through the table of all its network namespaces: some milliseconds, in which it can do so for
    another host as well.
    """
    tables = [agent.begin_file(path) for path in tcp_table.TCP_FILES]
    return lambda: [socket for table in tables for socket in _table(table)]


def _table(read: Callable[[], bytes]) -> list[tcp_table.TcpSocket]:
    try:
        return tcp_table.parse(read().decode())
    except AgentRefused:  # no IPv6 in this kernel
        return []


def is_bound(agent: Agent, ready: Readiness) -> bool:
    """Whether a program's sockets are there: those that listen on the TCP ports, those bound to the UDP ports."""
    listening = begin_tcp_sockets(agent)() if ready.tcp else []
    if not all(tcp_table.listens(listening, port) for port in ready.tcp):
        return False
    datagrams = (
        [socket for path in tcp_table.UDP_FILES for socket in _table(agent.begin_file(path))] if ready.udp else []
    )
    return all(tcp_table.bound(datagrams, port) for port in ready.udp)


def begin_counters(agent: Agent) -> Callable[[], dict[str, int]]:
    """Start to read what the kernel has counted in an agent's network namespace; call the answer for it.

    See :mod:`testbed.model.kernel_counters`.
    """
    files = {path: agent.begin_file(path) for path in proc_counters.FILES}

    def finish() -> dict[str, int]:
        found: dict[str, int] = {}
        for path, read in files.items():
            with contextlib.suppress(AgentRefused):  # no IPv6 in this kernel
                found |= proc_counters.parse(path, read().decode())
        return found

    return finish
