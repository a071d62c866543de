"""Open a capture file of any container and give its packets as columns. The OS's errors become ours here."""

from __future__ import annotations

import mmap
import os
import stat
from pathlib import Path
from typing import BinaryIO

import numpy as np

from testbed.capture import pcap, pcapng
from testbed.capture.columns import Capture, Records
from testbed.capture.decode import decode
from testbed.capture.gather import Bytes
from testbed.capture.unpack import unpack
from testbed.errors import CaptureError


def read(source: str | Path | bytes | BinaryIO) -> Capture:
    """Read a pcap or pcapng file, plain, gzip or zstd, from a path, bytes or an open binary stream.

    A file that breaks off gives what it holds, with ``partial`` saying where. Raises CaptureError (one line with
    the byte offset) for what cannot be read at all. The file must not be made shorter while the capture is in use.
    """
    name = str(source) if isinstance(source, str | Path) else "capture"
    try:
        data, broken = unpack(_raw(source))
        records = _records(data)
    except OSError as problem:
        raise CaptureError(f"{name}: {problem.strerror or problem}") from problem
    except CaptureError as problem:
        raise CaptureError(f"{name}: {problem.what}", hint=problem.hint) from None
    capture = decode(records)
    if broken:
        capture.partial = f"{broken}; {capture.partial}" if capture.partial else broken
    return capture


def _raw(source: str | Path | bytes | BinaryIO) -> Bytes:
    if isinstance(source, bytes):
        return np.frombuffer(source, np.uint8)
    if not isinstance(source, str | Path):
        return np.frombuffer(source.read(), np.uint8)
    with Path(source).open("rb") as stream:
        status = os.fstat(stream.fileno())
        if stat.S_ISREG(status.st_mode) and status.st_size:
            return np.frombuffer(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
        return np.frombuffer(stream.read(), np.uint8)


def _records(data: Bytes) -> Records:
    if not len(data):
        raise CaptureError("the file is empty: no header at byte 0")
    magic = data[:4].tobytes()
    if pcapng.is_pcapng(magic):
        return pcapng.records(data)
    if pcap.is_pcap(magic):
        return pcap.records(data)
    raise CaptureError(f"not a capture file: byte 0 holds {magic.hex(' ')}, neither pcap nor pcapng")
