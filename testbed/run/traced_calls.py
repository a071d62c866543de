"""What the kernel's trace tells of the programs' calls, put beside what their observers recorded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from testbed.lab.collected import Collected
from testbed.lab.engine import LiveLab
from testbed.model import Host
from testbed.model.errors import CaptureError

if TYPE_CHECKING:
    from testbed.observe.trace.trace_calls import TracedCalls


def take_traced_calls(recording: Path, live: LiveLab | None, collected: Collected) -> None:
    """Put the calls of the trace into ``collected``, and say of which hosts it has all."""
    if live is not None and collected.traced and recording.exists():
        try:
            _take(recording, live, collected)
        except (CaptureError, ValueError, LookupError) as error:
            collected.incomplete.append(f"the trace of the calls cannot be read: {error}")
    for host, problems in collected.call_problems.items():
        if host in collected.proven:
            collected.notes += [f"{host}: {problem}; the kernel's trace has all calls" for problem in problems]
        else:
            collected.incomplete += [f"{host}: {problem}" for problem in problems]


def _take(recording: Path, live: LiveLab, collected: Collected) -> None:
    from testbed.observe.trace.trace_calls import calls_of
    from testbed.observe.trace.trace_events import read_recording

    recorded = read_recording(recording)
    roots = {
        recorded.tasks[name]: (host, pid) for host, (name, pid) in collected.traced.items() if name in recorded.tasks
    }
    own = {host: addresses.all for host, addresses in live.addresses.items()}
    flaws = []
    if recorded.lost:
        flaws.append(f"the kernel's buffer was too small: {recorded.lost} events of its calls were lost")
    if not recorded.ended:
        flaws.append("the trace of its calls has no end")
    for host, traced in calls_of(recorded.events(), roots, own).items():
        deferred = f"io_uring gave {traced.deferred} requests to workers, whose calls are not traced"
        _put_together(host, traced, [*flaws, *([deferred] if traced.deferred else [])], recorded.clock_error, collected)


def _put_together(host: Host, traced: TracedCalls, flaws: list[str], clock_error: int, collected: Collected) -> None:
    """Take a host's traced calls; ``flaws`` say why they may not be all."""
    if collected.observers.get(host) == "trace":
        collected.calls[host] = traced.calls
        collected.call_problems[host] = flaws
    else:
        from testbed.observe.trace.complete_log import complete_log

        completed = complete_log(collected.calls.get(host, ()), traced.calls, clock_error)
        collected.calls[host] = completed.calls
        if flaws:
            collected.notes += [f"{host}: {flaw}; they do not prove that its calls are all" for flaw in flaws]
        if completed.written or completed.read:
            moved = f"they wrote {completed.written} bytes and read {completed.read}"
            calls = "1 call was" if completed.added == 1 else f"{completed.added} calls were"
            collected.notes.append(f"{host}: {calls} seen by the kernel only; {moved}")
        if completed.contradictions and not flaws:
            more = len(completed.contradictions) - 1
            others = f" ({more} more of this kind)" if more else ""
            collected.incomplete.append(f"{host}: the call log is wrong: {completed.contradictions[0]}{others}")
            return
    if not flaws:
        collected.proven.add(host)
