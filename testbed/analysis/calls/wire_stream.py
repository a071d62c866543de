"""Stream bytes as one capture shows them: segments put together, the first transmission of a byte wins.

Pieces stay apart where bytes are missing, so an offset of 4 GiB costs no memory for what was never seen.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import xxhash

from testbed.model import Crossing, PayloadChange

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
    """The distinct bytes of one direction of one flow at one capture."""

    def __init__(self, segments: Iterable[tuple[int, bytes]] = ()) -> None:
        """Take ``(stream offset, payload)`` in the order in which the capture saw them."""
        starts: list[int] = []
        pieces: list[bytes] = []
        for start, payload in segments:
            _insert(starts, pieces, start, payload)
        self.runs = _merge(starts, pieces)
        self._starts = [run.start for run in self.runs]
        self.total = sum(len(run.data) for run in self.runs)
        self.high = self.runs[-1].end if self.runs else 0

    def slice(self, start: int, end: int) -> bytes | None:
        """Return the bytes ``[start, end)``, None unless all of them were seen."""
        if start >= end:
            return b""
        at = bisect_right(self._starts, start) - 1
        if at < 0 or self.runs[at].end < end:
            return None
        run = self.runs[at]
        return run.data[start - run.start : end - run.start]

    def find(self, data: bytes, start: int, last: int) -> Iterator[int]:
        """Yield the offsets from ``start`` to ``last`` at which ``data`` stands, all of it seen."""
        for run in self.runs:
            at = run.data.find(data, max(start - run.start, 0))
            while at >= 0 and run.start + at <= last:
                yield run.start + at
                at = run.data.find(data, at + 1)

    def covered(self, start: int, end: int) -> int:
        """Return how many bytes of ``[start, end)`` were seen."""
        at = max(bisect_right(self._starts, start) - 1, 0)
        count = 0
        while at < len(self.runs) and self.runs[at].start < end:
            count += max(0, min(end, self.runs[at].end) - max(start, self.runs[at].start))
            at += 1
        return count

    def digest(self) -> str:
        """Return the digest of all bytes in order of offset, missing ones left out."""
        return digest_of(b"".join(run.data for run in self.runs))

    def difference(self, other: WireBytes) -> tuple[int, int, int] | None:
        """Return the first offset that both saw with different bytes: ``(offset, here, there)``, or None."""
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


def _insert(starts: list[int], pieces: list[bytes], start: int, payload: bytes) -> None:
    """Add what ``payload`` has and the sorted, disjoint pieces have not."""
    end = start + len(payload)
    position = max(start, 0)  # a probe below the stream's first byte carries none of it
    at = bisect_right(starts, position) - 1
    if at >= 0:
        position = max(position, starts[at] + len(pieces[at]))
    at += 1
    while position < end:
        limit = min(end, starts[at]) if at < len(starts) else end
        if position < limit:
            starts.insert(at, position)
            pieces.insert(at, payload[position - start : limit - start])
            at += 1
        if at >= len(starts):
            break
        position = max(position, starts[at] + len(pieces[at]))
        at += 1


def _merge(starts: list[int], pieces: list[bytes]) -> tuple[ByteRun, ...]:
    runs: list[ByteRun] = []
    joined: list[bytes] = []
    first = expected = -1
    for start, piece in zip(starts, pieces, strict=True):
        if start != expected and joined:
            runs.append(ByteRun(first, b"".join(joined)))
            joined = []
        if not joined:
            first = start
        joined.append(piece)
        expected = start + len(piece)
    if joined:
        runs.append(ByteRun(first, b"".join(joined)))
    return tuple(runs)


def payload_at(crossing: Crossing, point: Point) -> bytes:
    """Return the payload as one end's capture shows it."""
    if point == "arrived" and crossing.sent is not None:
        for change in crossing.changes:
            if isinstance(change, PayloadChange):
                return change.applied_to(crossing.payload)
    return crossing.payload
