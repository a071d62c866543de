"""The actor's events: what each step of a program did (docs/protocols.md, "Actor script").

Standard library only, no I/O: :func:`parse_event` takes one line of the actor's standard output, :func:`explain` gives
the sentence for a step that did not end as the scenario expected.
"""

from __future__ import annotations

import errno
import json
import os
from dataclasses import dataclass
from typing import Any, Final

from testbed.model.errors import LabError

EVENTS: Final = frozenset({"ok", "error", "unexpected-success", "listening", "barrier", "done"})

_NOT_ERRNO: Final = {
    "EOF": "the peer ended the stream first",
    "TIMEOUT": "nothing to read in the time given",
}
_LINE_SHOWN = 200


@dataclass(frozen=True, slots=True)
class ActorEvent:
    """One line of the actor's output.

    ``step`` is the scenario's number of the step, None for ``done``. ``call`` is the C function that ended it,
    ``result`` what that returned, ``errno`` the symbolic name (or ``EOF``, ``TIMEOUT``) of an ``error``. ``expected``
    is False when the step did not end as the scenario expects; ``expect`` is then what it expects (``ok`` or an errno).
    ``name`` is a barrier's, or that of the socket option in an ``error``; ``port`` that of a listening socket (0: the
    kernel chose). ``bytes`` and ``calls`` sum over all calls of a step that moves bytes; ``data`` holds the first 64
    bytes received. ``value`` is what ``getsockopt`` gave, or what a wait found.
    ``pktinfo`` is to which address of the host a message came, and by which interface (its index), where it says so.
    """

    event: str
    step: int | None = None
    call: str | None = None
    result: int | None = None
    errno: str | None = None
    expected: bool = True
    expect: str | None = None
    name: str | None = None
    port: int | None = None
    data: bytes = b""
    bytes: int | None = None
    calls: int | None = None
    value: str | None = None
    pktinfo: dict[str, Any] | None = None

    @property
    def failed(self) -> bool:
        """Whether this is the event of a step that did not end as expected."""
        return not self.expected


_TYPES: Final[dict[str, type]] = {
    "event": str,
    "step": int,
    "call": str,
    "result": int,
    "errno": str,
    "expected": bool,
    "expect": str,
    "name": str,
    "port": int,
    "bytes": int,
    "calls": int,
    "data": str,
    "value": str,
    "pktinfo": dict,
}


def parse_event(line: str | bytes) -> ActorEvent:
    """Read one line of the actor's standard output.

    Raises :class:`LabError` for a line that is no event: another program printed it, or the line was cut.
    """
    try:
        members = json.loads(line)
    except ValueError as error:
        raise _no_event(line, "it is not JSON") from error
    if not isinstance(members, dict):
        raise _no_event(line, "it is not a JSON object")
    fields: dict[str, Any] = {}
    for name, value in members.items():
        if type(value) is not _TYPES.get(name):
            raise _no_event(line, f"it has a strange member {name!r}")
        fields[name] = value
    if fields.get("event") not in EVENTS:
        raise _no_event(line, "it names no event that is known")
    if fields["event"] == "unexpected-success":
        fields["expected"] = False
    try:
        fields["data"] = bytes.fromhex(fields.get("data", ""))
    except ValueError as error:
        raise _no_event(line, "its data is not hex") from error
    return ActorEvent(**fields)


def explain(event: ActorEvent, *, host: str = "", where: str = "") -> str:
    """Describe a failed step: ``step 2 (connect) failed: ECONNREFUSED (connection refused); ...``.

    ``host`` goes before, ``where`` (the scenario's ``file:line``) behind. Made for events whose ``failed`` is true.
    """
    step = f"{host} step {event.step} ({event.call})".lstrip()
    wanted = event.expect or "ok"
    scenario = "success" if wanted == "ok" else describe_error(wanted)
    did = "succeeded" if event.errno is None else f"failed: {describe_error(event.errno)}"
    moved = f" after {event.bytes} byte{'' if event.bytes == 1 else 's'}" if event.bytes is not None else ""
    return f"{step} {did}{moved}; the scenario expected {scenario}" + (f" [{where}]" if where else "")


def describe_error(name: str) -> str:
    """Give an errno's symbolic name with its meaning: ``ECONNREFUSED (connection refused)``."""
    if name in _NOT_ERRNO:
        return f"{name} ({_NOT_ERRNO[name]})"
    number = getattr(errno, name, None)
    if not isinstance(number, int):
        return name
    text = os.strerror(number)
    return f"{name} ({text[:1].lower()}{text[1:]})"


def _no_event(line: str | bytes, why: str) -> LabError:
    text = line.decode("utf-8", "backslashreplace") if isinstance(line, bytes) else line
    return LabError(f"the actor printed a line that is no event: {why}", last_output=text[:_LINE_SHOWN])
