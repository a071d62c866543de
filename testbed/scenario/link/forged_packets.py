"""Packets that the link makes up: built by scapy as templates, of which the link fills in what only the wire knows.

That is ports, sequence numbers, checksums, and in an ICMP error the packet that it quotes.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from testbed.model import Host, peer_of
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
    """``source``: on whose behalf it is sent; ``fill``: what the link completes.

    ``stamp`` and ``sack`` are where in the TCP header the time stamps and the edges of SACK blocks are, 0 for none.
    """

    source: Host
    raw: bytes
    fill: Literal["tcp", "quote"]
    stamp: int = 0
    sack: int = 0


def template(forge: ForgedPacket, context: LinkContext) -> Template:
    """Return the bytes of a forged packet."""
    ip, addresses = context.ip, context.addresses
    if forge.packet not in ("unreachable", "too-big"):
        raw = _tcp(forge, ip, addresses[forge.source], addresses[peer_of(forge.source)])
        stamps = 12 if forge.stamped else 0
        # After the header of 20 bytes: two NOPs, kind and length; so again for SACK.
        return Template(forge.source, raw, "tcp", 24 if forge.stamped else 0, 20 + stamps + 4 if forge.sack else 0)
    raw = _icmp(forge, ip, context.link[forge.sender], addresses[forge.sender])
    return Template(peer_of(forge.sender), raw, "quote")


def _tcp(forge: ForgedPacket, ip: int, source: str, target: str) -> bytes:
    from scapy.layers.inet import TCP

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


def _icmp(forge: ForgedPacket, ip: int, source: str, target: str) -> bytes:
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
