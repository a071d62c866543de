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
    it, and not only that it is the last that had come.
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
