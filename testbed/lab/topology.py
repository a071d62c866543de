"""Where the hosts of a lab are: which network each is on, their addresses, and the routes between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from testbed.lab.addresses import Subnet
from testbed.lab.engine import INTERFACE, LabSpec
from testbed.model import Host
from testbed.model.hosts import HostAddresses, IpVersion


@dataclass(frozen=True, slots=True)
class Topology:
    """The subnet that each host is on, one for all or, with a link host between them, one each.

    ``ip`` are the versions that the lab has, ``counts`` how many addresses of each a host has.
    """

    subnets: Mapping[Host, Subnet]
    ip: tuple[IpVersion, ...]
    counts: Mapping[Host, int]
    routed: bool

    @property
    def addresses(self) -> dict[Host, HostAddresses]:
        """The addresses of the hosts."""
        return {host: subnet.of(host, self.ip, self.counts[host]) for host, subnet in self.subnets.items()}

    @property
    def link(self) -> dict[Host, HostAddresses]:
        """The link host's addresses on each host's network."""
        return {host: subnet.link(self.ip) for host, subnet in self.subnets.items()}

    @property
    def text(self) -> str:
        """The subnets, for the manifest."""
        return ", ".join(dict.fromkeys(net.network(version) for version in self.ip for net in self.subnets.values()))

    def routes(self, host: Host, options: str) -> dict[int, list[str]]:
        """Return the routes for :attr:`LiveLab.routes`; ``options`` as :attr:`LabHost.route` gives them."""
        return {version: self._routes(host, version, options) for version in self.ip}

    def _routes(self, host: Host, version: IpVersion, options: str) -> list[str]:
        subnet = self.subnets[host]
        own, *further = self.addresses[host].of[version]
        # Of several IPv6 addresses on one network the kernel may take any as the source (RFC 6724).
        source = f" src {own}" if version == 6 and further else ""
        if self.routed:
            others = [each for other, all_ in self.addresses.items() if other != host for each in all_.of[version]]
            via = self.link[host].of[version][0]
            return [f"route replace {other} via {via} dev {INTERFACE}{source} {options}" for other in others]
        if version == 4:
            scope = f"proto kernel scope link src {own}"
            return [f"route replace {subnet.network4} dev {INTERFACE} {scope} {options}"]
        return [f"route replace {subnet.network6} dev {INTERFACE} proto kernel metric 256{source} {options}"]


def topology(spec: LabSpec, choose: Callable[[], Subnet]) -> Topology:
    """Return the addresses of a lab; ``choose`` gives a subnet."""
    if not spec.routed:
        return placed(spec, dict.fromkeys(spec.hosts, choose()))
    subnets: dict[Host, Subnet] = {}
    for host in spec.hosts:
        subnet = choose()
        while subnet.network4 in {other.network4 for other in subnets.values()}:
            subnet = choose()
        subnets[host] = subnet
    return placed(spec, subnets)


def placed(spec: LabSpec, subnets: Mapping[Host, Subnet]) -> Topology:
    """Return the addresses of a lab whose hosts are on these subnets."""
    counts = {host: described.addresses for host, described in spec.hosts.items()}
    return Topology(subnets, spec.ip, counts, spec.routed)
