"""The addresses of hosts as a scenario names them, alone, with a port, or in braces within a text.

One rule for all: ``server`` is the first address of the lab's first version of IP, ``server.2`` the second one,
``server.v6`` that of another version, ``server.2.v6`` both.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Annotated, NamedTuple

from testbed.model import HOSTS, Host
from testbed.model.hosts import MOST_ADDRESSES, IpVersion, address_name
from testbed.scenario.language.base import Parsed, nearest, shown

NUMBER = "(?:0|[1-9][0-9]{0,17})"
"""A whole number in text, without sign and leading zeros."""


class HostName(NamedTuple):
    """An address of a host as a scenario names it; of the lab's first version of IP where ``version`` is None."""

    host: Host
    number: int = 1
    version: IpVersion | None = None

    def __str__(self) -> str:
        return address_name(*self)


class HostPort(NamedTuple):
    """A port of a host's address; ``name`` None means every address of the host itself, or ``address`` if given."""

    name: HostName | None
    port: int
    address: str = ""

    @property
    def host(self) -> Host | None:
        """The host that is named."""
        return self.name.host if self.name else None

    def __str__(self) -> str:
        return f"{self.name or self.address}:{self.port}"


HOST_NAME = f"(client|server)(?:\\.([2-{MOST_ADDRESSES}]))?(?:\\.v([46]))?"


def host_name(text: str) -> HostName | None:
    """Read the name of a host's address: server, server.2 (its second), server.v6, server.2.v6. None if it is none."""
    match = re.fullmatch(HOST_NAME, text)
    if match is None:
        return None
    version: IpVersion | None = 6 if match[3] == "6" else 4 if match[3] else None
    return HostName("client" if match[1] == "client" else "server", int(match[2] or 1), version)


_ADDRESSES = "server, its second address server.2 (up to 4), one of a version of IP server.v6, or server.2.v6"


def _endpoint(value: object, *, needs_host: bool) -> HostPort:
    hint = "a host and a port: server:10011" + ("" if needs_host else '; or a port alone, quoted: ":5000"')
    match = re.fullmatch(f"([^:]*):({NUMBER})", value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{shown(value)} is not an endpoint", hint)
    host, port = match[1], int(match[2])
    name = host_name(host)
    if name is None and (host or needs_host):
        if host.partition(".")[0] in HOSTS:
            raise ValueError(f"`{host}` names no address of a host", _ADDRESSES)
        raise ValueError(f"`{host}` is not a host{nearest(host, HOSTS)}", hint)
    if port > 65535 or (needs_host and port == 0):
        raise ValueError(f"{port} is not a port", f"a number from {int(needs_host)} to 65535")
    return HostPort(name, port)


def _host_address(value: object) -> HostName:
    name = host_name(value) if isinstance(value, str) else None
    if name is None:
        raise ValueError(f"{shown(value)} names no address of a host", _ADDRESSES)
    return name


def _remote(value: object) -> HostPort:
    return _endpoint(value, needs_host=True)


def _destination(value: object) -> HostPort:
    """Read an endpoint of a host, or an address of a group or of all hosts: 239.1.2.3:5000, [ff02::123%eth0]:5000."""
    match = (
        re.fullmatch(rf"(?:([0-9.]+)|\[([0-9a-fA-F:.]+)(%[\w.-]+)?\]):({NUMBER})", value)
        if isinstance(value, str)
        else None
    )
    if match is None:
        return _remote(value)
    address, port = match[1] or match[2], int(match[4])
    try:
        found = ipaddress.ip_address(address)
    except ValueError as error:
        raise ValueError(f"{shown(address)} is not an address") from error
    if not found.is_multicast and address != "255.255.255.255":
        raise ValueError(
            f"{shown(address)} is the address of no group and not of all", "a host has a name: server:5000"
        )
    if not 1 <= port <= 65535:
        raise ValueError(f"{port} is not a port", "a number from 1 to 65535")
    return HostPort(None, port, address + (match[3] or ""))


def _local(value: object) -> HostPort:
    return _endpoint(value, needs_host=False)


def fill(text: str, addresses: Mapping[str, str]) -> str:
    """Return text with ``{client}``, ``{server.v6}`` and the like replaced by addresses, ``{{`` and ``}}`` by a brace.

    Raises ValueError (message, hint) at any other brace.
    """
    return _filled(text, lambda name: addresses[str(name)])


def names_in(text: str) -> tuple[HostName, ...]:
    """Return the addresses that a text names as ``{server}``. Raises ValueError as :func:`fill` does."""
    found: list[HostName] = []

    def note(name: HostName) -> str:
        found.append(name)
        return ""

    _filled(text, note)
    return tuple(found)


def _filled(text: str, address_of: Callable[[HostName], str]) -> str:
    def value(match: re.Match[str]) -> str:
        found = match[0]
        if found in ("{{", "}}"):
            return found[0]
        name = host_name(found[1:-1])
        if name is not None:
            return address_of(name)
        raise ValueError(f"unknown placeholder `{found}`", "{client} or {server}; a brace itself is written twice")

    return re.sub(r"\{\{|\}\}|\{[\w.]*\}|[{}]", value, text)


def _versions(value: object) -> tuple[IpVersion, ...]:
    known: dict[object, tuple[IpVersion, ...]] = {4: (4,), 6: (6,), (4, 6): (4, 6), (6, 4): (6, 4)}
    plain = tuple(value) if isinstance(value, list) else value
    if isinstance(value, bool) or not isinstance(plain, (int, tuple)) or plain not in known:
        hint = "4, 6, or both, the first one meant by a host's bare name: [4, 6]"
        raise ValueError(f"{shown(value)} is not allowed here", hint)
    return known[plain]


Remote = Annotated[HostPort, Parsed(_remote, {"type": "string", "pattern": f"^{HOST_NAME}:[1-9][0-9]*$"})]
"""Where to connect or send to: server:10011; server.2, server.v6 and server.2.v6 are further addresses of a host."""
Destination = Annotated[
    HostPort,
    Parsed(
        _destination,
        {"type": "string", "pattern": rf"^({HOST_NAME}|[0-9.]+|\[[0-9a-fA-F:.]+(%[\w.-]+)?\]):[1-9][0-9]*$"},
    ),
]
"""Where to send a datagram: server:5000, a group's address (239.1.2.3:5000, [ff02::123%eth0]:5000) or
255.255.255.255:5000."""
Local = Annotated[HostPort, Parsed(_local, {"type": "string", "pattern": f"^({HOST_NAME})?:{NUMBER}$"})]
"""Where to bind: ":5000" (every address) or server:5000; port 0 lets the kernel choose."""
HostAddress = Annotated[HostName, Parsed(_host_address, {"type": "string", "pattern": f"^{HOST_NAME}$"})]
"""One of a host's addresses, without a port: server, server.2, server.v6 or server.2.v6."""
IpVersions = Annotated[
    tuple[IpVersion, ...],
    Parsed(
        _versions,
        {"anyOf": [{"enum": [4, 6]}, {"type": "array", "items": {"enum": [4, 6]}, "minItems": 2, "uniqueItems": True}]},
    ),
]
"""The versions of IP of a lab: 4, 6 or both, that of a host's bare name first."""
