"""Write pcapng (IETF draft-ietf-opsawg-pcapng): interfaces with names, nanoseconds, several comments a packet."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import BinaryIO

_SECTION, _INTERFACE, _ENHANCED = 0x0A0D0D0A, 1, 6
_COMMENT, _USER_APPLICATION, _IF_NAME, _IF_TSRESOL = 1, 4, 2, 9
_LONGEST = 0xFFFF  # bytes of one option


class Writer:
    """Writes blocks as they come; the stream stays the caller's. Times are ns since the epoch."""

    def __init__(self, stream: BinaryIO, *, application: str, comment: str = "") -> None:
        self._write = stream.write
        options = [_option(_COMMENT, comment.encode())] if comment else []
        options.append(_option(_USER_APPLICATION, application.encode()))
        head = struct.pack(
            "<IHHq", 0x1A2B3C4D, 1, 0, -1
        )  # byte order magic, version 1.0, length of the section unknown
        self._block(_SECTION, head + _closed(options))
        self._interfaces = 0

    def interface(self, name: str, link_type: int, snap_length: int = 0) -> int:
        """Add an interface with nanosecond stamps; return its number."""
        options = [_option(_IF_NAME, name.encode()), _option(_IF_TSRESOL, b"\x09")]
        self._block(_INTERFACE, struct.pack("<HHI", link_type, 0, snap_length) + _closed(options))
        self._interfaces += 1
        return self._interfaces - 1

    def packet(self, interface: int, time_ns: int, data: bytes, wire: int, comments: Sequence[str] = ()) -> None:
        """Add a packet of which ``data`` was captured and ``wire`` bytes were on the wire.

        A time before the epoch, as damaged files have it, is written as the format can: modulo 2**64.
        """
        head = struct.pack("<IIIII", interface, time_ns >> 32 & 0xFFFFFFFF, time_ns & 0xFFFFFFFF, len(data), wire)
        options = [_option(_COMMENT, comment[: _LONGEST // 4].encode()) for comment in comments]
        self._block(_ENHANCED, head + _padded(data) + _closed(options))

    def _block(self, kind: int, body: bytes) -> None:
        length = struct.pack("<I", len(body) + 12)
        self._write(struct.pack("<I", kind) + length + body + length)


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + _padded(value)


def _closed(options: Sequence[bytes]) -> bytes:
    """Return the options with the mark of their end; nothing where there are none."""
    return b"".join((*options, b"\0\0\0\0")) if options else b""


def _padded(data: bytes) -> bytes:
    """Return the bytes filled up to a multiple of four."""
    return data + bytes(-len(data) % 4)
