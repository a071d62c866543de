"""What the kernel's trace tells of the programs' calls, put beside what their observers recorded."""

from __future__ import annotations

from pathlib import Path

from testbed.lab.collected import Collected
from testbed.lab.engine import LiveLab
from testbed.model import Host
from testbed.model.errors import CaptureError


def take_traced_calls(recording: Path, live: LiveLab, collected: Collected) -> None:
    """Put the calls of the trace into ``collected``; what is wrong with them makes the run inconclusive."""
    if not collected.traced or not recording.exists():
        return
    from testbed.observe.trace.trace_calls import TracedCalls, calls_of
    from testbed.observe.trace.trace_events import read_recording

    try:
        recorded = read_recording(recording)
        roots = {
            recorded.tasks[name]: (host, pid)
            for host, (name, pid) in collected.traced.items()
            if name in recorded.tasks
        }
        traced: dict[Host, TracedCalls] = calls_of(recorded.events(), roots, live.addresses)
    except (CaptureError, ValueError, LookupError) as error:
        collected.incomplete.append(f"the trace of the calls cannot be read: {error}")
        return
    for host, found in traced.items():
        if collected.observers.get(host) != "trace":
            continue
        collected.calls[host] = found.calls
        if recorded.lost:
            collected.incomplete.append(
                f"{host}: the kernel's buffer was too small: {recorded.lost} events of its calls were lost"
            )
        if not recorded.ended:
            collected.incomplete.append(f"{host}: the trace of its calls has no end")
        if found.deferred:
            collected.incomplete.append(
                f"{host}: io_uring gave {found.deferred} requests to workers of its own, whose calls are not traced"
            )
