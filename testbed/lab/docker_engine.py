"""Labs of containers on a Docker Engine (API 1.41 and newer), local or remote."""

from __future__ import annotations

import random
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

import docker
import docker.errors
import docker.types

from testbed.errors import EngineError
from testbed.lab import images
from testbed.lab.addresses import RANGE4, Subnet, random_subnet
from testbed.lab.agent import Agent
from testbed.lab.docker_channel import DockerChannel
from testbed.lab.docker_errors import translate
from testbed.lab.engine import INTERFACE, LOG_DIRECTORY, TOOLS_DIRECTORY, HostSpec, LabSpec, LiveLab, Progress
from testbed.lab.identity import OWNER_LABEL, ROLE_LABEL, RUN_LABEL, owner
from testbed.model import HOSTS, Host

SUBNET_TRIES = 16
TAP_CAPABILITIES = ("NET_ADMIN", "NET_RAW")
SECURITY = ("no-new-privileges",)
AGENT_COMMAND = (f"{TOOLS_DIRECTORY}/agent",)
HOST_TMPFS = {
    "/tmp": "mode=1777",  # noqa: S108 - inside the container
    "/run": "mode=0755",
    LOG_DIRECTORY: "mode=1777,size=1g",
}
NETWORK_OPTIONS = {
    # No address of the engine's machine on the link: nothing there to reach, nothing that answers.
    "com.docker.network.bridge.inhibit_ipv4": "true",
    "com.docker.network.bridge.enable_ip_masquerade": "false",
}


def common_settings(tools_volume: str) -> dict[str, Any]:
    """Return what hosts and taps have in common, as keywords of the SDK's ``create_host_config``."""
    tools = docker.types.Mount(TOOLS_DIRECTORY, tools_volume, type="volume", read_only=True, no_copy=True)
    return {
        "cap_drop": ["ALL"],
        "security_opt": list(SECURITY),
        "mounts": [tools],
        "log_config": docker.types.LogConfig(type="none"),
        "pids_limit": 4096,
    }


def host_settings(tools_volume: str, network: str, spec: HostSpec, addresses: Mapping[Host, str]) -> dict[str, Any]:
    """Return a host's settings: no capability at all, no name server, a read-only root if the image is ours."""
    return {
        **common_settings(tools_volume),
        "network_mode": network,
        "read_only": images.is_ours(spec.image),
        "tmpfs": {**HOST_TMPFS, **images.tmpfs(spec.image)},
        "sysctls": dict(spec.sysctls),
        "extra_hosts": dict(addresses),
        # Docker's resolver would forward to the engine's own name servers, a way out of the lab.
        "dns": ["127.0.0.1"],
    }


def tap_settings(tools_volume: str, host_container: str) -> dict[str, Any]:
    """Return a tap's settings: in the host's network namespace, with what tcpdump and ethtool need."""
    return {
        **common_settings(tools_volume),
        "network_mode": f"container:{host_container}",
        "read_only": True,
        "cap_add": list(TAP_CAPABILITIES),
    }


class DockerEngine:
    """One lab on a Docker Engine. Leaving the context removes all that it made."""

    name = "docker"

    def __init__(self, client: docker.DockerClient, progress: Progress) -> None:
        self._client = client
        self._api: docker.APIClient = client.api
        self._progress = progress
        self._labels: dict[str, str] = {}
        self._containers: dict[str, str] = {}
        self._network: str | None = None
        self._agents: list[Agent] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.take_down()

    def bring_up(self, spec: LabSpec) -> LiveLab:
        """Make network, hosts and taps, everything in parallel that can be."""
        self._labels = {RUN_LABEL: spec.run_id, OWNER_LABEL: owner()}
        with ThreadPoolExecutor(8) as pool:
            network = pool.submit(self._make_network, spec)
            wanted = [*{host.image for host in spec.hosts.values()}, "tools", "tap"]
            image_ids = images.ensure(self._client, wanted, self._progress)
            volume = images.ensure_tools_volume(self._client, image_ids["tools"], self._progress)
            name, subnet = network.result()
            self._progress("starting two hosts and two taps")
            pairs = {
                host: pool.submit(self._start_pair, host, spec, image_ids, volume, name, subnet, pool) for host in HOSTS
            }
            version = pool.submit(self._version)
            agents = {host: pair.result() for host, pair in pairs.items()}
        return LiveLab(
            hosts={host: pair[0] for host, pair in agents.items()},
            taps={host: pair[1] for host, pair in agents.items()},
            addresses=subnet.hosts4 if spec.ip == 4 else subnet.hosts6,
            routes={host: _routes(spec, subnet, host) for host in HOSTS},
            manifest={
                "engine": {"name": self.name, **version.result()},
                "images": {image: image_ids[image] for image in sorted(image_ids)},
                "subnet": subnet.network4 if spec.ip == 4 else subnet.network6,
                "containers": dict(self._containers),
            },
        )

    def take_down(self) -> None:
        """Remove containers, then the network. A part that is gone already is fine."""
        for agent in self._agents:
            agent.close()
        self._agents.clear()
        problems = []
        with ThreadPoolExecutor(4) as pool:
            removals = {role: pool.submit(self._remove, container) for role, container in self._containers.items()}
            for removal in removals.values():
                try:
                    removal.result()
                except EngineError as error:
                    problems.append(error.what)
        self._containers.clear()
        if self._network is not None:
            try:
                self._remove_network(self._network)
            except EngineError as error:
                problems.append(error.what)
            self._network = None
        if problems:
            raise EngineError("; ".join(problems), hint="`invoke clean` removes what is left, once the engine answers")

    def describe_death(self, host: Host) -> str:
        """Ask the engine how this host's container or its tap's ended."""
        words = []
        for role in (host, f"{host}-tap"):
            container = self._containers.get(role)
            if container is None:
                continue
            try:
                with translate("inspect a container"):
                    state = self._api.inspect_container(container)["State"]
            except EngineError as error:
                words.append(error.what)
                continue
            if not state["Running"]:
                memory = ", out of memory" if state.get("OOMKilled") else ""
                words.append(f"{role}: {state['Status']}, exit {state['ExitCode']}{memory} {state['Error']}".strip())
        return "; ".join(words)

    def _version(self) -> dict[str, str]:
        with translate("ask the engine for its version"):
            version = self._api.version()
        return {
            "version": version["Version"],
            "api": version["ApiVersion"],
            "kernel": version.get("KernelVersion", ""),
            "architecture": version.get("Arch", ""),
        }

    def _make_network(self, spec: LabSpec) -> tuple[str, Subnet]:
        source = random.SystemRandom()
        name = f"bothends-{spec.run_id}"
        refusal = ""
        for _ in range(SUBNET_TRIES):
            subnet = random_subnet(source)
            pools = [docker.types.IPAMPool(subnet=subnet.network4, gateway=subnet.gateway4)]
            if spec.ip == 6:
                pools.append(docker.types.IPAMPool(subnet=subnet.network6, gateway=subnet.gateway6))
            try:
                with translate("make the lab's network"):
                    self._network = self._api.create_network(
                        name,
                        driver="bridge",
                        ipam=docker.types.IPAMConfig(pool_configs=pools),
                        internal=True,
                        enable_ipv6=spec.ip == 6,
                        options=NETWORK_OPTIONS,
                        labels=self._labels,
                    )["Id"]
            except EngineError as error:
                if "overlap" not in error.what:
                    raise
                refusal = error.what
            else:
                return name, subnet
        raise EngineError(
            f"no free subnet for a lab: {SUBNET_TRIES} of {RANGE4} chosen at random are all taken",
            last_output=refusal,
            hint="`invoke clean` removes networks of runs that are gone; `docker network ls` shows the others",
        )

    def _start_pair(
        self,
        host: Host,
        spec: LabSpec,
        image_ids: Mapping[str, str],
        volume: str,
        network: str,
        subnet: Subnet,
        pool: ThreadPoolExecutor,
    ) -> tuple[Agent, Agent]:
        host_spec = spec.hosts[host]
        addresses = subnet.hosts4 if spec.ip == 4 else subnet.hosts6
        endpoint = self._api.create_endpoint_config(
            ipv4_address=subnet.hosts4[host], ipv6_address=subnet.hosts6[host] if spec.ip == 6 else None
        )
        container = self._create(
            spec,
            host,
            image_ids[host_spec.image],
            host_settings(volume, network, host_spec, addresses),
            networking_config={"EndpointsConfig": {network: endpoint}},
            hostname=host,
        )
        # The engine makes the tap while it starts the host; the tap can start only in a network namespace that lives.
        tap = pool.submit(self._create, spec, f"{host}-tap", image_ids["tap"], tap_settings(volume, container))
        host_agent = self._start(container, f"{host} host")
        tap_agent = self._start(tap.result(), f"{host} tap")
        host_agent.hello()
        tap_agent.hello()
        return host_agent, tap_agent

    def _create(self, spec: LabSpec, role: str, image: str, settings: dict[str, Any], **more: Any) -> str:  # noqa: ANN401 - the SDK's own keywords
        with translate(f"create the {role} container"):
            created = self._api.create_container(
                image,
                list(AGENT_COMMAND),
                name=f"bothends-{spec.run_id}-{role}",
                entrypoint=[],
                stdin_open=True,
                labels={**self._labels, ROLE_LABEL: role},
                host_config=self._api.create_host_config(**settings),
                **more,
            )
        self._containers[role] = created["Id"]
        return str(created["Id"])

    def _start(self, container: str, name: str) -> Agent:
        channel = DockerChannel(self._api, container)
        agent = Agent(channel, name)
        self._agents.append(agent)
        with translate(f"start the {name}"):
            self._api.start(container)
        return agent

    def _remove(self, container: str) -> None:
        try:
            with translate("remove a container"):
                self._api.remove_container(container, force=True, v=True)
        except EngineError as error:
            if not isinstance(error.__cause__, docker.errors.NotFound):
                raise

    def _remove_network(self, network: str) -> None:
        try:
            with translate("remove the lab's network"):
                self._api.remove_network(network)
        except EngineError as error:
            if not isinstance(error.__cause__, docker.errors.NotFound):
                raise


def _routes(spec: LabSpec, subnet: Subnet, host: Host) -> dict[int, list[str]]:
    """Name the congestion control on the link's own route; with IPv6 the bridge has an address, which is shut off."""
    congestion = f"congctl {spec.hosts[host].congestion_control}"
    link4 = f"route replace {subnet.network4} dev {INTERFACE} proto kernel scope link src {subnet.hosts4[host]}"
    if spec.ip == 4:
        return {4: [f"{link4} {congestion}"]}
    link6 = f"route replace {subnet.network6} dev {INTERFACE} proto kernel metric 256"
    return {4: [], 6: [f"{link6} {congestion}", f"route replace unreachable {subnet.gateway6}"]}


def connect() -> docker.DockerClient:
    """Connect to the engine that DOCKER_HOST or the default socket names; EngineError if none answers."""
    with translate("use Docker"):
        return docker.from_env(version="auto", timeout=60)
