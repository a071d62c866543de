"""The pcap container (IETF draft-ietf-opsawg-pcap): a file header, then records one after the other."""

from __future__ import annotations

import struct

import numpy as np

from testbed.capture.columns import Interface, Records
from testbed.capture.gather import Bytes, Int64, gather
from testbed.errors import CaptureError

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
_BATCH = 1 << 18
_LONGEST = 262144  # libpcap's MAXIMUM_SNAPLEN: a longer record in a file with a smaller snap length is damage


def is_pcap(magic: bytes) -> bool:
    """Tell whether a file that begins with these four bytes is a pcap file."""
    return magic in _MAGIC or magic in _MODIFIED


def records(data: Bytes) -> Records:
    """Return the records of a pcap file; raises CaptureError when its header cannot be used."""
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
    offsets, partial = _walk(data, order, max(snap, _LONGEST))
    header = np.dtype([(name, order + "u4") for name in ("seconds", "ticks", "captured", "wire")])
    fields = gather(data, offsets, header)
    return Records(
        data=data,
        offset=offsets + _RECORD,
        captured=fields["captured"].astype(np.int64),
        wire=fields["wire"].astype(np.int64),
        time_ns=fields["seconds"].astype(np.int64) * 10**9 + fields["ticks"].astype(np.int64) * (10**9 // resolution),
        interface=np.zeros(len(offsets), np.int32),
        interfaces=(Interface(link & 0xFFFF, snap, resolution),),
        partial=partial,
    )


def _walk(data: Bytes, order: str, longest: int) -> tuple[Int64, str | None]:
    """Return the offset of each whole record, and what is wrong with the first that is not whole."""
    size = len(data)
    if size == _HEADER:
        return np.zeros(0, np.int64), None
    length_at = struct.Struct(order + "I").unpack_from
    view = data.data
    batches: list[Int64] = []
    position = _HEADER
    last = size - _RECORD
    partial = None
    while position < size and partial is None:
        found: list[int] = []
        add = found.append
        while position <= last and len(found) < _BATCH:
            (captured,) = length_at(view, position + 8)
            if captured > longest or captured > last - position:
                break
            add(position)
            position += _RECORD + captured
        batches.append(np.array(found, np.int64))
        if len(found) < _BATCH and position < size:
            number = sum(map(len, batches)) + 1
            partial = _complaint(view, position, number, length_at, longest)
    return np.concatenate(batches), partial


def _complaint(view: memoryview, position: int, number: int, length_at: object, longest: int) -> str:
    left = len(view) - position
    if left < _RECORD:
        return f"cut at byte {len(view)}: record {number} needs a {_RECORD}-byte header, {left} are there"
    captured = length_at(view, position + 8)[0]  # type: ignore[operator]
    if captured > longest:
        return f"damaged at byte {position + 8}: record {number} claims {captured} bytes"
    return f"cut at byte {len(view)}: record {number} needs {captured} bytes, {left - _RECORD} are there"
