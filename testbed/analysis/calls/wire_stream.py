"""Stream bytes as one capture shows them: segments put together, the first transmission of a byte wins.

Pieces stay apart where bytes are missing, so an offset of 4 GiB costs no memory for bytes that are missing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import xxhash

from testbed.model import Crossing, PayloadChange
from testbed.model.intervals import IntervalSet

Point = Literal["sent", "arrived"]


def digest_of(data: bytes | memoryview) -> str:
    """Return the XXH3-64 of ``data`` as 16 hex digits, as the observers write it."""
    return xxhash.xxh3_64_hexdigest(data)


def first_difference(left: bytes, right: bytes) -> int | None:
    """Return the first index at which two byte strings of one length differ, None if they are equal."""
    if left == right:
        return None
    low, high = 0, min(len(left), len(right))
    while low < high:
        middle = (low + high) // 2
        if left[low : middle + 1] == right[low : middle + 1]:
            low = middle + 1
        else:
            high = middle
    return low


@dataclass(frozen=True, slots=True)
class ByteRun:
    """Bytes without a gap, from stream offset ``start``."""

    start: int
    data: bytes

    @property
    def end(self) -> int:
        """Stream offset after the last byte."""
        return self.start + len(self.data)


class WireBytes:
    """The distinct bytes of one direction of one flow at one capture.

    ``whole``: no packet was cut as it was captured; else bytes are counted, and none of them is known.
    """

    def __init__(self, segments: Iterable[tuple[int, bytes, int]] = ()) -> None:
        """Take ``(stream offset, payload, its length on the wire)`` in the order in which the capture has them."""
        self._known = IntervalSet()
        self.whole = True
        pieces: list[tuple[int, bytes]] = []
        for start, payload, length in segments:
            self.whole = self.whole and len(payload) == length
            # a probe below the stream's first byte carries none of it
            for first, end in self._known.add(max(start, 0), start + length):
                pieces.append((first, payload[first - start : end - start]))
        self.runs = _joined(self._known, pieces) if self.whole else ()
        self._starts = [run.start for run in self.runs]
        self.total = self._known.total
        self.high = self._known.end if self._known else 0

    def slice(self, start: int, end: int) -> bytes | None:
        """Return the bytes ``[start, end)``, None unless the capture has all of them."""
        if start >= end:
            return b""
        at = bisect_right(self._starts, start) - 1
        if at < 0 or self.runs[at].end < end:
            return None
        run = self.runs[at]
        return run.data[start - run.start : end - run.start]

    def find(self, data: bytes, start: int, last: int) -> Iterator[int]:
        """Yield the offsets from ``start`` to ``last`` at which the capture has ``data``, all of it."""
        for run in self.runs:
            at = run.data.find(data, max(start - run.start, 0))
            while at >= 0 and run.start + at <= last:
                yield run.start + at
                at = run.data.find(data, at + 1)

    def covered(self, start: int, end: int) -> int:
        """Return how many bytes of ``[start, end)`` the capture has."""
        return self._known.covered(start, end)

    def digest(self) -> str | None:
        """Return the digest of all bytes in order of offset, missing ones left out; None where packets were cut."""
        if not self.whole:
            return None
        return digest_of(b"".join(run.data for run in self.runs))

    def difference(self, other: WireBytes) -> tuple[int, int, int] | None:
        """Return the first offset of which both have different bytes: ``(offset, here, there)``, or None."""
        for run in self.runs:
            at = max(bisect_right(other._starts, run.start) - 1, 0)
            while at < len(other.runs) and other.runs[at].start < run.end:
                theirs = other.runs[at]
                start, end = max(run.start, theirs.start), min(run.end, theirs.end)
                if start < end:
                    mine = run.data[start - run.start : end - run.start]
                    their = theirs.data[start - theirs.start : end - theirs.start]
                    index = first_difference(mine, their)
                    if index is not None:
                        return start + index, mine[index], their[index]
                at += 1
        return None


def _joined(known: IntervalSet, pieces: list[tuple[int, bytes]]) -> tuple[ByteRun, ...]:
    """Put the pieces, which do not overlap and make up ``known``, together."""
    pieces.sort(key=lambda piece: piece[0])
    left = iter(pieces)
    runs = []
    for first, end in known:
        parts: list[bytes] = []
        at = first
        while at < end:
            parts.append(next(left)[1])
            at += len(parts[-1])
        runs.append(ByteRun(first, b"".join(parts)))
    return tuple(runs)


def payload_and_length_at(crossing: Crossing, point: Point) -> tuple[bytes, int]:
    """Return the payload as one end's capture shows it, and how long it was on the wire there."""
    payload = payload_at(crossing, point)
    return payload, crossing.length + len(payload) - len(crossing.payload)


def payload_at(crossing: Crossing, point: Point) -> bytes:
    """Return the payload as one end's capture shows it."""
    if point == "arrived" and crossing.sent is not None:
        for change in crossing.changes:
            if isinstance(change, PayloadChange):
                return change.applied_to(crossing.payload)
    return crossing.payload
