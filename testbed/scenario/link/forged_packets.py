"""Packets that the link makes up: built by scapy as templates, of which the link fills in what only the wire knows.

That is ports, sequence numbers, checksums, and in an ICMP error the packet that it quotes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from testbed.model import Host, peer_of
from testbed.scenario.link.link_model import ForgeIt

TTL = 63
"""A host's 64, less the link itself: a forged packet looks as if it had been forwarded."""
FORGED_ID = 0xF0
ICMP_CODES = {4: 3, 6: 4}
"""Port unreachable (RFC 792, RFC 4443)."""
DEFAULT_MTU = 1280


class Template(NamedTuple):
    """``source``: on whose behalf it is sent; ``fill``: what the link completes."""

    source: Host
    raw: bytes
    fill: Literal["tcp", "quote"]


def template(forge: ForgeIt, ip: int, addresses: Mapping[Host, str], link: Mapping[Host, str]) -> Template:
    """Return the bytes of a forged packet; ``link`` are the link's own addresses, on each host's side."""
    if forge.packet in ("rst", "syn"):
        source = forge.as_ or forge.sender
        return Template(source, _tcp(forge, ip, addresses[source], addresses[peer_of(source)]), "tcp")
    raw = _icmp(forge, ip, link[forge.sender], addresses[forge.sender])
    return Template(peer_of(forge.sender), raw, "quote")


def _tcp(forge: ForgeIt, ip: int, source: str, target: str) -> bytes:
    from scapy.layers.inet import TCP

    flags = "S" if forge.packet == "syn" else "R"
    return bytes(_network(ip, source, target) / TCP(flags=flags, window=0 if flags == "R" else 64240))


def _icmp(forge: ForgeIt, ip: int, source: str, target: str) -> bytes:
    from scapy.layers.inet import ICMP
    from scapy.layers.inet6 import ICMPv6DestUnreach, ICMPv6PacketTooBig

    code = ICMP_CODES[ip] if forge.code is None else forge.code
    mtu = forge.mtu or DEFAULT_MTU
    error: Any  # scapy has no types
    if ip == 6:
        error = ICMPv6PacketTooBig(mtu=mtu) if forge.packet == "too-big" else ICMPv6DestUnreach(code=code)
    elif forge.packet == "too-big":
        error = ICMP(type=3, code=4, nexthopmtu=mtu)
    else:
        error = ICMP(type=3, code=code)
    return bytes(_network(ip, source, target) / error)


def _network(ip: int, source: str, target: str) -> Any:  # noqa: ANN401 - scapy has no types
    from scapy.layers.inet import IP
    from scapy.layers.inet6 import IPv6

    if ip == 6:
        return IPv6(src=source, dst=target, hlim=TTL)
    return IP(src=source, dst=target, ttl=TTL, id=FORGED_ID, flags="DF")
