"""Socket API calls as observers see them. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from testbed.model.hosts import Endpoint, Host


@dataclass(frozen=True, slots=True)
class SocketInfo:
    """What the observer knew of the socket a call was made on.

    ``cookie`` is the kernel's identity of the socket (SO_COOKIE), the same in every process that shares it and
    never used twice in one kernel; 0 when unknown. ``protocol`` is ``tcp``, ``udp`` or ``other``.
    """

    cookie: int
    protocol: str
    local: Endpoint | None = None
    peer: Endpoint | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One socket API call as an observer saw it.

    ``n`` numbers the calls of one host in order of their start, from 0. ``result`` is the C return value, ``errno``
    the symbolic name (``ECONNREFUSED``) or None. ``data`` holds the first bytes written or read (up to
    ``DATA_PREFIX``), ``length`` how many bytes were transferred (0 for calls that move none), ``digest`` XXH3-64
    of all of them as 16 hex digits or None. ``direction`` is ``out`` for bytes given to the kernel, ``in`` for
    bytes taken from it, None otherwise. ``end`` is None for a call that never returned (process killed or still
    blocked at the end). ``caller`` is the return address as ``module+0xoffset``, ``source`` ``file:line`` where
    resolved. ``kernel_only``: the host's observer missed it, and the kernel's trace has it.
    """

    n: int
    host: Host
    pid: int
    tid: int
    program: str
    name: str
    fd: int
    args: dict[str, Any]
    start: int
    end: int | None
    result: int
    errno: str | None = None
    socket: SocketInfo | None = None
    direction: Literal["out", "in"] | None = None
    length: int = 0
    data: bytes = b""
    digest: str | None = None
    caller: str | None = None
    source: str | None = None
    kernel_only: bool = False

    def __str__(self) -> str:
        return f"{self.host} #{self.n} {self.name}"


DATA_PREFIX = 64
"""How many payload bytes of a call an observer keeps for showing."""
