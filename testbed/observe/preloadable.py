"""Whether the probe can be preloaded into a program, from its executable file (ELF)."""

from __future__ import annotations

import io
from typing import IO, cast

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile


def why_not_preloadable(stream: io.RawIOBase) -> str:
    """Return why a preloaded library cannot record the program's calls, as the end of a sentence; empty if it can.

    Set-user-id programs can be preloaded into: hosts run with no_new_privs, so that the bit has no effect (execve(2))
    and the loader treats them as any other program (ld.so(8), secure-execution mode). Programs with capabilities of
    their own (setcap(8)) are not executed in a host (EPERM), or their capabilities are ignored (nosuid).
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
