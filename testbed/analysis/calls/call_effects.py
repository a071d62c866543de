"""What one logged call means for its socket: the only reader of ``Call.args`` in the analysis.

The arguments looked at (as ``observe/probe/probe_log.py`` names them): ``flags`` (``"MSG_PEEK|MSG_OOB"``), ``how``
(``"SHUT_WR"``), ``name`` and ``value`` of an option, ``address`` (``198.18.0.3:10011``), ``accepted`` (the new socket),
``pktinfo`` (an address of the call's own host).
"""

from __future__ import annotations

from typing import Any

from testbed.model import Call, Endpoint
from testbed.model.call_table import CALLS, DescriptorEffect, has_effect

_FLAG_BITS = {  # include/linux/socket.h
    "MSG_OOB": 0x1,
    "MSG_PEEK": 0x2,
    "MSG_MORE": 0x8000,
    "MSG_ERRQUEUE": 0x2000,
    "MSG_FASTOPEN": 0x20000000,
}
_HOWS = {"0": "SHUT_RD", "1": "SHUT_WR", "2": "SHUT_RDWR", "RD": "SHUT_RD", "WR": "SHUT_WR", "RDWR": "SHUT_RDWR"}
STARTED = frozenset({"EINPROGRESS", "EALREADY", "EINTR", "EISCONN", "EAGAIN"})
"""Errors of connect() after which the connection may still come to be."""


def has_flag(call: Call, flag: str) -> bool:
    """Say whether the call was given this MSG_ flag."""
    flags = call.args.get("flags")
    if isinstance(flags, int):
        return bool(flags & _FLAG_BITS[flag])
    if isinstance(flags, (list, tuple)):
        return flag in flags
    return flag in str(flags).replace(",", "|").replace(" ", "").split("|") if flags else False


def succeeded(call: Call) -> bool:
    """Say whether the call returned without an error."""
    return call.end is not None and call.errno is None and call.result >= 0


def by_wine(call: Call) -> bool:
    """Say whether a Windows program made the call: then Wine's server, another process, holds its sockets as well."""
    return call.program.lower().endswith(".exe")


def moves_bytes(call: Call, direction: str) -> bool:
    """Say whether the call moved stream bytes (MSG_PEEK and the error queue move none)."""
    return (
        call.direction == direction
        and call.length > 0
        and not (direction == "in" and (has_flag(call, "MSG_PEEK") or has_flag(call, "MSG_ERRQUEUE")))
    )


def is_accept(call: Call) -> bool:
    """Say whether the call is accept or accept4."""
    return has_effect(call.name, DescriptorEffect.ACCEPTS)


def is_close(call: Call) -> bool:
    """Say whether the call gave a descriptor up (dup2 onto it does as well)."""
    return succeeded(call) and has_effect(call.name, DescriptorEffect.CLOSES)


def accepted_socket(call: Call) -> tuple[int, Endpoint | None, Endpoint | None]:
    """Return cookie (0 if unknown), local and peer address of the socket that an accept made."""
    accepted = call.args.get("accepted")
    if not isinstance(accepted, dict):
        return 0, None, None
    cookie = int(accepted.get("cookie") or 0)
    return cookie, parse_endpoint(accepted.get("local")), parse_endpoint(accepted.get("peer"))


def duplicate_of(call: Call) -> int | None:
    """Return the new descriptor that dup, dup2, dup3 or fcntl(F_DUPFD) gave, None for other calls."""
    if not succeeded(call):
        return None
    copies = has_effect(call.name, DescriptorEffect.DUPLICATES) or (
        call.name == "fcntl" and str(call.args.get("command", "")).startswith("F_DUPFD")
    )
    return call.result if copies else None


def starts_connection(call: Call) -> bool:
    """Say whether the call may send a SYN: connect, or a send with MSG_FASTOPEN (RFC 7413)."""
    sends = call.name in CALLS and CALLS[call.name].direction == "out"
    return has_effect(call.name, DescriptorEffect.CONNECTS) or (sends and has_flag(call, "MSG_FASTOPEN"))


def disconnects(call: Call) -> bool:
    """Say whether the call is connect to AF_UNSPEC: it takes the connection from the socket (tcp_disconnect)."""
    return call.name == "connect" and call.args.get("address") == "AF_UNSPEC"


def shutdown_how(call: Call) -> str | None:
    """Return ``SHUT_RD``, ``SHUT_WR`` or ``SHUT_RDWR`` for a shutdown, else None."""
    if call.name != "shutdown":
        return None
    how = str(call.args.get("how", "")).upper()
    return _HOWS.get(how, how)


def shuts_writing(call: Call) -> bool:
    """Say whether the call is a shutdown that ends the sending direction and worked."""
    return shutdown_how(call) in ("SHUT_WR", "SHUT_RDWR") and succeeded(call)


def option_set(call: Call, option: str) -> bool:
    """Say whether the call set this socket option (to any value)."""
    return call.name == "setsockopt" and option == option_name(call) and succeeded(call)


def option_name(call: Call) -> str:
    """Return the option's name of a setsockopt or getsockopt, empty if there is none."""
    return str(call.args.get("name", ""))


def option_value(call: Call) -> tuple[int, ...]:
    """Return the value of a setsockopt as numbers (SO_LINGER has two: on, seconds); empty if not readable."""
    value: Any = call.args.get("value")
    if isinstance(value, (bool, int)):
        return (int(value),)
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, str):
        value = value.replace(" ", "").strip("{}").split(",")
    if isinstance(value, (list, tuple)):
        digits = [str(part).rpartition("=")[2] for part in value]
        return tuple(int(part) for part in digits if part.lstrip("-").isdigit())
    return ()


def switched_on(call: Call, option: str) -> bool:
    """Say whether the call set this option to a value that is not zero."""
    value = option_value(call) if option_set(call, option) else ()
    return bool(value) and value[0] != 0


def resets_on_close(call: Call) -> bool:
    """Say whether the call is setsockopt(SO_LINGER) on with zero seconds (tcp_close: send a RST)."""
    return (
        option_set(call, "SO_LINGER")
        and len(option_value(call)) > 1
        and option_value(call)[1] == 0
        and (option_value(call)[0] != 0)
    )


def connect_error(call: Call) -> str | None:
    """Return the error of a connect that failed, also as getsockopt(SO_ERROR) tells it later; None of other calls."""
    if call.name == "connect" and call.errno not in STARTED:
        return call.errno
    if call.name == "getsockopt" and option_name(call) == "SO_ERROR" and succeeded(call):
        value = call.args.get("value")
        return value if isinstance(value, str) and value.startswith("E") else None
    return None


def endpoint_argument(call: Call) -> Endpoint | None:
    """Return the address given to or returned by the call, None if there is none that can be read."""
    return parse_endpoint(call.args.get("address"))


def own_address(call: Call) -> str | None:
    """Return the address of its own host that a message names: to which it came, or from which it leaves."""
    info = call.args.get("pktinfo")
    address = info.get("address") if isinstance(info, dict) else None
    return str(address) if address not in (None, "0.0.0.0", "::") else None  # noqa: S104 - compared, not bound


def parse_endpoint(text: object) -> Endpoint | None:
    """Read ``198.18.0.3:10011`` or ``[fd00::1]:10011``; None for anything else."""
    if not isinstance(text, str):
        return None
    address, colon, port = text.rpartition(":")
    if not colon or not address or not port.isdigit():
        return None
    return plain(Endpoint(address.strip("[]"), int(port)))


def plain(endpoint: Endpoint) -> Endpoint:
    """Return the endpoint as it is on the wire: an IPv4-mapped address as IPv4, no scope."""
    address = endpoint.address.partition("%")[0]
    if address.lower().startswith("::ffff:") and "." in address:
        address = address[7:]
    return endpoint if address == endpoint.address else Endpoint(address, endpoint.port)


def is_wildcard(endpoint: Endpoint) -> bool:
    """Say whether the address stands for any address of the host."""
    return endpoint.address in ("0.0.0.0", "::", "")  # noqa: S104 - compared, not bound
