"""Packets of made-up hosts as bytes, and captures of them: independent of the code that reads them."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

FIN, SYN, RST, PSH, ACK, ECE, CWR = 0x01, 0x02, 0x04, 0x08, 0x10, 0x40, 0x80
TCP, UDP, ICMP, ICMPV6 = 6, 17, 1, 58


@dataclass(frozen=True, slots=True)
class Packet:
    """An IP packet. ``ids`` says which it is: one number, or several where segments were put together.

    ``flags`` to ``options`` are TCP's; ``kind`` (type and code) and ``rest`` (second word) are ICMP's.
    """

    src: str
    dst: str
    protocol: int
    ids: tuple[int, ...]
    sport: int = 0
    dport: int = 0
    seq: int = 0
    ack: int = 0
    flags: int = ACK
    window: int = 502
    options: bytes = b""
    ttl: int = 64
    tos: int = 0
    ident: int = 0
    kind: tuple[int, int] = (0, 0)
    rest: int = 0
    payload: bytes = b""


@dataclass(frozen=True, slots=True)
class Seen:
    """A packet as one tap captured it, by that tap's clock (ns); ``way`` as :mod:`testbed.model.ways` has it."""

    time: int
    packet: Packet
    way: int = 0


def frame(packet: Packet) -> bytes:
    """Return the packet in an Ethernet frame, with correct checksums."""
    source, target = _address(packet.src), _address(packet.dst)
    body = _transport(packet, source, target)
    if len(source) == 16:
        head = struct.pack(">IHBB", 6 << 28 | packet.tos << 20, len(body), packet.protocol, packet.ttl)
        return bytes(12) + b"\x86\xdd" + head + source + target + body
    fields = (0x45, packet.tos, 20 + len(body), packet.ident, 0x4000, packet.ttl, packet.protocol)
    head = struct.pack(">BBHHHBBH", *fields, 0) + source + target
    head = struct.pack(">BBHHHBBH", *fields, _checksum(head)) + source + target
    return bytes(12) + b"\x08\x00" + head + body


def quote(packet: Packet, size: int) -> bytes:
    """Return what an ICMP error quotes of a packet: its IP header and ``size`` bytes behind it."""
    return frame(packet)[14:][: (40 if ":" in packet.src else 20) + size]


def pcap(seen: Iterable[Seen]) -> bytes:
    """Return a capture file with nanosecond stamps, in the order of time; a cooked one where it says the ways."""
    known = sorted(seen, key=lambda one: one.time)
    cooked = any(each.way for each in known)
    out = [struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 113 if cooked else 1)]
    for each in known:
        data = frame(each.packet)
        if cooked:  # packet type 4: sent by us; then ARPHRD_ETHER, the length of an address, eight bytes for it
            data = struct.pack(">HHH8x", 4 if each.way == 2 else 0, 1, 6) + data[12:]
        out.append(struct.pack("<IIII", each.time // 10**9, each.time % 10**9, len(data), len(data)) + data)
    return b"".join(out)


@lru_cache(maxsize=4096)
def _address(text: str) -> bytes:
    return ipaddress.ip_address(text).packed


def _checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071): ones' complement sums are remainders of 65535."""
    total = int.from_bytes(data + bytes(len(data) % 2), "big")
    folded = total % 0xFFFF if total % 0xFFFF or not total else 0xFFFF
    return 0xFFFF - folded


def pcapng(seen: Iterable[Seen]) -> bytes:
    """Return the same as pcapng, with ``epb_flags`` where the ways are known."""
    out = [struct.pack("<IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28)]
    out.append(struct.pack("<IIHHIHHB3xII", 1, 32, 1, 0, 262144, 9, 1, 9, 0, 32))
    for each in sorted(seen, key=lambda one: one.time):
        data = frame(each.packet)
        padded = data + bytes(-len(data) % 4)
        options = struct.pack("<HHII", 2, 4, each.way, 0) if each.way else b""
        length = 32 + len(padded) + len(options)
        head = struct.pack("<IIIIIII", 6, length, 0, each.time >> 32, each.time & 0xFFFFFFFF, len(data), len(data))
        out.append(head + padded + options + struct.pack("<I", length))
    return b"".join(out)


def _transport(packet: Packet, source: bytes, target: bytes) -> bytes:
    if packet.protocol == TCP:
        options = packet.options + bytes(-len(packet.options) % 4)
        bits = (5 + len(options) // 4) << 12 | packet.flags
        ports = packet.sport, packet.dport, packet.seq % 2**32, packet.ack % 2**32, bits, packet.window
        head, place = struct.pack(">HHIIHHHH", *ports, 0, 0) + options, 16
    elif packet.protocol == UDP:
        head, place = struct.pack(">HHHH", packet.sport, packet.dport, 8 + len(packet.payload), 0), 6
    elif packet.protocol in (ICMP, ICMPV6):
        head, place = struct.pack(">BBHI", *packet.kind, 0, packet.rest), 2
    else:
        return packet.payload
    length = len(head) + len(packet.payload)
    pseudo = b"" if packet.protocol == ICMP else source + target + struct.pack(">II", length, packet.protocol)
    total = _checksum(pseudo + head + packet.payload)
    return head[:place] + struct.pack(">H", total) + head[place + 2 :] + packet.payload
