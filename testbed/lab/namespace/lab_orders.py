"""The orders that make a lab, for compose/launch/order.h. Pure: values in, bytes out."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from testbed.lab import pinned_sysctls
from testbed.lab.engine import (
    DEBUGGER_DIRECTORY,
    INTERFACE,
    LOG_DIRECTORY,
    SCRATCH_SIZE,
    TOOLS_DIRECTORY,
    LabSpec,
    device_name,
)
from testbed.lab.namespace.machine import IMAGES, PROGRAMS_DIRECTORY
from testbed.lab.namespace.own_orders import named_user, own_orders
from testbed.lab.namespace.toolchain import Toolchain
from testbed.lab.topology import Topology
from testbed.model import Host
from testbed.model.errors import Unsupported
from testbed.model.hosts import IpVersion, host_lines

Role = tuple[str, str]
"""A namespace and what its agent is for: ``host`` (no capability), ``tap`` or ``link`` (NET_ADMIN and NET_RAW)."""
LINK = "link"


def roles(spec: LabSpec) -> list[Role]:
    """Return the agents of a lab in the order in which they are made."""
    link = [(LINK, LINK)] if spec.routed else []
    return [*((host, kind) for host in spec.hosts for kind in ("host", "tap")), *link]


def link_interfaces(spec: LabSpec) -> dict[Host, str]:
    """Return the names of the link host's interfaces by the host on their side."""
    return {host: f"eth{number}" for number, host in enumerate(spec.hosts)}


# As in a container: ports below 1024 are for everybody (the sentinel's, for one).
_ALWAYS = {"net.ipv4.ip_unprivileged_port_start": "0"}
# Before the interface exists, so that it starts with them. Nothing must be on the wire that no program caused: no
# search for routers, and no wait until an address is proved to be unique.
_IPV6 = {"net.ipv6.conf.default.accept_dad": "0", "net.ipv6.conf.default.router_solicitations": "0"}
_NO_IPV6 = {"net.ipv6.conf.all.disable_ipv6": "1", "net.ipv6.conf.default.disable_ipv6": "1"}

_SCRATCH = {
    "/tmp": f"mode=1777,size={SCRATCH_SIZE}",  # noqa: S108 - inside the lab
    "/run": f"mode=1777,size={SCRATCH_SIZE}",
    LOG_DIRECTORY: "mode=1777,size=1g",
    "/dev/shm": f"mode=1777,size={SCRATCH_SIZE}",  # noqa: S108 - inside the lab
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
class MachineFiles:
    """The machine's files that a lab sees: paths bound as they are, and links (path to target).

    ``exists`` says whether the machine has a path. ``programs`` is the directory of unpacked programs, if there is one.
    """

    binds: Sequence[str]
    links: Mapping[str, str]
    exists: Callable[[str], bool] = lambda _: False
    programs: str = ""


def orders(
    spec: LabSpec, net: Topology, toolchain: Toolchain, files: MachineFiles, channels: Mapping[Role, int]
) -> bytes:
    """Return the orders for a lab; ``channels`` are descriptors for the agents of :func:`roles`.

    Raises Unsupported where a path holds a blank, which an order cannot.
    """
    inside = "".join([_order("root"), *_namespaces(spec, channels), *_links(spec, net)])
    return b"".join([*_root(spec, net, toolchain, files), inside.encode()])


def _root(spec: LabSpec, net: Topology, toolchain: Toolchain, files: MachineFiles) -> Iterator[bytes]:
    images = [IMAGES[host.image] for host in spec.hosts.values()]
    binds = {path: path for path in (*files.binds, *(path for image in images for path in image.machine))}
    binds |= {path: str(toolchain.directory / made) for image in images for path, made in image.made.items()}
    binds[TOOLS_DIRECTORY] = str(toolchain.tools)
    if files.programs:
        binds[PROGRAMS_DIRECTORY] = files.programs
    if any(host.debugger for host in spec.hosts.values()):
        binds[DEBUGGER_DIRECTORY] = str(toolchain.debugger)
    for path, source in binds.items():
        yield _order("bind", source, path).encode()
    links = {**_LINKS, **files.links}
    for path, target in links.items():
        yield _order("symlink", target, path).encode()
    names = "".join(f"{address} {name}\n" for name, address in host_lines(net.addresses))
    texts = {**_FILES, "/etc/hosts": f"127.0.0.1 localhost\n::1 localhost\n{names}"}
    for path, text in texts.items():
        yield _order("file", path, str(len(text.encode()))).encode() + text.encode()
    scratch = _SCRATCH | {path: f"mode=1777,size={SCRATCH_SIZE}" for image in images for path in image.scratch}
    users = {
        host: named_user(described.user, _FILES["/etc/passwd"], _FILES["/etc/group"])
        for host, described in spec.hosts.items()
    }
    yield from own_orders(spec.hosts, [*binds, *links, *texts], scratch, users, files.exists)
    for path, options in scratch.items():
        yield _order("scratch", path, options).encode()


def _namespaces(spec: LabSpec, channels: Mapping[Role, int]) -> Iterator[str]:
    always = {**_ALWAYS, **(_IPV6 if 6 in spec.ip else _NO_IPV6)}
    settings: dict[str, Mapping[str, str]] = {
        host: {**always, **described.sysctls} for host, described in spec.hosts.items()
    }
    if spec.routed:
        settings[LINK] = {**always, **pinned_sysctls.for_link(spec.ip)}
    for name, values in settings.items():
        yield _order("namespace", name)
        for sysctl, value in values.items():
            yield f"sysctl {sysctl} {value}\n"
        for role, channel in channels.items():
            if role[0] == name:
                yield _order("agent", "host" if role[1] == "host" else "tap", str(channel))


def makes_routes(spec: LabSpec) -> bool:
    """Say whether launch makes the hosts' routes itself; else the taps do it by ip(8), which takes two processes each.

    They are made here where they are those of most labs.
    """
    usual = f"congctl {pinned_sysctls.DEFAULT_CONGESTION_CONTROL}"
    return not spec.routed and spec.ip == (4,) and all(host.route == usual for host in spec.hosts.values())


def _links(spec: LabSpec, net: Topology) -> Iterator[str]:
    devices = {host: device_name(spec.run_id, host) for host in spec.hosts}
    interfaces: list[tuple[str, str, Host]] = [(host, devices[host], host) for host in spec.hosts]
    if spec.routed:
        for host, interface in link_interfaces(spec).items():
            yield _order("veth", host, devices[host], LINK, interface)
            interfaces.append((LINK, interface, host))
    else:
        one_end, other_end = spec.hosts  # a pair of interfaces joins two hosts, no more
        yield _order("veth", one_end, devices[one_end], other_end, devices[other_end])
    for host, device in devices.items():
        yield _order("alias", host, device, INTERFACE)
    for name, interface, host in interfaces:
        for address in _of_interface(name, host, net):
            yield _order("address", name, interface, address)
        yield _order("up", name, interface)
    if makes_routes(spec):
        for host, device in devices.items():
            route = "route", host, device, net.subnets[host].network4, net.addresses[host].first
            yield _order(*route, spec.hosts[host].congestion_control)
    yield _order("ready")


def _of_interface(name: str, host: Host, net: Topology) -> Iterator[str]:
    """Yield the addresses of an interface on a host's network with their prefixes; one of IPv4 it has always."""
    subnet = net.subnets[host]
    versions: tuple[IpVersion, ...] = (4, 6) if 6 in net.ip else (4,)
    own = subnet.link(versions) if name == LINK else subnet.of(host, versions, net.counts[host])
    for version, addresses in own.of.items():
        for address in addresses:
            yield _with_prefix(address, subnet.network(version))


def _order(*words: str) -> str:
    for word in words:
        if any(character.isspace() for character in word):
            raise Unsupported(
                f"the namespace engine cannot use a path with a blank in it: {word!r}", hint="set XDG_CACHE_HOME"
            )
    return " ".join(words) + "\n"


def _with_prefix(address: str, network: str) -> str:
    return f"{address}/{ipaddress.ip_network(network).prefixlen}"
