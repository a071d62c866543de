"""Which tracepoints tell the calls of a program, and how the recorder finds the programs of a run.

A traced program is held (compose/hold/hold.c) under a name that only this run has; the recorder
(compose/witness/calls.c) finds it by that name among all tasks of the machine, whatever PID namespace it is in, and
from then on records it and its children.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from testbed.model import Host

BUFFER = 4 << 20
"""Bytes of the kernel's buffer for each processor: some 50,000 events, a program's 12,000 calls between two reads."""
STATES = "sock/inet_sock_set_state"
"""What tells which addresses a socket has. It comes of interrupts as well, so that it is not recorded by task."""

_CALLS = (
    *("socket", "bind", "listen", "accept", "accept4", "connect", "shutdown", "close", "close_range"),
    *("sendto", "sendmsg", "sendmmsg", "write", "writev", "pwritev", "pwritev2", "sendfile64", "splice"),
    *("recvfrom", "recvmsg", "recvmmsg", "read", "readv", "preadv", "preadv2"),
    *("setsockopt", "dup", "dup2", "dup3", "fcntl", "ioctl", "io_uring_enter"),
    *("fork", "vfork", "clone", "clone3", "execve", "execveat", "exit", "exit_group"),
)
EVENTS = (
    *(f"syscalls/sys_{end}_{name}" for name in _CALLS for end in ("enter", "exit")),
    *("sock/sock_send_length", "sock/sock_recv_length", "fib/fib_table_lookup", "fib6/fib6_table_lookup"),
    *("task/task_newtask", "sched/sched_process_exec", "sched/sched_process_exit"),
    *("io_uring/io_uring_submit_req", "io_uring/io_uring_complete", "io_uring/io_uring_queue_async_work"),
)
NEEDED = frozenset({"syscalls/sys_enter_sendto", "sock/sock_send_length", "sock/sock_recv_length", "task/task_newtask"})
"""Without one of these there is no trace of calls; a kernel that has these has what matters of the others."""


def beginning(run_id: str) -> str:
    """Return how the names of a run's held programs begin."""
    return f"h{run_id}-"


def held_name(run_id: str, host: Host) -> str:
    """Return the name under which a host's program is held; the kernel keeps 15 bytes (TASK_COMM_LEN)."""
    return f"{beginning(run_id)}{host[:5]}"


def arguments(run_id: str) -> tuple[str, ...]:
    """Return the recorder's further arguments for one run."""
    return ("--", str(BUFFER >> 10), beginning(run_id), *EVENTS)


def running_arguments() -> tuple[str, ...]:
    """Return the recorder's further arguments where no program is held: all ran before."""
    return ("--", str(BUFFER >> 10), "-", *EVENTS)


def records_calls(arguments: Sequence[str]) -> bool:
    """Say whether calls are recorded with the recorder's arguments."""
    return "--" in arguments


def awaiting_parents(arguments: Sequence[str]) -> tuple[str, ...]:
    """Return the recorder's arguments, which record calls, so that :func:`parents_order` is to follow."""
    words = list(arguments)
    words[words.index("--") + 2] += "="
    return tuple(words)


def parents_order(parents: Iterable[int]) -> bytes:
    """Return what tells the recorder which tasks start the held programs: what they start is recorded at once.

    ``parents`` are numbers in the machine's PID namespace.
    """
    return f"={' '.join(map(str, parents))}\n".encode()


def why_unable(missing: frozenset[str]) -> str:
    """Say why a kernel that lacks these events cannot tell the calls; empty if it can."""
    lacking = sorted(NEEDED & missing)
    if not lacking:
        return ""
    option = " (CONFIG_FTRACE_SYSCALLS)" if lacking[-1].startswith("syscalls/") else ""
    return f"this kernel has no event {lacking[-1]}{option}"
