"""The arguments of a traced system call, from its registers: named as the probe names them.

What a register only points to is not there: addresses, the values of options, the parts of a message.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from testbed.model.call_table import CALLS, LIBRARY_NAMES, Parameter
from testbed.observe import linux_names as names

LIBRARY = {**LIBRARY_NAMES, "sendfile64": "sendfile", "execveat": "execve", "preadv": "readv", "pwritev": "writev"} | {
    "preadv2": "readv",
    "pwritev2": "writev",
}
"""Names of the C library's functions by those of the kernel's tracepoints, where they differ."""
_TABLED = {"sendfile64": "sendfile", "exit_group": "exit"}
"""System calls whose row in the table of calls has another name."""


def signed(register: int) -> int:
    """Return a register that holds an int."""
    number = register & 0xFFFFFFFF
    return number - (1 << 32) if number >> 31 else number


def library_name(system: str, registers: tuple[int, ...]) -> str:
    """Return the C library's function: ``sendto`` and ``recvfrom`` keep their name with an address."""
    if system in ("sendto", "recvfrom") and len(registers) > 4 and registers[4]:
        return system
    return LIBRARY.get(system, system)


def arguments(system: str, registers: tuple[int, ...]) -> dict[str, Any]:
    """Return the arguments of a system call by name."""
    known = CALLS.get(_TABLED.get(system, system)) or CALLS.get(LIBRARY.get(system, system))
    args: dict[str, Any] = {}
    for place, parameter in enumerate(known.parameters if known else ()):
        if parameter in _READ and place < len(registers):
            args |= _READ[parameter](registers[place])
    if system in ("setsockopt", "getsockopt") and len(registers) > 2:
        table = names.OPTION.get(signed(registers[1]), {})
        args["name"] = names.name(table, signed(registers[2]))
    return args


def _socket_type(number: int) -> dict[str, Any]:
    kind, rest = names.name(names.TYPE, number & 0xF), number & 0xFFFFFFFF & ~0xF
    return {"type": f"{kind}|{names.flags(names.TYPE_FLAGS, rest)}" if rest else kind}


_READ: dict[Parameter, Callable[[int], dict[str, Any]]] = {
    "backlog": lambda number: {"backlog": signed(number)},
    "command": lambda number: {"command": names.name(names.FCNTL, signed(number))},
    "command_value": lambda number: {"value": signed(number)},
    "domain": lambda number: {"domain": names.name(names.FAMILY, signed(number))},
    "first": lambda number: {"first": number & 0xFFFFFFFF},
    "last": lambda number: {"last": number & 0xFFFFFFFF},
    "flags": lambda number: {"flags": names.flags(names.MSG_FLAGS, number & 0xFFFFFFFF)},
    "type_flags": lambda number: {"flags": names.flags(names.TYPE_FLAGS, number & 0xFFFFFFFF)},
    "how": lambda number: {"how": names.name(names.SHUTDOWN, signed(number))},
    "messages": lambda number: {"messages": number & 0xFFFFFFFF},
    "option": lambda number: {"level": names.name(names.LEVEL, signed(number))},
    "parts": lambda number: {"parts": number & 0xFFFFFFFF},
    "protocol": lambda number: {"protocol": names.name(names.PROTOCOL, signed(number))},
    "size": lambda number: {"size": number},
    "status": lambda number: {"status": number & 0xFF},
    "to": lambda number: {"to": signed(number)},
    "type": _socket_type,
}
