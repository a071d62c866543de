"""The engine as it is inside a kernel of our own: labs of namespaces, with what this kernel is in the manifest."""

from __future__ import annotations

from pathlib import Path

from testbed.lab.engine import LabSpec, LiveLab, Progress
from testbed.lab.namespace.namespace_engine import NamespaceEngine, Namespaces

_CLOCK = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
_VIRTUAL = "time-travel"
"""The kernel's clock in virtual time has a name that begins so (arch/um/kernel/time.c)."""

CAPTURING = "dump"
"""compose/dump: tcpdump's large buffer would be mapped page by page."""
_LOOK = 3600.0
"""Nobody waits for a program here, and an hour may pass in a millisecond."""


class OwnKernel(Namespaces):
    """Makes engines in this kernel. ``is_first``: no run was made in it before the next one."""

    def __init__(self) -> None:
        super().__init__()
        self.is_first = True

    def __call__(self, progress: Progress) -> NamespaceEngine:
        """Return an engine for one lab."""
        return OwnKernelEngine(self, progress, deterministic=self.is_first and is_virtual())


class OwnKernelEngine(NamespaceEngine):
    """One lab in this kernel."""

    name = "uml"

    def __init__(self, shared: Namespaces, progress: Progress, *, deterministic: bool) -> None:
        super().__init__(shared, progress)
        self._deterministic = deterministic

    def bring_up(self, spec: LabSpec) -> LiveLab:
        """Make namespaces and agents, and say which kernel and clock they have."""
        live = super().bring_up(spec)
        live.capturing = CAPTURING
        live.versions["tcpdump"] = f"{CAPTURING} of Bothends"  # so that nobody asks for its version
        if is_virtual():
            live.look = _LOOK
        live.manifest["engine"]["clock"] = "virtual" if is_virtual() else "real"
        live.manifest["deterministic"] = self._deterministic
        return live


def is_virtual() -> bool:
    """Whether this kernel's clock jumps over idle time."""
    try:
        return _CLOCK.read_text(encoding="ascii").startswith(_VIRTUAL)
    except OSError:
        return False
