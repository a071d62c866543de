"""A capture as it comes from tcpdump: cut into packets, and kept in a file of bounded size."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal

FILE_HEADER, RECORD_HEADER = 24, 16
_BIG_ENDIAN = (b"\xa1\xb2\x3c\x4d", b"\xa1\xb2\xc3\xd4")
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


class RingFile:
    """A capture file of at most ``limit`` bytes (0: any number): of what is written the newest packets stay.

    Written like a binary file. While it is written it is in parts beside ``path`` (``.client.pcap.0``); :meth:`close`
    puts them together. ``dropped`` counts the bytes of packets that went.
    """

    def __init__(self, path: Path, limit: int) -> None:
        self.path = path
        self.dropped = 0
        self._limit = limit
        self._records = PcapRecords()
        self._parts: deque[tuple[Path, int]] = deque()
        self._out: BinaryIO | None = None
        self._made = 0
        self._closed = False

    def write(self, data: bytes) -> None:
        """Take the next bytes of the capture. Raises OSError where the disk takes no more."""
        whole = self._records.feed(data)
        if not whole:
            return
        share = max(1, self._limit // PARTS)
        if self._out is None or (self._limit and self._parts[-1][1] + len(whole) > share and self._parts[-1][1]):
            self._next_part()
        assert self._out is not None  # noqa: S101 - just opened
        self._out.write(whole)
        path, size = self._parts.pop()
        self._parts.append((path, size + len(whole)))
        while self._limit and len(self._parts) > 1 and sum(size for _, size in self._parts) > self._limit:
            oldest, size = self._parts.popleft()
            oldest.unlink()
            self.dropped += size

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
            for part, _ in self._parts:
                with part.open("rb") as source:
                    while block := source.read(1 << 20):
                        whole.write(block)
                part.unlink()

    def _next_part(self) -> None:
        if self._out is not None:
            self._out.close()
        path = self.path.with_name(f".{self.path.name}.{self._made}")
        self._made += 1
        self._out = path.open("wb")
        self._parts.append((path, 0))


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
