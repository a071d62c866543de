"""What works here of the Docker engine: facts for ``invoke doctor``."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import docker

from testbed.lab.agent import Agent
from testbed.lab.docker import engine_facts, images
from testbed.lab.docker.attach_stream import DockerChannel
from testbed.lab.docker.container_settings import AGENT_COMMAND, TAP_CAPABILITIES, common_settings
from testbed.lab.docker.docker_engine import DockerEngine, connect
from testbed.lab.docker.docker_errors import translate
from testbed.lab.docker.docker_trace import on_docker
from testbed.lab.engine import INTERFACE
from testbed.lab.fact import DoctorFinding
from testbed.lab.identity import OWNER_LABEL, ROLE_LABEL, RUN_LABEL, new_run_id, owner
from testbed.lab.link_host import FILTERS, PROGRAM
from testbed.lab.pinned_sysctls import PINNED
from testbed.lab.trace_instances import try_recorder
from testbed.model.errors import BothendsError, LabError

MINIMUM_API = (1, 41)
EMPTY_PLAN = "link seed=1\nend from=client address=198.18.0.4\nend from=server address=198.18.0.20\nstart\nstop\n"

_Finding = partial(DoctorFinding, engine=DockerEngine.name)


def examine() -> Iterator[DoctorFinding]:
    """Yield findings as they are made; the first that fails may be the last."""
    try:
        client = connect()
        with translate("ask the engine for its version"):
            facts = engine_facts.ask(client.api)
            info = client.api.info()
    except BothendsError as error:
        yield _Finding("Docker Engine", False, f"{error.what} ({error.state})", error.hint, needed=True)
        return
    yield _Finding(
        "Docker Engine", True, "; ".join((f"{facts.words} on Linux {facts.kernel}", *facts.differences)), needed=True
    )
    enough = facts.api_numbers >= MINIMUM_API
    yield _Finding("Docker API", enough, facts.api, "Docker 20.10 or newer, Podman 4.3 or newer", needed=True)
    if any("rootless" in str(option) for option in info.get("SecurityOptions") or []):
        limits = "; no limits of memory and processes (control groups v1)" if info.get("CgroupVersion") == "1" else ""
        detail = f"rootless: no kernel trace, causes are inferred{limits}"
        yield _Finding("rights of the engine", None, detail, "an engine that root started")
    yield _Finding("storage driver", True, info["Driver"])
    ready = True
    for image in images.status(client):
        ready = ready and not (image.id is None and image.name in {"tools", "tap"})
        size = f"{(image.size or 0) / 1e6:.0f} MB" if image.id else "not made yet"
        yield _Finding(f"image {image.name}", True if image.id else None, size, "" if image.id else "`invoke images`")
    if not ready:
        yield _Finding("kernel features", None, "not examined: the images are not made yet", "`invoke images`")
        return
    try:
        yield from _kernel(client)
    except BothendsError as error:
        yield _Finding("kernel features", False, error.what, error.hint)
    for tool, purpose in (("docker-compose", "compose/ by hand"), ("tshark", "labels compared in tests")):
        found = shutil.which(tool)
        yield _Finding(tool, True if found else None, found or f"not installed ({purpose})")


def _witness(client: docker.DockerClient) -> DoctorFinding:
    """Try whether a sidecar may read the kernel's tracepoints."""
    witness = on_docker(client)
    if witness is None:
        return _Finding("kernel trace", None, "not examined: the image `witness` is not made yet", "`invoke images`")
    works, detail = try_recorder(witness)
    return _Finding("kernel trace", works or None, detail, "" if works else "an engine that may mount tracefs")


def _kernel(client: docker.DockerClient) -> Iterator[DoctorFinding]:
    """Try in a container what a lab needs of the engine's kernel."""
    ids = images.ensure(client, ["tools", "tap"], lambda _: None)
    volume = images.ensure_tools_volume(client, ids["tools"], lambda _: None)
    with _container(client, ids["tap"], volume) as agent:
        yield _Finding("pinned sysctls", True, f"{len(PINNED)} settings are per-namespace here", needed=True)
        yield from _try_features(agent)
    yield _witness(client)
    link = next(image.id for image in images.status(client) if image.name == "link")
    if link is None:
        yield _Finding("kernel: NFQUEUE", None, "not examined: the image link is not made yet", "`invoke images`")
        return
    with _container(client, link, volume) as agent:
        yield _try_queue(agent)


@contextmanager
def _container(client: docker.DockerClient, image: str, volume: str) -> Iterator[Agent]:
    """Start a container without a network that may do in its namespace what a tap or a link host may."""
    api: docker.APIClient = client.api
    settings = {
        **common_settings(volume),
        "cap_add": list(TAP_CAPABILITIES),
        "network_mode": "none",
        "sysctls": dict(PINNED),
        "tmpfs": {"/run": "mode=0755"},
    }
    run_id = new_run_id()
    labels = {RUN_LABEL: run_id, OWNER_LABEL: owner(), ROLE_LABEL: "doctor"}
    with translate("start a container"):
        container = api.create_container(
            image,
            list(AGENT_COMMAND),
            name=f"bothends-{run_id}-doctor",
            stdin_open=True,
            labels=labels,
            host_config=api.create_host_config(**settings),
        )["Id"]
    try:
        agent = Agent(DockerChannel(api, container), "doctor")
        with translate("start a container with the pinned sysctls"):
            api.start(container)
        agent.hello()
        yield agent
        agent.close()
    finally:
        with translate("remove a container"):
            api.remove_container(container, force=True, v=True)


def _try_features(agent: Agent) -> Iterator[DoctorFinding]:
    status = agent.read_file("/proc/self/status").decode()
    capabilities = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff"))
    # linux/capability.h: NET_ADMIN is bit 12, NET_RAW bit 13
    yield _Finding("tap capabilities", int(capabilities, 16) == 0b11 << 12, f"{capabilities} (NET_ADMIN, NET_RAW)")
    yield _Finding("tcpdump", *_works(agent, ["tcpdump", "--version"]), needed=True)
    agent.run(["ip", "link", "add", INTERFACE, "type", "veth", "peer", "name", "other"])
    for kind, arguments in (
        ("netem", ["delay", "1ms"]),
        ("tbf", ["rate", "1mbit", "burst", "10kb", "limit", "10kb"]),
        ("htb", []),
    ):
        works, detail = _works(agent, ["tc", "qdisc", "replace", "dev", INTERFACE, "root", kind, *arguments])
        yield _Finding(f"kernel: {kind}", works or None, detail if not works else "queueing discipline is there")
    choices = agent.read_file("/proc/sys/net/ipv4/tcp_available_congestion_control").decode().strip()
    yield _Finding("kernel: congestion control", "cubic" in choices.split(), choices)


def _try_queue(agent: Agent) -> DoctorFinding:
    """Try all that a routed link needs: a rule that queues, and the program that binds the queue and a raw socket."""
    name, to_do = "kernel: NFQUEUE", "scenarios with `link:` need it (CONFIG_NETFILTER_XT_TARGET_NFQUEUE)"
    rule = ["-A", "FORWARD", "-j", "NFQUEUE", "--queue-num", "0"]
    tried = [(tool, *_works(agent, [tool, *rule])) for tool in FILTERS[4]]
    tool = next((tool for tool, works, _ in tried if works), None)
    if tool is None:
        return _Finding(name, False, tried[0][2], to_do)
    works, detail = _works(agent, [PROGRAM], text=EMPTY_PLAN)
    return _Finding(name, works, f"the link program works, with {tool}" if works else detail, "" if works else to_do)


def _works(agent: Agent, argv: Sequence[str], text: str = "") -> tuple[bool, str]:
    try:
        printed = agent.run(argv, text=text)
    except LabError as error:
        return False, (error.last_output or error.what).strip().splitlines()[-1]
    return True, (printed.strip().splitlines() or [""])[0]
