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
    Nor does one with capabilities of its own (setcap(8)): a host has none to give, and does not execute it (EPERM) or
    ignores them (nosuid).
    """
    try:
        elf = ELFFile(cast(IO[bytes], stream))
        sections = {section.name for section in elf.iter_sections()}
        loaders = [segment.data() for segment in elf.iter_segments() if segment["p_type"] == "PT_INTERP"]
    except ELFError:
        return ""
    kind = "a Go program, which" if sections & {".go.buildinfo", ".note.go.buildid"} else "it"
    if not loaders:
        return f"{kind} is statically linked, so that no library can be preloaded"
    if kind != "it":
        return f"{kind} makes system calls without the C library"
    if b"/ld-musl-" in loaders[0]:
        return "it is made for another C library, musl, which cannot load the probe"
    return ""
