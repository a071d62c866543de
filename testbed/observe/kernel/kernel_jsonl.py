"""``kernel.jsonl`` (``bothends-kernel/1``): the kernel trace of a run, in its directory.

The first line holds ``format`` and the members of :class:`testbed.model.kernel_log.KernelLog` besides its events;
each further
line is one :class:`testbed.model.kernel_log.KernelEvent`, in time order. Endpoints are ``"192.0.2.1:80"`` or
``"[2001:db8::1]:80"``. In the first line, ``departures`` has for each host a list with a list for each departure, and
``timers`` a list for each, of their members in order.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, TextIO

from testbed.model import Endpoint, Host
from testbed.model.errors import CaptureError
from testbed.model.kernel_log import Departure, KernelEvent, KernelLog, TimerRun

FORMAT = "bothends-kernel/1"
_TIMER_MEMBERS = 6


def write_jsonl(log: KernelLog, file: TextIO) -> None:
    """Write a log."""
    head = {name: value for name, value in _fields(log).items() if name != "events"}
    head["departures"] = {host: [list(_fields(each).values()) for each in own] for host, own in log.departures.items()}
    head["timers"] = [
        [each.time, each.cpu, each.function, each.host, str(each.local), str(each.peer)] for each in log.timers
    ]
    file.write(json.dumps({"format": FORMAT, **head}) + "\n")
    file.writelines(json.dumps(event_to_json(event), separators=(",", ":")) + "\n" for event in log.events)


def event_to_json(event: KernelEvent) -> dict[str, Any]:
    """Return an event as a JSON object."""
    ends = {name: None if end is None else str(end) for name, end in (("local", event.local), ("peer", event.peer))}
    return {**_fields(event), **ends, "fields": dict(event.fields)}


def _fields(value: KernelLog | KernelEvent | Departure) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__dataclass_fields__}


def read_jsonl(lines: Iterable[str]) -> KernelLog:
    """Read what :func:`write_jsonl` wrote. Raises CaptureError at a line that is not its."""
    number = 1
    try:
        rest = iter(lines)
        head = json.loads(next(rest))
        if head.pop("format") != FORMAT:
            raise CaptureError(f"kernel.jsonl has not the format {FORMAT}")
        events = []
        for number, line in enumerate(rest, 2):  # noqa: B007 - for the error
            event = json.loads(line)
            event["local"], event["peer"] = _endpoint(event["local"]), _endpoint(event["peer"])
            events.append(KernelEvent(**event))
        lists = {name: tuple(head.pop(name)) for name in ("recorded", "missing", "problems")}
        return KernelLog(
            tuple(events),
            lost=head["lost"],
            clock_error=head["clock_error"],
            stacks=tuple(map(tuple, head.get("stacks", ()))),
            departures={
                host: tuple(Departure(*each) for each in own) for host, own in head.get("departures", {}).items()
            },
            timers=tuple(_timer(*each) for each in head.get("timers", ()) if len(each) == _TIMER_MEMBERS),
            **lists,
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, StopIteration) as error:
        raise CaptureError(f"kernel.jsonl cannot be read: line {number}: {error!r}") from error


def _timer(time: int, cpu: int, function: str, host: Host, local: str, peer: str) -> TimerRun:
    return TimerRun(time, cpu, function, host, _given(local), _given(peer))


def _endpoint(text: str | None) -> Endpoint | None:
    return None if text is None else _given(text)


def _given(text: str) -> Endpoint:
    address, _, port = text.rpartition(":")
    return Endpoint(address.strip("[]"), int(port))
