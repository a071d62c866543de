"""IPv4 and IPv6 in numbers: protocols (IANA "Assigned Internet Protocol Numbers"), and what an ICMP error quotes."""

from __future__ import annotations

import ipaddress

ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58
GRE, ESP, AH = 47, 50, 51
_FRAGMENT = 44
_EXTENSIONS = (0, 43, _FRAGMENT, 60)
"""IPv6 extension headers that may stand before the transport header: hop-by-hop, routing, fragment, destination."""

DECODED_PROTOCOLS = {TCP: "tcp", UDP: "udp", ICMP: "icmp", ICMPV6: "icmpv6"}
"""Names of the protocols whose headers are decoded."""

PROTOCOL_NAMES = {**DECODED_PROTOCOLS, 2: "igmp", GRE: "gre", ESP: "esp", 89: "ospf", 132: "sctp"}
"""Names of protocols as a comparison shows them."""

ICMP_ERRORS = (3, 4, 5, 11, 12)
"""Types of ICMP messages that quote the packet they are about (RFC 792)."""
ICMPV6_ERRORS = (1, 2, 3, 4)
"""The same of ICMPv6 (RFC 4443 section 2.1)."""


def quoted_transport(packet: bytes) -> tuple[int, int]:
    """Return protocol and offset of the transport header of a packet that an ICMP error quotes (20 bytes or more).

    IPv6 extension headers are stepped over as far as they are quoted (RFC 8200 section 4).
    """
    if packet[0] >> 4 == 4:
        return packet[9], (packet[0] & 15) * 4
    protocol, at = packet[6], 40
    while protocol in _EXTENSIONS and at + 8 <= len(packet):
        length = 8 if protocol == _FRAGMENT else 8 + 8 * packet[at + 1]
        protocol, at = packet[at], at + length
    return protocol, at


def quoted_addresses(packet: bytes) -> tuple[str, str] | None:
    """Return source and destination of a packet that an ICMP error quotes, None where it is too short to hold them."""
    if len(packet) < 20:
        return None
    if packet[0] >> 4 == 4:
        return str(ipaddress.IPv4Address(packet[12:16])), str(ipaddress.IPv4Address(packet[16:20]))
    if len(packet) < 40:
        return None
    return str(ipaddress.IPv6Address(packet[8:24])), str(ipaddress.IPv6Address(packet[24:40]))


def plain_quote(packet: bytes) -> bytes:
    """Return a packet that an ICMP error quotes (20 bytes or more) without what a NAT on the way rewrites in it.

    Zero are addresses, ports, the identifier of an echo and checksums (RFC 5508 section 4, RFC 3022 section 4.3).
    """
    protocol, at = quoted_transport(packet)
    plain = bytearray(packet)
    four = packet[0] >> 4 == 4
    ranges = [(10, 20) if four else (8, 40)]  # IPv4: checksum, addresses
    ranges += {TCP: [(at, at + 4), (at + 16, at + 18)], UDP: [(at, at + 4), (at + 6, at + 8)]}.get(
        protocol, [(at + 2, at + 6)] if protocol in (ICMP, ICMPV6) else []
    )
    for start, end in ranges:
        plain[start:end] = bytes(max(min(end, len(plain)) - start, 0))
    return bytes(plain)


def is_group(text: str) -> bool:
    """Say whether an address is that of a group, or of all hosts (RFC 1112, RFC 919, RFC 4291 section 2.7)."""
    address = ipaddress.ip_address(text)
    return address.is_multicast or text == "255.255.255.255"


def address_words(text: str) -> tuple[int, int]:
    """Return an address as columns hold it: two 64-bit words, IPv4 as ``::ffff:a.b.c.d``."""
    address = ipaddress.ip_address(text)
    number = int(address) | (0xFFFF << 32 if address.version == 4 else 0)
    return number >> 64, number & (1 << 64) - 1


def address_text(version: int, high: int, low: int) -> str:
    """Return the canonical text of an address that columns hold, empty when ``version`` is 0."""
    if version == 4:
        return f"{low >> 24 & 255}.{low >> 16 & 255}.{low >> 8 & 255}.{low & 255}"
    return str(ipaddress.IPv6Address(high << 64 | low)) if version == 6 else ""
