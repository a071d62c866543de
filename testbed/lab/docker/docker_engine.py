"""Labs of containers on a Docker Engine (API 1.41 and newer), local or remote."""

from __future__ import annotations

import atexit
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from types import TracebackType
from typing import Any, Self

import docker
import docker.errors

from testbed.lab import call_trace
from testbed.lab.agent import Agent, Channel
from testbed.lab.docker import engine_facts, host_image, images
from testbed.lab.docker.attach_stream import DockerChannel
from testbed.lab.docker.container_settings import (
    AGENT_COMMAND,
    DEBUGGER,
    host_settings,
    link_settings,
    tap_settings,
    with_debugger,
)
from testbed.lab.docker.docker_errors import translate
from testbed.lab.docker.docker_networks import Networks, make_networks, remove_network
from testbed.lab.docker.engine_facts import EngineFacts
from testbed.lab.docker.kept_recorders import KeptRecorder, KeptRecorders, ProgramChannel
from testbed.lab.docker.witness_container import ROLE as WITNESS_ROLE
from testbed.lab.docker.witness_container import Early, WitnessContainer, number_of_kernel
from testbed.lab.engine import DEBUGGER_DIRECTORY, LabSpec, LinkHost, LiveLab, Progress
from testbed.lab.identity import OWNER_LABEL, ROLE_LABEL, RUN_LABEL, numbers_tasks_as_the_kernel, owner
from testbed.model import Host
from testbed.model.errors import EngineError, LabError, Unsupported

_END_TIMEOUT = 5  # seconds in which a container ends whose agent was closed; then it is killed


class Containers:
    """Makes engines.

    ``keep_up``: what records the kernel's trace of one lab is kept for the next ones, until this process ends.
    """

    keep_up = False

    def __init__(self, client: docker.DockerClient) -> None:
        self._client = client
        self._begun = ""
        self._early: Early | None = None
        self._recorders = KeptRecorders(client.api)

    def __call__(self, progress: Progress) -> DockerEngine:
        """Return an engine for one lab."""
        early, self._early = self._early, None
        return DockerEngine(self._client, progress, self._recorders if self.keep_up else None, early)

    def begin_early(self, run_id: str, *, witness: bool) -> None:
        """Have the engine make what records the kernel's trace, for the first lab; ``close`` removes it if none is."""
        atexit.register(self.close)
        self._begun = run_id
        self._early = Early(self._client, run_id, witness=witness)

    def begun(self) -> str:
        """Return the id of the run for which that was begun, the first time; else an empty text."""
        begun, self._begun = self._begun, ""
        return begun

    def close(self) -> None:
        """Remove what was kept, or made early for nothing. Idempotent."""
        early, self._early = self._early, None
        if early is not None:
            early.remove()
        self._recorders.close()


class DockerEngine:
    """One lab on a Docker Engine. Leaving the context removes all that it made.

    ``recorders``: from where it takes what records the kernel's trace; else it makes that for itself, if that was not
    done ``early``.
    """

    name = "docker"

    def __init__(
        self,
        client: docker.DockerClient,
        progress: Progress,
        recorders: KeptRecorders | None = None,
        early: Early | None = None,
    ) -> None:
        self._client = client
        self._recorders = recorders
        self._early = early
        self._kept: tuple[KeptRecorder, ProgramChannel] | None = None
        self._api: docker.APIClient = client.api
        self._progress = progress
        self._facts: EngineFacts | None = None
        self._labels: dict[str, str] = {}
        self._containers: dict[str, str] = {}
        self._networks: list[str] = []
        self._joined: list[tuple[str, str]] = []
        self._debugger_volume = ""
        self._agents: list[Agent] = []
        self._witness: WitnessContainer | None = None
        self._host_processes: list[int | None] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.take_down()

    def bring_up(self, spec: LabSpec) -> LiveLab:
        """Make networks, hosts, taps and link host, everything in parallel that can be."""
        self._labels = {RUN_LABEL: spec.run_id, OWNER_LABEL: owner()}
        with ThreadPoolExecutor(8) as pool:
            self._facts = facts = self._early.facts() if self._early is not None else engine_facts.ask(self._api)
            for host in spec.hosts.values():
                if reason := facts.refuses(host.sysctls):
                    raise Unsupported(
                        reason, hint="another engine (--engine namespace), or a range of more than 64 ports"
                    )
            pending = pool.submit(make_networks, self._api, spec, facts, self._labels, self._networks)
            wanted = ["tools", "tap", *(["link"] if spec.routed else [])]
            wanted += ["witness"] if spec.witness else []
            wanted += ["debugger"] if any(host.debugger for host in spec.hosts.values()) else []
            wanted += [host.image for host in spec.hosts.values() if host.build is None]
            image_ids = images.ensure(self._client, wanted, self._progress)
            volume = images.ensure_tools_volume(self._client, image_ids["tools"], self._progress)
            # It has the most to do once it is started.
            witness = (
                pool.submit(self._start_witness, spec, image_ids["witness"], facts, volume) if spec.witness else None
            )
            host_ids = {
                host: host_image.provide(self._client, wanted, image_ids.get(wanted.image, ""), self._progress)
                for host, wanted in spec.hosts.items()
            }
            if "debugger" in image_ids:
                self._debugger_volume = images.ensure_tools_volume(
                    self._client, image_ids["debugger"], self._progress, directory=DEBUGGER_DIRECTORY
                )
            networks = pending.result()
            self._progress(f"starting {len(spec.hosts)} hosts with their taps")
            pairs = {
                host: pool.submit(
                    self._start_pair, host, spec, (host_ids[host], image_ids["tap"]), volume, networks, pool
                )
                for host in spec.hosts
            }
            link = pool.submit(self._start_link, spec, image_ids["link"], volume, networks) if spec.routed else None
            agents = {host: pair.result() for host, pair in pairs.items()}
        channel, refused = witness.result() if witness else (None, "")
        if channel is not None and _parents_follow(spec):
            self._tell_parents(channel)
        return LiveLab(
            hosts={host: pair[0] for host, pair in agents.items()},
            taps={host: pair[1] for host, pair in agents.items()},
            addresses=networks.topology.addresses,
            routes={host: networks.routes(host, described.route) for host, described in spec.hosts.items()},
            link=link.result() if link else None,
            debugger=DEBUGGER,
            witness=channel,
            witness_refused=refused,
            manifest={
                "engine": {"name": self.name, **facts.manifest()},
                "images": dict(
                    sorted([*image_ids.items(), *((spec.hosts[host].image, each) for host, each in host_ids.items())])
                ),
                "subnet": networks.topology.text,
                "containers": dict(self._containers),
            },
        )

    def take_down(self) -> None:
        """Remove containers and networks. A part that is gone already is fine."""
        problems: list[str] = []

        def attempt(remove: Callable[..., None], *what: object) -> None:
            try:
                remove(*what)
            except EngineError as error:
                problems.append(error.what)

        taps = [role for role in self._containers if role.endswith("-tap")]
        others = [role for role in self._containers if not role.endswith("-tap") and role != WITNESS_ROLE]
        with ThreadPoolExecutor(8) as pool:
            witness = pool.submit(attempt, self._remove_witness)  # takes longest: the networks do not wait for it
            if self._facts is not None and self._facts.podman:
                # It kills no container that just ends, and removes none in whose network namespace another one is.
                self._close_agents()
                list(pool.map(self._await_end, taps + others))
                list(pool.map(partial(attempt, self._remove), taps))
                removed = []
            else:
                removed = [pool.submit(attempt, self._remove, role) for role in taps]
                # Quicker while they run; the networks need not wait until the engine has removed the hosts.
                list(pool.map(self._leave, self._joined))
                self._close_agents()
                removed += [pool.submit(self._remove_empty, network) for network in tuple(self._networks)]
            removed += [pool.submit(attempt, self._remove, role) for role in others]
            wait(removed)
            for network in self._networks:
                attempt(remove_network, self._api, network)
            witness.result()
        self._containers.clear()
        self._joined.clear()
        self._networks.clear()
        if problems:
            raise EngineError("; ".join(problems), hint="`invoke clean` removes what is left, once the engine answers")

    def _close_agents(self) -> None:
        for agent in self._agents:
            agent.close()
        self._agents.clear()

    def _leave(self, joined: tuple[str, str]) -> None:
        """Take a container from a network, which then need not wait until the engine has removed the container."""
        with contextlib.suppress(EngineError), translate("take a container from the lab's network"):
            self._api.disconnect_container_from_network(*joined, force=True)

    def _remove_empty(self, network: str) -> None:
        """Remove a network that nobody is on any more; one that somebody is on is removed after the containers."""
        with contextlib.suppress(EngineError):
            remove_network(self._api, network)
            self._networks.remove(network)

    def _remove_witness(self) -> None:
        """Remove what recorded the kernel's trace, once it has removed its instance of tracefs; or let it be kept."""
        if self._kept is not None and self._recorders is not None:
            self._recorders.give(*self._kept)
            self._kept = None
        if self._witness is not None:
            self._witness.remove()
            self._witness = None
        if self._early is not None:
            self._early.remove()

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

    def _start_pair(
        self,
        host: Host,
        spec: LabSpec,
        image_ids: tuple[str, str],
        volume: str,
        networks: Networks,
        pool: ThreadPoolExecutor,
    ) -> tuple[Agent, Agent]:
        own_image, tap_image = image_ids
        host_spec = spec.hosts[host]
        network = networks.of[host]
        subnet = network.subnet
        endpoint = self._api.create_endpoint_config(
            ipv4_address=subnet.hosts4[host][0], ipv6_address=subnet.hosts6[host][0] if 6 in spec.ip else None
        )
        settings = host_settings(volume, network.name, host_spec, networks.topology.addresses)
        container = self._create(
            spec,
            host,
            own_image,
            with_debugger(settings, self._debugger_volume) if host_spec.debugger else settings,
            networking_config={"EndpointsConfig": {network.name: endpoint}},
            hostname=host,
            **host_image.user_settings(host_spec),
        )
        self._joined.append((container, network.id))
        # The engine makes the tap while it starts the host; the tap can start only in a network namespace that lives.
        tap = pool.submit(self._create, spec, f"{host}-tap", tap_image, tap_settings(volume, container))
        host_agent = self._start(container, f"{host} host")
        number = pool.submit(number_of_kernel, self._api, container) if _parents_follow(spec) else None
        tap_agent = self._start(tap.result(), f"{host} tap")
        if number is not None:
            self._host_processes.append(number.result())
        host_agent.hello()
        tap_agent.hello()
        return host_agent, tap_agent

    def _start_link(self, spec: LabSpec, image: str, volume: str, networks: Networks) -> LinkHost:
        """Start the link host on every network: the engine takes one of them when it makes the container."""
        first, *others = networks.of.values()
        endpoint = self._api.create_endpoint_config(
            ipv4_address=first.subnet.link4, ipv6_address=first.subnet.link6 if 6 in spec.ip else None
        )
        container = self._create(
            spec,
            "link",
            image,
            link_settings(volume, first.name, spec.ip),
            networking_config={"EndpointsConfig": {first.name: endpoint}},
            hostname="link",
        )
        self._joined += [(container, each.id) for each in networks.of.values()]
        for other in others:
            with translate(f"join the link host to the network {other.name}"):
                self._api.connect_container_to_network(
                    container,
                    other.id,
                    ipv4_address=other.subnet.link4,
                    ipv6_address=other.subnet.link6 if 6 in spec.ip else None,
                )
        agent = self._start(container, "link host")
        agent.hello()
        return LinkHost(agent, networks.topology.link)

    def _start_witness(self, spec: LabSpec, image: str, facts: EngineFacts, volume: str) -> tuple[Channel | None, str]:
        """Start what records the kernel's trace; return its channel, or why the engine does not allow it."""
        words = call_trace.awaiting_parents(spec.witness) if _parents_follow(spec) else spec.witness
        try:
            if self._recorders is not None and not facts.podman:
                self._kept = self._recorders.take(image, volume, words)
                return self._kept[1], ""
            self._witness = self._early.take() if self._early is not None else None
            if self._witness is None:
                self._witness = WitnessContainer(self._api, image, facts, spec.run_id)
            self._witness.record(words)
        except (EngineError, LabError) as error:
            return None, f"{error.what} ({error.state})" if error.state else error.what
        self._containers[WITNESS_ROLE] = self._witness.id
        return self._witness.channel, ""

    def _tell_parents(self, witness: Channel) -> None:
        """Tell the recorder which processes start the programs, if all are known, so that no program waits for it."""
        known = [number for number in self._host_processes if number is not None]
        with contextlib.suppress(OSError):  # it may have ended, and has then said why
            witness.send(call_trace.parents_order(known if len(known) == len(self._host_processes) else ()))

    def _create(
        self,
        spec: LabSpec,
        role: str,
        image: str,
        settings: dict[str, Any],
        **more: Any,  # noqa: ANN401 - the SDK's own keywords
    ) -> str:
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

    def _await_end(self, role: str) -> None:
        with contextlib.suppress(EngineError), translate("wait for a container's end"):
            self._api.wait(self._containers[role], timeout=_END_TIMEOUT)

    def _remove(self, role: str) -> None:
        try:
            with translate("remove a container"):
                self._api.remove_container(self._containers[role], force=True, v=True)
        except EngineError as error:
            if not isinstance(error.__cause__, docker.errors.NotFound):
                raise


def _parents_follow(spec: LabSpec) -> bool:
    return call_trace.records_calls(spec.witness) and numbers_tasks_as_the_kernel()


def connect() -> docker.DockerClient:
    """Connect to the engine that DOCKER_HOST or the default socket names; EngineError if none answers."""
    with translate("use Docker"):
        return docker.from_env(version="auto", timeout=60)
