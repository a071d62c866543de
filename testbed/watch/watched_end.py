"""One end of what is watched: its agent, its addresses, and the way to another end."""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field

from testbed.lab.agent import Agent
from testbed.lab.docker.running_containers import RunningContainers
from testbed.lab.namespace.beside import Beside
from testbed.model.errors import LabError, UsageError
from testbed.watch.find_target import FoundTarget
from testbed.watch.target import addresses_in


@dataclass(slots=True)
class WatchedEnd:
    """A target with the agent beside it, None for an address outside. ``addresses`` are its own, by interface."""

    found: FoundTarget
    agent: Agent | None
    addresses: dict[str, list[str]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The target as it was named."""
        return self.found.target.text

    @property
    def all_addresses(self) -> list[str]:
        """Its addresses on all interfaces."""
        return [address for own in self.addresses.values() for address in own]


def make_end(found: FoundTarget, containers: RunningContainers, beside: Beside) -> WatchedEnd:
    """Start the agent beside a target and ask for its addresses; look up those of one outside."""
    if found.outside is not None:
        return WatchedEnd(found, None, {"": _resolved(found.outside[0])})
    label = found.target.label
    if found.container:
        agent = containers.tap(found.container, label)
    else:
        assert found.namespace is not None  # noqa: S101 - whatever is neither has one
        agent = beside.tap(found.namespace, label)
    agent.hello()
    return WatchedEnd(found, agent, addresses_in(agent.run(["ip", "-json", "address", "show", "up"])))


def _resolved(name: str) -> list[str]:
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise UsageError(f"the address of `{name}` is not known: {error.strerror or error}") from error
    return list(dict.fromkeys(str(each[4][0]) for each in found))


def check_apart(all_ends: Sequence[WatchedEnd]) -> None:
    """Raise UsageError where two ends are in one network namespace, or there is none that can be captured at."""
    seen: list[WatchedEnd] = []
    for end in all_ends:
        if end.agent is None:
            continue
        for other in seen:
            if end.all_addresses and end.addresses == other.addresses:
                raise together(other.found, end.found)
        seen.append(end)
    if not seen:
        raise UsageError("both ends are outside: there is nothing to capture at", hint="name a container or a process")


def together(one: FoundTarget, other: FoundTarget) -> UsageError:
    """Return the error for two targets that share their network namespace."""
    return UsageError(
        f"`{one.target.text}` and `{other.target.text}` are in one network namespace: what they send each other passes "
        "one interface, and there is no other end to capture at"
    )


def meet(one: WatchedEnd, other: WatchedEnd) -> bool:
    """Say whether two ends can be captured at and have a way to each other, in an address family of both."""
    families = [{":" in address for address in end.all_addresses} for end in (one, other)]
    watched = [(end, peer) for end, peer in ((one, other), (other, one)) if end.agent is not None]
    return bool(watched) and bool(families[0] & families[1]) and all(route(end, peer) for end, peer in watched)


def route(end: WatchedEnd, peer: WatchedEnd) -> str:
    """Return the interface by which ``end`` reaches the first of its peer's addresses that it can, empty for none."""
    assert end.agent is not None  # noqa: S101 - asked for those only that have one
    for address in peer.all_addresses:
        try:
            routes = json.loads(end.agent.run(["ip", "-json", "route", "get", address]))
        except LabError:  # no route to this one
            continue
        if routes and routes[0].get("dev") in end.addresses:
            return str(routes[0]["dev"])
    return ""


def between(one: WatchedEnd, other: WatchedEnd) -> str:
    """Return a filter (pcap-filter(7)) for what the two ends send each other."""
    return " and ".join(f"( {_side(end)} )" for end in (one, other))


def _side(end: WatchedEnd) -> str:
    hosts = " or ".join(f"host {address}" for address in end.all_addresses)
    if end.found.outside is None:
        return hosts
    return f"( {hosts} ) and ( port {end.found.outside[1]} or icmp or icmp6 )"


def listed(all_ends: Sequence[WatchedEnd]) -> str:
    """Return all ends with their addresses, for a message."""
    return "; ".join(f"{end.name}: {', '.join(end.all_addresses) or 'no address'}" for end in all_ends)
