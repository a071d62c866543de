"""Step into tunnels that do not encrypt: the packet inside is what both ends of a connection know.

IP in IP (RFC 2003), 6in4 (RFC 4213), GRE (RFC 2784, 2890) with IP, Ethernet or ERSPAN in it, VXLAN (RFC 7348),
Geneve (RFC 8926), GTP-U (3GPP TS 29.281). An outer packet that is a fragment, or whose tunnel is cut, stays itself.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from testbed.capture import frame_kinds
from testbed.capture.layers.link_types import Frames
from testbed.model.arrays import Bool, Int32, Int64
from testbed.model.ip import GRE, UDP

_DEEPEST = 4  # tunnels in each other
_IP_IN_IP, _IPV6_IN_IP = 4, 41
_VXLAN, _GENEVE, _GTP = 4789, 6081, 2152
_TEB, _ERSPAN, _ERSPAN3 = 0x6558, 0x88BE, 0x22EB
_ETHERNET = 14
_CARRIES = np.zeros(256, np.bool_)
_CARRIES[[_IP_IN_IP, _IPV6_IN_IP, GRE, UDP]] = True


def enter_tunnels(frames: Frames) -> Counter[str]:
    """Move ``position`` to the innermost IP header; return how many frames had which tunnel around it."""
    found: Counter[str] = Counter()
    if not _any_tunnel(frames):
        return found
    for _ in range(_DEEPEST):
        outer = np.isin(frames.what, (frame_kinds.IPV4, frame_kinds.IPV6)) & (frames.end - frames.position >= 28)
        if not outer.any():
            break
        protocol, header = _headers(frames, outer)
        inside = np.zeros(len(outer), np.int64)  # where the inner header begins, from the outer one; 0: no tunnel
        kind = np.zeros(len(outer), np.int32)
        _plain(frames, protocol, header, inside, kind)
        _gre(frames, protocol, header, inside, kind, found)
        _udp(frames, protocol, header, inside, kind, found)
        entered = inside > 0
        if not entered.any():
            break
        for number, name in ((_IP_IN_IP, "IP in IP"), (_IPV6_IN_IP, "IPv6 in IP")):
            found[f"inside {name}"] += int((protocol[entered] == number).sum())
        frames.position[entered] += inside[entered]
        frames.what[entered] = kind[entered]
    return Counter({name: count for name, count in found.items() if count})


def _any_tunnel(frames: Frames) -> bool:
    """Say quickly whether any packet has a protocol that carries others; most captures have none."""
    if not len(frames.buffer):
        return False
    at = frames.position + np.where(frames.what == frame_kinds.IPV6, 6, 9)
    protocol = frames.buffer[np.minimum(at, len(frames.buffer) - 1)]
    return bool(_CARRIES[protocol].any())


def _headers(frames: Frames, outer: Bool) -> tuple[Int32, Int64]:
    """Return the protocol (-1: none to look into) and the header's length of IP packets."""
    protocol, header = np.full(len(outer), -1, np.int32), np.zeros(len(outer), np.int64)
    four, six = outer & (frames.what == frame_kinds.IPV4), outer & (frames.what == frame_kinds.IPV6)
    protocol[four] = frames.word(four, 9, "u1")
    protocol[six] = frames.word(six, 6, "u1")
    tunnel = np.isin(protocol, (_IP_IN_IP, _IPV6_IN_IP, GRE, UDP))
    protocol[~tunnel] = -1
    four &= tunnel
    header[four] = (frames.word(four, 0, "u1") & 15) * 4
    parts = np.zeros(len(outer), np.bool_)
    parts[four] = (frames.word(four, 6) & 0x3FFF) != 0
    header[six] = 40
    protocol[parts | (tunnel & (header < 20))] = -1
    return protocol, header


def _has(frames: Frames, rows: Bool, at: Int64, size: int) -> Bool:
    result = rows.copy()
    result[rows] = frames.end[rows] - frames.position[rows] - at[rows] >= size
    return result


def _word(frames: Frames, rows: Bool, at: Int64, layout: str = ">u2") -> Int32:
    return frames.word(rows, at[rows], layout)


def _ip_inside(frames: Frames, rows: Bool, at: Int64, inside: Int64, kind: Int32) -> Bool:
    """Take what lies at some places for IP where its version says so; return a mask of those."""
    rows = _has(frames, rows, at, 20)
    version = np.zeros(len(rows), np.int32)
    version[rows] = _word(frames, rows, at, "u1") >> 4
    good: Bool = rows & ((version == 4) | (version == 6))
    inside[good] = at[good]
    kind[good] = np.where(version[good] == 4, frame_kinds.IPV4, frame_kinds.IPV6)
    return good


def _ethernet_inside(frames: Frames, rows: Bool, at: Int64, inside: Int64, kind: Int32) -> Bool:
    """Do the same for Ethernet frames that hold IP, with one VLAN tag or none."""
    rows = _has(frames, rows, at, _ETHERNET + 4)
    ethertype = np.zeros(len(rows), np.int32)
    ethertype[rows] = _word(frames, rows, at + 12)
    tagged = rows & np.isin(ethertype, frame_kinds.VLAN_TAGS)
    ethertype[tagged] = _word(frames, tagged, at + 16)
    rows = rows & np.isin(ethertype, (frame_kinds.IPV4, frame_kinds.IPV6))
    return _ip_inside(frames, rows, at + _ETHERNET + 4 * tagged, inside, kind)


def _plain(frames: Frames, protocol: Int32, header: Int64, inside: Int64, kind: Int32) -> None:
    _ip_inside(frames, (protocol == _IP_IN_IP) | (protocol == _IPV6_IN_IP), header, inside, kind)


def _gre(frames: Frames, protocol: Int32, header: Int64, inside: Int64, kind: Int32, found: Counter[str]) -> None:
    rows = _has(frames, protocol == GRE, header, 4)
    if not rows.any():
        return
    flags, ethertype = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.int32)
    flags[rows] = _word(frames, rows, header)
    ethertype[rows] = _word(frames, rows, header + 2)
    rows &= (flags & 0x4007) == 0  # version 0, without routing
    size = header + 4 + 4 * ((flags >> 15 & 1) + (flags >> 13 & 1) + (flags >> 12 & 1))
    done = _ip_inside(frames, rows & np.isin(ethertype, (frame_kinds.IPV4, frame_kinds.IPV6)), size, inside, kind)
    found["inside GRE"] += int(done.sum())
    done = _ethernet_inside(frames, rows & (ethertype == _TEB), size, inside, kind)
    found["inside GRE"] += int(done.sum())
    # without a sequence number ERSPAN has no header of its own (type I)
    own = np.select([(ethertype == _ERSPAN) & (flags >> 12 & 1 == 1), ethertype == _ERSPAN3], [8, 12], 0)
    done = _ethernet_inside(frames, rows & np.isin(ethertype, (_ERSPAN, _ERSPAN3)), size + own, inside, kind)
    found["inside ERSPAN"] += int(done.sum())


def _udp(frames: Frames, protocol: Int32, header: Int64, inside: Int64, kind: Int32, found: Counter[str]) -> None:
    rows = _has(frames, protocol == UDP, header, 16)
    if not rows.any():
        return
    port = np.zeros(len(rows), np.int32)
    port[rows] = _word(frames, rows, header + 2)
    at = header + 8
    vxlan, geneve, gtp = (rows & (port == number) for number in (_VXLAN, _GENEVE, _GTP))
    if vxlan.any():
        vxlan[vxlan] = np.isin(_word(frames, vxlan, at), (0x0800, 0x0C00))  # the second of VXLAN-GPE
        found["inside VXLAN"] += int(_ethernet_inside(frames, vxlan, at + 8, inside, kind).sum())
    if geneve.any():
        first, ethertype = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.int32)
        first[geneve], ethertype[geneve] = _word(frames, geneve, at, "u1"), _word(frames, geneve, at + 2)
        size = at + 8 + 4 * (first & 0x3F)
        geneve &= first >> 6 == 0
        count = _ethernet_inside(frames, geneve & (ethertype == _TEB), size, inside, kind).sum()
        plain = geneve & np.isin(ethertype, (frame_kinds.IPV4, frame_kinds.IPV6))
        found["inside Geneve"] += int(count + _ip_inside(frames, plain, size, inside, kind).sum())
    if gtp.any():
        first, message = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.int32)
        first[gtp], message[gtp] = _word(frames, gtp, at, "u1"), _word(frames, gtp, at + 1, "u1")
        gtp &= (first >> 5 == 1) & (message == 0xFF) & (first & 4 == 0)  # version 1, data, no extension header
        size = at + 8 + 4 * ((first & 3) != 0)
        found["inside GTP-U"] += int(_ip_inside(frames, gtp, size, inside, kind).sum())
