"""Protocol numbers of IPv4 and IPv6 headers (IANA "Assigned Internet Protocol Numbers")."""

from __future__ import annotations

ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58
