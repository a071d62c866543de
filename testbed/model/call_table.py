"""The calls of the socket API: one row for each. All that is known of a call by its name is derived from here.

A row says what a call does to a descriptor, which way its bytes go, what its system call's parameters are, and which
observers record it. A call that is missing here is recorded with its name and without arguments, and means nothing to
the analysis. Prototypes are those of the manual pages of section 2. A test compares the names with those of the probe
(C) and of ``compose/debugger/held_memory.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal

Parameter = Literal[
    "",
    "fd",
    "to",
    "first",
    "last",
    "domain",
    "type",
    "protocol",
    "address",
    "backlog",
    "how",
    "option",
    "command",
    "command_value",
    "size",
    "flags",
    "type_flags",
    "buffer",
    "vector",
    "parts",
    "message",
    "messages",
    "status",
]
"""What a parameter holds: ``fd`` the descriptor that the call is on, ``address`` a sockaddr given or returned,
``option`` a socket option's level (its name and value follow), ``flags`` MSG_ flags, ``type_flags`` SOCK_ flags,
``vector`` and ``parts`` an array of iovec and its length, ``message`` a msghdr, ``messages`` how many of them. Empty:
not recorded."""
Layout = Literal[
    "",
    "nothing",
    "socket",
    "address",
    "accept4",
    "backlog",
    "option",
    "how",
    "range",
    "first",
    "dup2",
    "fcntl",
    "ioctl",
    "data",
    "message",
    "messages",
    "size",
    "vector",
    "splice",
    "poll",
    "epoll",
    "status",
]
"""How the probe's record holds the arguments (``observe/probe/probe_arguments.py``). Empty: the probe logs no such
call."""


class DescriptorEffect(Enum):
    """What a call does to descriptors."""

    ACCEPTS = "makes the socket of a connection that was accepted"
    CONNECTS = "connects a socket"
    CLOSES = "gives a descriptor up"
    DUPLICATES = "makes another descriptor of the same socket"


@dataclass(frozen=True, slots=True)
class SocketCall:
    """One call. ``parameters`` are its system call's, in order; ``direction`` is that of its bytes.

    ``any_descriptor``: it works on any file, not only on sockets. ``probe`` is the layout of its record in the probe's
    log; ``strace`` and ``gdb`` say whether these observers record it. ``expectable``: a scenario can expect it.
    ``message``: no call, but what the program was told: it got a message of this name.
    """

    name: str
    parameters: tuple[Parameter, ...] = ()
    effects: tuple[DescriptorEffect, ...] = ()
    direction: Literal["out", "in"] | None = None
    any_descriptor: bool = False
    probe: Layout = ""
    strace: bool = False
    gdb: bool = False
    expectable: bool = True
    message: bool = False


ROWS = (
    SocketCall("socket", ("domain", "type", "protocol"), probe="socket", strace=True, gdb=True),
    SocketCall("socketpair", ("domain", "type", "protocol"), probe="socket"),
    SocketCall("bind", ("fd", "address"), probe="address", strace=True, gdb=True),
    SocketCall("listen", ("fd", "backlog"), probe="backlog", strace=True, gdb=True),
    SocketCall("accept", ("fd",), (DescriptorEffect.ACCEPTS,), probe="nothing", strace=True, gdb=True),
    SocketCall(
        "accept4", ("fd", "", "", "type_flags"), (DescriptorEffect.ACCEPTS,), probe="accept4", strace=True, gdb=True
    ),
    SocketCall("connect", ("fd", "address"), (DescriptorEffect.CONNECTS,), probe="address", strace=True, gdb=True),
    SocketCall("shutdown", ("fd", "how"), probe="how", strace=True, gdb=True),
    SocketCall(
        "close", ("fd",), (DescriptorEffect.CLOSES,), any_descriptor=True, probe="nothing", strace=True, gdb=True
    ),
    # Data. The C library makes send() and recv() by the system calls sendto and recvfrom.
    SocketCall("send", direction="out", probe="data", gdb=True),
    SocketCall(
        "sendto", ("fd", "buffer", "size", "flags", "address"), direction="out", probe="data", strace=True, gdb=True
    ),
    SocketCall("sendmsg", ("fd", "message", "flags"), direction="out", probe="message", strace=True, gdb=True),
    SocketCall("sendmmsg", ("fd", "", "messages", "flags"), direction="out", probe="messages", strace=True),
    SocketCall(
        "write", ("fd", "buffer", "size"), direction="out", any_descriptor=True, probe="size", strace=True, gdb=True
    ),
    SocketCall(
        "writev", ("fd", "vector", "parts"), direction="out", any_descriptor=True, probe="vector", strace=True, gdb=True
    ),
    SocketCall(
        "sendfile", ("fd", "", "", "size"), direction="out", any_descriptor=True, probe="size", strace=True, gdb=True
    ),
    # From a socket or to one: its direction is known only where its descriptors are.
    SocketCall("splice", ("", "", "", "", "size", "flags"), any_descriptor=True, probe="splice", strace=True),
    SocketCall("recv", direction="in", probe="data", gdb=True),
    SocketCall(
        "recvfrom", ("fd", "buffer", "size", "flags", "address"), direction="in", probe="data", strace=True, gdb=True
    ),
    SocketCall("recvmsg", ("fd", "message", "flags"), direction="in", probe="message", strace=True, gdb=True),
    SocketCall("recvmmsg", ("fd", "", "messages", "flags"), direction="in", probe="messages", strace=True),
    SocketCall(
        "read", ("fd", "buffer", "size"), direction="in", any_descriptor=True, probe="size", strace=True, gdb=True
    ),
    SocketCall(
        "readv", ("fd", "vector", "parts"), direction="in", any_descriptor=True, probe="vector", strace=True, gdb=True
    ),
    # What a socket is set to, and what it is.
    SocketCall("setsockopt", ("fd", "option"), probe="option", strace=True, gdb=True),
    SocketCall("getsockopt", ("fd", "option"), probe="option", strace=True),
    SocketCall("getsockname", ("fd", "address"), probe="address", strace=True),
    SocketCall("getpeername", ("fd", "address"), probe="address", strace=True),
    SocketCall(
        "dup", ("fd",), (DescriptorEffect.DUPLICATES,), any_descriptor=True, probe="nothing", strace=True, gdb=True
    ),
    SocketCall(
        "dup2",
        ("fd", "to"),
        (DescriptorEffect.DUPLICATES, DescriptorEffect.CLOSES),
        any_descriptor=True,
        probe="dup2",
        strace=True,
        gdb=True,
    ),
    SocketCall(
        "dup3",
        ("fd", "to"),
        (DescriptorEffect.DUPLICATES, DescriptorEffect.CLOSES),
        any_descriptor=True,
        probe="dup2",
        strace=True,
        gdb=True,
    ),
    # It duplicates by the commands F_DUPFD and F_DUPFD_CLOEXEC.
    SocketCall("fcntl", ("fd", "command", "command_value"), any_descriptor=True, probe="fcntl", strace=True, gdb=True),
    SocketCall("ioctl", any_descriptor=True, probe="ioctl"),
    # Waits: only the probe records them.
    SocketCall("poll", any_descriptor=True, probe="poll"),
    SocketCall("ppoll", any_descriptor=True, probe="poll"),
    SocketCall("select", any_descriptor=True, probe="poll"),
    SocketCall("pselect", any_descriptor=True, probe="poll"),
    SocketCall("epoll_create", any_descriptor=True),
    SocketCall("epoll_create1", any_descriptor=True),
    SocketCall("epoll_ctl", any_descriptor=True),
    SocketCall("epoll_wait", any_descriptor=True, probe="epoll"),
    SocketCall("epoll_pwait", any_descriptor=True, probe="epoll"),
    SocketCall("epoll_pwait2", any_descriptor=True, probe="epoll"),
    # What gives descriptors up besides, and what makes and ends processes.
    SocketCall(
        "fclose", effects=(DescriptorEffect.CLOSES,), any_descriptor=True, probe="nothing", gdb=True, expectable=False
    ),
    # Standard I/O on a descriptor: what it reads and writes is not recorded.
    SocketCall("fdopen", any_descriptor=True, probe="nothing", expectable=False),
    SocketCall(
        "close_range",
        ("first", "last"),
        (DescriptorEffect.CLOSES,),
        any_descriptor=True,
        probe="range",
        strace=True,
        expectable=False,
    ),
    SocketCall("closefrom", effects=(DescriptorEffect.CLOSES,), any_descriptor=True, probe="first", expectable=False),
    SocketCall("fork", probe="nothing", expectable=False),
    # It closes the descriptors in `closed`: those that were made with SOCK_CLOEXEC or O_CLOEXEC.
    SocketCall("execve", probe="nothing", expectable=False),
    SocketCall("exit", ("status",), probe="status", expectable=False),
    # Of Windows programs, which are observed as calls of Winsock, not as system calls.
    SocketCall("closesocket", effects=(DescriptorEffect.CLOSES,)),
    SocketCall("WSASend", direction="out"),
    SocketCall("WSASendTo", direction="out"),
    SocketCall("WSARecv", direction="in"),
    SocketCall("WSARecvFrom", direction="in"),
    SocketCall("ioctlsocket"),
    SocketCall("WSAIoctl"),
    SocketCall("WSAAsyncSelect"),
    SocketCall("WSAEventSelect"),
    SocketCall("WSAEnumNetworkEvents"),
    SocketCall("WSAPoll", any_descriptor=True),
    *(
        SocketCall(event, message=True)
        for event in ("FD_READ", "FD_WRITE", "FD_OOB", "FD_ACCEPT", "FD_CONNECT", "FD_CLOSE")
    ),
)

CALLS: dict[str, SocketCall] = {row.name: row for row in ROWS}
"""All calls by name."""
FORKS = ("clone", "clone3", "fork", "vfork")
"""System calls that make a process; the C library's function is fork()."""
LIBRARY_NAMES = {"sendto": "send", "recvfrom": "recv", "exit_group": "exit", **dict.fromkeys(FORKS, "fork")}
"""C library functions whose system call has another name: system call -> function. Others have the same name."""
EXPECTABLE = tuple(row.name for row in ROWS if row.expectable)
"""Calls that a scenario can name."""


def has_effect(name: str, effect: DescriptorEffect) -> bool:
    """Say whether a call of this name has an effect; a call that is not in the table has none."""
    return name in CALLS and effect in CALLS[name].effects


def is_message(name: str) -> bool:
    """Say whether this is no call but a message that the program got."""
    return name in CALLS and CALLS[name].message


def going(direction: Literal["out", "in"]) -> frozenset[str]:
    """Return the names of the calls that move bytes in a direction."""
    return frozenset(row.name for row in ROWS if row.direction == direction)
