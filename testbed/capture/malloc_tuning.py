"""Let the C library keep memory that large arrays gave back, for the next ones.

By default glibc takes each large block from the kernel and hands it back at once: a comparison that makes hundreds of
arrays of some MiB spends a third of its time on pages that the kernel clears again and again.
"""

from __future__ import annotations

import ctypes
import platform

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # malloc.h
_LARGE = 64 << 20
_KEPT = 256 << 20


def keep_freed_memory() -> None:
    """Set the thresholds (mallopt(3)) for this process and those that it forks; other C libraries are left alone."""
    if platform.libc_ver()[0] != "glibc":
        return
    library = ctypes.CDLL(None)
    library.mallopt(_M_MMAP_THRESHOLD, _LARGE)
    library.mallopt(_M_TRIM_THRESHOLD, _KEPT)
    library.mallopt(_M_ARENA_MAX, 1)  # what one thread gave back is there for the other
