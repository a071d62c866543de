"""Source lines of return addresses: from a module's own debug information (DWARF 2 to 5), read in parts where it lies.

A module is read through a function that returns a part of a file, so that of a large program without debug
information only its section headers travel, and of one with it only what says where lines are.
"""

from __future__ import annotations

import io
import posixpath
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace
from typing import IO, Any, cast

from elftools.common.exceptions import DWARFError, ELFError
from elftools.elf.elffile import ELFFile

from testbed.model import Call

ReadPart = Callable[[str, int, int], bytes]
"""Path, offset, length: the bytes there, fewer where the file ends. Raises OSError where it cannot be read."""

DEBUG_LIMIT = 48 << 20
"""Bytes of debug sections up to which a module is looked at; more (a browser) would take minutes."""
LINES_LIMIT = 2 << 20
"""Bytes of line tables that are searched whole where no index (.debug_aranges) says which unit holds an address."""
_BLOCK = 1 << 16
_ENDLESS = 1 << 62


class SourceLines:
    """Finds source lines in the modules of one host; each module is opened once."""

    def __init__(self, read_part: ReadPart) -> None:
        self._read_part = read_part
        self._found: dict[str, str | None] = {}

    def fill(self, calls: Iterable[Call]) -> tuple[Call, ...]:
        """Return the calls with ``source`` filled in where their ``caller`` can be resolved."""
        calls = tuple(calls)
        unknown: dict[str, set[int]] = {}
        for caller in {call.caller for call in calls if call.caller and not call.source} - self._found.keys():
            path, _, digits = caller.rpartition("+0x")
            if path.startswith("/"):
                unknown.setdefault(path, set()).add(int(digits, 16))
        for path, offsets in unknown.items():
            lines = module_lines(FileParts(self._read_part, path), {offset - 1 for offset in offsets})
            for offset in offsets:
                # The instruction after a call may belong to the next line; the call itself ends one byte before it.
                self._found[f"{path}+{offset:#x}"] = lines.get(offset - 1)
        return tuple(replace(call, source=call.source or self._found.get(call.caller or "")) for call in calls)


def module_lines(stream: io.RawIOBase, addresses: Collection[int]) -> dict[int, str]:
    """Return ``file.c:12`` for those addresses (in the module's own numbering) that its debug information knows.

    What is no ELF file, has no debug information or a broken one gives an empty answer.
    """
    try:
        elf = ELFFile(cast(IO[bytes], stream))
        if not elf.has_dwarf_info(strict=True) or _debug_size(elf) > DEBUG_LIMIT:
            return {}
        dwarf = elf.get_dwarf_info()
        found: dict[int, str] = {}
        for unit, wanted in _units(dwarf, addresses):
            found |= _unit_lines(dwarf.line_program_for_CU(unit), wanted)
    except (ELFError, DWARFError, OSError, KeyError, ValueError):
        return {}
    return found


def _debug_size(elf: Any) -> int:  # noqa: ANN401 - pyelftools types little of it
    return sum(section["sh_size"] for section in elf.iter_sections() if section.name.startswith((".debug", ".zdebug")))


def _units(dwarf: Any, addresses: Collection[int]) -> Iterator[tuple[Any, Collection[int]]]:  # noqa: ANN401
    """Yield the compilation units that may hold the addresses, with those that each may hold."""
    index = dwarf.get_aranges()
    rest = set(addresses)
    units: dict[int, set[int]] = {}
    for address in addresses if index is not None else ():
        offset = index.cu_offset_at_addr(address)
        if offset is not None:
            units.setdefault(offset, set()).add(address)
            rest.discard(address)
    for offset, wanted in units.items():
        yield dwarf.get_CU_at(offset), wanted
    if rest and dwarf.debug_line_sec is not None and dwarf.debug_line_sec.size <= LINES_LIMIT:
        for unit in dwarf.iter_CUs():
            yield unit, rest


def _unit_lines(program: Any, addresses: Collection[int]) -> dict[int, str]:  # noqa: ANN401
    if program is None:
        return {}
    names = [entry.name for entry in program["file_entry"]]
    first = 0 if program["version"] >= 5 else 1  # DWARF 5 (6.2.4) counts files from 0, before it from 1
    found: dict[int, str] = {}
    for rows in _sequences(program):
        starts = [row.address for row in rows]
        for address in addresses:
            if starts[0] <= address < starts[-1]:
                row = rows[bisect_right(starts, address) - 1]
                number = row.file - first
                if 0 <= number < len(names):
                    found[address] = f"{posixpath.basename(names[number].decode(errors='replace'))}:{row.line}"
    return found


def _sequences(program: Any) -> Iterator[list[Any]]:  # noqa: ANN401
    """Yield the rows of each run of addresses that ascend without a gap, the end mark included."""
    rows: list[Any] = []
    for entry in program.get_entries():
        if entry.state is None:
            continue
        rows.append(entry.state)
        if entry.state.end_sequence:
            yield rows
            rows = []


class FileParts(io.RawIOBase):
    """A file that is read in blocks, each once, as a stream for pyelftools; its end cannot be sought."""

    def __init__(self, read_part: ReadPart, path: str) -> None:
        self._read = read_part
        self._path = path
        self._at = 0
        self._blocks: dict[int, bytes] = {}

    def seekable(self) -> bool:
        """Yes."""
        return True

    def readable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position."""
        # The end is not known without asking, and only looked at to see that offsets lie before it.
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: _ENDLESS}[whence]
        return self._at

    def read(self, size: int = -1) -> bytes:
        """Return the next ``size`` bytes."""
        if size < 0:
            raise io.UnsupportedOperation("the whole of it")
        start, end = self._at, self._at + size
        first, last = start // _BLOCK, -(-end // _BLOCK)
        missing = [number for number in range(first, last) if number not in self._blocks]
        if missing:
            data = self._read(self._path, missing[0] * _BLOCK, (missing[-1] + 1 - missing[0]) * _BLOCK)
            for number in range(missing[0], missing[-1] + 1):
                at = (number - missing[0]) * _BLOCK
                self._blocks[number] = data[at : at + _BLOCK]
        joined = b"".join(self._blocks[number] for number in range(first, last))
        data = joined[start - first * _BLOCK : end - first * _BLOCK]
        self._at += len(data)
        return data
