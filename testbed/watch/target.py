"""What is to be watched, as it is named on the command line. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from testbed.model import HOSTS, Host
from testbed.model.errors import UsageError

WAYS = (
    "write a container's name or id, a compose service, pid:NUMBER, name:PROGRAM, or netns:NAME (or a path); "
    "`client=` or `server=` before it says which end it is"
)


class TargetKind(StrEnum):
    """How a target is named; the value is what stands before the colon."""

    CONTAINER = "container"
    """A container, or a service of a compose project."""
    PID = "pid"
    NAME = "name"
    NAMESPACE = "netns"


@dataclass(frozen=True, slots=True)
class Target:
    """One end of what is watched. ``text`` is as it was written, ``role`` the end that it was said to be, if any."""

    text: str
    kind: TargetKind
    name: str
    role: Host | None = None

    @property
    def label(self) -> str:
        """The name as part of a file's name: letters, digits, dots, underscores and dashes."""
        return re.sub(r"[^\w.-]+", "-", self.name).strip("-.") or "target"


def parse_target(text: str) -> Target:
    """Read a target: ``api``, ``client=pid:123``, ``name:nginx``, ``netns:/run/netns/blue``. Raises UsageError."""
    role, rest = next(
        ((host, text.removeprefix(f"{host}=")) for host in HOSTS if text.startswith(f"{host}=")), (None, text)
    )
    before, colon, name = rest.partition(":")
    if not colon:
        kind, name = TargetKind.CONTAINER, rest
    elif before in set(TargetKind):
        kind = TargetKind(before)
    else:
        raise UsageError(f"`{text}` names nothing that can be watched", hint=WAYS)
    if not name or (kind is TargetKind.PID and not name.isdecimal()):
        what = "a process's number" if kind is TargetKind.PID else "a name"
        raise UsageError(f"`{text}`: {what} is missing", hint=WAYS)
    return Target(text, kind, name, role)


def ends(one: Target, other: Target) -> tuple[Target, Target]:
    """Return client and server: as they are said to be, else in the order in which they are named.

    Raises UsageError if both are said to be the same end.
    """
    if one.role is not None and one.role == other.role:
        raise UsageError(f"`{one.text}` and `{other.text}` cannot both be the {one.role}")
    swapped = one.role == "server" or other.role == "client"
    return (other, one) if swapped else (one, other)
