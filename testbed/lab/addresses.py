"""Addresses for labs, out of ranges that no real network uses.

IPv4 from 198.18.0.0/15 (RFC 2544, set aside for benchmarks), IPv6 from fd00::/8 (RFC 4193, random prefix), in
small subnets chosen at random: two runs rarely collide, and the engine that made them retries when they do. Labs that
share nothing may have the same addresses, but the kernel's trace tells connections by them: :class:`Claims`.
"""

from __future__ import annotations

import ipaddress
import random
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from testbed.model import Host
from testbed.model.hosts import MOST_ADDRESSES, HostAddresses, IpVersion

RANGE4 = ipaddress.ip_network("198.18.0.0/15")
PREFIX4 = 28


@dataclass(frozen=True, slots=True)
class Subnet:
    """One network's addresses: networks as text, and those of each host and of the link host in both families.

    Each host has as many as it may have, whether it uses them or not.
    """

    network4: str
    network6: str
    gateway4: str
    gateway6: str
    hosts4: dict[Host, tuple[str, ...]]
    hosts6: dict[Host, tuple[str, ...]]
    link4: str
    link6: str

    def __hash__(self) -> int:
        return hash(self.network4)

    def of(self, host: Host, versions: Sequence[IpVersion], count: int = 1) -> HostAddresses:
        """Return the first addresses of a host, ``count`` of each version."""
        return HostAddresses({each: (self.hosts4 if each == 4 else self.hosts6)[host][:count] for each in versions})

    def link(self, versions: Sequence[IpVersion]) -> HostAddresses:
        """Return the link host's addresses."""
        return HostAddresses({each: (self.link4 if each == 4 else self.link6,) for each in versions})

    def network(self, version: IpVersion) -> str:
        """Return the network of a version."""
        return self.network4 if version == 4 else self.network6


class Claims:
    """The subnets of one lab, which no other of this machine chooses meanwhile.

    Each is a name in the kernel's abstract socket namespace (unix(7)), which goes with this process.
    """

    def __init__(self) -> None:
        self._held: list[socket.socket] = []

    def choose(self, hosts: Sequence[Host]) -> Subnet:
        """Return a subnet chosen at random; the last of a hundred that are all taken, if it comes to that."""
        for _ in range(_TRIES):
            subnet = random_subnet(random.SystemRandom(), hosts)
            name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                name.bind(f"\0bothends/{subnet.network4}")
            except OSError:
                name.close()
            else:
                self._held.append(name)
                break
        return subnet

    def release(self) -> None:
        """Give them back. Idempotent."""
        while self._held:
            self._held.pop().close()


_TRIES = 100


def random_subnet(source: random.Random, hosts: Sequence[Host]) -> Subnet:
    """Choose a subnet for up to three hosts.

    The first address is the bridge's (unused by us); then come the first one of each host, the link host's and the
    further ones of each host. Each host has addresses in every subnet, whether it is on that network or not.
    """
    slots = 1 << (PREFIX4 - RANGE4.prefixlen)
    base4 = int(RANGE4.network_address) + source.randrange(slots) * (1 << (32 - PREFIX4))
    network4 = ipaddress.IPv4Network((base4, PREFIX4))
    network6 = ipaddress.IPv6Network(((0xFD << 120) | (source.getrandbits(56) << 64), 64))
    link, more = 2 + len(hosts), MOST_ADDRESSES - 1
    numbers = {
        host: (2 + at, *range(link + 1 + at * more, link + 1 + (at + 1) * more)) for at, host in enumerate(hosts)
    }
    return Subnet(
        str(network4),
        str(network6),
        str(network4[1]),
        str(network6[1]),
        {host: tuple(str(network4[number]) for number in own) for host, own in numbers.items()},
        {host: tuple(str(network6[number]) for number in own) for host, own in numbers.items()},
        str(network4[link]),
        str(network6[link]),
    )
