"""The arguments of a call in the probe's log, by name: numbers as the symbols that a programmer writes."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Callable
from typing import Any

from testbed.model import Endpoint
from testbed.model.call_table import CALLS, Layout
from testbed.observe import linux_names as names
from testbed.observe.probe.probe_format import ENTERED, IN, Record

Args = dict[str, Any]

_MSG_PEEK, _MSG_ERRQUEUE = 0x2, 0x2000


def endpoint(address: bytes) -> Endpoint | None:
    """Decode an AF_INET or AF_INET6 ``sockaddr``; None for other families and for one that is cut off."""
    family = int.from_bytes(address[:2], "little")
    if family == 2 and len(address) >= 8:
        return Endpoint(str(ipaddress.IPv4Address(address[4:8])), int.from_bytes(address[2:4], "big"))
    if family == 10 and len(address) >= 24:
        found = ipaddress.IPv6Address(address[8:24])
        # RFC 5952 section 5; str() does so only in newer Pythons.
        text = str(found) if found.ipv4_mapped is None else f"::ffff:{found.ipv4_mapped}"
        return Endpoint(text, int.from_bytes(address[2:4], "big"))
    return None


def on_the_wire(address: bytes) -> Endpoint | None:
    """Decode like :func:`endpoint`, with an IPv4-mapped IPv6 address as the IPv4 address that packets bear."""
    found = endpoint(address)
    if found is None or "." not in found.address:
        return found
    return Endpoint(found.address.removeprefix("::ffff:"), found.port)


def address_text(address: bytes) -> str:
    """Return any address as text: ``1.2.3.4:80``, ``[::1]:80``, ``unix:/path``, ``AF_NETLINK``."""
    found = endpoint(address)
    if found is not None:
        return str(found)
    family = int.from_bytes(address[:2], "little")
    if family == 1:
        path = address[2:]
        return "unix:" + (path[:1].replace(b"\0", b"@") + path[1:].split(b"\0", 1)[0]).decode(errors="replace")
    return names.name(names.FAMILY, family)


def option_value(level: int, option: int, value: bytes, length: int) -> Any:  # noqa: ANN401 - JSON value
    """Return the value of a socket option of ``length`` bytes, of which ``value`` are the first."""
    if level == 1 and option == 13 and len(value) == 8:
        onoff, linger = struct.unpack("<ii", value)
        return {"onoff": onoff, "linger": linger}
    if level == 1 and option in (20, 21) and len(value) == 16:
        seconds, microseconds = struct.unpack("<qq", value)
        return {"seconds": seconds, "microseconds": microseconds}
    if level == 6 and option in (13, 31):
        return value.split(b"\0", 1)[0].decode(errors="replace")
    if length == 4:
        number = int.from_bytes(value, "little", signed=True)
        return names.ERRNO[number] if (level, option) == (1, 4) and number in names.ERRNO else number
    if length == 8:
        return int.from_bytes(value, "little")
    return value.hex()


def _socket(r: Record) -> Args:
    kind = names.name(names.TYPE, r.a1 & 0xF)
    rest = r.a1 & ~0xF
    args: Args = {
        "domain": names.name(names.FAMILY, r.a0),
        "type": f"{kind}|{names.flags(names.TYPE_FLAGS, rest)}" if rest else kind,
        "protocol": names.name(names.PROTOCOL, r.a2),
    }
    if r.name.startswith(b"socketpair") and r.result == 0 and r.state != ENTERED:
        args["fds"] = [r.a3, r.a4]
    return args


def _address(r: Record) -> Args:
    return {"address": address_text(r.address)} if r.address_length else {}


def _accept4(r: Record) -> Args:
    return {"flags": names.flags(names.TYPE_FLAGS, r.a0)}


def _option(r: Record) -> Args:
    table = names.OPTION.get(r.a0, {})
    args: Args = {"level": names.name(names.LEVEL, r.a0), "name": names.name(table, r.a1)}
    if r.kept:
        args["value"] = option_value(r.a0, r.a1, r.blob, r.a2)
    return args


def _range(r: Record) -> Args:
    return {"first": r.a0, "last": r.a1}


def _dup2(r: Record) -> Args:
    args: Args = {"to": r.a0}
    if r.a1:
        args["flags"] = names.flags(names.OPEN_FLAGS, r.a1)
    if r.a2:
        args["closed"] = r.a2
    return args


def _fcntl(r: Record) -> Args:
    value: Any = names.flags(names.OPEN_FLAGS, r.a1) if r.a0 == 4 else r.a1
    return {"command": names.name(names.FCNTL, r.a0), "value": value}


def _ioctl(r: Record) -> Args:
    return {"request": names.name(names.IOCTL, r.a0), "value": r.a1}


def _plain(r: Record) -> Args:
    return {"size": r.a0}


def _vector(r: Record) -> Args:
    return {"size": r.a0, "parts": r.a2}


def _data(r: Record) -> Args:
    args: Args = {"size": r.a0, "flags": names.flags(names.MSG_FLAGS, r.a1)}
    if r.address_length:
        args["address"] = address_text(r.address)
    return args | _received(r, r.result)


def _received(r: Record, result: int) -> Args:
    """Bytes that a call reported without taking them, and the real length of a datagram that was cut."""
    if not r.marks & IN or result <= 0:
        return {}
    if r.a1 & _MSG_PEEK:
        return {"peeked": result}
    if r.a1 & _MSG_ERRQUEUE:
        return {"queued_error": result}
    return {"datagram": result} if result > r.length else {}


def _message(r: Record) -> Args:
    args: Args = {"size": r.a0, "flags": names.flags(names.MSG_FLAGS, r.a1), "parts": r.a2}
    if r.a3:
        args["control"] = r.a3
    if r.a6:
        args["received_flags"] = names.flags(names.MSG_FLAGS, r.a6)
    if r.address_length:
        args["address"] = address_text(r.address)
    return args


def _one_message(r: Record) -> Args:
    return _message(r) | _received(r, r.result)


def _messages(r: Record) -> Args:
    if r.state == ENTERED or r.result <= 0:
        return {"flags": names.flags(names.MSG_FLAGS, r.a1), "messages": r.a5}
    return _message(r) | {"message": r.a4, "messages": r.a5}


def _splice(r: Record) -> Args:
    return {"size": r.a0, "flags": names.flags(names.SPLICE_FLAGS, r.a1)}


def _poll(r: Record) -> Args:
    fds = [
        {
            "fd": fd,
            "events": names.flags(names.POLL_FLAGS, events),
            "revents": names.flags(names.POLL_FLAGS, revents),
        }
        for fd, events, revents in struct.iter_unpack("<iHH", r.blob)
    ]
    return {"count": r.a0, "timeout_ns": None if r.a1 < 0 else r.a1, "fds": fds}


def _epoll(r: Record) -> Args:
    events = [
        {"events": names.flags(names.EPOLL_FLAGS, mask), "data": data}
        for mask, data in struct.iter_unpack("<IQ", r.blob)
    ]
    return {"max": r.a0, "timeout_ns": None if r.a1 < 0 else r.a1, "events": events}


_LAYOUTS: dict[Layout, Callable[[Record], Args]] = {
    "nothing": lambda _: {},
    "socket": _socket,
    "address": _address,
    "accept4": _accept4,
    "backlog": lambda r: {"backlog": r.a0},
    "option": _option,
    "how": lambda r: {"how": names.name(names.SHUTDOWN, r.a0)},
    "range": _range,
    "first": lambda r: {"first": r.a0},
    "dup2": _dup2,
    "fcntl": _fcntl,
    "ioctl": _ioctl,
    "data": _data,
    "message": _one_message,
    "messages": _messages,
    "size": _plain,
    "vector": _vector,
    "splice": _splice,
    "poll": _poll,
    "epoll": _epoll,
    "status": lambda r: {"status": r.a0},
}
DECODERS: dict[str, Callable[[Record], Args]] = {
    name: _LAYOUTS[call.probe] for name, call in CALLS.items() if call.probe
}
"""How the arguments of every call that the probe logs are read."""
