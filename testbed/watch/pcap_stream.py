"""A capture as it comes from tcpdump: cut into packets, and kept in a file of bounded size."""

from __future__ import annotations

import struct
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, Protocol

FILE_HEADER, RECORD_HEADER = 24, 16
_BIG_ENDIAN = (b"\xa1\xb2\x3c\x4d", b"\xa1\xb2\xc3\xd4")
_FRAME = struct.Struct(">cI")
_PAGES = (b"P", b"p")
PARTS = 8
"""Of how many files a ring is made: the oldest goes when the newest is full."""


class PcapRecords:
    """Cuts the bytes of a pcap file, given piece by piece, into whole records. ``header`` is the file's own."""

    def __init__(self) -> None:
        self.header = b""
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        """Return the whole records that these bytes complete, one behind the other; empty if there is none."""
        self._rest += data
        if not self.header:
            if len(self._rest) < FILE_HEADER:
                return b""
            self.header, self._rest = self._rest[:FILE_HEADER], self._rest[FILE_HEADER:]
        end = 0
        for size in sizes(self.header, self._rest):
            end += size
        whole, self._rest = self._rest[:end], self._rest[end:]
        return whole


def sizes(header: bytes, records: bytes) -> Iterator[int]:
    """Yield the bytes of each whole record, its own header among them."""
    order: Literal["big", "little"] = "big" if header[:4] in _BIG_ENDIAN else "little"
    at = 0
    while len(records) >= at + RECORD_HEADER:
        size = RECORD_HEADER + int.from_bytes(records[at + 8 : at + 12], order)
        if len(records) < at + size:
            return
        yield size
        at += size


class TraceFrames:
    """Cuts a recording of the kernel's trace: records are pages of its buffers, ``header`` is all else (witness.c)."""

    def __init__(self) -> None:
        self.header = b""
        self._rest = bytearray()

    def feed(self, data: bytes) -> bytes:
        """Return the pages that these bytes complete."""
        self._rest += data
        pages = []
        at = 0
        while len(self._rest) - at >= _FRAME.size:
            kind, size = _FRAME.unpack_from(self._rest, at)
            end = at + _FRAME.size + size
            if len(self._rest) < end:
                break
            frame = bytes(self._rest[at:end])
            if kind in _PAGES:
                pages.append(frame)
            else:
                self.header += frame
            at = end
        del self._rest[:at]
        return b"".join(pages)


class Splitter(Protocol):
    """Cuts a file's bytes into records; ``header`` is what stays of it in any case."""

    header: bytes

    def feed(self, data: bytes) -> bytes:
        """Return the whole records that these further bytes complete."""


@dataclass(slots=True)
class _Part:
    path: Path
    size: int = 0
    written: int = 0


class RingFile:
    """A capture file of at most ``limit`` bytes (0: any number): of what is written the newest packets stay.

    Written like a binary file. While it is written it is in parts beside ``path`` (``.client.pcap.0``); :meth:`close`
    puts them together. ``dropped`` counts the bytes of records that went; all since ``complete_since`` (ns, by our
    clock: when the last that went was written) is there. ``made`` counts parts.
    """

    def __init__(self, path: Path, limit: int, records: Splitter | None = None) -> None:
        self.path = path
        self.dropped = 0
        self.complete_since = 0
        self.made = 0
        self._limit = limit
        self._records = records or PcapRecords()
        self._parts: deque[_Part] = deque()
        self._out: BinaryIO | None = None
        self._closed = False

    def write(self, data: bytes) -> None:
        """Take the next bytes of the capture; none once it is closed. Raises OSError where the disk takes no more."""
        if self._closed:
            return
        whole = self._records.feed(data)
        if not whole:
            return
        share = max(1, self._limit // PARTS)
        if self._out is None or (self._limit and self._parts[-1].size + len(whole) > share and self._parts[-1].size):
            self._next_part()
        assert self._out is not None  # noqa: S101 - just opened
        self._out.write(whole)
        newest = self._parts[-1]
        newest.size += len(whole)
        newest.written = time.time_ns()
        while self._limit and len(self._parts) > 1 and sum(part.size for part in self._parts) > self._limit:
            oldest = self._parts.popleft()
            oldest.path.unlink()
            self.dropped += oldest.size
            self.complete_since = oldest.written

    def flush(self) -> None:
        """Give what was written to the system."""
        if self._out is not None:
            self._out.flush()

    def close(self) -> None:
        """Make the file of its parts. Raises OSError where the disk takes no more."""
        if self._closed:
            return
        self._closed = True
        if self._out is not None:
            self._out.close()
        with self.path.open("wb") as whole:
            whole.write(self._records.header)
            for part in self._parts:
                with part.path.open("rb") as source:
                    while block := source.read(1 << 20):
                        whole.write(block)
                part.path.unlink()

    def _next_part(self) -> None:
        if self._out is not None:
            self._out.close()
        path = self.path.with_name(f".{self.path.name}.{self.made}")
        self.made += 1
        self._out = path.open("wb")
        self._parts.append(_Part(path))


def without_frames(path: Path, frames: frozenset[int]) -> None:
    """Take packets out of a pcap file, by their numbers from 1. The file is replaced as a whole."""
    if not frames:
        return
    data = path.read_bytes()
    header, records = data[:FILE_HEADER], data[FILE_HEADER:]
    kept = [header]
    at = 0
    for number, size in enumerate(sizes(header, records), 1):
        if number not in frames:
            kept.append(records[at : at + size])
        at += size
    fresh = path.with_name(f".{path.name}")
    fresh.write_bytes(b"".join(kept))
    fresh.replace(path)
