"""The counters that the kernel keeps for each network namespace, before and after the programs of a run.

Names are nstat's (iproute2): the group and the counter, ``TcpExtListenOverflows``, ``UdpRcvbufErrors``,
``Ip6InReceives``. Their meaning is in the kernel's Documentation/networking/snmp_counter.rst.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KernelCounters:
    """A host's counters just before its programs began and once its kernel had nothing left to send.

    Only those that are not 0: a counter that is missing was 0. ``after`` None: the run did not come so far.
    """

    before: Mapping[str, int]
    after: Mapping[str, int] | None = None

    def changed(self) -> dict[str, int]:
        """Return by how much each counter changed during the run, those that did; nothing where that is not known."""
        if self.after is None:
            return {}
        names = (*self.before, *(name for name in self.after if name not in self.before))
        differences = {name: self.after.get(name, 0) - self.before.get(name, 0) for name in names}
        return {name: difference for name, difference in differences.items() if difference}
