"""Large captures by C (compose/columns): usual packets into columns, labels of segments, equal keys of two captures."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from testbed.capture.columns import Records
from testbed.capture.compiled import address, columns_library
from testbed.capture.frame_kinds import link_name
from testbed.capture.interface_ways import ways
from testbed.model.arrays import Bool, Int32, Int64, UInt16, UInt64
from testbed.model.errors import CaptureError
from testbed.model.ip import address_text
from testbed.pairing.equal_keys import in_order, place_bits
from testbed.pairing.flow_table import label_all
from testbed.pairing.packet_table import COLUMNS, ConversationEnds, PacketTableBuilder
from testbed.wireshark.label_names import LabelRules, TcpSegments

_WORDS = ("sack", "seen", "closed", "consumed", "unseen")
_WORD = (1 << 64) - 1
_MANY = 1 << 17  # keys; fewer are joined before a library is loaded
_SEGMENT: dict[str, type[np.generic]] = {
    "time": np.int64,
    "side": np.uint8,
    "seq": np.uint32,
    "ack": np.uint32,
    "flags": np.uint16,
    "window": np.uint16,
    "length": np.int32,
    "wscale": np.int16,
}


class _Ends(ctypes.Structure):
    """``struct ends`` (compose/columns/conversations.h)."""

    _fields_ = (
        ("address", ctypes.c_uint64 * 4),
        ("port", ctypes.c_uint16 * 2),
        *((name, ctypes.c_uint8) for name in ("protocol", "version", "turned", "unused")),
    )


class _Frames(ctypes.Structure):
    """``struct frames`` (compose/columns/packets.h)."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("size", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("offset", "captured", "wire", "time", "interface", "link_types")),
        *((name, ctypes.c_int64) for name in ("interfaces", "count", "first_frame")),
    )


class _Rows(ctypes.Structure):
    """``struct rows`` (compose/columns/packets.h): the columns of a packet table in their order."""

    _fields_ = tuple((name, ctypes.c_void_p) for name, _ in COLUMNS)


class _Sacks(ctypes.Structure):
    """``struct sacks`` (compose/columns/packets.h)."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("frame", "blocks", "edges")),
        ("count", ctypes.c_int64),
    )


class _Segments(ctypes.Structure):
    """``struct segments`` (compose/columns/labels.h)."""

    _fields_ = (
        ("count", ctypes.c_int64),
        *(
            (name, ctypes.c_void_p)
            for name in ("time", "conversation", "side", "seq", "ack", "flags", "window", "length", "wscale")
        ),
        ("conversations", ctypes.c_int64),
        ("sacks", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("sack_at", "sack_count", "sack")),
    )


def _no_memory() -> CaptureError:
    return CaptureError("there is not enough memory for the capture")


class UsualPackets:
    """Reads usual packets for one builder, and numbers its conversations."""

    def __init__(self, code: ctypes.CDLL) -> None:
        self._code = code
        self._all = ctypes.c_void_p(code.new_conversations())
        if not self._all:
            raise _no_memory()
        self.builder: PacketTableBuilder | None = None

    def __del__(self) -> None:
        self._code.free_conversations(self._all)

    def take(self, first: int, records: Records) -> Int64:
        """Give the builder the usual packets of some records; return the positions of those that are left."""
        assert self.builder is not None  # noqa: S101 - the two are made together
        count = len(records.offset)
        offset, captured, wire, time = map(
            np.ascontiguousarray, (records.offset, records.captured, records.wire, records.time_ns)
        )
        interface = np.ascontiguousarray(records.interface, np.int32)
        self.builder.note_ways(np.arange(first, first + count), ways(records))
        links = np.array([one.link_type for one in records.interfaces], np.int32)
        share = float(offset[-1] + captured[-1]) / max(len(records.data), 1)
        columns = self.builder.room(count, share)
        frames = _Frames(
            address(records.data), len(records.data),
            *(address(each) for each in (offset, captured, wire, time, interface, links)), len(links), count, first,
        )  # fmt: skip
        rows = _Rows(*(address(columns[name]) for name, _ in COLUMNS))
        found = np.empty(count, np.int64), np.empty(count, np.uint8), np.empty((count, 4, 2), np.uint32)
        sacks = _Sacks(*(address(each) for each in found), 0)
        left = np.empty(count, np.int64)
        taken = self._code.usual_packets(
            ctypes.byref(frames), self._all, ctypes.byref(rows), ctypes.byref(sacks), ctypes.c_void_p(address(left))
        )
        if taken < 0:
            raise _no_memory()
        names = tuple(dict.fromkeys(link_name(one.link_type) for one in records.interfaces))
        some = slice(sacks.count)
        self.builder.fill(taken, (found[0][some].copy(), found[1][some].copy(), found[2][some].copy()), names)
        return left[: count - taken]

    def number(self, keys: UInt64) -> Int32:
        """Return the number of each key."""
        numbers = np.empty(len(keys), np.int32)
        given = np.ascontiguousarray(keys)
        if not self._code.number_conversations(
            self._all, ctypes.c_void_p(address(given)), ctypes.c_int64(len(given)), ctypes.c_void_p(address(numbers))
        ):
            raise _no_memory()
        return numbers

    def keys(self) -> UInt64:
        """Return all keys, by number."""
        keys = np.empty(self._code.count_conversations(self._all), np.uint64)
        self._code.conversation_keys(self._all, ctypes.c_void_p(address(keys)))
        return keys

    def ends_of(self, number: int) -> ConversationEnds:
        """Return the ends of a conversation."""
        ends = _Ends()
        self._code.conversation_ends(self._all, ctypes.c_int64(number), ctypes.byref(ends))
        one, two = (address_text(ends.version, ends.address[k], ends.address[k + 1]) for k in (0, 2))
        ports = ends.port[0], ends.port[1]
        if ends.turned:
            one, two, ports = two, one, ports[::-1]
        return ConversationEnds(ends.protocol, ends.version, (one, two), ports)


def label_segments(code: ctypes.CDLL, segments: TcpSegments, rules: LabelRules) -> tuple[UInt16, Int64]:
    """Return what :func:`label` and the first of :func:`streams` (testbed.wireshark) do; with MPTCP by those."""
    if len(segments.mptcp_at):
        return label_all(segments, rules)
    count = len(segments)
    conversation = _of(segments.conversation, np.int32)
    conversations = int(conversation.max(initial=-1)) + 1
    kinds: dict[str, type[np.generic]] = {
        "time": np.int64,
        "side": np.uint8,
        "seq": np.uint32,
        "ack": np.uint32,
        "flags": np.uint16,
    }
    kinds |= {"window": np.uint16, "length": np.int32, "wscale": np.int16}
    columns: dict[str, NDArray[Any]] = {name: _of(getattr(segments, name), kind) for name, kind in kinds.items()}
    columns["conversation"] = conversation
    sack = _of(segments.sack_at, np.int64), _of(segments.sack_count, np.uint8), _of(segments.sack, np.uint32)
    labels, number = np.empty(count, np.uint16), np.empty(count, np.int32)
    given = _Segments(count=count, conversations=conversations, sacks=len(sack[0]))
    for name, column in (*columns.items(), *zip(("sack_at", "sack_count", "sack"), sack, strict=True)):
        setattr(given, name, address(column))
    flags = (ctypes.c_uint8 * len(_WORDS))(*(getattr(rules, name) for name in _WORDS))
    places = (ctypes.c_void_p(address(each)) for each in (labels, number))
    if not code.label_segments(ctypes.byref(given), flags, *places):
        raise _no_memory()
    stream = number.astype(np.int64)
    stream <<= 40
    stream += conversation
    return labels, stream


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
        raise _no_memory()
    return x[:found], y[:found], several[:found]


def _of(column: NDArray[Any], kind: type[np.generic]) -> NDArray[Any]:
    return np.ascontiguousarray(column, kind)
