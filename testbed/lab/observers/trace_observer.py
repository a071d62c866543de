"""The kernel's trace of calls at work in a lab: alone, or beside another observer as proof that its log is complete.

What it recorded is decoded when the recording has ended (:mod:`testbed.run.traced_calls`).
"""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence

from testbed.lab.agent import AgentProcess
from testbed.lab.engine import TOOLS_DIRECTORY
from testbed.lab.kernel_trace import Witness
from testbed.lab.observers.held_program import refused_by_hold
from testbed.lab.observers.probe_observer import HostObserver
from testbed.model.errors import LabError
from testbed.observe.observation import Observation

PRELOAD = "LD_PRELOAD"


class TracedObserver:
    """Holds the program until the kernel's trace has it; ``inner`` is what observes it besides."""

    def __init__(self, inner: HostObserver, witness: Witness, name: str) -> None:
        self._inner = inner
        self._witness = witness
        self.held_name = name
        # Not into what holds it, whose log would be another program's.
        self._preload = inner.environment.get(PRELOAD, "")
        self.environment: Mapping[str, str] = {
            name: value for name, value in inner.environment.items() if name != PRELOAD
        }
        self.pid = 0
        """The program's number in its host's PID namespace, once it is traced."""

    def command(self, argv: Sequence[str]) -> tuple[str, ...]:
        """Return the program behind ``hold``."""
        preload = ("--preload", self._preload) if self._preload else ()
        return (f"{TOOLS_DIRECTORY}/hold", "--name", self.held_name, *preload, *self._inner.command(argv))

    def attach(self, process: AgentProcess) -> None:
        """Wait until the trace has the program; let it go."""
        if not self._witness.wait_program(self.held_name, process.ended):
            refused_by_hold(process)
            raise LabError(
                "the kernel trace did not find the program that it was to record",
                last_output=self._witness.last_words(),
                hint="`invoke doctor` tries the trace",
            )
        self.pid = process.pid
        process.signal(signal.SIGUSR1)
        self._inner.attach(process)

    def collect(self) -> Observation:
        """Return what was recorded besides."""
        return self._inner.collect()
