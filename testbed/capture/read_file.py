"""Open a capture file of any container and give its packets as columns. The OS's errors become ours here."""

from __future__ import annotations

import mmap
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import CDLL
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from testbed.capture.columns import Capture, Records, joined
from testbed.capture.compiled import FindsUsual
from testbed.capture.containers import pcap, pcapng, snoop
from testbed.capture.containers.decompress import unpack
from testbed.capture.decode import decode
from testbed.model.arrays import Bytes
from testbed.model.errors import CaptureError

Source = str | Path | bytes | BinaryIO


def read(source: Source) -> Capture:
    """Read a pcap, pcapng or snoop file, plain, gzip or zstd, from a path, bytes or an open binary stream.

    A file that breaks off gives what it holds, with ``partial`` saying where. Raises CaptureError (one line with
    the byte offset) for what cannot be read at all. The file must not be made shorter while the capture is in use.
    """
    return decode(read_records(source))


def read_records(source: Source) -> Records:
    """Read what the container of :func:`read` holds, its packets not yet decoded. Raises as it does."""
    parts = list(pieces(load(source)))
    return joined(parts, parts[-1])


@dataclass(frozen=True, slots=True)
class Loaded:
    """A file at hand, unpacked: its name, its bytes (mapped where they can be), why unpacking ended early."""

    name: str
    data: Bytes
    broken: str | None


def load(source: Source) -> Loaded:
    """Make a file's bytes available. Raises CaptureError as :func:`read` does."""
    name = str(source) if isinstance(source, str | Path) else "capture"
    with _named(name):
        data, broken = unpack(_raw(source))
    return Loaded(name, data, broken)


def pieces(file: Loaded, code: CDLL | None = None, usual: FindsUsual | None = None) -> Iterator[Records]:
    """Yield what a file holds part by part; the last part's interfaces, comments and ``partial`` are the file's.

    ``code`` is :func:`testbed.capture.compiled.columns_library`, if it shall find the records, and ``usual`` takes what
    it can of them at once, where the container allows it. Raises CaptureError as :func:`read` does, before the first
    part.
    """
    with _named(file.name):
        parts = _pieces(file.data, code, None if file.broken else usual)
        part = next(parts, None)
    while part is not None:
        if not file.broken:  # no part is looked for before the one before it is done with
            yield part
            part = next(parts, None)
            continue
        following = next(parts, None)
        if following is None:
            part = replace(part, partial=f"{file.broken}; {part.partial}" if part.partial else file.broken)
        yield part
        part = following


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Name the file in errors; those of the OS become ours."""
    try:
        yield
    except OSError as problem:
        raise CaptureError(f"{name}: {problem.strerror or problem}") from problem
    except CaptureError as problem:
        raise CaptureError(f"{name}: {problem.what}", hint=problem.hint) from None


def _raw(source: Source) -> Bytes:
    if isinstance(source, bytes):
        return np.frombuffer(source, np.uint8)
    if not isinstance(source, str | Path):
        return np.frombuffer(source.read(), np.uint8)
    with Path(source).open("rb") as stream:
        status = os.fstat(stream.fileno())
        if stat.S_ISREG(status.st_mode) and status.st_size:
            return np.frombuffer(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
        return np.frombuffer(stream.read(), np.uint8)


def _pieces(data: Bytes, code: CDLL | None, usual: FindsUsual | None) -> Iterator[Records]:
    if not len(data):
        raise CaptureError("the file is empty: no header at byte 0")
    magic = data[:4].tobytes()
    if pcapng.is_pcapng(magic):
        return pcapng.pieces(data, code)
    if pcap.is_pcap(magic):
        return pcap.pieces(data, code, usual)
    if snoop.is_snoop(data[:8].tobytes()):
        return snoop.pieces(data)
    raise CaptureError(f"not a capture file: byte 0 holds {magic.hex(' ')}, neither pcap, pcapng nor snoop")
