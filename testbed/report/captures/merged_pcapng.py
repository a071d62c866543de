"""Both captures in one pcapng file, interfaces ``client`` and ``server``, in the order of the client's clock."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import merge
from pathlib import Path

import numpy as np

from testbed.capture.containers.pcapng_write import Writer
from testbed.capture.file_series import is_pattern, load_series
from testbed.capture.read_file import load, pieces
from testbed.model.arrays import Int64
from testbed.model.errors import CaptureError, UsageError
from testbed.pairing.compare_captures import Comparison
from testbed.pairing.fates import RowFate, change_names
from testbed.pairing.flow_summary import NAMES

# time, place among frames of that time, capture, frame, link type, bytes, length, comment
Packet = tuple[int, int, int, int, int, bytes, int, str]


def write_merged(compared: Comparison, paths: tuple[str, str], target: Path, *, only_different: bool = False) -> None:
    """Write both files' packets. Server times are put on the client's clock where that is known; a comment says so.

    Each packet that did not simply cross has a comment; with ``only_different`` all others are left out. Raises
    UsageError for standard input, which cannot be read again, CaptureError when the file cannot be written.
    """
    if "-" in paths:
        raise UsageError("standard input cannot be read a second time for the merged file")
    packets = merge(*(_packets(compared, which, path) for which, path in enumerate(paths)), key=lambda each: each[:4])
    interfaces: dict[tuple[int, int], int] = {}
    try:
        with target.open("wb") as out:
            writer = Writer(out, application="bothends", comment=_about(compared))
            for time, _, which, _, link, data, length, comment in packets:
                if only_different and not comment:
                    continue
                if (which, link) not in interfaces:
                    interfaces[which, link] = writer.interface(NAMES[which], link)
                writer.packet(interfaces[which, link], time, data, length, [comment] if comment else [])
    except OSError as problem:
        raise CaptureError(f"{target}: {problem.strerror or problem}") from problem


def _about(compared: Comparison) -> str:
    pieces_ = compared.clock.pieces
    if compared.clock.exact or not pieces_:
        return "both captures as they are"
    told = "; ".join(f"{-piece.offset / 1e6:+.6f} ms" for piece in pieces_)
    return f"server times moved to the client's clock: {told}"


def _packets(compared: Comparison, which: int, path: str) -> Iterator[Packet]:
    comments = _comments(compared, which)
    places = _places(compared, which)
    frame = 0
    for part in pieces(load_series(path) if is_pattern(path) else load(Path(path))):
        links = [each.link_type for each in part.interfaces]
        times = part.time_ns
        if which and compared.clock.pieces:
            times = times - _offsets(compared, np.arange(frame, frame + len(times)), times)
        columns = (times, part.interface, part.offset, part.captured, part.wire)
        for time, interface, offset, captured, wire in zip(*(each.tolist() for each in columns), strict=True):
            data = part.data[offset : offset + captured].tobytes()
            place = int(places[frame]) if frame < len(places) else 0
            yield time, place, which, frame, links[interface], data, wire, comments.get(frame, "")
            frame += 1


def _places(compared: Comparison, which: int) -> Int64:
    """Return by frame of one capture its place among frames of the same time: int64[n].

    It is twice the packet's place in the first capture; in the second one more for what the first capture's end sent
    (it arrives later than it was sent), one less for what it got. Other frames stay behind the packet before them.
    """
    table, packets = compared.table, compared.packets[which]
    places = np.zeros(int(packets.frame[-1]) + 1 if len(packets) else 0, np.int64)
    if which == 0:
        places[packets.frame] = 2 * np.arange(len(packets))
    else:
        both = (table.one >= 0) & (table.two >= 0)
        later = np.where(table.sent_at_one[both], 1, -1)
        places[packets.frame[table.two[both]]] = 2 * table.one[both].astype(np.int64) + later
    return np.maximum.accumulate(places)


def _offsets(compared: Comparison, frames: Int64, times: Int64) -> Int64:
    """Return the clock's offset at packets of the second capture, IP or not."""
    items = np.searchsorted(compared.packets[1].frame, frames)
    offset, _ = compared.timeline.at_two(items, times)
    return offset


def _comments(compared: Comparison, which: int) -> dict[int, str]:
    table, packets = compared.table, compared.packets[which]
    items = table.two if which else table.one
    odd = np.flatnonzero((items >= 0) & ((table.fate > RowFate.CROSSED) | (table.changes > 0) | table.reordered))
    result: dict[int, str] = {}
    for kind, flows in (
        ("alone", compared.alone[which]),
        ("terminated", np.array([(each.a, each.b)[which] for each in compared.terminated], np.int64)),
    ):
        mine = np.flatnonzero(np.isin(compared.flows[which].of, flows))
        result.update(dict.fromkeys(packets.frame[mine].tolist(), kind))
    for row in odd.tolist():
        told = [RowFate(int(table.fate[row])).text] if table.fate[row] else []
        told += ["reordered"] if table.reordered[row] else []
        told += [f"altered: {', '.join(change_names(int(table.changes[row])))}"] if table.changes[row] else []
        frame = int(packets.frame[items[row]])
        result[frame] = "; ".join(filter(None, (result.get(frame), ", ".join(told))))
    return result
