"""The frames that the recorder wrote (compose/witness/witness.c), as values; pages of the ring buffer as they are."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from testbed.observe.kernel.trace_format import Format, PageHeader, parse_format

_HEADER = struct.Struct(">cI")
_TIMER_LINE = re.compile(r"timer=(?:0x)?([0-9a-f]+) function=(\S+) now=(\d+)")


def frames(data: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Yield type and payload of each frame; a cut one at the end is left out."""
    while len(header := data.read(_HEADER.size)) == _HEADER.size:
        kind, size = _HEADER.unpack(header)
        payload = data.read(size)
        if len(payload) < size:
            return
        yield kind, payload


@dataclass
class RecordedFrames:
    """The content of the recording's frames; pages of the ring buffer as they are."""

    header: PageHeader | None = None
    formats: dict[str, Format] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    pages: list[tuple[int, int, bytes]] = field(default_factory=list)  # instance, processor
    clocks: list[tuple[int, ...]] = field(default_factory=list)
    statistics: str = ""
    names: dict[int, str] = field(default_factory=dict)
    timers: dict[tuple[int, int], str] = field(default_factory=dict)
    ended: bool = False

    def take(self, kind: bytes, payload: bytes) -> None:
        """Take one frame. Raises ValueError or struct.error where it makes no sense."""
        if kind == b"P":
            self.pages.append((payload[0], int.from_bytes(payload[1:4]), payload[4:]))
        elif kind == b"H":
            self.header = PageHeader.parse(payload.decode())
        elif kind == b"F":
            name, _, text = payload.partition(b"\0")
            self.formats[name.decode()] = parse_format(text.decode())
        elif kind == b"M":
            self.missing.append(payload.decode())
        elif kind == b"C":
            self.clocks.append(struct.unpack(">3Q", payload))
        elif kind == b"S":
            self.statistics += payload[4:].decode() + "\n"
        elif kind == b"A":
            address, _, function = payload.decode(errors="replace").partition(" ")
            self.names[int(address, 16)] = function
        elif kind == b"L" and (line := _TIMER_LINE.search(payload.decode(errors="replace"))):
            self.timers[int(line[1], 16), int(line[3])] = line[2]
        elif kind == b"E":
            self.ended = True
