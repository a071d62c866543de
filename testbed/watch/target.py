"""What is to be watched, as it is named on the command line. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import StrEnum

from testbed.model import HOSTS, Host
from testbed.model.errors import UsageError

WAYS = (
    "write a container's name or id, a compose service, pid:NUMBER, name:PROGRAM, netns:NAME (or a path), or "
    "HOST:PORT; `client=` or `server=` before it says which end it is"
)


class TargetKind(StrEnum):
    """How a target is named; the value is what stands before the colon."""

    CONTAINER = "container"
    """A container, or a service of a compose project."""
    PID = "pid"
    NAME = "name"
    NAMESPACE = "netns"
    OUTSIDE = "outside"
    """An address and a port (``example.org:443``), at which nothing can be captured."""


_WRITTEN = frozenset({TargetKind.PID, TargetKind.NAME, TargetKind.NAMESPACE})
_OUTSIDE = re.compile(r"(?:[\w.-]+|\[[0-9A-Fa-f:.]+\]):\d{1,5}")


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
    elif before in _WRITTEN:
        kind = TargetKind(before)
    elif _OUTSIDE.fullmatch(rest):
        kind, name = TargetKind.OUTSIDE, rest
    else:
        raise UsageError(f"`{text}` names nothing that can be watched", hint=WAYS)
    if not name or (kind is TargetKind.PID and not name.isdecimal()):
        what = "a process's number" if kind is TargetKind.PID else "a name"
        raise UsageError(f"`{text}`: {what} is missing", hint=WAYS)
    return Target(text, kind, name, role)


def outside_of(target: Target) -> tuple[str, int]:
    """Return host and port of a target outside. Raises UsageError for a port that there cannot be."""
    host, _, port = target.name.rpartition(":")
    if not 0 < int(port) < 1 << 16:
        raise UsageError(f"`{target.text}`: {port} is no port")
    return host.strip("[]"), int(port)


def ends(one: Target, other: Target) -> tuple[Target, Target]:
    """Return client and server: as they are said to be, else in the order in which they are named.

    Raises UsageError if both are said to be the same end.
    """
    if one.role is not None and one.role == other.role:
        raise UsageError(f"`{one.text}` and `{other.text}` cannot both be the {one.role}")
    swapped = one.role == "server" or other.role == "client"
    return (other, one) if swapped else (one, other)


def addresses_in(listing: str) -> dict[str, list[str]]:
    """Return the addresses of each interface but the loopback, from the JSON of `ip address`."""
    return {
        each["ifname"]: [own["local"] for own in each["addr_info"] if "local" in own and own["scope"] == "global"]
        for each in json.loads(listing or "[]")
        if "LOOPBACK" not in each.get("flags", ["LOOPBACK"])  # one that is not up is empty
    }
