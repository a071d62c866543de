"""Passes over both of two large captures by C (compose/columns)."""

from __future__ import annotations

import ctypes
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from testbed.capture.compiled import address, columns_library
from testbed.model.arrays import Bool, Int64, UInt32, UInt64
from testbed.pairing.changes import differences
from testbed.pairing.equal_keys import in_order, place_bits
from testbed.pairing.flow_packets import FlowPackets
from testbed.pairing.packet_keys import PARTS, key_packets
from testbed.pairing.packet_table import COLUMNS, PacketTable
from testbed.pairing.pair_sums import PairSums, sum_pairs
from testbed.pairing.passes import Passes
from testbed.run.at_once import at_once
from testbed.run.usual_packets import Rows, no_memory

_WORD = (1 << 64) - 1
_MANY = 1 << 17  # keys; fewer are joined before a library is loaded


class _PairSums(ctypes.Structure):
    """``struct pair_sums`` (compose/columns/pairs.h)."""

    _fields_ = (
        *((each.name, ctypes.c_void_p) for each in fields(PairSums) if each.name != "no_time"),
        *((name, ctypes.c_void_p) for name in ("last_place", "last_apart")),
        ("no_time", ctypes.c_int64),
    )


class _Side(ctypes.Structure):
    """``struct side`` (compose/columns/pairs.h)."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("rows", "row", "place", "seq", "ack")),
        ("count", ctypes.c_int64),
    )


def join_by_c(a: UInt64, b: UInt64) -> tuple[Int64, Int64, Bool]:
    """Do what :func:`in_order` (testbed.pairing.equal_keys) does; of few keys, or without the library, by NumPy."""
    code = columns_library() if min(len(a), len(b)) >= _MANY else None
    return in_order(a, b) if code is None else join_keys(code, a, b)


def join_keys(code: ctypes.CDLL, a: UInt64, b: UInt64) -> tuple[Int64, Int64, Bool]:
    """Return what :func:`in_order` does."""
    a, b = _of(a, np.uint64), _of(b, np.uint64)
    x, y, several = np.empty(len(a), np.int64), np.empty(len(a), np.int64), np.empty(len(a), np.bool_)
    places = [ctypes.c_void_p(address(each)) for each in (a, b, x, y, several)]
    mask = ctypes.c_uint64(~int(place_bits(a, b)) & _WORD)
    counts = ctypes.c_int64(len(a)), ctypes.c_int64(len(b))
    found = code.join_keys(places[0], counts[0], places[1], counts[1], mask, *places[2:])
    if found < 0:
        raise no_memory()
    return x[:found], y[:found], several[:found]


def keys_by_c(side: FlowPackets, items: Int64, parts: tuple[str, ...]) -> UInt64:
    """Do what :func:`key_packets` does; of few packets, or without the library, by NumPy."""
    code = columns_library() if len(items) >= _MANY and _is_raw(side) else None
    return key_packets(side, items, parts) if code is None else pack_keys(code, side, items, parts)


def pack_keys(code: ctypes.CDLL, side: FlowPackets, items: Int64, parts: tuple[str, ...]) -> UInt64:
    """Return what :func:`key_packets` does, of packets with numbers as their columns have them."""
    given = _Given(side, items)
    which = np.array([PARTS.index(part) for part in parts], np.uint8)
    keys = np.empty(len(items), np.uint64)
    code.key_packets(ctypes.byref(given.side), *_places(which), ctypes.c_int64(len(which)), *_places(keys))
    return keys


def differences_by_c(one: FlowPackets, x: Int64, two: FlowPackets, y: Int64) -> UInt32:
    """Do what :func:`differences` does; of few packets, or without the library, by NumPy."""
    code = columns_library() if len(x) >= _MANY and _is_raw(one) and _is_raw(two) else None
    return differences(one, x, two, y) if code is None else compare_packets(code, one, x, two, y)


def compare_packets(code: ctypes.CDLL, one: FlowPackets, x: Int64, two: FlowPackets, y: Int64) -> UInt32:
    """Return what :func:`differences` does, of packets with numbers as their columns have them."""
    ours, theirs = _Given(one), _Given(two)
    x, y = _of(x, np.int64), _of(y, np.int64)
    found = np.empty(len(x), np.uint32)
    code.compare_packets(
        ctypes.byref(ours.side), *_places(x), ctypes.byref(theirs.side), *_places(y), ctypes.c_int64(len(x)),
        *_places(found),
    )  # fmt: skip
    return found


def sums_by_c(one: PacketTable, a: Int64, two: PacketTable, b: Int64, place: Int64, places: int) -> PairSums:
    """Do what :func:`sum_pairs` does; of few pairs, or without the library, by NumPy."""
    code = columns_library() if len(a) >= _MANY else None
    return sum_pairs(one, a, two, b, place, places) if code is None else add_pairs(code, one, a, two, b, place, places)


def add_pairs(
    code: ctypes.CDLL, one: PacketTable, a: Int64, two: PacketTable, b: Int64, place: Int64, places: int
) -> PairSums:
    """Return what :func:`sum_pairs` does."""
    sums = PairSums.none(places)
    last = np.full(places // 2, -1, np.int64), np.zeros(places // 2, np.int64)
    columns = [getattr(sums, each.name) for each in fields(sums) if each.name != "no_time"]
    made = _PairSums(*(address(each) for each in (*columns, *last)), 1)
    ours, theirs = _rows_of(one), _rows_of(two)
    a, b, place = _of(a, np.int64), _of(b, np.int64), _of(place, np.int64)
    code.sum_pairs(
        ctypes.byref(ours[0]), *_places(a), ctypes.byref(theirs[0]), *_places(b, place), ctypes.c_int64(len(a)),
        ctypes.byref(made),
    )  # fmt: skip
    sums.no_time = bool(made.no_time)
    return sums


BY_C = Passes(keys_by_c, join_by_c, sums_by_c, differences_by_c, at_once)
"""The passes over large captures."""


def _is_raw(side: FlowPackets) -> bool:
    """Tell whether numbers are as their columns have them: not shifted to those of another capture."""
    return side.seq.dtype == np.uint32 and side.ack.dtype == np.uint32


class _Given:
    """Packets as C takes them (``side``), all or some of a side, and the arrays that it points into."""

    def __init__(self, side: FlowPackets, items: Int64 | None = None) -> None:
        some = slice(None) if items is None or len(items) == len(side) else items
        rows = _rows_of(side.packets)
        row = None if len(side) == len(side.packets) and isinstance(some, slice) else _of(side.item[some], np.int64)
        own = (
            _of(side.place[some], np.int64),
            _of(side.seq[some], np.uint32),
            _of(side.ack[some], np.uint32),
        )
        self._kept = (rows, row, own)
        place = None if row is None else address(row)
        self.side = _Side(ctypes.addressof(rows[0]), place, *map(address, own), len(own[0]))


def _rows_of(packets: PacketTable) -> tuple[Rows, list[NDArray[Any]]]:
    """Return a packet table as C takes it, and the arrays that this points into."""
    columns = [_of(getattr(packets, name), kind.type) for name, kind in COLUMNS]
    return Rows(*map(address, columns)), columns


def _places(*arrays: NDArray[Any]) -> list[ctypes.c_void_p]:
    return [ctypes.c_void_p(address(each)) for each in arrays]


def _of(column: NDArray[Any], kind: type[np.generic]) -> NDArray[Any]:
    return np.ascontiguousarray(column, kind)
