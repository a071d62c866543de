"""Header fields as people read them: tcpdump's flag letters, TCP options, what an ICMP error is about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from testbed.analysis.flows import ACK
from testbed.analysis.selection import ICMP, ICMPV6, TCP, UDP

if TYPE_CHECKING:
    from testbed.capture.columns import Capture

# tcpdump's order (tcp_flag_values of print-tcp.c)
_LETTERS = "FSRP.UEWe"
_FLAGS = tuple("".join(x for bit, x in enumerate(_LETTERS) if value >> bit & 1) or "none" for value in range(512))
_PROTOCOLS = {TCP: "tcp", UDP: "udp", ICMP: "icmp", ICMPV6: "icmpv6"}


def flag_letters(flags: int) -> str:
    """Return tcpdump's letters for TCP flags: ``S``, ``S.``, ``P.``, ``none``."""
    return _FLAGS[flags]


def protocol(capture: Capture, row: int) -> str:
    """Return ``tcp``, ``udp``, ``icmp``, ``icmpv6``, or the lower-case name of another protocol."""
    return _PROTOCOLS.get(int(capture.transport[row])) or capture.kind(row).lower()


def tcp_options(capture: Capture, row: int, ack: int | None) -> dict[str, Any]:
    """Return a segment's options; SACK edges are relative as ``ack``, the segment's relative ACK number, is."""
    options: dict[str, Any] = {}
    if not capture.options_length[row]:
        return options
    if capture.mss[row] >= 0:
        options["mss"] = int(capture.mss[row])
    if capture.sack_permitted[row]:
        options["sack_permitted"] = True
    if capture.wscale[row] >= 0:
        options["wscale"] = int(capture.wscale[row])
    if capture.has_timestamps[row]:
        options["tsval"], options["tsecr"] = int(capture.tsval[row]), int(capture.tsecr[row])
    if capture.fast_open[row] >= 0:
        options["fast_open"] = int(capture.fast_open[row])
    if capture.sack_count[row]:
        raw = int(capture.ack[row])
        options["sack"] = [
            [(edge - raw + 2**31) % 2**32 - 2**31 + (ack or 0) for edge in block] for block in capture.sack(row)
        ]
    return options


def options_text(capture: Capture, row: int) -> str:
    """Return a segment's options on one line, ``none`` without any."""
    raw = capture.options(row)
    known = tcp_options(capture, row, int(capture.ack[row]) if capture.flags[row] & ACK else None)
    text = ", ".join(name if value is True else f"{name} {value}" for name, value in known.items())
    return f"{text or 'unknown'} ({raw.hex()})" if raw else "none"


def icmp_options(capture: Capture, row: int) -> dict[str, Any]:
    """Return type and code of an ICMP packet, and the head of the packet that an error quotes."""
    options: dict[str, Any] = {"type": int(capture.icmp_type[row]), "code": int(capture.icmp_code[row])}
    if capture.embedded_offset[row] >= 0:
        options["about"] = _quoted(capture.payload(row))
    return options


def _quoted(packet: bytes) -> dict[str, Any]:
    """Decode the start of a quoted packet: protocol, ports and, for TCP, the raw sequence number."""
    header, at = ((packet[0] & 15) * 4, 9) if packet[0] >> 4 == 4 else (40, 6)
    if len(packet) < header + 8:
        return {}
    number = packet[at]
    about: dict[str, Any] = {"protocol": _PROTOCOLS.get(number, str(number))}
    if number in (TCP, UDP):
        about["sport"] = int.from_bytes(packet[header : header + 2], "big")
        about["dport"] = int.from_bytes(packet[header + 2 : header + 4], "big")
    if number == TCP:
        about["raw_seq"] = int.from_bytes(packet[header + 4 : header + 8], "big")
    return about
