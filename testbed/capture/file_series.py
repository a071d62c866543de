"""The files of a ring buffer (``tcpdump -W``, ``dumpcap -b``) as one capture, given by a pattern."""

from __future__ import annotations

from glob import glob, has_magic
from pathlib import Path

import numpy as np

from testbed.capture.containers import pcapng, snoop
from testbed.capture.read_file import Loaded, load, pieces
from testbed.model.errors import CaptureError

_HEADER = 24  # bytes of a pcap file's header
_LINK = slice(20, 24)


def is_pattern(name: str) -> bool:
    """Say whether a name is a pattern for several files: it has ``*``, ``?`` or ``[``, and no file has that name."""
    return has_magic(name) and not Path(name).exists()


def load_series(pattern: str) -> Loaded:
    """Load all files that a pattern names, in the order of their first packets, as one file.

    Raises CaptureError where there is none, or where they are not of one kind (container, byte order, link type).
    """
    names = sorted(glob(pattern))  # noqa: PTH207 - also absolute patterns
    if not names:
        raise CaptureError(f"{pattern}: no file has such a name")
    files = sorted(((_first_time(each), each.name, each) for each in map(load, names)), key=lambda each: each[:2])
    loaded = [each for _, _, each in files]
    if all(pcapng.is_pcapng(each.data[:4].tobytes()) for each in loaded):
        parts = [each.data for each in loaded]  # sections follow each other
    else:
        of_snoop = snoop.is_snoop(loaded[0].data[:8].tobytes())
        header, link = (snoop.HEADER, slice(12, 16)) if of_snoop else (_HEADER, _LINK)
        kinds = {(each.data[:4].tobytes(), each.data[link].tobytes()) for each in loaded}
        if len(kinds) > 1:
            raise CaptureError(
                f"{pattern}: the {len(loaded)} files are not of one kind (container, byte order, link type)",
                hint="mergecap -w all.pcapng puts them together",
            )
        parts = [loaded[0].data, *(each.data[header:] for each in loaded[1:])]
    broken = next((f"{each.name}: {each.broken}" for each in loaded if each.broken), None)
    return Loaded(pattern, np.concatenate(parts), broken)


def _first_time(file: Loaded) -> int:
    first = next(pieces(file))
    return int(first.time_ns[0]) if len(first.time_ns) else 0
