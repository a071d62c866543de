"""What each container of a lab may do and has: capabilities, mounts, memory, files, as the SDK's keywords."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import docker
import docker.types

from testbed.lab import pinned_sysctls
from testbed.lab.docker import images
from testbed.lab.docker.docker_errors import translate
from testbed.lab.docker.engine_facts import EngineFacts
from testbed.lab.engine import DEBUGGER_DIRECTORY, LOG_DIRECTORY, SCRATCH_SIZE, TOOLS_DIRECTORY, Debugger, LabHost
from testbed.lab.identity import RUN_LABEL
from testbed.model import Host
from testbed.model.hosts import HostAddresses, host_lines

TAP_CAPABILITIES = ("NET_ADMIN", "NET_RAW")
SECURITY = ("no-new-privileges",)
_LOADED = (f"{DEBUGGER_DIRECTORY}/loader", "--library-path", f"{DEBUGGER_DIRECTORY}/lib")
DEBUGGER = Debugger(
    gdb=(*_LOADED, f"{DEBUGGER_DIRECTORY}/bin/gdb", "--data-directory", f"{DEBUGGER_DIRECTORY}/gdb"),
    strace=(*_LOADED, f"{DEBUGGER_DIRECTORY}/bin/strace"),
    environment={"PYTHONHOME": f"{DEBUGGER_DIRECTORY}/python"},
)
"""On a volume, with that volume's own C library, whatever the host's image has."""
AGENT_COMMAND = (f"{TOOLS_DIRECTORY}/agent",)
WITNESS = "/usr/local/bin/witness"
WITNESS_TIMEOUT = 20
WITNESS_CONFIG: dict[str, Any] = {"network_disabled": True}
"""Of a witness's container, beside :func:`witness_settings`: the engine has nothing to do for its network namespace,
which has no interface but the loopback. For one with `network_mode: none` alone it starts itself once more."""
TRACEFS = {"type": "tracefs", "device": "nodev"}
"""What the local volume driver mounts for a witness."""
HOST_MEMORY = "4g"
"""With what it has in its memory file systems; a host that needs more is killed, and only that host."""
HOST_TMPFS = {
    "/tmp": f"mode=1777,size={SCRATCH_SIZE}",  # noqa: S108 - inside the container
    "/run": f"mode=1777,size={SCRATCH_SIZE}",
    LOG_DIRECTORY: "mode=1777,size=1g",
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


def host_settings(
    tools_volume: str, network: str, spec: LabHost, addresses: Mapping[Host, HostAddresses]
) -> dict[str, Any]:
    """Return a host's settings: no capability at all, no name server, a read-only root if the image is ours."""
    return {
        **common_settings(tools_volume),
        "network_mode": network,
        "read_only": spec.build is None and images.is_ours(spec.image),
        "tmpfs": dict(HOST_TMPFS),
        "mem_limit": HOST_MEMORY,
        "memswap_limit": HOST_MEMORY,
        # Docker's own default, which Podman lacks: the sentinel's port, for one, is below 1024.
        "sysctls": {"net.ipv4.ip_unprivileged_port_start": "0", **spec.sysctls},
        "extra_hosts": [f"{name}:{address}" for name, address in host_lines(addresses)],
        # Docker's resolver would forward to the engine's own name servers, a way out of the lab.
        "dns": ["127.0.0.1"],
    }


def with_debugger(settings: dict[str, Any], volume: str) -> dict[str, Any]:
    """Add gdb and strace to a host. They need no capability: what they trace asks for it (compose/hold/hold.c)."""
    mount = docker.types.Mount(DEBUGGER_DIRECTORY, volume, type="volume", read_only=True, no_copy=True)
    return {**settings, "mounts": [*settings["mounts"], mount]}


def tap_settings(tools_volume: str, host_container: str) -> dict[str, Any]:
    """Return a tap's settings: in the host's network namespace, with what tcpdump and changes of its interface need."""
    return {
        **common_settings(tools_volume),
        "network_mode": f"container:{host_container}",
        "read_only": True,
        "cap_add": list(TAP_CAPABILITIES),
    }


def link_settings(tools_volume: str, network: str, ip: Collection[int]) -> dict[str, Any]:
    """Return the link host's settings: it forwards; the link program needs NFQUEUE and a raw socket."""
    return {
        **common_settings(tools_volume),
        "network_mode": network,
        "read_only": True,
        "tmpfs": {"/run": "mode=0755"},  # xtables' lock
        "cap_add": list(TAP_CAPABILITIES),
        "sysctls": pinned_sysctls.for_link(ip),
        "dns": ["127.0.0.1"],
    }


def witness_settings(volume: str | None) -> dict[str, Any]:
    """Return the settings of a witness: the kernel's tracefs, which the engine mounts as a volume, and nothing else.

    No network, no capability: the owner's rights on tracefs' files are enough. Not below /sys, which is masked.
    ``volume`` is that of :func:`tracefs_volume`; without one the engine makes it with the container.
    """
    driver = docker.types.DriverConfig("local", dict(TRACEFS)) if volume is None else None
    return {
        "cap_drop": ["ALL"],
        "security_opt": list(SECURITY),
        "mounts": [docker.types.Mount("/tracing", volume, type="volume", driver_config=driver)],
        "log_config": docker.types.LogConfig(type="none"),
        "network_mode": "none",
        "pids_limit": 16,
        "read_only": True,
    }


def kept_witness_settings(tools_volume: str) -> dict[str, Any]:
    """Return the settings of a witness that is kept for many labs: it has our agent beside the kernel's tracefs."""
    settings = witness_settings(None)
    return {**settings, "mounts": [*settings["mounts"], *common_settings(tools_volume)["mounts"]]}


def tracefs_volume(api: docker.APIClient, facts: EngineFacts, labels: Mapping[str, str]) -> str | None:
    """Make a volume that is the kernel's tracefs where an engine cannot make it with the container: return its name."""
    if not facts.podman:
        return None
    name = f"bothends-{labels[RUN_LABEL]}-tracing"
    with translate("make a volume of the kernel's tracefs"):
        api.create_volume(name, driver="local", driver_opts=dict(TRACEFS), labels=dict(labels))
    return name
