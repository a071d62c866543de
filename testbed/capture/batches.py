"""Decode a large file some hundred thousand packets at a time, so that memory is bound by what is kept of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from testbed.capture.columns import Capture, Records, joined
from testbed.capture.decode import decode
from testbed.capture.gather import release
from testbed.model.arrays import Int64

BATCH = 1 << 16


Take = Callable[[int, Records], Int64]
"""Takes what records it can, given the row of the first; returns the positions of those that are left."""


def batches(parts: Iterable[Records], take: Take | None = None) -> Iterator[tuple[Int64, Capture, bool]]:
    """Yield rows of the file, their packets decoded, and whether they come again, as fragments put together.

    ``parts`` are the file's, in order. The rows of fragments come twice: first as fragments, then, in a last capture
    of fragments only, as :func:`decode` gives them. What ``take`` takes, or took as records were found (of at most
    BATCH of them), does not come here. The caller keeps no view of
    a capture's ``data``: its memory is released.
    """
    fragments: list[Records] = []
    rows_of: list[Int64] = []
    done = 0
    last: Records | None = None
    for part in parts:
        count = len(part.offset)
        for first in range(0, max(count, 1), BATCH):  # an empty part may say why the file ends
            some = part.only(slice(first, first + BATCH))
            rows = np.arange(done + first, done + first + len(some.offset))
            if take is not None and len(rows):
                left = take(done + first, some) if part.left is None else part.left
                if not len(left) and some.partial is None:
                    continue
                some, rows = some.only(left), rows[left]
            capture = decode(some, together=False)
            if capture.fragment.any():
                fragments.append(some.only(capture.fragment))
                rows_of.append(rows[capture.fragment])
            yield rows, capture, False
        if count:
            release(part.data, int(part.offset[0]), int(part.offset[-1]))
        done += count
        last = part
    if fragments and last is not None:
        yield np.concatenate(rows_of), decode(joined(fragments, last)), True
