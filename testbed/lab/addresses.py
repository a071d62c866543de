"""Addresses for labs, out of ranges that no real network uses.

IPv4 from 198.18.0.0/15 (RFC 2544, set aside for benchmarks), IPv6 from fd00::/8 (RFC 4193, random prefix), in
small subnets chosen at random: two runs rarely collide, and the engine that made them retries when they do.
"""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Sequence
from dataclasses import dataclass

from testbed.model import Host

RANGE4 = ipaddress.ip_network("198.18.0.0/15")
PREFIX4 = 28


@dataclass(frozen=True, slots=True)
class Subnet:
    """One network's addresses: networks as text, and those of each host and of the link host in both families."""

    network4: str
    network6: str
    gateway4: str
    gateway6: str
    hosts4: dict[Host, str]
    hosts6: dict[Host, str]
    link4: str
    link6: str

    def __hash__(self) -> int:
        return hash(self.network4)


def random_subnet(source: random.Random, hosts: Sequence[Host]) -> Subnet:
    """Choose a subnet for up to 12 hosts. The first address is the bridge's (unused by us), the link host's the last.

    Each host has an address in every subnet, whether it is on that network or not.
    """
    slots = 1 << (PREFIX4 - RANGE4.prefixlen)
    base4 = int(RANGE4.network_address) + source.randrange(slots) * (1 << (32 - PREFIX4))
    network4 = ipaddress.IPv4Network((base4, PREFIX4))
    network6 = ipaddress.IPv6Network(((0xFD << 120) | (source.getrandbits(56) << 64), 64))
    return Subnet(
        str(network4),
        str(network6),
        str(network4[1]),
        str(network6[1]),
        {host: str(network4[number]) for number, host in enumerate(hosts, start=2)},
        {host: str(network6[number]) for number, host in enumerate(hosts, start=2)},
        str(network4[2 + len(hosts)]),
        str(network6[2 + len(hosts)]),
    )
