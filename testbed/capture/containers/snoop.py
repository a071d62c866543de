"""The snoop container (RFC 1761) of Solaris: a file header, then records that say how long each is with its padding."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np

from testbed.capture.columns import Interface, Records
from testbed.capture.containers.record_chain import WINDOW
from testbed.capture.gather import gather
from testbed.model.arrays import Bytes, Int64
from testbed.model.errors import CaptureError

HEADER = 16
_MAGIC = b"snoop\0\0\0"
_RECORD = np.dtype([(name, ">u4") for name in ("wire", "captured", "record", "drops", "seconds", "micros")])
_LONGEST = 262144 + _RECORD.itemsize + 4  # as in pcap: a longer record is damage
_LINKS = {0: 1, 4: 1, 2: 6, 8: 10}  # of RFC 1761 as those of pcap: Ethernet, token ring, FDDI


def is_snoop(magic: bytes) -> bool:
    """Tell whether a file that begins with these eight bytes is a snoop file."""
    return magic == _MAGIC


def pieces(data: Bytes) -> Iterator[Records]:
    """Yield the records of a snoop file window by window; raises CaptureError when its header cannot be used."""
    if len(data) < HEADER:
        raise CaptureError(f"cut at byte {len(data)}: the snoop file header needs {HEADER} bytes")
    version, link = struct.unpack(">II", data[8:HEADER].tobytes())
    if version != 2:
        raise CaptureError(f"byte 8: snoop version {version} is unknown")
    if link not in _LINKS:
        raise CaptureError(f"byte 12: the data link type {link} of snoop is not supported")
    for offsets, partial in _walk(data):
        fields = gather(data, offsets, _RECORD)
        seconds, micros = fields["seconds"].astype(np.int64), fields["micros"].astype(np.int64)
        yield Records(
            data=data,
            offset=offsets + _RECORD.itemsize,
            captured=fields["captured"].astype(np.int64),
            wire=fields["wire"].astype(np.int64),
            time_ns=seconds * 10**9 + micros * 1000,
            interface=np.zeros(len(offsets), np.int32),
            interfaces=(Interface(_LINKS[link], 0, 10**6),),
            partial=partial,
        )


def _walk(data: Bytes) -> Iterator[tuple[Int64, str | None]]:
    """Yield the offsets of each window's whole records, and what is wrong with the first that is not whole."""
    lengths_at = struct.Struct(">II").unpack_from
    view, size, head = data.data, len(data), _RECORD.itemsize
    position, number, found, limit = HEADER, 1, list[int](), WINDOW
    partial = None
    while position < size and partial is None:
        left = size - position
        captured, record = lengths_at(view, position + 4) if left >= head else (0, head)
        if left < head:
            partial = f"cut at byte {size}: record {number} needs a {head}-byte header, {left} are there"
        elif record > _LONGEST or record < head + captured:
            partial = f"damaged at byte {position + 8}: record {number} claims {record} bytes, {captured} of its packet"
        elif head + captured > left:
            partial = f"cut at byte {size}: record {number} needs {captured} bytes, {left - head} are there"
        else:
            found.append(position)
            position += record
            number += 1
        if position >= limit:
            yield np.array(found, np.int64), None
            found, limit = [], position + WINDOW
    yield np.array(found, np.int64), partial
