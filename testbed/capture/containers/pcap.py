"""The pcap container (IETF draft-ietf-opsawg-pcap): a file header, then records one after the other."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from ctypes import CDLL

import numpy as np

from testbed.capture.columns import Interface, Records
from testbed.capture.compiled import FindsUsual, Walk, address, walk_pcap
from testbed.capture.containers.record_chain import WINDOW, Next, Plausible, find_runs
from testbed.capture.gather import gather, spread
from testbed.capture.interface_ways import says_ways
from testbed.model.arrays import Bytes, Int64
from testbed.model.errors import CaptureError

# magic as bytes in the file -> byte order, ticks per second
_MAGIC = {
    b"\xd4\xc3\xb2\xa1": ("<", 10**6),
    b"\xa1\xb2\xc3\xd4": (">", 10**6),
    b"\x4d\x3c\xb2\xa1": ("<", 10**9),
    b"\xa1\xb2\x3c\x4d": (">", 10**9),
}
_MODIFIED = (b"\x34\xcd\xb2\xa1", b"\xa1\xb2\xcd\x34")  # Kuznetzov's, with longer record headers
_HEADER = 24
_RECORD = 16
_NEAR = 16 << 20  # bytes read at once: half as many parts cost less than a cache that no longer holds them
_ROOM = 1 << 16  # records found at once
_LOOK = 64  # records walked one by one before looking whether a run goes on from there
_SPAN = 30 * 86400  # seconds around the first packet in which others are expected
_LONGEST = 262144  # libpcap's MAXIMUM_SNAPLEN: a longer record in a file with a smaller snap length is damage


def is_pcap(magic: bytes) -> bool:
    """Tell whether a file that begins with these four bytes is a pcap file."""
    return magic in _MAGIC or magic in _MODIFIED


def pieces(data: Bytes, code: CDLL | None = None, usual: FindsUsual | None = None) -> Iterator[Records]:
    """Yield the records of a pcap file window by window; raises CaptureError when its header cannot be used.

    ``code`` finds the records, if given, and ``usual`` then takes what it can of them at once.
    """
    magic = data[:4].tobytes()
    if magic in _MODIFIED:
        raise CaptureError("byte 0: the 'modified' pcap format (magic a1b2cd34) is not supported")
    if len(data) < _HEADER:
        raise CaptureError(f"cut at byte {len(data)}: the pcap file header needs {_HEADER} bytes")
    order, resolution = _MAGIC[magic]
    major, minor, _, _, snap, link = struct.unpack(order + "HHiIII", data[4:_HEADER].tobytes())
    if major != 2:
        raise CaptureError(f"byte 4: pcap version {major}.{minor} is unknown")
    if link & 0x03FF0000:  # above them stand the length of the Ethernet FCS and whether it is there
        raise CaptureError(f"byte 20: reserved bits of the link type are set (0x{link:08x})")
    longest = max(snap, _LONGEST)
    walk = _fields(data, order, resolution, longest)
    if code is not None:
        tick, link_type = 10**9 // resolution, link & 0xFFFF

        def find(walk: Walk) -> tuple[Fields, Int64 | None]:
            if usual is not None and not says_ways(link_type):
                return usual.read_pcap(walk, longest, tick, _ROOM, link_type)
            return walk_pcap(code, walk, longest, tick, _ROOM), None

        walk = _compiled(find, data, order, longest)
    for (offset, captured, wire, time_ns), partial, left in walk:
        yield Records(
            data=data,
            offset=offset,
            captured=captured,
            wire=wire,
            time_ns=time_ns,
            interface=np.zeros(len(offset), np.int32),
            interfaces=(Interface(link & 0xFFFF, snap, resolution),),
            partial=partial,
            left=left,
        )


Fields = tuple[Int64, ...]  # offset, captured, wire, time_ns of each record


Found = tuple[Fields, str | None, Int64 | None]  # ..., what is wrong with the next record, what is left


def _compiled(
    find: Callable[[Walk], tuple[Fields, Int64 | None]], data: Bytes, order: str, longest: int
) -> Iterator[Found]:
    """Yield what :func:`_fields` does, of smaller parts: what C has just touched is near when it is decoded."""
    size = len(data)
    walk = Walk(address(data), size, _HEADER, 0, 0, order == ">")
    number = 1
    while True:
        walk.limit = min(walk.position + _NEAR, size)
        fields, left = find(walk)
        number += len(fields[0])
        whole = walk.position >= walk.limit or len(fields[0]) == _ROOM
        length_at = struct.Struct(order + "I").unpack_from
        yield fields, None if whole else _complaint(data.data, walk.position, number, length_at, longest), left
        if not whole or walk.position >= size:
            return


def _fields(data: Bytes, order: str, resolution: int, longest: int) -> Iterator[Found]:
    """Yield what the headers of each window's records hold, and what is wrong with the first that is not whole."""
    header = np.dtype([(name, order + "u4") for name in ("seconds", "ticks", "captured", "wire")])
    for offsets, partial in _walk(data, order, resolution, longest):
        fields = gather(data, offsets, header)
        captured, wire = fields["captured"].astype(np.int64), fields["wire"].astype(np.int64)
        seconds, ticks = fields["seconds"].astype(np.int64), fields["ticks"].astype(np.int64)
        yield (offsets + _RECORD, captured, wire, seconds * 10**9 + ticks * (10**9 // resolution)), partial, None


def _walk(data: Bytes, order: str, resolution: int, longest: int) -> Iterator[tuple[Int64, str | None]]:
    """Yield the offsets of each window's whole records, and what is wrong with the first that is not whole."""
    size = len(data)
    length_at = struct.Struct(order + "I").unpack_from
    view = data.data
    many = _many(data, order, resolution, longest)
    position = _HEADER
    last = size - _RECORD
    number = 1
    whole = True
    while whole:
        runs = find_runs(data, position, *many)
        limit = min(position + WINDOW, size)
        batches: list[Int64] = [np.zeros(0, np.int64)]
        while whole and position < limit:
            while (run := runs.at(position)) is not None:
                batches.append(run[0])
                position = run[1]
            found: list[int] = []
            while position < limit and len(found) < _LOOK:
                captured = length_at(view, position + 8)[0] if position <= last else longest + 1
                whole = captured <= longest and captured <= last - position
                if not whole:
                    break
                found.append(position)
                position += _RECORD + captured
            batches.append(np.array(found, np.int64))
        offsets = np.concatenate(batches)
        number += len(offsets)
        yield offsets, None if whole else _complaint(view, position, number, length_at, longest)
        if position >= size:
            return


def _many(data: Bytes, order: str, resolution: int, longest: int) -> tuple[Next, Plausible]:
    """Return how to step from many records to the next ones, and how to tell where one may start."""
    last = len(data) - _RECORD
    word = np.dtype(order + "u4")
    began = int(gather(data, np.array([_HEADER]), word)[0])
    earliest = max(began - _SPAN, 0)
    fields = np.dtype([(name, word) for name in ("seconds", "ticks", "captured", "wire")])

    def following(positions: Int64) -> Int64:
        inside = positions <= last
        captured = np.zeros(len(positions), np.int64)
        captured[inside] = gather(data, positions[inside] + 8, word)
        good = inside & (captured <= longest) & (captured <= last - positions)
        return np.where(good, positions + _RECORD + captured, -1)

    def plausible(starts: Int64, far: int) -> tuple[Int64, Int64]:
        seconds = spread(data, starts, far, order + "u4")
        lanes, at = np.nonzero(seconds - np.uint32(earliest) <= np.uint32(2 * _SPAN))
        positions = starts[lanes] + at
        head = gather(data, positions, fields)
        good = (head["ticks"] < resolution) & (head["captured"] <= head["wire"]) & (head["captured"] <= longest)
        good &= head["captured"] > 0
        return lanes[good], positions[good]

    return following, plausible


def _complaint(view: memoryview, position: int, number: int, length_at: object, longest: int) -> str:
    left = len(view) - position
    if left < _RECORD:
        return f"cut at byte {len(view)}: record {number} needs a {_RECORD}-byte header, {left} are there"
    captured = length_at(view, position + 8)[0]  # type: ignore[operator]
    if captured > longest:
        return f"damaged at byte {position + 8}: record {number} claims {captured} bytes"
    return f"cut at byte {len(view)}: record {number} needs {captured} bytes, {left - _RECORD} are there"
