"""Read the same few bytes of many packets at once.

A file is one long array of bytes. Seen as overlapping items of ``width`` bytes, one at each position, NumPy's
indexing copies the header of every packet in one pass, whatever its alignment.
"""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

from testbed.model.arrays import Bytes, Int64, UInt8


def gather(buffer: Bytes, offsets: Int64, layout: np.dtype[np.generic] | str) -> NDArray[Any]:
    """Return one item of ``layout`` (a dtype) for each of ``offsets`` (0 <= offset <= len(buffer)).

    Bytes beyond the end of the buffer read as 0: callers decide by captured length what is valid.
    """
    kind = np.dtype(layout)
    width = kind.itemsize
    last = len(buffer) - width
    if last >= 0 and (not len(offsets) or int(offsets.max()) <= last):
        return _items(buffer, width)[offsets].view(kind)
    edge = max(last, 0)
    tail = np.zeros(len(buffer) - edge + width, np.uint8)
    tail[: len(buffer) - edge] = buffer[edge:]
    beyond = offsets > last
    items = np.empty(len(offsets), f"V{width}")
    items[beyond] = _items(tail, width)[offsets[beyond] - edge]
    if last >= 0:
        items[~beyond] = _items(buffer, width)[offsets[~beyond]]
    return items.view(kind)


def gather_bytes(buffer: Bytes, offsets: Int64, width: int) -> UInt8:
    """Return the ``width`` bytes at each of ``offsets`` as an array of shape (len(offsets), width)."""
    return gather(buffer, offsets, f"V{width}").view(np.uint8).reshape(-1, width)


def spread(buffer: Bytes, starts: Int64, width: int, layout: str, step: int = 1) -> NDArray[Any]:
    """Return a number at every ``step`` bytes from each of evenly spaced ``starts`` on, shape (len(starts), width).

    Nothing is copied; all that is asked for must lie in the buffer.
    """
    apart = int(starts[1] - starts[0]) if len(starts) > 1 else 0
    return np.ndarray((len(starts), width), layout, buffer=buffer, offset=int(starts[0]), strides=(apart, step))


def _items(buffer: Bytes, width: int) -> NDArray[np.void]:
    return np.ndarray((len(buffer) - width + 1,), f"V{width}", buffer=buffer, strides=(1,))


def release(buffer: Bytes, start: int = 0, end: int | None = None) -> None:
    """Let go of the memory behind a range of a memory-mapped file; it is read again when it is needed.

    Nothing happens for bytes that are not mapped.
    """
    owner: Any = buffer.base
    while isinstance(owner, np.ndarray | memoryview):
        owner = owner.base if isinstance(owner, np.ndarray) else owner.obj
    if not isinstance(owner, mmap.mmap):
        return
    page = mmap.PAGESIZE
    start -= start % page
    length = (len(buffer) if end is None else end) - start
    if length > 0:
        owner.madvise(mmap.MADV_DONTNEED, start, length)
