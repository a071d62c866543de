"""A lab's networks on a Docker Engine: one bridge, or one for each host with the link host on both."""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import docker
import docker.errors
import docker.types

from testbed.lab.addresses import RANGE4, Subnet, random_subnet
from testbed.lab.docker.docker_errors import translate
from testbed.lab.docker.engine_facts import EngineFacts
from testbed.lab.engine import INTERFACE, LabSpec
from testbed.lab.topology import Topology, placed
from testbed.model import Host
from testbed.model.errors import EngineError
from testbed.model.hosts import IpVersion

SUBNET_TRIES = 16
NETWORK_OPTIONS = {
    # No address of the engine's machine on the link: nothing there to reach, nothing that answers.
    "com.docker.network.bridge.inhibit_ipv4": "true",
    "com.docker.network.bridge.enable_ip_masquerade": "false",
    # An engine may have another by itself: rootless Podman takes over the 65,520 bytes of its way out.
    "com.docker.network.driver.mtu": "1500",
}


@dataclass(frozen=True, slots=True)
class Network:
    """One network of the engine and its addresses."""

    id: str
    name: str
    subnet: Subnet


@dataclass(frozen=True, slots=True)
class Networks:
    """The network that each host is on, one for all or one each, and where that puts everything."""

    of: Mapping[Host, Network]
    topology: Topology

    def routes(self, host: Host, options: str) -> dict[int, list[str]]:
        """Return what :attr:`LiveLab.routes` holds; ``options`` as :attr:`LabHost.route` gives them.

        An engine gives an interface one address of each version: the further ones come first. With IPv6 the bridge has
        an address, which is shut off.
        """
        net = self.topology
        subnet = net.subnets[host]
        routes = net.routes(host, options)
        lines: dict[int, list[str]] = {version: [*self._further(host, version), *routes[version]] for version in net.ip}
        if 6 in lines:
            lines.setdefault(4, [])
            lines[6].append(f"route replace unreachable {subnet.gateway6}")
        return lines

    def _further(self, host: Host, version: IpVersion) -> list[str]:
        network = ipaddress.ip_network(self.topology.subnets[host].network(version))
        # Nothing must be on the wire that no program caused: no question whether an address is unique.
        quietly = " nodad" if version == 6 else ""
        _, *further = self.topology.addresses[host].of[version]
        return [f"address add {each}/{network.prefixlen} dev {INTERFACE}{quietly}" for each in further]


def make_networks(
    api: docker.APIClient, spec: LabSpec, facts: EngineFacts, labels: Mapping[str, str], made: list[str]
) -> Networks:
    """Make what the lab needs; the id of each network is added to ``made`` as soon as it is there."""
    if not spec.routed:
        network = _make(api, f"bothends-{spec.run_id}", spec, {}, labels, made, internal=True)
        return _networks(spec, dict.fromkeys(spec.hosts, network))
    options, internal = facts.routed_options, facts.routed_internal
    with ThreadPoolExecutor(len(spec.hosts)) as pool:
        pending = {
            host: pool.submit(
                _make, api, f"bothends-{spec.run_id}-{host}", spec, options, labels, made, internal=internal
            )
            for host in spec.hosts
        }
    return _networks(spec, {host: one.result() for host, one in pending.items()})


def _networks(spec: LabSpec, networks: Mapping[Host, Network]) -> Networks:
    return Networks(networks, placed(spec, {host: network.subnet for host, network in networks.items()}))


def _make(
    api: docker.APIClient,
    name: str,
    spec: LabSpec,
    options: Mapping[str, str],
    labels: Mapping[str, str],
    made: list[str],
    *,
    internal: bool,
) -> Network:
    source = random.SystemRandom()
    refusal = ""
    for _ in range(SUBNET_TRIES):
        subnet = random_subnet(source, tuple(spec.hosts))
        pools = [docker.types.IPAMPool(subnet=subnet.network4, gateway=subnet.gateway4)]
        if 6 in spec.ip:
            pools.append(docker.types.IPAMPool(subnet=subnet.network6, gateway=subnet.gateway6))
        try:
            with translate("make the lab's network"):
                network = api.create_network(
                    name,
                    driver="bridge",
                    ipam=docker.types.IPAMConfig(pool_configs=pools),
                    # A routed lab's hosts have no way out either: no default route, and nobody masquerades.
                    internal=internal,
                    enable_ipv6=6 in spec.ip,
                    options={**NETWORK_OPTIONS, **options},
                    labels=dict(labels),
                )["Id"]
        except EngineError as error:
            if "overlap" not in error.what:
                raise
            refusal = error.what
        else:
            made.append(network)
            return Network(network, name, subnet)
    raise EngineError(
        f"no free subnet for a lab: {SUBNET_TRIES} of {RANGE4} chosen at random are all taken",
        last_output=refusal,
        hint="`invoke clean` removes networks of runs that are gone; `docker network ls` shows the others",
    )


def remove_network(api: docker.APIClient, network: str) -> None:
    """Remove a network; one that is gone already is fine."""
    try:
        with translate("remove the lab's network"):
            api.remove_network(network)
    except EngineError as error:
        if not isinstance(error.__cause__, docker.errors.NotFound):
            raise
