"""Header fields as people read them: tcpdump's flag letters, TCP options, what an ICMP error is about."""

from __future__ import annotations

from typing import Any

from testbed.model.ip import ICMP, ICMPV6, TCP, UDP

# tcpdump's order (tcp_flag_values of print-tcp.c)
_LETTERS = "FSRP.UEWe"
_FLAGS = tuple("".join(x for bit, x in enumerate(_LETTERS) if value >> bit & 1) or "none" for value in range(512))
PROTOCOLS = {TCP: "tcp", UDP: "udp", ICMP: "icmp", ICMPV6: "icmpv6"}
"""Names of the protocols whose headers are decoded."""


def flag_letters(flags: int) -> str:
    """Return tcpdump's letters for TCP flags: ``S``, ``S.``, ``P.``, ``none``."""
    return _FLAGS[flags]


def tcp_options(raw: bytes, raw_ack: int, ack: int) -> dict[str, Any]:
    """Return a segment's options (RFC 9293 section 3.1), those that are whole.

    SACK edges are relative as ``ack`` is, the segment's relative ACK number (``raw_ack`` as on the wire).
    """
    options: dict[str, Any] = {}
    at = 0
    while at < len(raw) and raw[at] != _END:
        kind = raw[at]
        if kind == _NOP:
            at += 1
            continue
        size = raw[at + 1] if at + 1 < len(raw) else 0
        if size < 2 or at + size > len(raw):
            break
        _note_option(options, kind, raw[at + 2 : at + size], raw_ack, ack)
        at += size
    return options


_END, _NOP = 0, 1
_EXPERIMENT, _FAST_OPEN_MAGIC = 254, b"\xf9\x89"  # RFC 6994, RFC 7413


def _note_option(options: dict[str, Any], kind: int, value: bytes, raw_ack: int, ack: int) -> None:
    size = len(value)
    if kind == 2 and size == 2:
        options["mss"] = int.from_bytes(value, "big")
    elif kind == 3 and size == 1:
        options["wscale"] = value[0]
    elif kind == 4 and not size:
        options["sack_permitted"] = True
    elif kind == 5 and size and not size % 8:
        edges = [int.from_bytes(value[k : k + 4], "big") for k in range(0, size, 4)]
        near = [(edge - raw_ack + 2**31) % 2**32 - 2**31 + ack for edge in edges]
        options["sack"] = [near[k : k + 2] for k in range(0, len(near), 2)]
    elif kind == 8 and size == 8:
        options["tsval"], options["tsecr"] = int.from_bytes(value[:4], "big"), int.from_bytes(value[4:], "big")
    elif kind == 34:
        options["fast_open"] = size
    elif kind == _EXPERIMENT and value.startswith(_FAST_OPEN_MAGIC):
        options["fast_open"] = size - 2


def options_text(raw: bytes, raw_ack: int) -> str:
    """Return a segment's options on one line, SACK edges relative to its ACK number; ``none`` without any."""
    known = tcp_options(raw, raw_ack, 0)
    text = ", ".join(name if value is True else f"{name} {value}" for name, value in known.items())
    return f"{text or 'unknown'} ({raw.hex()})" if raw else "none"


def icmp_options(kind: int, code: int, payload: bytes, *, v6: bool) -> dict[str, Any]:
    """Return type and code of an ICMP packet, and the head of the packet that an error quotes."""
    options: dict[str, Any] = {"type": kind, "code": code}
    if kind in (_ICMPV6_ERRORS if v6 else _ICMP_ERRORS) and len(payload) >= 20:
        options["about"] = _quoted(payload)
    return options


# RFC 792, RFC 4443 section 2.1
_ICMP_ERRORS = (3, 4, 5, 11, 12)
_ICMPV6_ERRORS = (1, 2, 3, 4)


def _quoted(packet: bytes) -> dict[str, Any]:
    """Decode the start of a quoted packet: protocol, ports and, for TCP, the raw sequence number."""
    header, at = ((packet[0] & 15) * 4, 9) if packet[0] >> 4 == 4 else (40, 6)
    if len(packet) < header + 8:
        return {}
    number = packet[at]
    about: dict[str, Any] = {"protocol": PROTOCOLS.get(number, str(number))}
    if number in (TCP, UDP):
        about["sport"] = int.from_bytes(packet[header : header + 2], "big")
        about["dport"] = int.from_bytes(packet[header + 2 : header + 4], "big")
    if number == TCP:
        about["raw_seq"] = int.from_bytes(packet[header + 4 : header + 8], "big")
    return about
