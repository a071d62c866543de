"""Make packets and capture files byte by byte: independent of the code under test."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterable

FIN, SYN, RST, PSH, ACK, URG = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
CLIENT, SERVER = "198.18.0.2", "198.18.0.3"
CLIENT6, SERVER6 = "fd00::2", "fd00::3"


def checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f">{(len(data) + 1) // 2}H", data + bytes(len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - total


def ip(
    payload: bytes, proto: int, src: str = CLIENT, dst: str = SERVER, *, ident: int = 1, ttl: int = 64, tos: int = 0,
    fragment: int = 0x4000, length: int | None = None,
) -> bytes:  # fmt: skip
    """An IPv4 or IPv6 packet, by the addresses; ``fragment`` is the flags and offset field of IPv4."""
    a, b = ipaddress.ip_address(src).packed, ipaddress.ip_address(dst).packed
    if len(a) == 16:
        return (
            struct.pack(">IHBB", 6 << 28 | tos << 20, len(payload) if length is None else length, proto, ttl)
            + a
            + b
            + payload
        )
    total = 20 + len(payload) if length is None else length
    head = struct.pack(">BBHHHBBH", 0x45, tos, total, ident, fragment, ttl, proto, 0) + a + b
    return head[:10] + struct.pack(">H", checksum(head)) + head[12:] + payload


def pseudo(src: str, dst: str, proto: int, length: int) -> bytes:
    a, b = ipaddress.ip_address(src).packed, ipaddress.ip_address(dst).packed
    return a + b + (struct.pack(">HH", proto, length & 0xFFFF) if len(a) == 4 else struct.pack(">II", length, proto))


def tcp(
    payload: bytes = b"", *, src: str = CLIENT, dst: str = SERVER, sport: int = 4711, dport: int = 10011, seq: int = 0,
    ack: int = 0, flags: int = ACK, window: int = 502, options: bytes = b"", urgent: int = 0, **network: int,
) -> bytes:  # fmt: skip
    """A TCP segment in its IP packet."""
    options += bytes(-len(options) % 4)
    bits = (5 + len(options) // 4) << 12 | flags
    head = struct.pack(">HHIIHHHH", sport, dport, seq % 2**32, ack % 2**32, bits, window, 0, urgent) + options
    total = checksum(pseudo(src, dst, 6, len(head) + len(payload)) + head + payload)
    return ip(head[:16] + struct.pack(">H", total) + head[18:] + payload, 6, src, dst, **network)


def udp(
    payload: bytes = b"", *, src: str = CLIENT, dst: str = SERVER, sport: int = 4711, dport: int = 10011, **network: int
) -> bytes:
    """A UDP datagram in its IP packet."""
    head = struct.pack(">HHHH", sport, dport, 8 + len(payload), 0)
    total = checksum(pseudo(src, dst, 17, 8 + len(payload)) + head + payload) or 0xFFFF
    return ip(head[:6] + struct.pack(">H", total) + payload, 17, src, dst, **network)


def icmp(
    kind: int, code: int, rest: int, payload: bytes, *, src: str = CLIENT, dst: str = SERVER, **network: int
) -> bytes:
    """An ICMP packet over IPv4."""
    head = struct.pack(">BBHI", kind, code, 0, rest)
    total = checksum(head + payload)
    return ip(head[:2] + struct.pack(">H", total) + head[4:] + payload, 1, src, dst, **network)


def ethernet(packet: bytes, tags: Iterable[tuple[int, int]] = (), ethertype: int | None = None) -> bytes:
    """An Ethernet frame; ``tags`` are (EtherType of the tag, VLAN id)."""
    kind = ethertype or (0x0800 if packet[0] >> 4 == 4 else 0x86DD)
    labels = b"".join(struct.pack(">HH", tag, vlan) for tag, vlan in tags)
    return bytes(12) + labels + struct.pack(">H", kind) + packet


def timestamps(value: int, echo: int) -> bytes:
    """The option as Linux writes it."""
    return struct.pack(">BBBBII", 1, 1, 8, 10, value, echo)


def pcap(
    frames: Iterable[bytes | tuple[int, bytes]],
    *,
    order: str = "<",
    nano: bool = True,
    link: int = 1,
    snap: int = 262144,
) -> bytes:
    """A pcap file; a frame may come with its time in ns, else they are one second apart from 1."""
    out = [struct.pack(order + "IHHiIII", 0xA1B23C4D if nano else 0xA1B2C3D4, 2, 4, 0, 0, snap, link)]
    for n, one in enumerate(frames, 1):
        time, frame = one if isinstance(one, tuple) else (n * 10**9, one)
        ticks = time % 10**9 if nano else time % 10**9 // 1000
        cut = frame[:snap]
        out.append(struct.pack(order + "IIII", time // 10**9, ticks, len(cut), len(frame)) + cut)
    return b"".join(out)


def block(order: str, kind: int, body: bytes) -> bytes:
    """A pcapng block."""
    body += bytes(-len(body) % 4)
    length = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + length + body + length


def option(order: str, code: int, value: bytes) -> bytes:
    """A pcapng option."""
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def section(order: str = "<", options: bytes = b"", major: int = 1) -> bytes:
    return block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, major, 0, -1) + options)


def interface(order: str = "<", link: int = 1, snap: int = 0, options: bytes = b"") -> bytes:
    return block(order, 1, struct.pack(order + "HHI", link, 0, snap) + options)


def enhanced(frame: bytes, ticks: int, order: str = "<", index: int = 0, options: bytes = b"") -> bytes:
    head = struct.pack(order + "IIIII", index, ticks >> 32, ticks & 0xFFFFFFFF, len(frame), len(frame))
    return block(order, 6, head + frame + bytes(-len(frame) % 4) + options)
