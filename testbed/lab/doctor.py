"""What works here, what is missing, and what to do: facts for ``invoke doctor``."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

import docker

from testbed.errors import BothendsError, LabError
from testbed.lab import images
from testbed.lab.agent import Agent
from testbed.lab.docker_channel import DockerChannel
from testbed.lab.docker_engine import AGENT_COMMAND, TAP_CAPABILITIES, common_settings, connect
from testbed.lab.docker_errors import translate
from testbed.lab.engine import INTERFACE
from testbed.lab.identity import OWNER_LABEL, ROLE_LABEL, RUN_LABEL, new_run_id, owner
from testbed.lab.sysctls import PINNED

MINIMUM_API = (1, 41)


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact. ``works`` None: not needed now, or not known. ``needed``: nothing runs without it."""

    what: str
    works: bool | None
    detail: str
    to_do: str = ""
    needed: bool = False


def examine() -> Iterator[Finding]:
    """Yield findings as they are made; never raises for something that is merely missing."""
    yield Finding("Python", True, platform.python_version(), needed=True)
    try:
        client = connect()
        with translate("ask the engine for its version"):
            version = client.api.version()
            info = client.api.info()
    except BothendsError as error:
        yield Finding("Docker Engine", False, f"{error.what} ({error.state})", error.hint, needed=True)
        return
    yield Finding("Docker Engine", True, f"{version['Version']} on Linux {version['KernelVersion']}", needed=True)
    api = tuple(int(part) for part in version["ApiVersion"].split("."))
    yield Finding("Docker API", api >= MINIMUM_API, version["ApiVersion"], "Docker 20.10 or newer", needed=True)
    yield Finding("storage driver", True, info["Driver"])
    ready = True
    for image in images.status(client):
        ready = ready and not (image.id is None and image.name in {"tools", "tap"})
        size = f"{(image.size or 0) / 1e6:.0f} MB" if image.id else "not made yet"
        yield Finding(f"image {image.name}", True if image.id else None, size, "" if image.id else "`invoke images`")
    if not ready:
        yield Finding("kernel features", None, "not examined: the images are not made yet", "`invoke images`")
        return
    try:
        yield from _kernel(client)
    except BothendsError as error:
        yield Finding("kernel features", False, error.what, error.hint)
    for tool, purpose in (("docker-compose", "compose/ by hand"), ("tshark", "labels compared in tests")):
        found = shutil.which(tool)
        yield Finding(tool, True if found else None, found or f"not installed ({purpose})")


def _kernel(client: docker.DockerClient) -> Iterator[Finding]:
    """Try in a container what a lab needs of the engine's kernel."""
    ids = images.ensure(client, ["tools", "tap"], lambda _: None)
    volume = images.ensure_tools_volume(client, ids["tools"], lambda _: None)
    api: docker.APIClient = client.api
    settings = {
        **common_settings(volume),
        "cap_add": list(TAP_CAPABILITIES),
        "network_mode": "none",
        "sysctls": dict(PINNED),
    }
    run_id = new_run_id()
    labels = {RUN_LABEL: run_id, OWNER_LABEL: owner(), ROLE_LABEL: "doctor"}
    with translate("start a container"):
        container = api.create_container(
            ids["tap"],
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
        yield Finding("pinned sysctls", True, f"{len(PINNED)} settings are per-namespace here", needed=True)
        yield from _try_features(agent)
        agent.close()
    finally:
        with translate("remove a container"):
            api.remove_container(container, force=True, v=True)


def _try_features(agent: Agent) -> Iterator[Finding]:
    status = agent.read_file("/proc/self/status").decode()
    capabilities = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff"))
    # linux/capability.h: NET_ADMIN is bit 12, NET_RAW bit 13
    yield Finding("tap capabilities", int(capabilities, 16) == 0b11 << 12, f"{capabilities} (NET_ADMIN, NET_RAW)")
    yield Finding("tcpdump", *_works(agent, ["tcpdump", "--version"]), needed=True)
    yield Finding("ethtool", *_works(agent, ["ethtool", "--version"]), needed=True)
    agent.run(["ip", "link", "add", INTERFACE, "type", "veth", "peer", "name", "other"])
    for kind, arguments in (
        ("netem", ["delay", "1ms"]),
        ("tbf", ["rate", "1mbit", "burst", "10kb", "limit", "10kb"]),
        ("htb", []),
    ):
        works, detail = _works(agent, ["tc", "qdisc", "replace", "dev", INTERFACE, "root", kind, *arguments])
        yield Finding(f"kernel: {kind}", works or None, detail if not works else "queueing discipline is there")
    queue = _readable(agent, "/proc/net/netfilter/nfnetlink_queue")
    yield Finding("kernel: NFQUEUE", queue or None, "there" if queue else "no /proc/net/netfilter/nfnetlink_queue")
    choices = agent.read_file("/proc/sys/net/ipv4/tcp_available_congestion_control").decode().strip()
    yield Finding("kernel: congestion control", "cubic" in choices.split(), choices)


def _works(agent: Agent, argv: list[str]) -> tuple[bool, str]:
    try:
        printed = agent.run(argv)
    except LabError as error:
        return False, (error.last_output or error.what).strip().splitlines()[-1]
    return True, (printed.strip().splitlines() or [""])[0]


def _readable(agent: Agent, path: str) -> bool:
    try:
        agent.read_file(path)
    except LabError:
        return False
    return True
