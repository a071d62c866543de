"""The probe's log file as values: the layout of ``compose/probe/format.h``, version 1, little endian."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

MAGIC = b"BOTHENDS"
VERSION = 1
ENTERED, RETURNED = 1, 2
OUT, IN, DIGEST, STREAM, LOCAL = 1, 2, 4, 8, 16
"""Bits of :attr:`Record.marks`."""

_HEADER = struct.Struct("<8s III ii I QQQQ 4032s")
_RECORD = struct.Struct("<Iiii16s QQqQQQQ 7q HHHH 32s72s")
_ADDRESS_AT = 152
HEADER_SIZE = _HEADER.size
RECORD_SIZE = _RECORD.size


class BadLogError(ValueError):
    """The content of a log file cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Header:
    """A log's first page. ``used`` counts slots handed out, ``lost`` records that found no room; times in ns.

    ``forked_from`` is the ``start`` of the log of the process that this one was forked from, 0 for a new image.
    """

    pid: int
    parent: int
    start: int
    forked_from: int
    used: int
    lost: int
    program: str


class Record(NamedTuple):
    """One slot; ``name`` is padded with NULs and begins with ``#`` for what is not a call. The rest is as in C."""

    state: int
    tid: int
    fd: int
    error: int
    name: bytes
    start: int
    end: int
    result: int
    cookie: int
    caller: int
    length: int
    digest: int
    a0: int
    a1: int
    a2: int
    a3: int
    a4: int
    a5: int
    a6: int
    marks: int
    address_length: int
    kept: int
    reserved: int
    address_room: bytes
    blob_room: bytes

    @property
    def address(self) -> bytes:
        """The valid part of the address field."""
        return self.address_room[: self.address_length]

    @property
    def blob(self) -> bytes:
        """The valid part of the blob field."""
        return self.blob_room[: self.kept]


class Module(NamedTuple):
    """An executable mapping: addresses ``start`` to ``end`` of ``path``, loaded at ``base``."""

    start: int
    end: int
    base: int
    path: str


def read_header(log: bytes) -> Header:
    """Read a log's header, or raise :class:`BadLogError`."""
    if len(log) < HEADER_SIZE or not log.startswith(MAGIC):
        if not log[:HEADER_SIZE].strip(b"\0"):
            raise BadLogError("no header: the probe could not map the file, or the process died as it opened it")
        raise BadLogError("not a probe log" if not log.startswith(MAGIC) else "cut off within its header")
    _, version, header_size, record_size, pid, parent, _, start, forked_from, used, lost, program = _HEADER.unpack_from(
        log
    )
    if (version, header_size, record_size) != (VERSION, HEADER_SIZE, RECORD_SIZE):
        raise BadLogError(
            f"log version {version} (header {header_size}, record {record_size} bytes), "
            f"this decoder reads version {VERSION} ({HEADER_SIZE}, {RECORD_SIZE})"
        )
    path = program.split(b"\0", 1)[0].decode(errors="replace")
    return Header(pid, parent, start, forked_from, used, lost, path)


def records_held(log: bytes) -> int:
    """How many whole slots the content has room for."""
    return max(0, len(log) - HEADER_SIZE) // RECORD_SIZE


def read_records(log: bytes, header: Header) -> Iterator[Record | Module]:
    """Yield the filled slots in the order in which they were reserved, a module's slots as one :class:`Module`."""
    count = min(header.used, records_held(log))
    end = HEADER_SIZE + count * RECORD_SIZE
    resume = 0
    for index, values in enumerate(_RECORD.iter_unpack(memoryview(log)[HEADER_SIZE:end])):
        if index < resume or values[0] not in (ENTERED, RETURNED):
            continue
        record = Record._make(values)
        if not record.name.startswith(b"#module"):
            yield record
            continue
        at = HEADER_SIZE + index * RECORD_SIZE + _ADDRESS_AT
        path = log[at : at + record.a3]
        resume = index - (-(_ADDRESS_AT + record.a3) // RECORD_SIZE)
        yield Module(record.a0, record.a1, record.a2, path.decode(errors="replace"))
