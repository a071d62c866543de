"""The counters that the kernel keeps for each network namespace, before and after the programs of a run.

Names are nstat's (iproute2): the group and the counter, ``TcpExtListenOverflows``, ``UdpRcvbufErrors``,
``Ip6InReceives``. Their meaning is in the kernel's Documentation/networking/snmp_counter.rst.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

DROPS: Final[Mapping[str, str]] = {
    "TcpExtListenOverflows": "accept queue full",
    "TcpExtTCPReqQFullDrop": "SYN backlog full, SYN dropped",
    "TcpExtTCPReqQFullDoCookies": "SYN backlog full, answered with a SYN cookie",
    "TcpExtTCPBacklogDrop": "backlog of a busy socket full",
    "TcpExtTCPRcvQDrop": "receive buffer full",
    "TcpExtTCPOFODrop": "queue of out-of-order segments full",
    "TcpExtPruneCalled": "receive buffer pruned",
    "TcpExtRcvPruned": "segment pruned from the receive buffer",
    "TcpExtOfoPruned": "out-of-order segments pruned",
    "TcpExtPAWSEstab": "timestamp too old (PAWS)",
    "TcpExtTCPMinTTLDrop": "TTL below IP_MINTTL",
    "TcpExtIPReversePathFilter": "reverse path filter",
    "TcpInCsumErrors": "wrong checksum",
    "UdpInCsumErrors": "wrong checksum",
    "UdpRcvbufErrors": "receive buffer full",
    "UdpSndbufErrors": "send buffer full",
    "UdpMemErrors": "no memory for UDP",
    "Udp6InCsumErrors": "wrong checksum",
    "Udp6RcvbufErrors": "receive buffer full",
    "Udp6SndbufErrors": "send buffer full",
    "Udp6MemErrors": "no memory for UDP",
    "IpInHdrErrors": "bad IP header",
    "IpReasmFails": "fragments missing",
    "IpFragFails": "too large, and not to be fragmented",
    "Ip6InHdrErrors": "bad IP header",
    "Ip6ReasmFails": "fragments missing",
    "Ip6FragFails": "too large, and not to be fragmented",
}
"""What a host's own kernel threw away or refused, which no capture shows: why, in a few words of the field."""


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
