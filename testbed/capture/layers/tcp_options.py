"""TCP options of many packets at once (RFC 9293 section 3.1 and those named beside each kind)."""

from __future__ import annotations

import numpy as np

from testbed.capture.columns import Capture
from testbed.capture.gather import gather, gather_bytes
from testbed.model.arrays import Bytes, Int64, UInt8
from testbed.model.tcp import FAST_OPEN_MAGIC, LONGEST_OPTIONS, OPTION_LENGTHS, OptionKind

_USUAL = 0x0101080A  # two NOPs, then timestamps: what nearly every segment of a modern host carries
_STAMPS = np.dtype([("lead", ">u4"), ("tsval", ">u4"), ("tsecr", ">u4")])


def decode_options(buffer: Bytes, capture: Capture, rows: Int64, start: Int64, length: Int64) -> None:
    """Decode ``length`` bytes of options at ``start`` for each of ``rows``."""
    stamps = gather(buffer, start, _STAMPS)
    usual = (stamps["lead"] == _USUAL) & (length >= 12)
    capture.has_timestamps[rows[usual]] = True
    capture.tsval[rows[usual]] = stamps["tsval"][usual]
    capture.tsecr[rows[usual]] = stamps["tsecr"][usual]
    rest = np.flatnonzero(~usual | (length > 12))
    if len(rest):
        octets = gather_bytes(buffer, start[rest], LONGEST_OPTIONS)
        _decode_each(capture, rows[rest], octets, length[rest], usual[rest] * 12)


def _decode_each(capture: Capture, rows: Int64, octets: UInt8, length: Int64, at: Int64) -> None:
    """Step through all options, one option of every packet at a time."""
    todo = np.arange(len(rows))
    at = at.astype(np.int64)
    while True:
        todo = todo[at[todo] < length[todo]]
        kind = octets[todo, at[todo]]
        todo, kind = todo[kind != OptionKind.END], kind[kind != OptionKind.END]
        if not len(todo):
            return
        nop = kind == OptionKind.NOP
        at[todo[nop]] += 1
        long = todo[~nop]
        kind = kind[~nop]
        room = length[long] - at[long]
        size = np.where(room >= 2, octets[long, np.minimum(at[long] + 1, LONGEST_OPTIONS - 1)], 0).astype(np.int64)
        bad = (size < 2) | (size > room)
        capture.options_bad[rows[long[bad]]] = True
        at[long[bad]] = LONGEST_OPTIONS
        good = long[~bad]
        _note(capture, rows[good], octets[good], at[good], kind[~bad], size[~bad])
        at[good] += size[~bad]


def _note(
    capture: Capture,
    rows: Int64,
    octets: UInt8,
    at: Int64,
    kind: UInt8,
    size: Int64,
) -> None:
    """Put one option of each packet into its columns."""

    def value(chosen: Int64, skip: int, width: int) -> Int64:
        result = np.zeros(len(chosen), np.int64)
        for k in range(width):
            result = result << 8 | octets[chosen, at[chosen] + skip + k]
        return result

    def those(wanted: OptionKind) -> Int64:
        return np.flatnonzero((kind == wanted) & (size == OPTION_LENGTHS[wanted]))

    present = set(np.flatnonzero(np.bincount(kind)).tolist())  # mostly one
    if OptionKind.MSS in present:
        found = those(OptionKind.MSS)
        capture.mss[rows[found]] = value(found, 2, 2)
    if OptionKind.WINDOW_SCALE in present:
        found = those(OptionKind.WINDOW_SCALE)
        capture.wscale[rows[found]] = value(found, 2, 1)
    if OptionKind.SACK_PERMITTED in present:
        capture.sack_permitted[rows[those(OptionKind.SACK_PERMITTED)]] = True
    if OptionKind.TIMESTAMPS in present:
        found = those(OptionKind.TIMESTAMPS)
        capture.has_timestamps[rows[found]] = True
        capture.tsval[rows[found]] = value(found, 2, 4)
        capture.tsecr[rows[found]] = value(found, 6, 4)
    if OptionKind.FAST_OPEN in present:
        found = np.flatnonzero(kind == OptionKind.FAST_OPEN)
        capture.fast_open[rows[found]] = size[found] - 2
    if OptionKind.EXPERIMENT in present:
        found = np.flatnonzero((kind == OptionKind.EXPERIMENT) & (size >= 4))
        found = found[value(found, 2, 2) == FAST_OPEN_MAGIC]
        capture.fast_open[rows[found]] = size[found] - 4
    if OptionKind.MPTCP in present:
        found = np.flatnonzero((kind == OptionKind.MPTCP) & (size >= 3))
        subtypes = np.left_shift(1, value(found, 2, 1) >> 4).astype(np.uint16)
        capture.mptcp_rows = np.concatenate([capture.mptcp_rows, rows[found]])
        capture.mptcp_kinds = np.concatenate([capture.mptcp_kinds, subtypes])
    if OptionKind.SACK in present:
        found = np.flatnonzero((kind == OptionKind.SACK) & (size >= 10) & (size % 8 == 2))
        edges = np.zeros((len(found), 4, 2), np.uint32)
        blocks = (size[found] - 2) // 8
        for k in range(8):
            has = found[blocks > k // 2]
            edges[blocks > k // 2, k // 2, k % 2] = value(has, 2 + 4 * k, 4)
        capture.sack_count[rows[found]] = blocks
        capture.sack_rows = np.concatenate([capture.sack_rows, rows[found]])
        capture.sack_edges = np.concatenate([capture.sack_edges, edges])
