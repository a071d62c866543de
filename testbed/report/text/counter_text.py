"""What a host's own kernel threw away or refused, as its counters say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from testbed.model import Host

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


def dropped_lines(counters: Mapping[Host, Mapping[str, int]]) -> Iterator[str]:
    """Yield a line for each host with a counter of drops that rose: ``UdpRcvbufErrors +4 (receive buffer full)``.

    ``counters`` is by how much each host's counters changed.
    """
    for host, changed in counters.items():
        dropped = [f"{name} +{changed[name]:,} ({why})" for name, why in DROPS.items() if changed.get(name, 0) > 0]
        if dropped:
            yield f"dropped   by the {host}'s kernel: {', '.join(dropped)}"
