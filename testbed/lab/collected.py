"""What is left of a run's programs and taps, until it becomes the run directory and the manifest."""

from __future__ import annotations

from dataclasses import dataclass, field

from testbed.model import Call, Host, Program
from testbed.model.kernel_counters import KernelCounters


@dataclass(slots=True)
class Collected:
    """What a session leaves besides the files that it wrote: programs, call logs, and what went wrong.

    ``failures`` make the run fail, ``incomplete`` inconclusive;
    ``cut_short`` says why the lab, not the programs, ended the run: then nothing that failed counts.
    """

    programs: list[Program] = field(default_factory=list)
    observers: dict[Host, str] = field(default_factory=dict)
    """What each host's program was observed by."""
    traced: dict[Host, tuple[str, int]] = field(default_factory=dict)
    """Programs whose calls the kernel's trace has: under which name each was held, its number in its PID namespace."""
    calls: dict[Host, tuple[Call, ...]] = field(default_factory=dict)
    call_problems: dict[Host, list[str]] = field(default_factory=dict)
    """Why a host's calls may not be all. They make the run inconclusive, unless the kernel's trace has all."""
    proven: set[Host] = field(default_factory=set)
    """Hosts of which the kernel's trace proves that all calls are there."""
    failures: list[str] = field(default_factory=list)
    incomplete: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    sysctls: dict[Host, dict[str, str]] = field(default_factory=dict)
    offloads: dict[Host, dict[str, str]] = field(default_factory=dict)
    tcpdump: dict[Host, str] = field(default_factory=dict)
    tap_statistics: dict[Host, dict[str, int]] = field(default_factory=dict)
    link_totals: dict[str, int] = field(default_factory=dict)
    counters: dict[Host, KernelCounters] = field(default_factory=dict)
    cut_short: str = ""
