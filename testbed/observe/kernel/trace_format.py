"""tracefs as values: ``format`` files, and the ring buffer's pages (linux/ring_buffer.h, kernel/trace/ring_buffer.c).

Offsets of fields differ between kernels; only the format files say where they are. Everything is of a little-endian
machine.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

_FIELD = re.compile(r"field:\s*(.+?);\s*offset:(\d+);\s*size:(\d+);(?:\s*signed:(\d+);)?")
_SYMBOLS = re.compile(r"__print_symbolic\(REC->(\w+),((?:\s*\{[^{}]*\},?)*)\)")
_SYMBOL = re.compile(r"\{\s*(\d+)\s*,\s*\"([^\"]*)\"\s*\}")

_PADDING, _EXTENSION, _STAMP = 29, 30, 31
_COUNT = 0x3FFFFFFF
_MISSED = 1 << 31
_WORD = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Field:
    """Where a field is in a record: byte offset and size."""

    offset: int
    size: int
    signed: bool

    def number(self, record: bytes | memoryview) -> int:
        """Return the field as a number."""
        return int.from_bytes(record[self.offset : self.offset + self.size], "little", signed=self.signed)

    def text(self, record: bytes | memoryview) -> str:
        """Return the text that a ``__data_loc`` field leads to: where it is (2 bytes), and its length."""
        where = self.number(record)
        start, size = where & 0xFFFF, where >> 16 & 0xFFFF
        return bytes(record[start : start + size]).rstrip(b"\0").decode(errors="replace")

    def raw(self, record: bytes | memoryview) -> bytes:
        """Return the field's bytes."""
        return bytes(record[self.offset : self.offset + self.size])


@dataclass(frozen=True, slots=True, eq=False)
class Format:
    """One tracepoint's records. ``symbols`` are the names that it has for values: field -> value -> name.

    One is equal to itself alone, so that what is made of it can be kept as it is.
    """

    name: str
    id: int
    fields: dict[str, Field]
    symbols: dict[str, dict[int, str]] = field(default_factory=dict)


@cache
def parse_format(text: str) -> Format:
    """Parse an event's ``format`` file. Raises ValueError where it is none.

    Kept: a kernel's files are the same in each run of a campaign.
    """
    name = re.search(r"^name: (\w+)$", text, re.MULTILINE)
    number = re.search(r"^ID: (\d+)$", text, re.MULTILINE)
    if name is None or number is None:
        raise ValueError("this is no format file of a tracepoint")
    symbols = {found[1]: {int(n): word for n, word in _SYMBOL.findall(found[2])} for found in _SYMBOLS.finditer(text)}
    return Format(name[1], int(number[1]), _fields(text), symbols)


def _fields(text: str) -> dict[str, Field]:
    fields = {}
    for declared, offset, size, signed in _FIELD.findall(text):
        name = re.sub(r"\[[^]]*\]$", "", declared).split()[-1].lstrip("*")
        fields[name] = Field(int(offset), int(size), signed == "1")
    return fields


@dataclass(frozen=True, slots=True)
class PageHeader:
    """Where a page of the ring buffer has its time, its length and its records (events/header_page)."""

    timestamp: Field
    commit: Field
    data: int

    @classmethod
    def parse(cls, text: str) -> PageHeader:
        """Parse ``events/header_page``. Raises KeyError where it lacks a field."""
        fields = _fields(text)
        return cls(fields["timestamp"], fields["commit"], fields["data"].offset)

    def missed(self, page: bytes) -> bool:
        """Say whether events before this page were lost (RB_MISSED_EVENTS)."""
        return bool(self.commit.number(page) & _MISSED)

    def records(self, page: bytes) -> Iterator[tuple[int, memoryview]]:
        """Yield the time (ns, on the trace's clock) and the bytes of each record of a page.

        Raises ValueError for a page that is cut.
        """
        time = self.timestamp.number(page)
        at = self.data
        end = at + (self.commit.number(page) & _COUNT & 0xFFFFF)
        if end > len(page):
            raise ValueError("a page of the trace is cut")
        view = memoryview(page)
        while at < end:
            (word,) = _WORD.unpack_from(page, at)
            kind, delta = word & 31, word >> 5
            at += 4
            if kind == _PADDING:
                if not delta:
                    return
                at += _WORD.unpack_from(page, at)[0]
            elif kind == _EXTENSION:
                time += (_WORD.unpack_from(page, at)[0] << 27) + delta
                at += 4
            elif kind == _STAMP:
                low = (_WORD.unpack_from(page, at)[0] << 27) + delta
                time = (time >> 59 << 59) | low
                at += 4
            else:
                time += delta
                start, length = (at, kind * 4) if kind else (at + 4, _WORD.unpack_from(page, at)[0] - 4)
                yield time, view[start : start + length]
                at = start + length
