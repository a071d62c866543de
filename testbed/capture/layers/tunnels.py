"""Step into tunnels that do not encrypt: the packet inside is what both ends of a connection know.

IP in IP (RFC 2003), 6in4 (RFC 4213), GRE (RFC 2784, 2890) with IP, Ethernet or ERSPAN in it, VXLAN (RFC 7348),
Geneve (RFC 8926), GTP-U (3GPP TS 29.281), PPP in L2TP (RFC 2661) and in PPTP's GRE (RFC 2637), L2TPv3 (RFC 3931)
where one of the sizes that its header may have leads to a whole IP packet in an Ethernet frame. An outer packet that
is a fragment, or whose tunnel is cut, stays itself.
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
_VXLAN, _GENEVE, _GTP, _L2TP = 4789, 6081, 2152, 1701
_L2TPV3 = 115
_COOKIES = (0, 4, 8, 12)  # bytes of an L2TPv3 cookie and of what may follow it (RFC 3931, sections 4.1 and 4.6)
_MOST_EXTENSIONS = 4  # of GTP-U
_PADDED = 46  # bytes that a short Ethernet frame may be padded by
_TEB, _ERSPAN, _ERSPAN3, _PPTP = 0x6558, 0x88BE, 0x22EB, 0x880B
_ETHERNET = 14
_CARRIES = np.zeros(256, np.bool_)
_CARRIES[[_IP_IN_IP, _IPV6_IN_IP, GRE, UDP, _L2TPV3]] = True


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
        _session(frames, protocol == _L2TPV3, header + 4, inside, kind, found)
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
    tunnel = np.isin(protocol, (_IP_IN_IP, _IPV6_IN_IP, GRE, UDP, _L2TPV3))
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
    pptp = rows & (flags & 0x7 == 1) & (ethertype == _PPTP) & (flags & 0x1000 != 0)
    if pptp.any():  # version 1 with payload
        done = _ppp_inside(frames, pptp, header + 12 + 4 * (flags >> 7 & 1), inside, kind)
        found["inside PPTP"] += int(done.sum())
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
        gtp &= (first >> 5 == 1) & (message == 0xFF)  # version 1, data
        size = at + 8 + 4 * ((first & 7) != 0)
        gtp &= _behind_extensions(frames, gtp & (first & 4 != 0), size)
        found["inside GTP-U"] += int(_ip_inside(frames, gtp, size, inside, kind).sum())
    if (l2tp := rows & (port == _L2TP)).any():
        _l2tp(frames, l2tp, at, inside, kind, found)


def _behind_extensions(frames: Frames, rows: Bool, size: Int64) -> Bool:
    """Move ``size`` behind the extension headers of GTP-U; return a mask of packets whose headers were understood."""
    understood = np.ones(len(rows), np.bool_)
    rows = rows.copy()
    for _ in range(_MOST_EXTENSIONS + 1):
        understood &= ~rows | _has(frames, rows, size, 4)
        rows &= understood
        rows[rows] = _word(frames, rows, size - 1, "u1") != 0
        if not rows.any():
            return understood
        words = _word(frames, rows, size, "u1")
        understood[rows] = words > 0
        size[rows] += 4 * words
    return understood & ~rows


def _l2tp(frames: Frames, rows: Bool, at: Int64, inside: Int64, kind: Int32, found: Counter[str]) -> None:
    """Enter data messages of L2TP, version 2 and 3."""
    flags = np.zeros(len(rows), np.int64)
    flags[rows] = _word(frames, rows, at)
    data, version = rows & (flags & 0x8000 == 0), flags & 0x0F
    size = at + 6 + 2 * (flags >> 14 & 1) + 4 * (flags >> 11 & 1)
    padded = _has(frames, data & (version == 2) & (flags & 0x0200 != 0), size, 2)
    size[padded] += 2 + _word(frames, padded, size)
    found["inside L2TP"] += int(_ppp_inside(frames, data & (version == 2), size, inside, kind).sum())
    _session(frames, data & (version == 3), at + 8, inside, kind, found)


def _session(frames: Frames, rows: Bool, at: Int64, inside: Int64, kind: Int32, found: Counter[str]) -> None:
    """Enter L2TPv3 data: the size of what stands before the frame is known to the two ends alone."""
    if not rows.any():
        return
    for size in _COOKIES:
        place, what = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.int32)
        good = _ethernet_inside(frames, rows & (inside == 0), at + size, place, what)
        if not good.any():
            continue
        four = good & (what == frame_kinds.IPV4)
        whole = np.zeros(len(rows), np.int64)
        whole[four] = _word(frames, four, place + 2)
        six = _has(frames, good & (what == frame_kinds.IPV6), place, 40)
        whole[six] = _word(frames, six, place + 4) + 40
        good &= (whole >= 20) & (frames.position + place + whole <= frames.wire_end)
        good &= frames.wire_end - frames.position - place - whole <= _PADDED
        inside[good], kind[good] = place[good], what[good]
        found["inside L2TPv3"] += int(good.sum())


def _ppp_inside(frames: Frames, rows: Bool, at: Int64, inside: Int64, kind: Int32) -> Bool:
    """Take PPP at some places for IP where its protocol and version say so; return a mask of those."""
    rows = _has(frames, rows, at, 4)
    at = at.copy()
    framed = rows.copy()
    framed[rows] = _word(frames, rows, at) == 0xFF03  # address and control (RFC 1662)
    at[framed] += 2
    protocol, first = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.int64)
    first[rows], protocol[rows] = _word(frames, rows, at, "u1"), _word(frames, rows, at)
    short = rows & (first & 1 == 1)  # compressed to one byte
    protocol[short] = first[short]
    rows &= np.isin(protocol, (0x21, 0x57))
    return _ip_inside(frames, rows, at + np.where(short, 1, 2), inside, kind)
