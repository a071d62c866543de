"""A recorded run as another clock would have stamped it: its captures, call logs and link journal with other times."""

from __future__ import annotations

import json
import shutil
import struct
from bisect import bisect_right
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

Clock = Callable[[int], int]
"""Makes of each time (ns) the one that the other clock shows; it never goes back."""

_HEADER, _RECORD = struct.Struct("<IHHiIII"), struct.Struct("<IIII")
_NANOSECONDS = 0xA1B23C4D
MS = 1_000_000
_SECOND = 1000 * MS


def rounded(step: int) -> Clock:
    """Return a clock that ticks every ``step`` ns."""
    return lambda time: time - time % step


def stopped_within_calls(directory: Path) -> Clock:
    """Return a clock that moves on only when a call of the run begins."""
    starts = sorted({json.loads(line)["start"] for path in _logs(directory) for line in path.open()})
    return lambda time: starts[max(bisect_right(starts, time) - 1, 0)]


def idle_time_only(directory: Path, least: int) -> Clock:
    """Return a clock that moves on only where nothing happens for ``least`` ns, as virtual time does."""
    times = sorted(_times(directory))
    begins = [times[0], *(after for before, after in pairwise(times) if after - before >= least)]
    return lambda time: begins[max(bisect_right(begins, time) - 1, 0)]


def retimed(directory: Path, target: Path, clock: Clock) -> Path:
    """Copy a run directory with all times as ``clock`` shows them; return the copy."""
    shutil.copytree(directory, target)
    for path in target.glob("*.pcap"):
        path.write_bytes(_capture(path.read_bytes(), clock))
    for path in _logs(target):
        path.write_text("".join(_call(line, clock) for line in path.read_text().splitlines()))
    for path in target.glob("link.jsonl"):
        path.write_text("".join(_record(line, clock) for line in path.read_text().splitlines()))
    (target / "kernel.jsonl").unlink(missing_ok=True)  # its times are in its events' fields as well
    return target


def _logs(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.calls.jsonl"))


def _times(directory: Path) -> set[int]:
    found: set[int] = set()

    def note(time: int) -> int:
        found.add(time)
        return time

    for path in directory.glob("*.pcap"):
        _capture(path.read_bytes(), note)
    for path in _logs(directory):
        for line in path.read_text().splitlines():
            _call(line, note)
    return found


def _call(line: str, clock: Clock) -> str:
    call = json.loads(line)
    call["start"] = clock(call["start"])
    if call["end"] is not None:
        call["end"] = clock(call["end"])
    return json.dumps(call) + "\n"


def _record(line: str, clock: Clock) -> str:
    record = json.loads(line)
    for name in ("time", "left"):
        if record.get(name):
            record[name] = clock(record[name])
    return json.dumps(record) + "\n"


def _capture(data: bytes, clock: Clock) -> bytes:
    """Stamp the records of a pcap file in nanoseconds anew."""
    assert _HEADER.unpack_from(data)[0] == _NANOSECONDS
    made = bytearray(data)
    at = _HEADER.size
    while at < len(data):
        seconds, fraction, captured, length = _RECORD.unpack_from(data, at)
        time = clock(seconds * _SECOND + fraction)
        _RECORD.pack_into(made, at, time // _SECOND, time % _SECOND, captured, length)
        at += _RECORD.size + captured
    return bytes(made)
