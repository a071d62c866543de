"""What the kernel said of itself during a run, as values. Pure data, like ``model.py``.

Times are ns since the epoch on the captures' clock. Sockets and packets in the kernel's memory (``sk``, ``skb``) are
numbered from 1 in the order in which they were met, 0 where an event names none; the kernel uses their memory again, so
one number can be several of them in turn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from testbed.model import Endpoint, Host


@dataclass(frozen=True, slots=True)
class KernelEvent:
    """One event of a tracepoint.

    ``host`` is where it happened, None for a drop whose socket is not known; ``local`` is that host's endpoint, with
    port 0 before the kernel chose one. ``interrupt``: in an interrupt (a packet's arrival or a timer), not in a system
    call. ``fields`` are the tracepoint's own: numbers, and names where it has names for them.
    """

    time: int
    name: str
    cpu: int
    interrupt: bool
    host: Host | None = None
    local: Endpoint | None = None
    peer: Endpoint | None = None
    sk: int = 0
    skb: int = 0
    fields: Mapping[str, int | str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KernelLog:
    """All events of the lab's own addresses, in time order.

    ``recorded`` and ``missing`` are tracepoints (group/name), the latter those that this kernel lacks. ``lost`` counts
    events that the buffer had no room for. ``clock_error`` is by how many ns times may be off against the captures'
    clock. ``problems`` say why the log is not complete; empty when it is.
    """

    events: tuple[KernelEvent, ...]
    recorded: tuple[str, ...]
    missing: tuple[str, ...] = ()
    lost: int = 0
    clock_error: int = 0
    problems: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether the absence of an event says that it did not happen."""
        return not self.problems
