"""Segments of one direction that are not acknowledged yet, in the order in which they came and in that of numbers.

Wireshark keeps them in a list and goes through it at every segment. Here only what an ACK or a question touches is
looked at; where numbers lie so far apart that they have no order, all are, as Wireshark does.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort

from testbed.model.tcp import seq_after

_WRAP = 2**32
_HALF = 2**31  # of numbers this far apart it is not clear which is ahead


class Unacknowledged:
    """Ranges of sequence numbers; those given are raw, those kept go on rising where raw ones wrap."""

    __slots__ = ("_by_number", "_highest", "_last", "_longest", "_next", "_ranges")

    def __init__(self) -> None:
        self._ranges: dict[int, tuple[int, int]] = {}  # by a count, so in the order in which they came
        self._by_number: list[tuple[int, int, int]] = []  # first, end, count
        self._next = self._last = self._highest = self._longest = 0

    def __len__(self) -> int:
        return len(self._ranges)

    def add(self, first: int, end: int) -> None:
        """Add a segment."""
        if not self._ranges:
            self._last = self._highest = first
            self._longest = 0
        start, length = self._unwrapped(first), (end - first) % _WRAP
        self._ranges[self._next] = start, start + length
        insort(self._by_number, (start, start + length, self._next))
        self._next += 1
        self._last, self._longest = start, max(self._longest, length)
        self._highest = max(self._highest, start + length)

    def acknowledge(self, ack: int) -> None:
        """Forget what an ACK acknowledges."""
        if not self._ranges:
            return
        edge = self._unwrapped(ack)
        if self._far(edge):
            kept = {
                count: (end - (end - ack) % _WRAP if seq_after(ack, first % _WRAP) else first, end)
                for count, (first, end) in self._ranges.items()
                if seq_after(end % _WRAP, ack)
            }
            self._ranges = kept
            self._by_number = sorted((first, end, count) for count, (first, end) in kept.items())
            return
        behind = bisect_left(self._by_number, (edge,))
        if not behind:
            return
        kept_parts = []
        for _, end, count in self._by_number[:behind]:
            if end > edge:
                kept_parts.append((edge, end, count))
                self._ranges[count] = edge, end
            else:
                del self._ranges[count]
        self._by_number[:behind] = kept_parts

    def holds(self, first: int, end: int) -> bool:
        """Tell whether a segment lies within one of them."""
        if not self._ranges:
            return False
        start = self._unwrapped(first)
        stop = start + (end - first) % _WRAP
        if self._far(start) or self._far(stop):
            return any(
                not seq_after(mine % _WRAP, first) and not seq_after(end, last % _WRAP)
                for mine, last in self._ranges.values()
            )
        low = bisect_left(self._by_number, (start - self._longest,))
        high = bisect_right(self._by_number, (start, self._highest + 1))
        return any(self._by_number[k][1] >= stop for k in range(low, high))

    def edge_behind(self, ack: int) -> int:
        """Return up to where segments follow without a gap on an ACK of bytes that were not captured (raw)."""
        if not self._ranges:
            return ack
        start = self._unwrapped(ack)
        if self._far(start):
            return self._edge_one_by_one(ack)
        right = None
        for first, end in self._ranges.values():
            if first < start:
                continue
            if first != (start if right is None else right):
                break
            right = end
        return ack if right is None else right % _WRAP

    def _edge_one_by_one(self, ack: int) -> int:
        left = right = 0
        for start, stop in reversed(self._ranges.values()):
            first, end = start % _WRAP, stop % _WRAP
            if left == right:
                left, right = first, end
            if not seq_after(ack, first):
                if end == left:
                    left = first
                else:
                    left, right = first, end
        return right if ack == left and seq_after(right, ack) else ack

    def _unwrapped(self, raw: int) -> int:
        return self._last + (raw - self._last + _HALF) % _WRAP - _HALF

    def _far(self, number: int) -> bool:
        return number - self._by_number[0][0] >= _HALF or self._highest - number >= _HALF
