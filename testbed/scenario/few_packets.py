"""Whether a run can have few packets only, so that its captures need little of the kernel's memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.scenario.steps.all_steps import follow

if TYPE_CHECKING:
    from testbed.scenario.scenario import Scenario

MOST = 512
"""Steps and bytes of both hosts together. If each byte went in a segment of its own, with an ACK and sent twice, these
were some 2,000 packets."""
FEWEST = 64
"""As :data:`MOST`, of a run that has no more than some 250 packets."""


def has_few_packets(scenario: Scenario, most: int = MOST) -> bool:
    """Say whether at most four packets of usual size for each of ``most`` can come, however slow the machine is.

    A command may send anything, a link may repeat what it passes.
    """
    hosts = scenario.hosts.values()
    if scenario.routed or scenario.offloads or any(host.steps is None or host.mtu is not None for host in hosts):
        return False
    left = most
    for name, host in scenario.hosts.items():
        for made in follow(host.steps or (), name):
            left -= 1 + made.written.step.sends
            if left < 0:
                return False
    return True
