"""The observers by the names that scenarios use."""

from __future__ import annotations

from testbed.lab.agent import Agent
from testbed.lab.engine import Debugger
from testbed.lab.observers.hold_rules import CallHold
from testbed.lab.observers.probe_observer import HostObserver, NoObserver, ProbeObserver
from testbed.model import Host


def make_observer(name: str, agent: Agent, host: Host, debugger: Debugger, hold: CallHold) -> HostObserver:
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
