"""From a scenario to what a lab is asked for: hosts, link, observers, programs with the lab's addresses filled in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from testbed.lab import kernel_trace, pinned_sysctls, wine
from testbed.lab.call_trace import held_name
from testbed.lab.engine import ACTOR, LabHost, LabSpec, LiveLab
from testbed.lab.identity import new_run_id
from testbed.lab.observers.hold_rules import CallHold, ForTime
from testbed.lab.observers.make_observer import TRACED
from testbed.lab.running_program import ProgramSpec, Readiness
from testbed.lab.session import TracedPrograms
from testbed.lab.tcpdump import BUFFER_KIB, SMALL_BUFFER_KIB, SMALLEST_BUFFER_KIB
from testbed.model import Host
from testbed.model.awaited_packets import AwaitedPacket
from testbed.model.hosts import HostAddresses, by_name

if TYPE_CHECKING:  # pydantic and scapy are slow to import: whoever has a scenario has imported what it needs
    from testbed.scenario.link.link_plan import LinkPlan
    from testbed.scenario.scenario import Scenario

TRACERS = ("gdb", "strace")


def lab_spec(scenario: Scenario, run_id: str = "", *, by_hand: bool = False) -> LabSpec:
    """Say what lab a scenario needs; a run without an id gets one. ``by_hand``: a person starts the programs in it.

    Raises ScenarioError for a path of the user's own that cannot be used.
    """
    from testbed.scenario.read_own_files import NOTHING, own_parts

    run_id = run_id or new_run_id()
    own = own_parts(scenario)
    return LabSpec(
        run_id=run_id,
        hosts={
            host: LabHost(
                described.built_of or described.image,
                pinned_sysctls.for_host(described.sysctl),
                pinned_sysctls.congestion_control(described.sysctl),
                debugger=getattr(scenario.observe, host) in TRACERS,
                route_options=described.route.words,
                packages=described.packages,
                files=own.get(host, NOTHING).files,
                build=own.get(host, NOTHING).build,
                user=described.user or "",
                starts_in=own.get(host, NOTHING).starts_in,
                addresses=described.addresses,
            )
            for host, described in scenario.hosts.items()
        },
        ip=scenario.ip,
        routed=scenario.routed,
        witness=_recorder(
            scenario,
            run_id,
            kernel=scenario.observe.kernel is True or (bool(scenario.observe.kernel) and not by_hand),
            calls=not by_hand and bool(traced_programs(scenario, run_id).names),
        ),
    )


def traced_programs(scenario: Scenario, run_id: str) -> TracedPrograms:
    """Return the programs whose calls the kernel's trace tells, where it can be had."""
    observers = {host: getattr(scenario.observe, host) for host in scenario.hosts}
    wanted = TRACED if scenario.observe.kernel is not False else {"trace"}
    return TracedPrograms(
        {host: held_name(run_id, host) for host, observer in observers.items() if observer in wanted},
        needed="trace" in observers.values(),
        alone=not scenario.observe.kernel,
    )


def _recorder(scenario: Scenario, run_id: str, *, kernel: bool, calls: bool) -> tuple[str, ...]:
    observe = scenario.observe
    if not kernel and not calls:
        return ()
    arrivals = observe.kernel_arrivals
    if arrivals is None:
        arrivals = all(host.steps is not None for host in scenario.hosts.values())
    return kernel_trace.command(
        run_id,
        buffer=observe.kernel_buffer,
        arrivals=arrivals,
        queued=bool(egress_of(scenario)),
        connections=kernel,
        calls=calls,
    )


def egress_of(scenario: Scenario) -> dict[Host, int]:
    """Return the rate of each host whose interface is slowed down, in bits per second."""
    return {host: described.egress for host, described in scenario.hosts.items() if described.egress is not None}


def mtu_of(scenario: Scenario) -> dict[Host, int]:
    """Return the MTU of each host's interface that is not the usual one, in bytes."""
    return {host: described.mtu for host, described in scenario.hosts.items() if described.mtu is not None}


def loopbacks_of(scenario: Scenario, *, by_hand: bool = False) -> frozenset[Host]:
    """Return the hosts whose loopback is captured; ``by_hand``: a person may start any program in each."""
    return frozenset(
        host
        for host, described in scenario.hosts.items()
        if (by_hand or described.command is not None if described.loopback is None else described.loopback)
    )


def capture_buffer_of(scenario: Scenario) -> str:
    """Return how much memory the kernel shall have for each capture, in KiB."""
    from testbed.scenario.few_packets import FEWEST, has_few_packets

    if has_few_packets(scenario, FEWEST):
        return SMALLEST_BUFFER_KIB
    return SMALL_BUFFER_KIB if has_few_packets(scenario) else BUFFER_KIB


def hold_of(scenario: Scenario) -> CallHold | None:
    """Return how long gdb holds each call; None where the scenario does not say."""
    return ForTime(scenario.observe.hold / 1000) if scenario.observe.hold is not None else None


def plan_of(scenario: Scenario, live: LiveLab) -> LinkPlan | None:
    """Return what the link host of a lab that is up shall do; None without one."""
    if live.link is None:
        return None
    from testbed.scenario.link.link_plan import link_plan

    return link_plan(scenario, live.addresses, live.link.addresses)


def packet_waits_of(scenario: Scenario) -> dict[Host, dict[int, AwaitedPacket]]:
    """Return the packets that steps wait for, by host and number of the step; hosts that wait for none are absent."""
    from testbed.scenario.steps.waiting_steps import WaitPacketStep

    found = {
        host: {
            each.number: each.step.wait_packet.compiled()
            for each in described.written_steps
            if isinstance(each.step, WaitPacketStep)
        }
        for host, described in scenario.hosts.items()
    }
    return {host: waits for host, waits in found.items() if waits}


def witness_wanted(scenario: Scenario) -> str:
    """Say whether the kernel's trace is ``demanded``, ``offered`` or ``none``."""
    wanted = scenario.observe.kernel
    return "offered" if wanted == "offered" else "demanded" if wanted else "none"


def program_specs(
    scenario: Scenario, spec: LabSpec, addresses: Mapping[Host, HostAddresses]
) -> dict[Host, ProgramSpec]:
    """Turn a scenario's programs into what the session starts, in that order, with the lab's addresses filled in."""
    names = by_name(addresses)
    # In the order in which they start: from the far end towards the client, each once the one before it is ready.
    return {
        host: _program_spec(scenario, host, spec.hosts[host].starts_in, names)
        for host in reversed(tuple(scenario.hosts))
    }


def _server_ready(scenario: Scenario) -> Readiness | None:
    server = scenario.server
    if server.steps is not None:
        return Readiness("event") if server.announces else None
    if server.ready is None:
        return None
    return Readiness("ports", server.ready.port or (), server.ready.udp or ())


def _program_spec(scenario: Scenario, host: Host, starts_in: str, names: Mapping[str, str]) -> ProgramSpec:
    from testbed.scenario.language.endpoints import fill
    from testbed.scenario.steps.actor_script import actor_script

    described = scenario.hosts[host]
    observer = getattr(scenario.observe, host)
    script = None
    if described.steps is not None:
        family: Literal["inet", "inet6"] = "inet" if scenario.ip[0] == 4 else "inet6"
        script = actor_script(described.steps, family=family, addresses=names, seed=scenario.seed)
    argv = tuple(fill(word, names) for word in described.command or ACTOR)
    env = {name: fill(value, names) for name, value in described.env.items()}
    return ProgramSpec(
        host=host,
        argv=argv,
        image=described.built_of or described.image,
        env=wine.environment(argv, env) | env,
        directories=wine.directories(argv, env),
        script=script,
        starts_in=starts_in if script is None else "",
        ready=_server_ready(scenario) if host == "server" else None,
        stop_with_client=host == "server" and scenario.server.until == "client-ends",
        expected_exit=described.ends,
        observer=observer,
    )
