"""Read two captures at once, each on a core of its own, into what a comparison needs of them.

The second file is read by a thread where C does it, which needs nothing of Python, and else by a child process, whose
columns come back through memory that both share.
"""

from __future__ import annotations

import mmap
import multiprocessing
import os
import shutil
import sys
import tempfile
from ctypes import CDLL
from dataclasses import replace
from functools import partial as partial_function
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from testbed.capture.batches import batches
from testbed.capture.compiled import columns_library
from testbed.capture.file_series import is_pattern, load_series
from testbed.capture.gather import release
from testbed.capture.read_file import Loaded, load, pieces
from testbed.model.errors import BothendsError, CaptureError, UsageError
from testbed.pairing.flow_table import Flows, find_flows, label_all
from testbed.pairing.packet_table import COLUMNS, PacketTable, PacketTableBuilder
from testbed.run.at_once import AtOnce
from testbed.run.usual_packets import UsualPackets, label_segments, zeros

Read = tuple[PacketTable, Flows]

_WORTH = 16 << 20  # bytes; smaller files are read before a child has started
_LOOK = 4096  # packets
_FLOW_COLUMNS = tuple(name for name in Flows.__dataclass_fields__)


def read_both(one: str, two: str) -> tuple[Read, Read]:
    """Read two files (``-`` is standard input).

    The tables have no SACK blocks, which only labels are made from: of a connection with losses they are a tenth of the
    memory. Raises CaptureError, also for a damaged file without any packet, and UsageError when both are standard
    input.
    """
    return BeingRead(one, two).both()


class BeingRead:
    """Two files that are being read, so that something else can be done meanwhile; raises as :func:`read_both`.

    Of files that C does not read nothing is read before it is asked for.
    """

    def __init__(self, one: str, two: str) -> None:
        if one == two == "-":
            raise UsageError("only one of the two captures can be standard input")
        self._files = _load(one), _load(two)
        self._code = code_for(*self._files) if _large(self._files) else None
        self._readers: list[AtOnce[Read]] = []
        if self._code and all(_mostly_usual(file, self._code) for file in self._files):
            self._readers = [AtOnce(partial_function(read_one, file, self._code)) for file in self._files]

    def both(self) -> tuple[Read, Read]:
        """Return what is in the files, once it is known."""
        one, two = self._files
        if self._readers:
            found = self._readers[0].result(), self._readers[1].result()
        elif _large(self._files) and hasattr(os, "memfd_create"):
            found = _in_processes(one, two, self._code)
        else:
            found = read_one(one, code_for(one)), read_one(two, code_for(two))
        for packets, _ in found:
            packets.forget_sack()
        return _usable(one.name, found[0]), _usable(two.name, found[1])


def _large(files: tuple[Loaded, Loaded]) -> bool:
    return min(len(file.data) for file in files) >= _WORTH


def _usable(name: str, read: Read) -> Read:
    """Refuse a damaged file without any packet: of it nothing is known, not even that it is empty."""
    packets, _ = read
    if packets.partial and not packets.frames:
        raise CaptureError(f"{name}: {packets.partial}, before the first packet")
    return read


def read_named(name: str) -> Read:
    """Read one file (``-`` is standard input), or the files of a pattern. Raises CaptureError as :func:`read_both`."""
    file = _load(name)
    return _usable(file.name, read_one(file, code_for(file)))


def read_one(file: Loaded, code: CDLL | None = None) -> Read:
    """Read one file: its packets as columns, its flows, its labels; by C where ``code`` is the library for it."""
    usual = UsualPackets(code) if code else None
    if usual:  # later packets may be smaller, and more; of columns of zeros only what is written to takes memory
        usual.builder = builder = PacketTableBuilder(numbering=usual, allocate=zeros, spare=2, release=release)
    else:
        builder = PacketTableBuilder(release=release)
    partial = None
    for rows, capture, again in batches(pieces(file, code, usual), usual.take if usual else None):
        builder.add(rows, capture, again=again)
        partial = capture.partial or partial
    packets = builder.finish(file.data, partial)
    return packets, find_flows(packets, partial_function(label_segments, code) if code else label_all)


def code_for(*files: Loaded) -> CDLL | None:
    """Return the library if any of the files is so large that it is worth it."""
    return columns_library() if max(len(file.data) for file in files) >= _WORTH else None


def _load(name: str) -> Loaded:
    if is_pattern(name):
        return load_series(name)
    if name != "-":
        return load(Path(name))
    with tempfile.NamedTemporaryFile(prefix="bothends-") as spool:
        shutil.copyfileobj(sys.stdin.buffer, spool)
        spool.flush()
        loaded = load(Path(spool.name))
    return Loaded("standard input", loaded.data, loaded.broken)


def _mostly_usual(file: Loaded, code: CDLL) -> bool:
    """Tell of a file, by its beginning, whether most of its packets are read by C."""
    first = next(pieces(file, code)).only(slice(_LOOK))
    count = len(first.offset)
    if not count:
        return False
    usual = UsualPackets(code)
    usual.builder = PacketTableBuilder(numbering=usual, allocate=np.zeros)
    alone = replace(first, data=file.data[: int(first.offset[-1] + first.captured[-1])])
    return 2 * len(usual.take(0, alone)) < count


def _in_processes(one: Loaded, two: Loaded, code: CDLL | None) -> tuple[Read, Read]:
    context = multiprocessing.get_context("fork")
    shared = os.memfd_create("bothends-columns")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_child, args=(two, code, shared, theirs), daemon=True)
    try:
        child.start()
        theirs.close()
        first = read_one(one, code)
        try:
            answer = ours.recv()
        except EOFError:
            child.join()
            raise CaptureError(
                f"{two.name}: the process that read it ended with status {child.exitcode}",
                hint="not enough memory?",
            ) from None
        child.join()
        if isinstance(answer, BothendsError):
            raise answer
        return first, _received(answer, shared, two)
    finally:
        ours.close()
        os.close(shared)
        if child.is_alive():
            child.kill()
            child.join()


def _child(file: Loaded, code: CDLL | None, shared: int, answer: Connection) -> None:
    """Read a file and hand its columns over."""
    try:
        packets, flows = read_one(file, code)
    except BothendsError as problem:
        answer.send(problem)
        return
    layout: list[tuple[str, str, str, tuple[int, ...]]] = []
    with os.fdopen(os.dup(shared), "wb") as out:
        for owner, made, names in (("track", packets, _array_names()), ("flows", flows, _FLOW_COLUMNS)):
            for name in names:
                column = np.ascontiguousarray(getattr(made, name))
                layout.append((owner, name, column.dtype.str, column.shape))
                out.write(column.data if column.size else b"")
                out.write(bytes(-column.nbytes % 64))
    answer.send((layout, packets.ends, packets.other, packets.frames, packets.partial, packets.links))


def _array_names() -> tuple[str, ...]:
    others = ("joined", "names", "sack_at", "sack_count", "sack", "mptcp_at", "mptcp", "way")
    return (*(name for name, _ in COLUMNS), *others)


def _received(answer: Any, shared: int, file: Loaded) -> Read:  # noqa: ANN401 - what the child sent
    layout, ends, other, frames, partial, links = answer
    size = os.fstat(shared).st_size
    memory = mmap.mmap(shared, size) if size else bytearray()
    columns: dict[str, dict[str, Any]] = {"track": {}, "flows": {}}
    at = 0
    for owner, name, kind, shape in layout:
        count = int(np.prod(shape, dtype=np.int64))
        column = np.frombuffer(memory, kind, count, at) if count else np.zeros(0, kind)
        columns[owner][name] = column.reshape(shape)
        at += column.nbytes + -column.nbytes % 64
    packets = PacketTable(
        **columns["track"], data=file.data, ends=ends, other=other, frames=frames, partial=partial, links=links,
        release=release,
    )  # fmt: skip
    return packets, Flows(**columns["flows"])
