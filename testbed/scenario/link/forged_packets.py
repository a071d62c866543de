"""Packets that the link makes up: built by scapy as templates, of which the link fills in what only the wire knows.

That is which of a host's addresses, ports, sequence numbers, checksums, and in an ICMP error the packet that it quotes.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from testbed.model import Host, peer_of
from testbed.model.hosts import IpVersion
from testbed.scenario.link.link_context import LinkContext

TTL = 63
"""A host's 64, less the link itself: a forged packet looks as if it had been forwarded."""
FORGED_ID = 0xF0
ICMP_CODES = {4: 3, 6: 4}
"""Port unreachable (RFC 792, RFC 4443)."""
DEFAULT_MTU = 1280


class ForgedPacket(NamedTuple):
    """What to forge: ``sender`` sent the packet that it follows, ``source`` is the host that it claims to be from."""

    packet: Literal["rst", "syn", "data", "ack", "fin", "unreachable", "too-big"]
    sender: Host
    source: Host
    code: int | None = None
    mtu: int | None = None
    data: bytes = b""
    window: int | None = None
    stamped: bool = False
    sack: tuple[tuple[int, int], ...] = ()


class Template(NamedTuple):
    """``source``: on whose behalf it is sent; ``raw``: its bytes, for each version of IP; ``fill``: what is completed.

    ``stamp`` and ``sack`` are where in the TCP header the time stamps and the edges of SACK blocks are, 0 for none.
    """

    source: Host
    raw: tuple[bytes, ...]
    fill: Literal["tcp", "quote"]
    stamp: int = 0
    sack: int = 0

    @property
    def in_hex(self) -> tuple[str, ...]:
        """Its bytes as the plan has them."""
        return tuple(each.hex() for each in self.raw)


def template(forge: ForgedPacket, context: LinkContext) -> Template:
    """Return the bytes of a forged packet."""
    if forge.packet not in ("unreachable", "too-big"):
        raw = tuple(_tcp(forge, ip, context) for ip in context.versions)
        stamps = 12 if forge.stamped else 0
        # After the header of 20 bytes: two NOPs, kind and length; so again for SACK.
        return Template(forge.source, raw, "tcp", 24 if forge.stamped else 0, 20 + stamps + 4 if forge.sack else 0)
    raw = tuple(_icmp(forge, ip, context) for ip in context.versions)
    return Template(peer_of(forge.sender), raw, "quote")


def _tcp(forge: ForgedPacket, ip: IpVersion, context: LinkContext) -> bytes:
    from scapy.layers.inet import TCP

    source, target = (context.addresses[host].of[ip][0] for host in (forge.source, peer_of(forge.source)))
    flags = {"syn": "S", "rst": "R", "data": "PA", "ack": "A", "fin": "FA"}[forge.packet]
    window = forge.window if forge.window is not None else 0 if flags == "R" else 64240
    padding = [("NOP", None), ("NOP", None)]
    options: list[Any] = []
    if forge.stamped:
        options += [*padding, ("Timestamp", (0, 0))]
    if forge.sack:
        # The link adds the number of the peer's first byte; the right edge is the first byte behind the block.
        options += [*padding, ("SAck", tuple(edge for first, last in forge.sack for edge in (first, last + 1)))]
    return bytes(_network(ip, source, target) / TCP(flags=flags, window=window, options=options) / forge.data)


def _icmp(forge: ForgedPacket, ip: IpVersion, context: LinkContext) -> bytes:
    from scapy.layers.inet import ICMP
    from scapy.layers.inet6 import ICMPv6DestUnreach, ICMPv6PacketTooBig

    source, target = context.link[forge.sender].of[ip][0], context.addresses[forge.sender].of[ip][0]
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
