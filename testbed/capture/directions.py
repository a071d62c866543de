"""The frames of a host's capture in the order in which its interface sent or received them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from testbed.capture.columns import Capture
from testbed.model.arrays import Int64
from testbed.model.ip import address_words

_ETHERNET_ADDRESS = 6


@dataclass(frozen=True, slots=True)
class FrameRun:
    """Frames in capture order: numbers from 1, times (ns since the epoch), bytes on the wire, EtherTypes; int64[n]."""

    number: Int64
    time: Int64
    length: Int64
    protocol: Int64


def shorter(frames: FrameRun, length: int | None) -> FrameRun:
    """Return the frames that have fewer bytes, all of them for None."""
    if length is None:
        return frames
    some = frames.length < length
    return FrameRun(frames.number[some], frames.time[some], frames.length[some], frames.protocol[some])


def by_direction(capture: Capture, addresses: Collection[str]) -> tuple[FrameRun, FrameRun]:
    """Return what an interface sent and what it received, of its own capture, by the Ethernet address of its own.

    That is the source of what has one of its IP ``addresses`` as source. Raises ValueError where no frame has.
    """
    ours = np.zeros(len(capture), np.bool_)
    for high, low in (map(np.uint64, address_words(address)) for address in addresses):
        ours |= (capture.version > 0) & (capture.src_hi == high) & (capture.src_lo == low)
    headers = capture.data[capture.offset[:, None] + np.arange(2 * _ETHERNET_ADDRESS + 2)]
    sources = headers[:, _ETHERNET_ADDRESS : 2 * _ETHERNET_ADDRESS]
    found = np.flatnonzero(ours)
    if not len(found):
        raise ValueError(f"the capture has no frame from {', '.join(addresses)}")
    sent = (sources == sources[found[-1]]).all(axis=1)
    protocol = headers[:, -2].astype(np.int64) << 8 | headers[:, -1]

    def chosen(rows: Int64) -> FrameRun:
        return FrameRun(rows + 1, capture.time_ns[rows], capture.wire[rows], protocol[rows])

    return chosen(np.flatnonzero(sent)), chosen(np.flatnonzero(~sent))
