"""What a kernel trace says, as ``result.json`` holds it: of a run, and of each crossing."""

from __future__ import annotations

from typing import Any

from testbed.model import Cause
from testbed.model.kernel_log import Agreement, KernelEvidence, Matched, StateChange
from testbed.report.evidence_text import sentence
from testbed.report.text.contradiction_text import event_text

_Object = dict[str, Any]


def run_to_json(kernel: KernelEvidence | None) -> _Object | None:
    """Return what the kernel trace says of a run; None without one."""
    if kernel is None:
        return None
    log = kernel.log
    return {
        "complete": log.complete,
        "problems": list(log.problems),
        "recorded": list(log.recorded),
        "missing": list(log.missing),
        "stacks": [list(stack) for stack in log.stacks],
        "timers": [
            {
                "time_ns": timer.time,
                "cpu": timer.cpu,
                "function": timer.function,
                "host": timer.host,
                "local": str(timer.local),
                "peer": str(timer.peer),
            }
            for timer in log.timers
        ],
        "lost_events": log.lost,
        "clock_error_ns": log.clock_error,
        "agreement": {agreement.value: kernel.count(agreement) for agreement in Agreement},
        "unmatched": [event_text(event) for event in kernel.unmatched],
        "retransmissions": [_matched(each) for each in kernel.retransmissions],
        "resets": [_matched(each) for each in kernel.resets],
        "drops": [_matched(each) for each in kernel.drops],
        "state_changes": [_change(each) for each in kernel.state_changes],
    }


def crossing_to_json(kernel: KernelEvidence | None, number: int, cause: Cause) -> _Object | None:
    """Return what the kernel trace says of one crossing, whose cause it is; None without one."""
    if kernel is None:
        return None
    found, state = kernel.assessments[number], kernel.send_states.get(number)
    return {
        "agreement": found.agreement.value,
        "said": sentence(found.evidence),
        "cwnd": state.cwnd if state else None,
        "ssthresh": state.ssthresh if state else None,
        "srtt_us": state.srtt if state else None,
        "send_window": state.wnd if state else None,
        "origin": _origin(cause),
        "inferred": None if not cause.differs or cause.inferred is None else cause.inferred.rule.value,
    }


def _origin(cause: Cause) -> _Object | None:
    origin = cause.origin
    if origin is None:
        return None
    return {
        "mechanism": origin.mechanism.value,
        "meaning": origin.meaning,
        "functions": list(origin.functions),
        "stack": origin.stack_number,
        "syscall": origin.syscall,
        "thread": origin.pid,
        "timer": origin.timer,
        "packet": origin.packet,
        "certain": origin.certain,
    }


def _matched(each: Matched) -> _Object:
    event = each.event
    return {
        "time_ns": event.time,
        "host": event.host,
        "flow": each.flow,
        "event": event.name,
        "packets": list(each.packets),
        "reason": event.fields.get("reason"),
        "place": event.fields.get("place"),
    }


def _change(change: StateChange) -> _Object:
    return {
        "time_ns": change.event.time,
        "host": change.event.host,
        "flow": change.flow,
        "old": change.old,
        "new": change.new,
        "kind": change.kind,
        "why": sentence(change.evidence),
        "calls": list(change.calls),
        "packets": list(change.packets),
    }
