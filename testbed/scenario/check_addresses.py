"""Whether a lab has the addresses that its scenario names and its sockets can use them, as far as is known before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from testbed.model import Host
from testbed.model.hosts import IpVersion
from testbed.scenario.language.endpoints import HostName, HostPort, names_in
from testbed.scenario.scenario import HostSpec
from testbed.scenario.steps.all_steps import FollowedStep, follow
from testbed.scenario.steps.opening_steps import BindStep, ConnectStep, ListenStep, SocketStep
from testbed.scenario.steps.process_steps import ExecStep
from testbed.scenario.steps.sending_steps import DataStep, SendmsgStep
from testbed.scenario.steps.step import Step

AddressProblem = tuple[tuple[str | int, ...], str, str]
"""Where in the file's tree, what, and a hint."""


class _Lab(NamedTuple):
    """What a lab has: the versions of IP, and how many addresses of each every host that is valid by itself has."""

    ip: tuple[IpVersion, ...]
    counts: Mapping[Host, int]

    def missing(self, name: HostName) -> tuple[str, str] | None:
        """Return message and hint where the lab has no such address."""
        if name.version not in (None, *self.ip):
            return f"`{name}`: the lab has no IPv{name.version}", "for both versions: `ip: [4, 6]`"
        count = self.counts.get(name.host, name.number)
        if name.number > count:
            has = "one address" if count == 1 else f"{count} addresses"
            return f"`{name}`: the {name.host} has {has}", f"`addresses: {name.number}` gives the {name.host} more"
        return None


def check_addresses(hosts: Mapping[Host, HostSpec], ip: tuple[IpVersion, ...]) -> Iterator[AddressProblem]:
    """Yield the problems; ``hosts`` are those that are valid by themselves."""
    lab = _Lab(ip, {host: spec.addresses for host, spec in hosts.items()})
    for host, spec in hosts.items():
        texts: list[tuple[tuple[str, ...], str]] = [(("command",), word) for word in spec.command or ()]
        texts += [(("env", name), str(value)) for name, value in spec.env.items()]
        for path, text in texts:
            yield from _in_text((host, *path), text, lab)
        reported: set[AddressProblem] = set()
        for each in follow(spec.steps or (), host):
            for problem in _of_step((host, "steps", *each.written.path), each, lab):
                if problem not in reported:  # once for all rounds of a loop
                    reported.add(problem)
                    yield problem


def _in_text(path: tuple[str | int, ...], text: str, lab: _Lab) -> Iterator[AddressProblem]:
    for name in names_in(text):
        missing = lab.missing(name)
        if missing is not None:
            yield path, *missing


def _of_step(at: tuple[str | int, ...], each: FollowedStep, lab: _Lab) -> Iterator[AddressProblem]:
    step = each.written.step
    if isinstance(step, ExecStep):
        for word in step.exec.command:
            yield from _in_text((*at, "exec"), word, lab)
    wanted = (
        step.socket.ip if isinstance(step, SocketStep) else step.listen.ip if isinstance(step, ListenStep) else None
    )
    if wanted is not None and wanted not in lab.ip:
        yield (*at, step.key, "ip"), f"the lab has no IPv{wanted}", "for both versions: `ip: [4, 6]`"
    for key, endpoint in _endpoints(step):
        missing = lab.missing(endpoint.name) if endpoint.name is not None else None
        if missing is not None:
            yield (*at, *key), *missing
        else:
            yield from _of_socket((*at, *key), endpoint, each, lab)


def _of_socket(
    path: tuple[str | int, ...], endpoint: HostPort, each: FollowedStep, lab: _Lab
) -> Iterator[AddressProblem]:
    """Yield an endpoint of the other version of IP than its socket's; a host's IPv4 address can be IPv4-mapped."""
    own = each.use.version or lab.ip[0]
    if endpoint.address:
        version = 6 if ":" in endpoint.address else 4
        if version != own:
            hint = f"`socket: {{type: udp, ip: {version}}}`" if len(lab.ip) > 1 else "or another `ip`"
            yield path, f"`{endpoint.address}` is no address of IPv{own}", hint
    elif endpoint.name is not None and own == 4 and (endpoint.name.version or lab.ip[0]) == 6:
        hint = f"`socket: {{type: {each.use.type or 'tcp'}, ip: 6}}`"
        yield path, f"`{endpoint.name}` is an address of IPv6, `{each.use.sock}` a socket of IPv4", hint


def _endpoints(step: Step) -> Iterator[tuple[tuple[str, ...], HostPort]]:
    """Yield the endpoints that a step names, and where; an address without a port has port 0."""
    if isinstance(step, ConnectStep):
        yield (step.key,), step.connect
    elif isinstance(step, BindStep):
        yield (step.key,), step.bind
    elif isinstance(step, DataStep) and step.sending.to is not None:
        yield (step.key, "to"), step.sending.to
    if isinstance(step, SendmsgStep) and step.sendmsg.from_ is not None:
        yield (step.key, "from"), HostPort(step.sendmsg.from_, 0)
