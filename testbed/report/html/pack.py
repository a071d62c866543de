"""Tables as few bytes: columns of integers, interned texts and byte strings, packed, deflated and in base64.

Layout before compression: the length of the JSON head (4 bytes, little endian), the head, then the columns' bytes one
after the other. The head's member ``columns`` says for each name how many values it has, how many bytes each needs,
whether values are differences to the one before, by what they are to be multiplied (``unit``, a power of two: more than
1 only where a value would not fit a JavaScript number), and where its bytes begin after the head.

A number is stored zigzag coded (0, -1, 1, -2 ... as 0, 1, 2, 3) in planes: first the lowest byte of every value, then
the next byte of every value. Neighbours are alike, so planes deflate well. ``assets/data.js`` reads this.
"""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from testbed.model.arrays import Int64

FORMAT = "bothends-report/1"

_LEVEL = 6
_BITS = 52  # of a number and its sign, coded as one: a JavaScript number is exact up to 2**53
Numbers = Int64


class Packer:
    """Collects columns; :meth:`pack` turns them into text for a page."""

    def __init__(self) -> None:
        self._columns: dict[str, dict[str, int]] = {}
        self._chunks: list[bytes] = []
        self._at = 0
        self._texts: dict[str, int] = {"": 0}

    def numbers(self, name: str, values: Iterable[int] | NDArray[Any]) -> None:
        """Add a column of integers; those of a column with one of 2**52 or more are rounded to its ``unit``."""
        array = np.asarray(values if isinstance(values, np.ndarray) else list(values), dtype=np.int64)
        largest = max(int(array.max(initial=0)), -int(array.min(initial=0)))
        shift = largest.bit_length() - _BITS + 1 if largest >= 1 << _BITS else 0
        if shift:
            array = (array + (1 << shift - 1)) >> shift
        data, width = _planes(array)
        steps = np.diff(array, prepend=np.int64(0))
        use_delta = int(np.abs(steps).max(initial=0)) < 1 << _BITS
        if use_delta:
            delta, delta_width = _planes(steps)
            use_delta = len(zlib.compress(delta, 1)) < len(zlib.compress(data, 1))
            data, width = (delta, delta_width) if use_delta else (data, width)
        self._put(name, data, count=len(array), width=width, delta=int(use_delta), unit=1 << shift)

    def texts(self, name: str, values: Iterable[str]) -> None:
        """Add a column of texts; each different text is stored once."""
        table = self._texts
        self.numbers(name, [table.setdefault(value, len(table)) for value in values])

    def lists(self, name: str, rows: Sequence[Sequence[int]]) -> None:
        """Add a column whose every value is a list of integers."""
        self.numbers(f"{name}.count", [len(row) for row in rows])
        self.numbers(f"{name}.value", [value for row in rows for value in row])

    def blobs(self, name: str, rows: Sequence[bytes]) -> None:
        """Add a column of byte strings."""
        self.numbers(f"{name}.count", [len(row) for row in rows])
        joined = b"".join(rows)
        self._put(f"{name}.bytes", joined, count=len(joined), width=1, delta=0, unit=1)

    def pack(self, head: Mapping[str, Any]) -> str:
        """Return everything in base64; ``head`` is what is not a column."""
        document = {"format": FORMAT, **head, "columns": self._columns, "texts": list(self._texts)}
        # surrogates of undecodable names and the like must survive: ASCII with \u escapes
        text = json.dumps(document, separators=(",", ":"), ensure_ascii=True).encode()
        deflate = zlib.compressobj(_LEVEL)
        parts = [deflate.compress(struct.pack("<I", len(text)) + text)]
        parts += [deflate.compress(chunk) for chunk in self._chunks]
        parts.append(deflate.flush())
        return base64.b64encode(b"".join(parts)).decode("ascii")

    def _put(self, name: str, data: bytes, *, count: int, width: int, delta: int, unit: int) -> None:
        assert name not in self._columns, name  # noqa: S101 - two columns of one name are a mistake of ours
        self._columns[name] = {"count": count, "width": width, "delta": delta, "unit": unit, "at": self._at}
        self._chunks.append(data)
        self._at += len(data)


def _planes(values: Numbers) -> tuple[bytes, int]:
    """Return the byte planes of zigzag-coded values, and how many planes there are (at least one)."""
    zigzag = ((values << 1) ^ (values >> 63)).astype(np.uint64)
    most = int(zigzag.max()) if len(zigzag) else 0
    width = max((most.bit_length() + 7) // 8, 1)
    return zigzag.astype("<u8").view(np.uint8).reshape(-1, 8)[:, :width].T.tobytes(), width
