"""Which observer can see a program, told from its executable file."""

from __future__ import annotations

import io
from typing import IO, cast

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

TRACERS = "`strace` or `gdb`"


def why_blind(stream: io.RawIOBase) -> str:
    """Say why a preloaded library sees nothing of this program; empty if it should.

    A set-user-id program needs no word: hosts run with no_new_privs, so that the bit gives nothing (execve(2)) and
    the loader preloads as for any other program (ld.so(8): secure-execution mode is for those that gained something).
    """
    try:
        elf = ELFFile(cast(IO[bytes], stream))
        sections = {section.name for section in elf.iter_sections()}
        static = not any(segment["p_type"] == "PT_INTERP" for segment in elf.iter_segments())
    except ELFError:
        return ""
    kind = "a Go program, which" if sections & {".go.buildinfo", ".note.go.buildid"} else "it"
    if static:
        return f"{kind} is statically linked, so that no library can be preloaded"
    if kind != "it":
        return f"{kind} makes system calls without the C library"
    return ""
