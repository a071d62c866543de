"""What the witness says, as ``result.json`` holds it: of a run, and of each crossing."""

from __future__ import annotations

from typing import Any

from testbed.analysis.kernel.kernel_evidence import tally
from testbed.model.kernel_log import Matched, StateChange, Testimony

_Object = dict[str, Any]


def run_to_json(testimony: Testimony | None) -> _Object | None:
    """Return what the kernel said of a run; None without a witness."""
    if testimony is None:
        return None
    log = testimony.log
    return {
        "complete": log.complete,
        "problems": list(log.problems),
        "recorded": list(log.recorded),
        "missing": list(log.missing),
        "lost_events": log.lost,
        "clock_error_ns": log.clock_error,
        "agreement": tally(testimony),
        "unmatched": list(testimony.unmatched),
        "retransmissions": [_matched(each) for each in testimony.retransmissions],
        "resets": [_matched(each) for each in testimony.resets],
        "drops": [_matched(each) for each in testimony.drops],
        "state_changes": [_change(each) for each in testimony.changes],
    }


def crossing_to_json(testimony: Testimony | None, number: int) -> _Object | None:
    """Return what the kernel said of one crossing; None without a witness."""
    if testimony is None:
        return None
    said, state = testimony.words[number], testimony.states.get(number)
    return {
        "agreement": said.agreement,
        "said": said.text,
        "cwnd": state.cwnd if state else None,
        "ssthresh": state.ssthresh if state else None,
        "srtt_us": state.srtt if state else None,
        "send_window": state.wnd if state else None,
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
        "why": change.why,
        "calls": list(change.calls),
        "packets": list(change.packets),
    }
