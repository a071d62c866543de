"""Hash rows of columns: equal rows have equal numbers, others almost never."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from testbed.model.arrays import UInt64

# odd constants without structure (fractional parts of square roots of primes)
_FACTORS = (
    0x6A09E667F3BCC909, 0xBB67AE8584CAA73B, 0x3C6EF372FE94F82B, 0xA54FF53A5F1D36F1, 0x510E527FADE682D1,
    0x9B05688C2B3E6C1F, 0x1F83D9ABFB41BD6B, 0x5BE0CD19137E2179, 0xCBBB9D5DC1059ED9, 0x629A292A367CD507,
    0x9159015A3070DD17, 0x152FECD8F70E5939,
)  # fmt: skip


_BLOCK = 1 << 14  # rows that stay in a processor's cache from column to column


def hash_rows(columns: Sequence[NDArray[Any]]) -> UInt64:
    """Return a 64-bit hash of each row of up to 12 integer columns of one length: uint64[n]."""
    result = np.full(len(columns[0]), 0x9E3779B97F4A7C15, np.uint64)
    for first in range(0, len(result), _BLOCK):
        some = slice(first, first + _BLOCK)
        hashed = result[some]
        for column, factor in zip(columns, _FACTORS, strict=False):
            # each column goes through a multiplication and a fold, so that sums of columns do not meet
            value = column[some].astype(np.uint64)
            value += np.uint64(factor >> 32)
            value *= np.uint64(factor)
            value ^= value >> np.uint64(29)
            hashed += value
        hashed ^= hashed >> np.uint64(32)
        hashed *= np.uint64(0xD6E8FEB86659FD93)
        hashed ^= hashed >> np.uint64(32)
    return result
