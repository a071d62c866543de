"""From where in the kernel a packet was sent: what its call stack says. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Mechanism(StrEnum):
    """In the course of what the kernel sent a packet."""

    CALL = "call"
    """A system call."""
    ARRIVAL = "arrival"
    """The receiving of a packet."""
    BACKLOG = "backlog"
    """The receiving of a packet that had come while a call used the socket, and was looked at as the call let it go."""
    TIMER = "timer"
    """A timer that ran out."""
    EXIT = "exit"
    """The end of a process."""
    LATER = "later"
    """Work that the kernel had put off: a queue below had become empty, or it was time by the pacing."""
    UNKNOWN = "unknown"
    """The stack is not one that is known."""


@dataclass(frozen=True, slots=True)
class PacketOrigin:
    """What the kernel's call stack says of one packet that left a host.

    ``stack`` has the functions from the innermost outwards, as the kernel names them, ``stack_number`` is its place in
    ``KernelLog.stacks``; ``functions`` are those that decide, in the same order. ``meaning`` says it in words.
    ``syscall`` is the system call in which it was sent (empty where it was in none, or the stack does not name it),
    ``pid`` the number of the thread outside the lab. ``timer`` is the function of the timer that ran. ``packet`` is the
    number of the crossing that was being received, None where it is not known; ``certain`` says that the kernel named
    it, and not only that it is the last that had come. ``waited`` is how long (ns) it then waited below the stack, in
    the interface's queue or for a hardware address.
    """

    mechanism: Mechanism
    meaning: str
    functions: tuple[str, ...] = ()
    stack: tuple[str, ...] = ()
    stack_number: int = 0
    syscall: str = ""
    pid: int | None = None
    timer: str = ""
    packet: int | None = None
    certain: bool = True
    waited: int = 0


@dataclass(frozen=True, slots=True)
class SentBy:
    """In the course of what a packet was sent, as far as that was inferred: in one of ``mechanisms``.

    ``calls`` are numbers of the sender's calls, one of which sent it; ``packet`` is the number of the crossing that was
    being received; neither where that is not said.
    """

    mechanisms: tuple[Mechanism, ...]
    calls: tuple[int, ...] = ()
    packet: int | None = None


def sent_in(*calls: int) -> SentBy:
    """Return that one of these calls sent a packet."""
    return SentBy((Mechanism.CALL,), calls)


def sent_as_came(packet: int) -> SentBy:
    """Return that a packet was sent as another came, or was looked at once the socket was free."""
    return SentBy((Mechanism.ARRIVAL, Mechanism.BACKLOG), packet=packet)


SENT_BY_TIMER = SentBy((Mechanism.TIMER,))
SENT_BY_EXIT = SentBy((Mechanism.EXIT,))
SENT_LATER = SentBy((Mechanism.LATER, Mechanism.TIMER))
