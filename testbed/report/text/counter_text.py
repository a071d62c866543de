"""What a host's own kernel threw away or refused, as its counters say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from testbed.model import Host
from testbed.model.kernel_counters import DROPS


def dropped_lines(counters: Mapping[Host, Mapping[str, int]]) -> Iterator[str]:
    """Yield a line for each host with a counter of drops that rose: ``UdpRcvbufErrors +4 (receive buffer full)``.

    ``counters`` is by how much each host's counters changed.
    """
    for host, changed in counters.items():
        dropped = [f"{name} +{changed[name]:,} ({why})" for name, why in DROPS.items() if changed.get(name, 0) > 0]
        if dropped:
            yield f"dropped   by the {host}'s kernel: {', '.join(dropped)}"
