"""A scenario's link compiled into what the link program reads (compose/link/plan.h)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from testbed.model import HOSTS, Host
from testbed.model.hosts import HostAddresses
from testbed.scenario.link.faults import Fault, HoldFault
from testbed.scenario.link.impairments import BothWays, Mtu, Reorder
from testbed.scenario.link.link_context import LinkContext
from testbed.scenario.scenario import Scenario
from testbed.scenario.steps.control_steps import LinkStep

Settings = dict[str, str]
"""Keys and values of a `set` line."""
QUEUE = 10_000
PACKET_BITS = 12_000


@dataclass(frozen=True, slots=True)
class LinkChange:
    """What a step changes: for each host's packets the settings that are new, and ns for which nothing passes."""

    settings: Mapping[Host, Settings]
    down: Mapping[Host, int]


@dataclass(frozen=True, slots=True)
class LinkPlan:
    """What the link shall do. ``changes`` are by host and number of the step.

    ``payload``: the link must read whole packets. ``patience`` is how long (s) packets may be under way in the worst
    case, which whoever waits for the end of a connection must grant.
    """

    seed: int
    payload: bool
    settings: Mapping[Host, Settings]
    faults: tuple[str, ...]
    changes: Mapping[tuple[Host, int], LinkChange]
    patience: float


def link_plan(
    scenario: Scenario, addresses: Mapping[Host, HostAddresses], link: Mapping[Host, HostAddresses]
) -> LinkPlan:
    """Return the plan of a scenario; ``link`` are the link's own addresses, on each host's side."""
    changes = {
        (host, each.number): _change(each.step.link)
        for host, described in scenario.hosts.items()
        for each in described.written_steps
        if isinstance(each.step, LinkStep)
    }
    named = [scenario.link, *_changes_of(scenario)]
    faults = scenario.link.exact
    context = LinkContext(addresses, link)
    return LinkPlan(
        seed=scenario.seed,
        payload=any(way.of(host).keys() & {"duplicate", "corrupt"} for way in named for host in HOSTS)
        or any(fault.payload or fault.reads_payload for fault in faults),
        settings={host: settings(scenario.link.of(host)) for host in HOSTS},
        faults=tuple(_fault(fault, context) for fault in faults),
        changes=changes,
        patience=_patience(named, faults),
    )


def _changes_of(scenario: Scenario) -> list[BothWays]:
    return [
        each.step.link
        for described in scenario.hosts.values()
        for each in described.written_steps
        if isinstance(each.step, LinkStep)
    ]


def settings(named: Mapping[str, Any]) -> Settings:
    """Return impairments, by their keys in a scenario, as keys and values of a `set` line."""
    found: Settings = {}
    for key, value in named.items():
        if isinstance(value, Reorder):
            found |= {"reorder": repr(value.probability), "behind": str(value.behind), "within": str(value.within)}
        elif isinstance(value, Mtu):
            found |= {"mtu": str(value.size), "icmp": str(int(value.icmp))}
        elif key == "down":
            found |= {"down_after": str(value.after or 0), "down_for": str(value.for_)}
        else:
            found[key] = repr(value)
    if "delay" in named:
        found.setdefault("jitter", "0")
    return found


def _change(change: BothWays) -> LinkChange:
    named = {host: change.of(host) for host in HOSTS}
    down = {host: named[host].pop("down").for_ for host in HOSTS if "down" in named[host]}
    return LinkChange({host: settings(named[host]) for host in HOSTS if named[host]}, down)


def _fault(fault: Fault, context: LinkContext) -> str:
    keys: dict[str, object] = {
        "do": fault.key,
        "from": fault.sender,
        "of": fault.of,
        "nth": fault.nth,
        "count": fault.count,
        "flags": fault.flags,
        "payload": (fault.payload.content or b"").hex() if fault.payload else None,
        "bytes": "-".join(map(str, fault.bytes)) if fault.bytes else None,
        "after": fault.after,
        "until": fault.until,
    }
    keys |= fault.plan_keys(context)
    pairs = [(key, value) for key, value in keys.items() if value is not None]
    return " ".join(
        f"{key}={each}" for key, value in pairs for each in (value if isinstance(value, tuple) else [value])
    )


def _patience(named: list[BothWays], faults: tuple[Fault, ...]) -> float:
    longest = 0.0
    for host in HOSTS:
        ways = [way.of(host) for way in named]
        delay = max(way.get("delay", 0) + way.get("jitter", 0) for way in ways)
        reorder = max((way["reorder"].within for way in ways if "reorder" in way), default=0)
        down = max(((way["down"].after or 0) + way["down"].for_ for way in ways if "down" in way), default=0)
        rate = min((way["rate"] for way in ways if "rate" in way), default=0)
        queue = max(way.get("queue", QUEUE) for way in ways)
        waiting = queue * PACKET_BITS / rate if rate else 0.0
        # A handshake, data and the end each take their way; a lost one is repeated after more than a round trip.
        longest += (4 * delay + reorder + 3 * down) / 1e9 + waiting
    held = sum(fault.for_ * max(fault.count, 1) for fault in faults if isinstance(fault, HoldFault))
    return min(longest + held / 1e9, 60.0)
