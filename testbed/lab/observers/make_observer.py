"""The observers by the names that scenarios use, and which of them ``auto`` is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from testbed.lab.agent import Agent
from testbed.lab.engine import ACTOR, Debugger
from testbed.lab.kernel_trace import Witness
from testbed.lab.observers.executables import is_there, why_blind
from testbed.lab.observers.hold_rules import CallHold
from testbed.lab.observers.probe_observer import HostObserver, NoObserver, ProbeObserver
from testbed.lab.observers.trace_observer import TracedObserver
from testbed.lab.observers.winsock_observer import WinsockObserver, can_observe
from testbed.model import Host

TRACED = frozenset({"auto", "probe", "trace"})
"""Observers that the kernel's trace of calls is, or is beside of where it can be had."""


@dataclass(frozen=True, slots=True)
class CallTrace:
    """The kernel's trace of calls in a lab: what records it, and under which name a host's program is held for it."""

    witness: Witness
    held_name: str


def choose_observer(
    name: str, agent: Agent, argv: Sequence[str], program: str, debugger: Debugger, *, trace: bool
) -> tuple[str, str]:
    """Return which observer a scenario's choice is for a program, and why, where it is ``auto`` and not the probe.

    ``argv`` is its command, ``program`` where its first word leads. ``trace``: the kernel's trace of calls can be had.
    """
    if name != "auto":
        return name, ""
    if can_observe(agent, argv):
        return "winsock", f"`{argv[0]} {argv[1]}` is observed by winsock: a Windows program" if argv[1:] else ""
    reason = "" if program == ACTOR[0] else why_blind(agent, program)
    if reason and trace:
        return "trace", f"`{program}` is observed by the kernel's trace alone: {reason}"
    if reason and is_there(agent, debugger.strace[0]):
        return "strace", f"`{program}` is observed by strace: {reason}"
    return "probe", ""


def make_observer(
    name: str, agent: Agent, host: Host, debugger: Debugger, hold: CallHold, trace: CallTrace | None
) -> HostObserver:
    """Make an observer by its name; ``hold`` is how long gdb holds a call, ``trace`` the kernel's trace of calls.

    Beside the probe the trace proves that the log is complete. Raises Unsupported where ``trace`` is asked for and
    cannot be had.
    """
    if name == "strace":
        from testbed.lab.observers.tracers import StraceObserver

        return StraceObserver(agent, host, debugger)
    if name == "gdb":
        from testbed.lab.observers.tracers import GdbObserver

        return GdbObserver(agent, host, debugger, hold)
    if name == "winsock":
        return WinsockObserver(agent, host)
    inner: HostObserver = ProbeObserver(agent, host) if name == "probe" else NoObserver()
    return TracedObserver(inner, trace.witness, trace.held_name) if name in TRACED and trace is not None else inner
