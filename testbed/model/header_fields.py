"""Header fields of one packet as values: TCP options, what an ICMP error is about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from testbed.model.ip import DECODED_PROTOCOLS, ICMP_ERRORS, ICMPV6_ERRORS, TCP, UDP, quoted_transport
from testbed.model.tcp import FAST_OPEN_MAGIC, OPTION_LENGTHS, OptionKind, seq_diff


def tcp_options(raw: bytes, raw_ack: int, ack: int) -> dict[str, Any]:
    """Return a segment's options (RFC 9293 section 3.1), those that are whole.

    SACK edges are relative as ``ack`` is, the segment's relative ACK number (``raw_ack`` as on the wire).
    :mod:`testbed.capture.layers.tcp_options` decodes the same options of many segments at once.
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
        if kind in _READERS and OPTION_LENGTHS.get(kind, size) == size:
            options |= _READERS[kind](raw[at + 2 : at + size])
        at += size
    if "sack" in options:
        options["sack"] = [[seq_diff(edge, raw_ack) + ack for edge in block] for block in options["sack"]]
    return options


_END, _NOP = int(OptionKind.END), int(OptionKind.NOP)
_MAGIC = FAST_OPEN_MAGIC.to_bytes(2, "big")


def _sack(value: bytes) -> dict[str, Any]:
    if not value or len(value) % 8:
        return {}
    edges = [int.from_bytes(value[k : k + 4], "big") for k in range(0, len(value), 4)]
    return {"sack": [edges[k : k + 2] for k in range(0, len(edges), 2)]}


_READERS: dict[int, Callable[[bytes], dict[str, Any]]] = {
    OptionKind.MSS: lambda value: {"mss": int.from_bytes(value, "big")},
    OptionKind.WINDOW_SCALE: lambda value: {"wscale": value[0]},
    OptionKind.SACK_PERMITTED: lambda _: {"sack_permitted": True},
    OptionKind.SACK: _sack,
    OptionKind.TIMESTAMPS: lambda value: {
        "tsval": int.from_bytes(value[:4], "big"),
        "tsecr": int.from_bytes(value[4:], "big"),
    },
    OptionKind.FAST_OPEN: lambda value: {"fast_open": len(value)},
    OptionKind.EXPERIMENT: lambda value: {"fast_open": len(value) - 2} if value.startswith(_MAGIC) else {},
}


def options_text(raw: bytes, raw_ack: int) -> str:
    """Return a segment's options on one line, SACK edges relative to its ACK number; ``none`` without any."""
    known = tcp_options(raw, raw_ack, 0)
    text = ", ".join(name if value is True else f"{name} {value}" for name, value in known.items())
    return f"{text or 'unknown'} ({raw.hex()})" if raw else "none"


def icmp_options(kind: int, code: int, payload: bytes, *, v6: bool) -> dict[str, Any]:
    """Return type and code of an ICMP packet, and the head of the packet that an error quotes."""
    options: dict[str, Any] = {"type": kind, "code": code}
    if kind in (ICMPV6_ERRORS if v6 else ICMP_ERRORS) and len(payload) >= 20:
        options["about"] = _quoted(payload)
    return options


def _quoted(packet: bytes) -> dict[str, Any]:
    """Decode the start of a quoted packet: protocol, ports and, for TCP, the raw sequence number."""
    number, header = quoted_transport(packet)
    if len(packet) < header + 8:
        return {}
    about: dict[str, Any] = {"protocol": DECODED_PROTOCOLS.get(number, str(number))}
    if number in (TCP, UDP):
        about["sport"] = int.from_bytes(packet[header : header + 2], "big")
        about["dport"] = int.from_bytes(packet[header + 2 : header + 4], "big")
    if number == TCP:
        about["raw_seq"] = int.from_bytes(packet[header + 4 : header + 8], "big")
    return about
