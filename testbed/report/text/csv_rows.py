"""Columns as rows of CSV, as ``csv.writer`` writes them: by the C library where there are many, else by Python."""

from __future__ import annotations

import csv
import ctypes
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from testbed.capture.compiled import address, columns_library
from testbed.model.arrays import Int64

EMPTY = int(np.iinfo(np.int64).min)
"""The number of a field that is empty."""

_MANY = 1 << 17  # rows; fewer are written before a library is loaded
_NUMBER = 21  # bytes of a number at most, with what follows it


@dataclass(frozen=True, slots=True)
class CsvColumn:
    """A field of each row: int64[n], numbers (:data:`EMPTY`: none), or which of ``texts`` each row has.

    ``texts`` are as the file has them (:func:`quoted`); None for numbers.
    """

    values: Int64
    texts: Sequence[bytes] | None = None


class _Column(ctypes.Structure):
    """``struct csv_column`` (compose/columns/csv_rows.h)."""

    _fields_ = tuple((name, ctypes.c_void_p) for name in ("values", "texts", "ends"))


def library_for(rows: int) -> ctypes.CDLL | None:
    """Return the C library if so many rows are worth it, and there is one."""
    return columns_library() if rows >= _MANY else None


def quoted(text: str) -> bytes:
    """Return a text as a field of CSV."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(["", text])  # alone, an empty one would be quoted
    return out.getvalue()[1:-1].encode()


def by_texts(texts: Iterable[str]) -> CsvColumn:
    """Return a column of texts, one for each row."""
    places: dict[str, int] = {}
    values = [places.setdefault(text, len(places)) for text in texts]
    return CsvColumn(np.array(values, np.int64), [quoted(text) for text in places])


def csv_rows(columns: Sequence[CsvColumn], code: ctypes.CDLL | None) -> bytes | memoryview:
    """Return the rows of columns of one length, with the library or without: the same bytes."""
    return _by_python(columns) if code is None else _by_c(columns, code)


def _by_python(columns: Sequence[CsvColumn]) -> bytes:
    fields = []
    for column in columns:
        values = column.values.tolist()
        if column.texts is None:
            fields.append([b"" if value == EMPTY else b"%d" % value for value in values])
        else:
            fields.append([column.texts[value] for value in values])
    return b"".join(b",".join(row) + b"\n" for row in zip(*fields, strict=True))


def _by_c(columns: Sequence[CsvColumn], code: ctypes.CDLL) -> memoryview:
    rows, room = len(columns[0].values), 0
    given = (_Column * len(columns))()
    kept: list[NDArray[Any]] = []  # what C reads must not be freed before
    for one, column in zip(given, columns, strict=True):
        values = np.ascontiguousarray(column.values, np.int64)
        one.values = address(values)
        kept.append(values)
        if column.texts is None:
            room += _NUMBER * rows
            continue
        lengths = np.array([len(text) for text in column.texts], np.int64)
        ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        texts = np.frombuffer(b"".join(column.texts) + b"\0", np.uint8)  # never empty: it has an address
        one.texts, one.ends = address(texts), address(ends)
        kept += [ends, texts]
        room += int(lengths[values].sum()) + rows
    out = np.empty(room, np.uint8)
    size = code.csv_rows(given, ctypes.c_int64(len(columns)), ctypes.c_int64(rows), ctypes.c_void_p(address(out)))
    return out[:size].data
