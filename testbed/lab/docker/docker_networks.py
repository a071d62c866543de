"""A lab's networks on a Docker Engine: one bridge, or one for each host with the link host on both."""

from __future__ import annotations

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
from testbed.model import Host
from testbed.model.errors import EngineError

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
    """The network that each host is on: one for all, or one each.

    ``link`` are the link host's addresses, if there is one.
    """

    of: Mapping[Host, Network]
    ip: int
    routed: bool

    @property
    def addresses(self) -> dict[Host, str]:
        """The hosts' addresses of the lab's IP version."""
        subnets = {host: network.subnet for host, network in self.of.items()}
        return {host: (subnet.hosts4 if self.ip == 4 else subnet.hosts6)[host] for host, subnet in subnets.items()}

    @property
    def link(self) -> dict[Host, str]:
        """The link host's address on each host's network."""
        subnets = {host: network.subnet for host, network in self.of.items()}
        return {host: subnet.link4 if self.ip == 4 else subnet.link6 for host, subnet in subnets.items()}

    @property
    def text(self) -> str:
        """The subnets, for the manifest."""
        subnets = dict.fromkeys(network.subnet for network in self.of.values())
        return ", ".join(subnet.network4 if self.ip == 4 else subnet.network6 for subnet in subnets)

    def routes(self, host: Host, options: str) -> dict[int, list[str]]:
        """Return the routes that a host shall have; ``options`` as :attr:`LabHost.route` gives them.

        With IPv6 the bridge has an address, which is shut off.
        """
        subnet = self.of[host].subnet
        shut = [f"route replace unreachable {subnet.gateway6}"]
        if self.routed:
            others = [address for other, address in self.addresses.items() if other != host]
            over = [f"route replace {other} via {self.link[host]} dev {INTERFACE} {options}" for other in others]
            return {4: over} if self.ip == 4 else {4: [], 6: [*over, *shut]}
        link4 = f"route replace {subnet.network4} dev {INTERFACE} proto kernel scope link src {subnet.hosts4[host]}"
        if self.ip == 4:
            return {4: [f"{link4} {options}"]}
        link6 = f"route replace {subnet.network6} dev {INTERFACE} proto kernel metric 256"
        return {4: [], 6: [f"{link6} {options}", *shut]}


def make_networks(
    api: docker.APIClient, spec: LabSpec, facts: EngineFacts, labels: Mapping[str, str], made: list[str]
) -> Networks:
    """Make what the lab needs; the id of each network is added to ``made`` as soon as it is there."""
    if not spec.routed:
        network = _make(api, f"bothends-{spec.run_id}", spec, {}, labels, made, internal=True)
        return Networks(dict.fromkeys(spec.hosts, network), spec.ip, routed=False)
    options, internal = facts.routed_options, facts.routed_internal
    with ThreadPoolExecutor(len(spec.hosts)) as pool:
        pending = {
            host: pool.submit(
                _make, api, f"bothends-{spec.run_id}-{host}", spec, options, labels, made, internal=internal
            )
            for host in spec.hosts
        }
    return Networks({host: one.result() for host, one in pending.items()}, spec.ip, routed=True)


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
        if spec.ip == 6:
            pools.append(docker.types.IPAMPool(subnet=subnet.network6, gateway=subnet.gateway6))
        try:
            with translate("make the lab's network"):
                network = api.create_network(
                    name,
                    driver="bridge",
                    ipam=docker.types.IPAMConfig(pool_configs=pools),
                    # A routed lab's hosts have no way out either: no default route, and nobody masquerades.
                    internal=internal,
                    enable_ipv6=spec.ip == 6,
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
