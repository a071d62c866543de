"""TCP (RFC 9293), UDP (RFC 768) and ICMP (RFC 792, 4443) headers of many packets at once."""

from __future__ import annotations

import numpy as np

from testbed.capture import frame_kinds
from testbed.capture.columns import Capture
from testbed.capture.gather import gather
from testbed.capture.layers.ip_headers import Transports
from testbed.capture.layers.tcp_options import decode_options
from testbed.model.arrays import Bool, Bytes, Int64
from testbed.model.ip import ICMP, ICMP_ERRORS, ICMPV6, ICMPV6_ERRORS, TCP, UDP

_TCP_HEADER = np.dtype(
    [
        ("sport", ">u2"),
        ("dport", ">u2"),
        ("seq", ">u4"),
        ("ack", ">u4"),
        ("flags", ">u2"),
        ("window", ">u2"),
        ("checksum", ">u2"),
        ("urgent", ">u2"),
    ]
)
_UDP_HEADER = np.dtype([("sport", ">u2"), ("dport", ">u2"), ("length", ">u2"), ("checksum", ">u2")])
_PORTS = np.dtype([("sport", ">u2"), ("dport", ">u2")])
_ICMP_HEADER = np.dtype([("type", "u1"), ("code", "u1"), ("checksum", ">u2"), ("rest", ">u4")])


def decode_transport(buffer: Bytes, base: int, capture: Capture, packets: Transports) -> None:
    """Decode the transport headers of whole packets (no fragments).

    Positions in ``packets`` index ``buffer``; ``base`` is what offsets in the columns have on top of them.
    """
    capture.payload_offset[packets.rows] = packets.start + base
    capture.transport_offset[packets.rows] = packets.start + base
    capture.payload_length[packets.rows] = packets.length
    capture.payload_captured[packets.rows] = np.maximum(packets.end - packets.start, 0)
    proto = packets.proto
    version = capture.version[packets.rows]
    known = np.zeros(len(proto), np.bool_)
    for chosen, size, decode in (
        (proto == TCP, 20, _tcp),
        (proto == UDP, 8, _udp),
        ((proto == ICMP) & (version == 4) | (proto == ICMPV6) & (version == 6), 8, _icmp),
    ):
        known |= chosen
        if chosen.any():
            decode(buffer, base, capture, _whole(buffer, capture, packets.only(chosen), size))
    capture.what[packets.rows[~known]] = frame_kinds.IP_PROTOCOL + proto[~known].astype(np.int32)


def _whole(buffer: Bytes, capture: Capture, packets: Transports, size: int) -> Transports:
    """Return those whose header of ``size`` bytes is captured; name the others, and read the ports that they have."""
    short = packets.length < size
    cut = packets.end - packets.start < size
    ported = packets.only(cut & (packets.end - packets.start >= 4) & np.isin(packets.proto, (TCP, UDP)))
    if len(ported.rows):
        head = gather(buffer, ported.start, _PORTS)
        capture.sport[ported.rows], capture.dport[ported.rows] = head["sport"], head["dport"]
    capture.what[packets.rows[cut]] = frame_kinds.TRANSPORT_CUT
    capture.what[packets.rows[short]] = frame_kinds.TRANSPORT_MALFORMED
    return packets.only(~(short | cut))


def _malformed(capture: Capture, packets: Transports, bad: Bool) -> Transports:
    capture.what[packets.rows[bad]] = frame_kinds.TRANSPORT_MALFORMED
    return packets.only(~bad) if bad.any() else packets


def _payload(capture: Capture, packets: Transports, base: int, header: Int64, length: Int64) -> None:
    start = packets.start + header
    capture.payload_offset[packets.rows] = start + base
    capture.payload_length[packets.rows] = length
    capture.payload_captured[packets.rows] = np.clip(packets.end - start, 0, length)
    capture.transport[packets.rows] = packets.proto
    capture.what[packets.rows] = frame_kinds.DECODED


def _tcp(buffer: Bytes, base: int, capture: Capture, packets: Transports) -> None:
    header = (gather(buffer, packets.start + 12, "u1") >> 4).astype(np.int64) * 4
    packets = _malformed(capture, packets, (header < 20) | (header > packets.length))
    rows = packets.rows
    head = gather(buffer, packets.start, _TCP_HEADER)
    header = (head["flags"] >> 12).astype(np.int64) * 4
    for name in ("sport", "dport", "seq", "ack", "window", "urgent", "checksum"):
        getattr(capture, name)[rows] = head[name]
    capture.flags[rows] = head["flags"] & 0x0FFF
    _payload(capture, packets, base, header, packets.length - header)
    length = np.minimum(header, packets.end - packets.start) - 20
    capture.options_length[rows] = length
    some = length > 0
    decode_options(buffer, capture, rows[some], packets.start[some] + 20, length[some])


def _udp(buffer: Bytes, base: int, capture: Capture, packets: Transports) -> None:
    length = gather(buffer, packets.start + 4, ">u2")
    packets = _malformed(capture, packets, (length > 0) & (length < 8))
    rows = packets.rows
    head = gather(buffer, packets.start, _UDP_HEADER)
    for name in ("sport", "dport", "checksum"):
        getattr(capture, name)[rows] = head[name]
    capture.udp_length[rows] = head["length"]
    # 0: a jumbogram (RFC 2675); longer than the IP payload: what is there counts
    whole = np.where(head["length"] == 0, packets.length, np.minimum(head["length"], packets.length))
    _payload(capture, packets, base, np.full(len(rows), 8), whole - 8)


def _icmp(buffer: Bytes, base: int, capture: Capture, packets: Transports) -> None:
    rows = packets.rows
    head = gather(buffer, packets.start, _ICMP_HEADER)
    capture.icmp_type[rows] = head["type"]
    capture.icmp_code[rows] = head["code"]
    capture.checksum[rows] = head["checksum"]
    capture.icmp_rest[rows] = head["rest"]
    _payload(capture, packets, base, np.full(len(rows), 8), packets.length - 8)
    v4 = packets.proto == ICMP
    error = np.where(v4, np.isin(head["type"], ICMP_ERRORS), np.isin(head["type"], ICMPV6_ERRORS))
    quoted = error & (capture.payload_captured[rows] >= 20)
    capture.embedded_offset[rows[quoted]] = packets.start[quoted] + base + 8
