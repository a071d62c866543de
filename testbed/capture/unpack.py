"""Take gzip and zstd off a file, in bounded memory, keeping what a damaged file still gives."""

from __future__ import annotations

import importlib
import io
import mmap
import tempfile
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from testbed.capture.gather import Bytes
from testbed.errors import CaptureError

GZIP = b"\x1f\x8b"
ZSTD = b"\x28\xb5\x2f\xfd"
_CHUNK = 1 << 20
_IN_MEMORY = 64 << 20  # beyond this the result goes to disk, so that a small file cannot fill the memory


def unpack(raw: Bytes) -> tuple[Bytes, str | None]:
    """Return the bytes inside ``raw`` (itself when not compressed) and why unpacking ended early, or None."""
    magic = raw[:4].tobytes()
    if magic[:2] == GZIP:
        return _collect(_gunzip(raw))
    if magic == ZSTD:
        return _collect(_unzstd(raw))
    return raw, None


def _collect(chunks: Iterator[bytes | str]) -> tuple[Bytes, str | None]:
    """Gather bytes; a string among them is the reason why there are no more."""
    broken = None
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as out:
        size = 0
        for chunk in chunks:
            if isinstance(chunk, str):
                broken = chunk
            else:
                out.write(chunk)
                size += len(chunk)
        if not size and broken:
            raise CaptureError(broken)
        out.seek(0)
        if size <= _IN_MEMORY:
            return np.frombuffer(out.read(), np.uint8), broken
        return np.frombuffer(mmap.mmap(out.fileno(), 0, access=mmap.ACCESS_READ), np.uint8), broken


def _gunzip(raw: Bytes) -> Iterator[bytes | str]:
    """Yield what all gzip members hold (RFC 1952)."""
    position = 0
    pending = b""
    member = zlib.decompressobj(31)
    while True:
        if not pending:
            pending = raw[position : position + _CHUNK].tobytes()
            position += len(pending)
        if not pending:
            yield member.flush()
            yield f"the gzip data ends early, at byte {position}"
            return
        try:
            yield member.decompress(pending, _CHUNK)
        except zlib.error:
            yield f"the gzip data is damaged near byte {position - len(pending)}"
            return
        pending = member.unconsumed_tail
        if member.eof:
            position -= len(member.unused_data)
            pending = b""
            if raw[position : position + 2].tobytes() != GZIP:  # what follows is padding
                return
            member = zlib.decompressobj(31)


def _unzstd(raw: Bytes) -> Iterator[bytes | str]:
    stream, failure = _zstd_stream(raw.tobytes())
    try:
        while chunk := stream.read(_CHUNK):
            yield chunk
    except (failure, EOFError):
        yield "the zstd data is damaged or ends early"


def _zstd_stream(raw: bytes) -> tuple[Any, type[Exception]]:
    """Return a reader by Python's own module (3.14 and newer) or by the package zstandard, and its exception."""
    try:
        own = importlib.import_module("compression.zstd")
    except ImportError:
        pass
    else:
        return own.open(io.BytesIO(raw)), own.ZstdError
    try:
        package = importlib.import_module("zstandard")
    except ImportError:
        raise CaptureError(
            "the file is zstd-compressed, which needs the Python package zstandard",
            hint="pip install zstandard, or unpack it with `zstd -d`",
        ) from None
    return package.ZstdDecompressor().stream_reader(raw, read_across_frames=True), package.ZstdError
