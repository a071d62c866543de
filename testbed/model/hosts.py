"""The hosts of a lab, and their addresses. Pure data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Self

Host = Literal["client", "server"]
IpVersion = Literal[4, 6]
MOST_ADDRESSES = 4
"""How many addresses of each version of IP a host has at most."""


HOSTS: tuple[Host, Host] = ("client", "server")


def peer_of(host: Host) -> Host:
    """Return the other host."""
    return "server" if host == "client" else "client"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address and a port; ``address`` is canonical text (IPv6 compressed, no brackets)."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class HostAddresses:
    """The addresses of one host, those of each version of IP in their order, as many of each.

    The first version is the one that is meant where none is named, the first address that of the host's bare name.
    """

    of: Mapping[IpVersion, tuple[str, ...]]

    @classmethod
    def sorted(cls, addresses: Iterable[str]) -> Self:
        """Return addresses by their versions, that of the first one first."""
        found: dict[IpVersion, tuple[str, ...]] = {}
        for address in addresses:
            version: IpVersion = 6 if ":" in address else 4
            found[version] = (*found.get(version, ()), address)
        return cls(found)

    @property
    def first(self) -> str:
        """The address that the host's bare name means."""
        return self.all[0]

    @property
    def all(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(address for own in self.of.values() for address in own)


def address_name(host: Host, number: int = 1, version: IpVersion | None = None) -> str:
    """Return the name of a host's address: ``server``, ``server.2`` (its second), ``server.v6``, ``server.2.v6``."""
    return host + (f".{number}" if number > 1 else "") + (f".v{version}" if version else "")


def by_name(addresses: Mapping[Host, HostAddresses]) -> dict[str, str]:
    """Return each address under all names that it has."""
    found: dict[str, str] = {}
    for host, own in addresses.items():
        for version, each in own.of.items():
            for number, address in enumerate(each, start=1):
                found.setdefault(address_name(host, number), address)
                found[address_name(host, number, version)] = address
    return found


def names_of(addresses: Mapping[Host, HostAddresses]) -> dict[str, str]:
    """Return the shortest name of each address that no other one has."""
    names: dict[str, str] = {}
    for name, address in by_name(addresses).items():
        if address not in names or len(name) < len(names[address]):
            names[address] = name
    return names


def host_lines(addresses: Mapping[Host, HostAddresses]) -> list[tuple[str, str]]:
    """Return addresses and names for ``/etc/hosts``: a name without a version stands for the addresses of all."""
    return [
        (name, address)
        for host, own in addresses.items()
        for version, each in own.of.items()
        for number, address in enumerate(each, start=1)
        for name in [address_name(host, number), *([address_name(host, number, version)] if len(own.of) > 1 else [])]
    ]
