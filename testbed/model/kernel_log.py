"""A kernel's trace of a run, and what it says of the causes of packets. Pure data.

Times are ns since the epoch on the captures' clock. Sockets and packets in the kernel's memory (``sk``, ``skb``) are
numbered from 1 in the order in which they were met, 0 where an event names none; the kernel uses their memory again, so
one number can be several of them in turn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from testbed.model.evidence import Evidence
from testbed.model.hosts import Endpoint, Host


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
class Departure:
    """The giving of one packet to a host's interface (``net:net_dev_start_xmit``), with the kernel's call stack.

    ``frame`` is the number (from 1) of its frame in the host's capture, ``time`` ns on the captures' clock, ``pid`` the
    thread that ran on that processor, by its number outside the lab. ``stack`` indexes :attr:`KernelLog.stacks`, None
    where the kernel gave none. ``in_hand`` is the number of the frame whose receiving that processor began last, None
    where that was another interface's, or was not recorded. ``given`` is when it was given to the interface's queue, or
    made to wait for a hardware address, where it left later than that (``stack`` and ``pid`` are of then).
    """

    frame: int
    time: int
    cpu: int
    pid: int
    interrupt: bool
    stack: int | None
    in_hand: int | None = None
    given: int | None = None

    @property
    def when_sent(self) -> int:
        """When the processing of ``stack`` sent it."""
        return self.time if self.given is None else self.given


@dataclass(frozen=True, slots=True)
class TimerRun:
    """A timer of a connection's that expired: when, on which processor, the function that it ran, and whose it was."""

    time: int
    cpu: int
    function: str
    host: Host
    local: Endpoint
    peer: Endpoint


@dataclass(frozen=True, slots=True)
class KernelLog:
    """All events of the lab's own addresses, in time order.

    ``recorded`` and ``missing`` are tracepoints (group/name), the latter those that this kernel lacks. ``lost`` counts
    events that the buffer had no room for. ``clock_error`` is by how many ns times may be off against the captures'
    clock. ``problems`` say why the log is not complete; empty when it is.

    ``stacks`` are call stacks, each once: names of functions from the innermost outwards, as the kernel has them, or an
    address (``0x...``) that nothing names. ``departures`` are those of each host whose capture they match frame by
    frame, in that order; a host that is not there has a problem that says why. ``timers`` are those of its connections.
    """

    events: tuple[KernelEvent, ...]
    recorded: tuple[str, ...]
    missing: tuple[str, ...] = ()
    lost: int = 0
    clock_error: int = 0
    problems: tuple[str, ...] = ()
    stacks: tuple[tuple[str, ...], ...] = ()
    departures: Mapping[Host, tuple[Departure, ...]] = field(default_factory=dict)
    timers: tuple[TimerRun, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether the absence of an event says that it did not happen."""
        return not self.problems

    @property
    def unstacked_idle(self) -> int:
        """How many packets left from a processor that was idle and have no stack, as some kernels record none there."""
        each = (departure for own in self.departures.values() for departure in own)
        return sum(one.stack is None and one.interrupt and one.pid == 0 for one in each)


class Agreement(StrEnum):
    """Whether a kernel's trace agrees with a packet's cause."""

    CONFIRMED = "confirmed"
    """The kernel's call stack as it sent the packet says so."""
    CONSISTENT = "consistent"
    """An event of the kernel's shows what it would show if it is so; nothing says why the packet was sent."""
    NOT_COVERED = "not covered"
    """No tracepoint reports it."""
    CONTRADICTED = "contradicted"
    """The call stack says something else; or, without one, an event does, or one that must be there is missing."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """What a kernel's trace says of one packet's cause, and on what evidence."""

    agreement: Agreement
    evidence: Evidence = ()


@dataclass(frozen=True, slots=True)
class Matched:
    """An event with what the captures have of it: numbers of crossings, none where it matches nothing."""

    event: KernelEvent
    flow: int | None
    packets: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class StateChange:
    """A change of state of one endpoint of a connection, with what caused it.

    ``kind`` is ``call`` (``calls``: numbers of the host's calls, none where they were not observed), ``packet``
    (``packets``: what arrived), ``timer``, or ``unknown``.
    """

    event: KernelEvent
    flow: int | None
    old: str
    new: str
    kind: Literal["call", "packet", "timer", "unknown"]
    evidence: Evidence
    calls: tuple[int, ...] = ()
    packets: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class SendState:
    """A sender's congestion control as a packet left.

    ``cwnd`` and ``ssthresh`` (None while there is none yet) in packets, ``srtt`` in us, ``wnd`` in bytes.
    """

    cwnd: int
    ssthresh: int | None
    srtt: int
    wnd: int


@dataclass(frozen=True, slots=True)
class KernelEvidence:
    """A kernel's trace beside captures, calls and causes.

    ``assessments`` are aligned with the crossings, ``send_states`` are by crossing. ``unmatched`` are events that
    neither packets nor calls explain, in time order. ``left`` is how many packets left a host.
    """

    log: KernelLog
    assessments: tuple[Assessment, ...]
    retransmissions: tuple[Matched, ...] = ()
    resets: tuple[Matched, ...] = ()
    drops: tuple[Matched, ...] = ()
    state_changes: tuple[StateChange, ...] = ()
    send_states: Mapping[int, SendState] = field(default_factory=dict)
    unmatched: tuple[KernelEvent, ...] = ()
    left: int = 0

    def count(self, agreement: Agreement) -> int:
        """Return of how many causes this holds."""
        return sum(each.agreement is agreement for each in self.assessments)
