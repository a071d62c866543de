"""The pcapng container (IETF draft-ietf-opsawg-pcapng): sections of blocks, several interfaces, options."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from ctypes import CDLL
from dataclasses import dataclass, field

import numpy as np

from testbed.capture.columns import Interface, Records
from testbed.capture.compiled import Walk, address, walk_pcapng
from testbed.capture.containers.record_chain import WINDOW, Next, Plausible, Runs, find_runs
from testbed.capture.gather import gather, spread
from testbed.model.arrays import Bool, Bytes, Int64, UInt8, UInt64
from testbed.model.errors import CaptureError

_SECTION = 0x0A0D0D0A  # reads the same in both byte orders
_INTERFACE = 1
_PACKET = 2  # obsolete
_SIMPLE = 3
_ENHANCED = 6
_SMALLEST = 32  # bytes of an enhanced packet block
_NEAR = 8 << 20  # bytes that stay in a processor's cache
_PACKETS = (_PACKET, _SIMPLE, _ENHANCED)
_MAGIC = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}

_COMMENT = 1
_EPB_FLAGS = 2  # of an enhanced packet block; its two lowest bits are as in testbed.model.ways
_IF_NAME = 2
_IF_TSRESOL = 9
_IF_TSOFFSET = 14


class _Damage(Exception):  # noqa: N818 - it ends the walk, what was read before it counts
    """Why the walk cannot go on, as one line."""


@dataclass(slots=True)
class _Section:
    """One section: its byte order and its interfaces."""

    order: str
    first_interface: int
    interfaces: int = 0


@dataclass(slots=True)
class _File:
    data: Bytes
    view: memoryview
    sections: list[_Section] = field(default_factory=list)
    interfaces: list[Interface] = field(default_factory=list)
    comments: list[tuple[int, str]] = field(default_factory=list)
    runs: list[Int64] = field(default_factory=list)  # packet blocks not yet handed on
    packets: int = 0  # that were handed on
    ways: dict[int, int] = field(default_factory=dict)  # by the rows of the packets last read

    def rest(self) -> Int64:
        """Hand on the offsets of the packet blocks found since the last time."""
        blocks = np.concatenate([*self.runs, np.zeros(0, np.int64)])
        self.runs.clear()
        self.packets += len(blocks)
        return blocks


def is_pcapng(magic: bytes) -> bool:
    """Tell whether a file that begins with these four bytes is a pcapng file."""
    return magic == b"\x0a\x0d\x0d\x0a"


def pieces(data: Bytes, code: CDLL | None = None) -> Iterator[Records]:
    """Yield the packets of a pcapng file; raises CaptureError when its first section header cannot be used."""
    file = _File(data, data.data)
    frames = 0
    walk = _walk(file, code)
    partial = None
    while partial is None:
        try:
            section, blocks = next(walk)
        except StopIteration:
            return
        except _Damage as damage:
            if not file.sections:
                raise CaptureError(str(damage)) from None
            partial = str(damage)
            section, blocks = file.sections[-1], file.rest()
        columns, complaint = _packets(file, section, frames, blocks)
        offset, captured, wire, time_ns, interface = columns
        frames += len(offset)
        partial = complaint or partial
        yield Records(
            data=data,
            offset=offset,
            captured=captured,
            wire=wire,
            time_ns=time_ns,
            interface=interface.astype(np.int32),
            interfaces=tuple(file.interfaces),
            comments=tuple(file.comments),
            partial=partial,
            way=_way_column(file.ways, len(offset)),
        )


def _walk(file: _File, code: CDLL | None) -> Iterator[tuple[_Section, Int64]]:
    """Step from block to block, yielding packet blocks; raises _Damage at the first block that cannot be right."""
    view = file.view
    size = len(view)
    position = 0
    section: _Section | None = None
    pair = struct.Struct("<II").unpack_from
    runs = Runs([], [], [])
    limit = 0
    while position < size:
        if position >= limit and section is not None:
            if limit:
                yield section, file.rest()
            if code is None:
                runs, limit = find_runs(file.data, position, *_many(file.data, section.order)), position + WINDOW
            else:
                limit = position + _NEAR
                runs = _compiled(code, file.data, section.order, position, limit)
        while section is not None and (run := runs.at(position)) is not None:
            file.runs.append(run[0])
            position = run[1]
        if position >= size:
            break
        if size - position < 12:
            raise _Damage(f"cut at byte {size}: a block needs 12 bytes, {size - position} are there")
        kind, length = pair(view, position)
        if kind == _SECTION:
            if section is not None:
                yield section, file.rest()
            section, length = _section(file, position)
            pair = struct.Struct(section.order + "II").unpack_from
            runs, limit = Runs([], [], []), 0
        if section is None:
            raise _Damage(f"byte {position}: a block before any section header")
        if length < 12 or length & 3:
            raise _Damage(f"damaged at byte {position + 4}: a block claims {length} bytes")
        if length > size - position:
            raise _Damage(_cut(file, kind, length, position))
        if pair(view, position + length - 8)[1] != length:
            raise _Damage(f"damaged at byte {position + length - 4}: a block's two lengths differ")
        if kind in _PACKETS:
            file.runs.append(np.array([position], np.int64))
        elif kind == _INTERFACE:
            _interface(file, section, position, length)
        position += length
        if code is not None and position < limit:
            runs = _compiled(code, file.data, section.order, position, limit)
    if section is not None:
        yield section, file.rest()


def _compiled(code: CDLL, data: Bytes, order: str, position: int, limit: int) -> Runs:
    """Return the packet blocks from a position on, as far as they follow each other."""
    walk = Walk(address(data), len(data), position, min(limit, len(data)), 0, order == ">")
    blocks = walk_pcapng(code, walk, _NEAR // _SMALLEST)
    return Runs([position], [blocks], [walk.position]) if len(blocks) else Runs([], [], [])


def _many(data: Bytes, order: str) -> tuple[Next, Plausible]:
    """Return how to step over many enhanced packet blocks, and how to tell where one may start."""
    size = len(data)
    word = np.dtype(order + "u4")
    head = np.dtype([("kind", word), ("length", word)])

    def following(positions: Int64) -> Int64:
        inside = positions <= size - 32
        fields = gather(data, np.where(inside, positions, 0), head)
        length = fields["length"].astype(np.int64)
        good = inside & (fields["kind"] == _ENHANCED) & (length >= 32) & (length & 3 == 0)
        good &= length <= size - positions
        good[good] = gather(data, positions[good] + length[good] - 4, word) == length[good]
        return np.where(good, positions + length, -1)

    def plausible(starts: Int64, far: int) -> tuple[Int64, Int64]:
        lanes, at = np.nonzero(spread(data, starts, far // 4, order + "u4", 4) == _ENHANCED)
        return lanes, starts[lanes] + at * 4

    return following, plausible


def _cut(file: _File, kind: int, length: int, position: int) -> str:
    size = len(file.data)
    number = file.packets + sum(map(len, file.runs)) + 1
    what = f"record {number}" if kind in _PACKETS else f"a block of type {kind}"
    return f"cut at byte {size}: {what} needs {length} bytes, {size - position} are there"


def _section(file: _File, position: int) -> tuple[_Section, int]:
    head = file.data[position : position + 28].tobytes()
    order = _MAGIC.get(head[8:12])
    if order is None:
        raise _Damage(f"byte {position + 8}: no byte-order magic in the section header")
    if len(head) < 28:
        raise _Damage(f"cut at byte {len(file.data)}: a section header needs 28 bytes, {len(head)} are there")
    length, _, major, minor = struct.unpack(order + "IIHH", head[4:16])
    if major != 1:
        raise _Damage(f"byte {position + 12}: pcapng version {major}.{minor} is unknown")
    if length < 28:
        raise _Damage(f"damaged at byte {position + 4}: a section header claims {length} bytes")
    section = _Section(order, len(file.interfaces))
    file.sections.append(section)
    if length <= len(file.data) - position:
        for code, value in _options(file, order, position + 24, position + length - 4):
            if code == _COMMENT:
                file.comments.append((0, value.decode(errors="replace")))
    return section, length


def _interface(file: _File, section: _Section, position: int, length: int) -> None:
    if length < 20:
        raise _Damage(f"damaged at byte {position + 4}: an interface block claims {length} bytes")
    body = file.data[position + 8 : position + 16].tobytes()
    link, _, snap = struct.unpack(section.order + "HHI", body)
    resolution, offset, name = 10**6, 0, ""
    for code, value in _options(file, section.order, position + 16, position + length - 4):
        if code == _IF_NAME:
            name = value.decode(errors="replace")
        elif code == _IF_TSRESOL and value:
            resolution = 2 ** (value[0] & 0x7F) if value[0] & 0x80 else 10 ** value[0]
        elif code == _IF_TSOFFSET and len(value) == 8:
            (offset,) = struct.unpack(section.order + "q", value)
        elif code == _COMMENT:
            file.comments.append((0, value.decode(errors="replace")))
    number = len(file.sections) - 1
    file.interfaces.append(Interface(link, snap, resolution, offset, name, number))
    section.interfaces += 1


def _options(file: _File, order: str, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Yield (code, value) until the end mark; a broken option ends the list, the block stays good."""
    while end - start >= 4:
        code, length = struct.unpack_from(order + "HH", file.view, start)
        if code == 0 or length > end - start - 4:
            return
        yield code, file.data[start + 4 : start + 4 + length].tobytes()
        start += 4 + (length + 3 & ~3)


def _packets(
    file: _File, section: _Section, frames: int, blocks: Int64
) -> tuple[tuple[Int64, Int64, Int64, Int64, Int64], str | None]:
    """Return offset, captured, wire, time and interface of some packets of a section, and why they end early."""
    word = section.order + "u4"
    names = ("kind", "length", "interface", "high", "low", "captured", "wire")
    head = gather(file.data, blocks, np.dtype([(name, word) for name in names]))
    simple = head["kind"] == _SIMPLE
    # the obsolete block has a 16-bit interface and a drop count where the enhanced one has 32 bits
    short = gather(file.data, blocks + 8, section.order + "u2").astype(np.int64)
    interface = np.where(head["kind"] == _PACKET, short, np.where(simple, 0, head["interface"].astype(np.int64)))
    wire = np.where(simple, head["interface"], head["wire"]).astype(np.int64)
    room = head["length"].astype(np.int64) - np.where(simple, 16, 32)
    captured = np.where(simple, np.minimum(wire, room), head["captured"].astype(np.int64))
    if simple.any() and section.interfaces:
        snap = file.interfaces[section.first_interface].snap_length
        captured = np.where(simple & (captured > snap) & (snap > 0), snap, captured)
    bad = (room < 0) | (captured > room) | (interface >= section.interfaces)
    complaint = None
    if bad.any():
        first = int(bad.argmax())
        complaint = f"damaged at byte {blocks[first]}: record {frames + first + 1} "
        if interface[first] >= section.interfaces:
            complaint += f"is of interface {interface[first]} of {section.interfaces}"
        else:
            complaint += f"claims {captured[first]} bytes in a block of {head['length'][first]}"
    count = int(bad.argmax()) if complaint else len(blocks)
    kept = slice(count)
    interface = interface[kept] + section.first_interface
    simple = simple[kept]
    offset = blocks[kept] + np.where(simple, 12, 28)
    _packet_options(
        file, section.order, frames, offset + (captured[kept] + 3 & ~3), (blocks + head["length"])[kept], simple
    )
    ticks = head["high"][kept].astype(np.uint64) << np.uint64(32) | head["low"][kept]
    time_ns = np.zeros(count, np.int64)
    timed = np.flatnonzero(~simple)  # a simple packet block has no time
    order = timed[np.argsort(interface[timed], kind="stable")]
    changes = np.flatnonzero(np.diff(interface[order])) + 1
    for mine in np.split(order, changes) if len(order) else ():
        time_ns[mine] = _nanoseconds(ticks[mine], file.interfaces[interface[mine[0]]])
    return (offset, captured[kept], wire[kept], time_ns, interface), complaint


def _way_column(known: dict[int, int], count: int) -> UInt8:
    if not known:
        return np.zeros(0, np.uint8)
    column = np.zeros(count, np.uint8)
    column[list(known)] = list(known.values())
    return column


def _packet_options(file: _File, order: str, frames: int, start: Int64, end: Int64, simple: Bool) -> None:
    """Read comments and directions."""
    file.ways.clear()
    for row in np.flatnonzero((end - start >= 8) & ~simple):
        for code, value in _options(file, order, int(start[row]), int(end[row]) - 4):
            if code == _COMMENT:
                file.comments.append((frames + int(row) + 1, value.decode(errors="replace")))
            elif code == _EPB_FLAGS and len(value) == 4 and (way := value[0 if order == "<" else 3] & 3) < 3:
                file.ways[int(row)] = way


def _nanoseconds(ticks: UInt64, interface: Interface) -> Int64:
    """Return time stamps in ns; what does not fit 64 bits wraps, as no real time does."""
    resolution = interface.resolution
    if 10**9 % resolution == 0:
        times = ticks * np.uint64(10**9 // resolution)
    elif resolution % 10**9 == 0:
        times = ticks // np.uint64(min(resolution // 10**9, 2**64 - 1))
    else:  # a power of two beyond 2**9
        power = resolution.bit_length() - 1
        if power > 63:
            ticks, power = ticks >> np.uint64(min(power - 63, 63)), 63
        seconds = ticks >> np.uint64(power)
        rest = ticks & np.uint64(2**power - 1)
        fine = max(power - 34, 0)  # 2**-34 s is 58 ps: below a nanosecond, and rest * 10**9 fits
        rest = (rest >> np.uint64(fine)) * np.uint64(10**9) >> np.uint64(power - fine)
        times = seconds * np.uint64(10**9) + rest
    shift = (interface.offset * 10**9 + 2**63) % 2**64 - 2**63
    return times.astype(np.int64) + np.int64(shift)
