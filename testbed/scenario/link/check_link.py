"""What can be known to be wrong with a link before a run, beyond the form of each value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from testbed.model import Host
from testbed.scenario.language.base import nearest
from testbed.scenario.link.faults import Fault, ForgeFault
from testbed.scenario.link.link_model import LinkSpec
from testbed.scenario.scenario import HostSpec
from testbed.scenario.steps.control_steps import BarrierStep, LinkStep

LinkProblem = tuple[tuple[str | int, ...], str, str]
"""Where in the file's tree, what, and a hint."""


def check_link(link: LinkSpec, hosts: Mapping[Host, HostSpec]) -> Iterator[LinkProblem]:
    """Yield the problems; ``hosts`` are those that are valid by themselves."""
    yield from _conflicts(link.exact)
    if len(hosts) == 2:  # else a barrier may be missing only because its host has mistakes
        yield from _barriers(link.exact, hosts)
    if link.topology == "direct":
        for host, spec in hosts.items():
            for each in spec.written_steps:
                if isinstance(each.step, LinkStep):
                    yield (
                        (host, "steps", *each.path, "link"),
                        "a direct link cannot change",
                        "leave `topology: direct` out",
                    )


def _conflicts(faults: tuple[Fault, ...]) -> Iterator[LinkProblem]:
    """Two faults that mean the same packet cannot both happen if one loses it, or if both do the same."""
    for later, fault in enumerate(faults):
        for earlier, other in enumerate(faults[:later]):
            if isinstance(fault, ForgeFault) or isinstance(other, ForgeFault) or not _same_packets(fault, other):
                continue
            if fault.key == other.key or "drop" in (fault.key, other.key):
                message = f"fault {earlier + 1} (`{other.key}`) selects the same packet"
                yield (
                    ("link", "faults", later, fault.key),
                    message,
                    "choose another packet with `nth`, or keep one of them",
                )


def _same_packets(one: Fault, other: Fault) -> bool:
    chosen = ("sender", "of", "flags", "payload", "bytes", "after", "until")
    if any(getattr(one, name) != getattr(other, name) for name in chosen):
        return False  # they may still meet the same packet; what they have in common is then up to the traffic
    first, second = sorted((one, other), key=lambda fault: fault.nth)
    return first.count == 0 or second.nth < first.nth + first.count


def _barriers(faults: tuple[Fault, ...], hosts: Mapping[Host, HostSpec]) -> Iterator[LinkProblem]:
    steps = [each.step for each in hosts["client"].written_steps]
    order = tuple(step.barrier for step in steps if isinstance(step, BarrierStep))
    for index, fault in enumerate(faults):
        for key in ("after", "until"):
            name = getattr(fault, key)
            if name is not None and name not in order:
                message = f"the hosts have no barrier `{name}`{nearest(name, order)}"
                yield ("link", "faults", index, fault.key, key), message, "it names a `barrier` of both hosts' steps"
        if fault.after in order and fault.until in order and order.index(fault.after) >= order.index(fault.until):
            message = f"the barrier `{fault.until}` does not come after `{fault.after}`"
            yield ("link", "faults", index, fault.key, "until"), message, "no packet can be between them"
