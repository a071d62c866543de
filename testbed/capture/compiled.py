"""The C library that reads large captures and writes large tables (compose/columns), where there is or can be one.

A platform wheel brings it; else ``make`` and a compiler make it at first use, into the user's cache. Without either,
everything is done by NumPy, with the same result: the library only does again what the modules beside it say.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from testbed.shipped.files import COMPOSE, TOOLS, user_cache

_NAME = "libcolumns.so"
_FOLDERS = ("columns", "common")
_COUNTING = (
    "walk_pcap",
    "walk_pcapng",
    "usual_packets",
    "usual_records",
    "count_conversations",
    "join_keys",
    "csv_rows",
)
"""Functions that return how many there are, or were made."""
_TURNED_OFF = "BOTHENDS_COMPILED"
"""Set to 0 in the environment, NumPy does all."""


class Walk(ctypes.Structure):
    """``struct walk`` (compose/columns/records.h)."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        *((name, ctypes.c_int64) for name in ("size", "position", "limit", "room", "big")),
    )


class FoundRecords(ctypes.Structure):
    """``struct records`` (compose/columns/records.h)."""

    _fields_ = tuple((name, ctypes.c_void_p) for name in ("offset", "captured", "wire", "time"))


def address(array: NDArray[Any]) -> int:
    """Return where an array's items are, one after the other."""
    assert array.flags.c_contiguous  # noqa: S101 - what C reads else is none of its items
    return int(array.__array_interface__["data"][0])  # in half the time of array.ctypes.data


@cache
def columns_library() -> ctypes.CDLL | None:
    """Return the library, compiled now if it has to be; None where it cannot be had, or shall not."""
    if os.environ.get(_TURNED_OFF) == "0":
        return None
    path = TOOLS / _NAME
    if not path.is_file():
        path = user_cache() / f"columns-{_key()}" / _NAME
    if not path.is_file() and not _compile(path):
        return None
    try:
        loaded = ctypes.CDLL(str(path))
    except OSError:  # of another machine's kind
        return None
    for name in _COUNTING:
        getattr(loaded, name).restype = ctypes.c_int64
    loaded.new_conversations.restype = ctypes.c_void_p
    return loaded


class FindsUsual(Protocol):
    """Takes usual packets as their records are found (compose/columns/packets.h)."""

    def read_pcap(
        self, walk: Walk, longest: int, tick: int, room: int, link_type: int
    ) -> tuple[tuple[NDArray[np.int64], ...], NDArray[np.int64]]:
        """Return what :func:`walk_pcap` does, and the positions of the records that are left."""


def walk_pcap(code: ctypes.CDLL, walk: Walk, longest: int, tick: int, room: int) -> tuple[NDArray[np.int64], ...]:
    """Return offset, captured, wire and time (ns) of records from ``walk.position`` on, which moves behind them."""
    columns = tuple(np.empty(room, np.int64) for _ in range(4))
    walk.room = room
    found = FoundRecords(*(address(column) for column in columns))
    count = code.walk_pcap(ctypes.byref(walk), ctypes.c_int64(longest), ctypes.c_int64(tick), ctypes.byref(found))
    return tuple(column[:count] for column in columns)


def walk_pcapng(code: ctypes.CDLL, walk: Walk, room: int) -> NDArray[np.int64]:
    """Return where enhanced packet blocks are from ``walk.position`` on, which moves behind them."""
    blocks = np.empty(room, np.int64)
    walk.room = room
    count = code.walk_pcapng(ctypes.byref(walk), ctypes.c_void_p(address(blocks)))
    return blocks[:count]


def _key() -> str:
    digest = hashlib.sha256(repr((platform.machine(), platform.libc_ver())).encode())
    digest.update((COMPOSE / "Makefile").read_bytes())
    for folder in _FOLDERS:
        for path in sorted((COMPOSE / folder).glob("*.[ch]")):
            digest.update(f"\0{folder}/{path.name}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _compile(path: Path) -> bool:
    """Make the library; say whether it is there. It is there whole or not at all."""
    if shutil.which("make") is None or shutil.which("cc") is None:
        return False
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    try:
        path.parent.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".making-", dir=path.parent.parent) as made:
            words = ["make", "-s", "-C", str(COMPOSE), f"OUT={made}", f"OBJ={made}/obj", "CC=cc", "WERROR=", "columns"]
            done = subprocess.run(words, env=environment, capture_output=True, check=False)
            if not done.returncode:
                path.parent.mkdir(exist_ok=True)
                Path(made, _NAME).replace(path)
    except OSError:
        return False
    return path.is_file()
