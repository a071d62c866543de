"""Pair equal keys of two captures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from testbed.model.arrays import Bool, Int64, UInt64

Join = Callable[[UInt64, UInt64], tuple[Int64, Int64, Bool]]
"""What :func:`in_order` does, by whatever does it."""


def place_bits(a: UInt64, b: UInt64) -> np.uint64:
    """Return the lowest bits of keys, those that tell no two keys apart: a place is written there."""
    return np.uint64((1 << max(len(a), len(b), 1).bit_length()) - 1)


def in_order(a: UInt64, b: UInt64) -> tuple[Int64, Int64, Bool]:
    """Pair equal keys, the first with the first, the second with the second, and so on; ascending in the first.

    Returns positions in both, and a mask of pairs whose key one of both has more than once (rarely also others).
    """
    low = place_bits(a, b)
    # the upper bits of the key, then the place: one sort of numbers instead of one of places by key
    packed_a = _packed(a, low)
    packed_b = _packed(b, low)
    head_b = packed_b & ~low
    order_a = (packed_a & low).astype(np.int64)
    packed_a &= ~low
    places = np.arange(len(a))
    first = np.zeros(len(a), np.int64)
    first[1:] = np.where(packed_a[1:] != packed_a[:-1], places[1:], 0)
    rank = places - np.maximum.accumulate(first)
    place = np.searchsorted(head_b, packed_a) + rank
    inside = place < len(b)
    match = np.full(len(a), -1, np.int64)
    match[order_a[inside]] = (packed_b[place[inside]] & low).astype(np.int64)
    x = np.flatnonzero(match >= 0)
    y = match[x]
    more_a, more_b = _repeated(packed_a, order_a), _repeated(head_b, (packed_b & low).astype(np.int64))
    same = a[x] == b[y]
    if not same.all():
        x, y = x[same], y[same]
    return x, y, more_a[x] | more_b[y]


def _repeated(heads: UInt64, order: Int64) -> Bool:
    """Return a mask, by place, of heads (ascending) that are there more than once."""
    result = np.zeros(len(heads), np.bool_)
    same = np.flatnonzero(heads[1:] == heads[:-1])
    result[order[same]] = True
    result[order[same + 1]] = True
    return result


def _packed(keys: UInt64, low: np.uint64) -> UInt64:
    packed = keys & ~low
    packed |= np.arange(len(keys), dtype=np.uint64)
    packed.sort()
    return packed
