"""Take gzip and zstd off a file, in bounded memory, keeping what a damaged file still gives."""

from __future__ import annotations

import mmap
import tempfile
import zlib
from collections.abc import Iterator

import numpy as np

from testbed.model.arrays import Bytes
from testbed.model.errors import CaptureError

GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_SKIPPED = b"\x2a\x4d\x18"
_CHUNK = 1 << 20
_FEED = 1 << 12  # compressed bytes at once: zstd packs at most 128 KiB into four bytes, so that these give 128 MiB
_IN_MEMORY = 64 << 20  # beyond this the result goes to disk, so that a small file cannot fill the memory


def unpack(raw: Bytes) -> tuple[Bytes, str | None]:
    """Return the bytes inside ``raw`` (itself when not compressed) and why unpacking ended early, or None."""
    magic = raw[:4].tobytes()
    if magic[:2] == GZIP:
        return _collect(_gunzip(raw))
    if _is_zstd(magic):
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
            if raw[position : position + 2].tobytes() != GZIP:
                yield from _rest(raw, position, "gzip")
                return
            member = zlib.decompressobj(31)


def _unzstd(raw: Bytes) -> Iterator[bytes | str]:
    """Yield what all zstd frames hold (RFC 8878)."""
    import zstandard

    position = 0
    while _is_zstd(raw[position : position + 4].tobytes()):
        frame = zstandard.ZstdDecompressor().decompressobj()
        while not frame.eof:
            pending = raw[position : position + _FEED].tobytes()
            if not pending:
                yield f"the zstd data ends early, at byte {position}"
                return
            try:
                yield frame.decompress(pending)
            except zstandard.ZstdError:
                yield f"the zstd data is damaged near byte {position}"
                return
            position += len(pending)
        position -= len(frame.unused_data)
    yield from _rest(raw, position, "zstd")


def _rest(raw: Bytes, position: int, name: str) -> Iterator[bytes | str]:
    """Say what follows the packed data, unless it is padding."""
    if raw[position : position + _CHUNK].any():
        yield f"what follows at byte {position} is no {name} data"


def _is_zstd(magic: bytes) -> bool:
    """Tell whether a zstd frame begins so, or one to be skipped, with which pzstd begins a file."""
    return magic == _ZSTD or (magic[1:] == _SKIPPED and magic[0] & 0xF0 == 0x50)
