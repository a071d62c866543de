"""Link layers: where the network header is, and what the frame holds (tcpdump.org/linktypes.html)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from testbed.capture import frame_kinds
from testbed.capture.gather import gather
from testbed.model.arrays import Bool, Bytes, Int32, Int64

_DEEPEST = 64  # VLAN tags; a real frame has three at most
_SNAP = np.frombuffer(b"\xaa\xaa\x03\x00\x00\x00", np.uint8)


@dataclass(slots=True)
class Frames:
    """Some frames of one link type: ``position`` moves from the frame's first byte to the network header.

    ``end`` is where the captured bytes end, ``wire_end`` where those on the wire would; an inner length may bound both.
    ``what`` is a code of :mod:`testbed.capture.frame_kinds`: IPV4 and IPV6
    where ``position`` is of an IP header, else the frame's name.
    """

    buffer: Bytes
    position: Int64
    end: Int64
    wire_end: Int64
    what: Int32
    vlan: Int32
    vlan_tags: Int32

    @classmethod
    def of(cls, buffer: Bytes, start: Int64, captured: Int64, wire: Int64) -> Frames:
        """Return frames not yet looked into: where each starts, how many bytes are captured, how many it had."""
        count = len(start)
        zero = np.zeros(count, np.int32)
        return cls(
            buffer, start.copy(), start + captured, start + wire, zero.copy(), np.full(count, -1, np.int32), zero
        )

    def word(self, rows: Bool, at: int | Int64, layout: str = ">u2") -> Int32:
        """Return a header field at a distance from ``position``."""
        positions = np.minimum(self.position[rows] + at, len(self.buffer))
        return gather(self.buffer, positions, layout).astype(np.int32)

    def has(self, size: int) -> Bool:
        """Tell which frames have so many captured bytes from ``position`` on; the others are named cut."""
        whole: Bool = self.end - self.position >= size
        self.what[~whole & (self.what == 0)] = frame_kinds.LINK_CUT
        return whole


def find_network(frames: Frames, link_type: int) -> None:
    """Move ``position`` to the network header of each frame and set ``what``; for one of LINK_TYPES."""
    _DECODERS[link_type](frames)


def _ethertyped(type_at: int, header: int) -> Callable[[Frames], None]:
    """Return a decoder for a header that holds an EtherType."""

    def decode(frames: Frames) -> None:
        whole = frames.has(header)
        frames.what[whole] = frames.word(whole, type_at)
        frames.position[whole] += header
        _vlan_tags(frames, whole)
        _llc(frames, whole)
        _mpls(frames)
        _pppoe(frames)

    return decode


def _vlan_tags(frames: Frames, whole: Bool) -> None:
    """Step over 802.1Q and 802.1ad tags, however many."""
    tagged = whole & np.isin(frames.what, frame_kinds.VLAN_TAGS)
    for depth in range(_DEEPEST):
        if not tagged.any():
            return
        enough = frames.end - frames.position >= 4
        frames.what[tagged & ~enough] = frame_kinds.LINK_CUT
        tagged &= enough
        if not depth:
            frames.vlan[tagged] = frames.word(tagged, 0) & 0x0FFF
        frames.vlan_tags[tagged] += 1
        frames.what[tagged] = frames.word(tagged, 2)
        frames.position[tagged] += 4
        tagged &= np.isin(frames.what, frame_kinds.VLAN_TAGS)
    frames.what[tagged] = frame_kinds.VLAN_DEEP


def _llc(frames: Frames, whole: Bool) -> None:
    """Values below 0x600 are lengths (IEEE 802.3); a SNAP header behind them holds an EtherType (RFC 1042)."""
    plain = whole & (frames.what < 0x600)
    if not plain.any():
        return
    frames.what[plain] = frame_kinds.IEEE_8023
    long_enough = plain & (frames.end - frames.position >= 8)
    head = gather(frames.buffer, frames.position[long_enough], "V6").view(np.uint8).reshape(-1, 6)
    snap = np.zeros_like(plain)
    snap[long_enough] = (head == _SNAP).all(axis=1)
    frames.what[snap] = frames.word(snap, 6)
    frames.position[snap] += 8


def _mpls(frames: Frames) -> None:
    """Step over MPLS labels (RFC 3032); IP behind them is known by its version alone."""
    labelled = np.isin(frames.what, frame_kinds.MPLS)
    for _ in range(_DEEPEST):
        labelled &= frames.end - frames.position >= 5
        if not labelled.any():
            return
        bottom = np.zeros_like(labelled)
        bottom[labelled] = frames.word(labelled, 2, "u1") & 1 == 1
        frames.position[labelled] += 4
        _ip_version(frames, bottom)
        labelled &= ~bottom


def _ip_version(frames: Frames, rows: Bool) -> None:
    version = frames.word(rows, 0, "u1") >> 4
    frames.what[rows] = np.select([version == 4, version == 6], [frame_kinds.IPV4, frame_kinds.IPV6], frames.what[rows])


def _pppoe(frames: Frames) -> None:
    """Step over a PPPoE session header (RFC 2516) and the PPP protocol behind it; its length bounds what it carries."""
    session = (frames.what == frame_kinds.PPPOE) & (frames.end - frames.position >= 7)
    if session.any():
        frames.position[session] += 6
        behind = frames.position[session] + frames.word(session, -2)
        frames.end[session] = np.minimum(frames.end[session], behind)
        frames.wire_end[session] = np.minimum(frames.wire_end[session], behind)
        enter_ppp(frames, session)


def enter_ppp(frames: Frames, rows: Bool) -> None:
    """Step over a PPP protocol of two bytes, or of one where it was compressed (RFC 1661, section 6.5)."""
    rows = rows & (frames.end - frames.position >= 1)
    short = rows.copy()
    short[rows] = frames.word(rows, 0, "u1") & 1 == 1
    frames.what[short] = _ppp_kind(frames.word(short, 0, "u1"))
    frames.position[short] += 1
    full = rows & ~short & (frames.end - frames.position >= 2)
    frames.what[full] = _ppp_kind(frames.word(full, 0))
    frames.position[full] += 2


def _raw(frames: Frames) -> None:
    whole = frames.has(1)
    frames.what[whole] = frame_kinds.NOT_IP
    _ip_version(frames, whole)


def _only(what: int) -> Callable[[Frames], None]:
    def decode(frames: Frames) -> None:
        frames.what[:] = what

    return decode


def _loopback(frames: Frames) -> None:
    """DLT_NULL and DLT_LOOP: an address family of the capturing system, in either byte order."""
    whole = frames.has(4)
    big, little = frames.word(whole, 2), frames.word(whole, 0, "<u2")
    family = np.where(big > 0, big, little)
    v6 = np.isin(family, (10, 24, 28, 30))  # Linux, NetBSD, FreeBSD, macOS
    frames.what[whole] = np.select([family == 2, v6], [frame_kinds.IPV4, frame_kinds.IPV6], frame_kinds.NOT_IP)
    frames.position[whole] += 4


def _ppp(frames: Frames) -> None:
    """PPP (RFC 1661), with or without the HDLC address and control bytes (RFC 1662)."""
    framed = np.zeros(len(frames.position), np.bool_)
    whole = frames.has(2)
    framed[whole] = frames.word(whole, 0) == 0xFF03
    frames.position[framed] += 2
    enter_ppp(frames, frames.has(2))


def _ppp_kind(protocol: Int32) -> Int32:
    kind = np.select(
        [protocol == 0x21, protocol == 0x57], [frame_kinds.IPV4, frame_kinds.IPV6], protocol + frame_kinds.PPP_PROTOCOL
    )
    return kind.astype(np.int32)


def _radiotap(frames: Frames) -> None:
    """Step over a radiotap header (radiotap.org).

    Its flags say whether the 802.11 header behind it is padded, and whether a checksum of four bytes ends the frame.
    """
    whole = frames.has(8)
    length, present = np.zeros(len(whole), np.int64), np.zeros(len(whole), np.int64)
    length[whole] = frames.word(whole, 2, "<u2")
    present[whole] = frames.word(whole, 4, "<u4")
    known = whole & (length >= 8) & (frames.end - frames.position >= length)
    frames.what[whole & ~known] = frame_kinds.LINK_CUT
    fields = np.full(len(whole), 8)  # where the fields begin: behind all words of those that are present
    more = known & (present >> 31 & 1 == 1)
    for _ in range(_DEEPEST):
        more &= fields + 4 <= length
        if not more.any():
            break
        more[more] = frames.word(more, fields[more], "<u4") < 0
        fields[more] += 4
    fields += np.where(present >> 31 & 1 == 1, 4, 0)
    clocked = present & 1 == 1  # 8 bytes, aligned to 8
    at = np.where(clocked, (fields + 7 & ~7) + 8, fields)
    flagged = known & (present >> 1 & 1 == 1) & (at < length)
    flags = np.zeros(len(whole), np.int32)
    flags[flagged] = frames.word(flagged, at[flagged], "u1")
    padded, checked = flags & 0x20 != 0, flags & 0x10 != 0
    frames.wire_end[checked] -= 4
    frames.end = np.minimum(frames.end, frames.wire_end)
    frames.position[known] += length[known]
    _enter_wifi(frames, known, padded)


def _wifi(frames: Frames) -> None:
    whole = frames.has(2)
    _enter_wifi(frames, whole, np.zeros(len(whole), np.bool_))


def _enter_wifi(frames: Frames, rows: Bool, padded: Bool) -> None:
    """Step over an 802.11 header (IEEE 802.11, section 9.2) of unencrypted data to what LLC holds."""
    rows = rows & (frames.end - frames.position >= 2)
    kind, flags = np.zeros(len(rows), np.int32), np.zeros(len(rows), np.int32)
    kind[rows], flags[rows] = frames.word(rows, 0, "u1"), frames.word(rows, 1, "u1")
    data = rows & (kind & 0x0F == 0x08)
    frames.what[rows & ~data] = np.where(
        kind[rows & ~data] & 0x0C == 0, frame_kinds.WIFI_MANAGEMENT, frame_kinds.WIFI_CONTROL
    )
    quality = kind & 0x80 != 0
    size = 24 + 6 * (flags & 3 == 3) + 2 * quality + 4 * (quality & (flags & 0x80 != 0))
    parts = np.zeros(len(rows), np.int32)
    whole = data & (frames.end - frames.position >= size)
    frames.what[data & ~whole] = frame_kinds.LINK_CUT
    parts[whole] = frames.word(whole, 22, "<u2") & 0x0F | flags[whole] & 0x04
    several = whole & quality
    control = size - 2 - 4 * (flags & 0x80 != 0)
    several[several] = frames.word(several, control[several], "u1") & 0x80 != 0
    names = [
        (kind & 0x40 != 0, frame_kinds.WIFI_NO_DATA),
        (flags & 0x40 != 0, frame_kinds.WIFI_ENCRYPTED),
        (parts != 0, frame_kinds.WIFI_FRAGMENT),
        (several, frame_kinds.WIFI_AGGREGATE),
    ]
    what = np.select([mask for mask, _ in names], [code for _, code in names], 0)
    frames.what[whole] = what[whole]
    plain = whole & (what == 0)
    size += np.where(padded, -size % 4, 0)
    frames.position[plain] += size[plain]
    _llc(frames, plain)
    _mpls(frames)
    _pppoe(frames)


_DECODERS: dict[int, Callable[[Frames], None]] = {
    0: _loopback,
    1: _ethertyped(12, 14),
    9: _ppp,
    12: _raw,
    14: _raw,
    101: _raw,
    104: _ethertyped(2, 4),  # Cisco HDLC
    105: _wifi,  # 802.11
    108: _loopback,
    113: _ethertyped(14, 16),  # Linux cooked, of `-i any`
    127: _radiotap,  # 802.11 behind radiotap
    228: _only(frame_kinds.IPV4),
    229: _only(frame_kinds.IPV6),
    276: _ethertyped(0, 20),  # Linux cooked, version 2
}

LINK_TYPES = frozenset(_DECODERS)
"""The link types that can be decoded."""
