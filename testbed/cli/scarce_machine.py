"""Errors that mean that the machine gave this process too little: memory, threads, descriptors."""

from __future__ import annotations

import errno
from collections.abc import Iterator

MEMORY = "this process got too little memory"
FILES = "this process may not open more files"
_BY_ERRNO = {errno.ENOMEM: MEMORY, errno.EMFILE: FILES, errno.ENFILE: "the machine cannot open more files"}
_LOADER = ("failed to map segment", "cannot allocate memory")
"""What the dynamic linker says (glibc, elf/dl-load.c) of a library for which there is no room."""
FEWER = "run fewer programs beside it (`ulimit -u`), or allow more memory (`ulimit -v`)"
"""What to do about all others."""
HINTS = {
    MEMORY: "allow it 512 MiB or more: `ulimit -v` shows a limit of its own, the container's is its engine's",
    FILES: "allow more: `ulimit -n 1024`",
}


def what_is_scarce(error: BaseException) -> str:
    """Return what there was too little of; empty where the error, and what it came from, means something else."""
    for each in _chain(error):
        if isinstance(each, MemoryError):
            return MEMORY
        if isinstance(each, OSError) and each.errno in _BY_ERRNO:
            return _BY_ERRNO[each.errno]
        if isinstance(each, ImportError) and any(words in str(each).lower() for words in _LOADER):
            return MEMORY
        if isinstance(each, RuntimeError) and "can't start new thread" in str(each):
            return "this process may not start more threads"
    return ""


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
