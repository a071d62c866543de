"""The orders that make a lab, for compose/namespace/launch.c. Pure: values in, bytes out."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from testbed.errors import Unsupported
from testbed.lab.addresses import Subnet
from testbed.lab.engine import INTERFACE, LOG_DIRECTORY, TOOLS_DIRECTORY, LabSpec
from testbed.lab.namespace.machine import IMAGES
from testbed.lab.namespace.toolchain import Toolchain
from testbed.model import HOSTS, Host

ROLES: tuple[tuple[Host, str], ...] = tuple((host, kind) for host in HOSTS for kind in ("host", "tap"))
"""The agents of a lab in the order in which they are made."""

# As in a container: ports below 1024 are for everybody (the sentinel's, for one).
_ALWAYS = {"net.ipv4.ip_unprivileged_port_start": "0"}
# Before the interface exists, so that it starts with them. Nothing must be on the wire that no program caused: no
# search for routers, and no wait until an address is proved to be unique.
_IPV6 = {"net.ipv6.conf.default.accept_dad": "0", "net.ipv6.conf.default.router_solicitations": "0"}
_NO_IPV6 = {"net.ipv6.conf.all.disable_ipv6": "1", "net.ipv6.conf.default.disable_ipv6": "1"}

_SCRATCH = {
    "/tmp": "mode=1777",  # noqa: S108 - inside the lab
    "/run": "mode=0755",
    LOG_DIRECTORY: "mode=1777,size=1g",
    "/dev/shm": "mode=1777",  # noqa: S108 - inside the lab
}
_LINKS = {
    "/dev/fd": "/proc/self/fd",
    "/dev/stdin": "/proc/self/fd/0",
    "/dev/stdout": "/proc/self/fd/1",
    "/dev/stderr": "/proc/self/fd/2",
}
_FILES = {
    # Names come from files alone: there is no name server to ask.
    "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
    "/etc/passwd": "root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/tmp:/bin/sh\n",
    "/etc/group": "root:x:0:\nnogroup:x:65534:\n",
}


@dataclass(frozen=True, slots=True)
class Seen:
    """What of the machine is seen inside: paths bound as they are, and links (path to target)."""

    binds: Sequence[str]
    links: Mapping[str, str]


def orders(
    spec: LabSpec, subnet: Subnet, toolchain: Toolchain, seen: Seen, channels: Mapping[tuple[Host, str], int]
) -> bytes:
    """Return the orders for a lab; ``channels`` are descriptors for the agents of :data:`ROLES`.

    Raises Unsupported where a path holds a blank, which an order cannot.
    """
    images = [IMAGES[spec.hosts[host].image] for host in HOSTS]
    binds = {path: path for path in (*seen.binds, *(path for image in images for path in image.machine))}
    binds |= {path: str(toolchain.directory / made) for image in images for path, made in image.made.items()}
    binds[TOOLS_DIRECTORY] = str(toolchain.tools)
    scratch = _SCRATCH | {path: "mode=1777" for image in images for path in image.scratch}
    lines = [_order("bind", source, path) for path, source in binds.items()]
    lines += [_order("symlink", target, path) for path, target in {**_LINKS, **seen.links}.items()]
    for path, text in {**_FILES, "/etc/hosts": _hosts(spec, subnet)}.items():
        lines.append(_order("file", path, str(len(text.encode()))) + text)
    lines += [_order("scratch", path, options) for path, options in scratch.items()]
    lines.append(_order("root"))
    for host in HOSTS:
        lines.append(_order("namespace", host))
        sysctls = {**_ALWAYS, **(_IPV6 if spec.ip == 6 else _NO_IPV6), **spec.hosts[host].sysctls}
        lines += [f"sysctl {name} {value}\n" for name, value in sysctls.items()]
        lines += [_order("agent", kind, str(channels[role])) for role in ROLES if role[0] == host for kind in role[1:]]
    first, second = HOSTS
    lines.append(_order("veth", first, INTERFACE, second, INTERFACE))
    for host in HOSTS:
        lines.append(_order("address", host, INTERFACE, _with_prefix(subnet.hosts4[host], subnet.network4)))
        if spec.ip == 6:
            lines.append(_order("address", host, INTERFACE, _with_prefix(subnet.hosts6[host], subnet.network6)))
        lines.append(_order("up", host, INTERFACE))
    lines.append(_order("ready"))
    return "".join(lines).encode()


def routes(spec: LabSpec, subnet: Subnet, host: Host) -> dict[int, list[str]]:
    """Return the routes for :attr:`LiveLab.routes`: the link's own, with the congestion control on it."""
    congestion = f"congctl {spec.hosts[host].congestion_control}"
    if spec.ip == 4:
        link4 = f"route replace {subnet.network4} dev {INTERFACE} proto kernel scope link src {subnet.hosts4[host]}"
        return {4: [f"{link4} {congestion}"]}
    return {6: [f"route replace {subnet.network6} dev {INTERFACE} proto kernel metric 256 {congestion}"]}


def _order(*words: str) -> str:
    for word in words:
        if any(character.isspace() for character in word):
            raise Unsupported(
                f"the namespace engine cannot use a path with a blank in it: {word!r}", hint="set XDG_CACHE_HOME"
            )
    return " ".join(words) + "\n"


def _with_prefix(address: str, network: str) -> str:
    return f"{address}/{ipaddress.ip_network(network).prefixlen}"


def _hosts(spec: LabSpec, subnet: Subnet) -> str:
    addresses = subnet.hosts4 if spec.ip == 4 else subnet.hosts6
    return "127.0.0.1 localhost\n::1 localhost\n" + "".join(f"{addresses[host]} {host}\n" for host in HOSTS)
