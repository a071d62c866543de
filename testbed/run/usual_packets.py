"""Large captures are read by C (compose/columns): usual packets into columns, and the labels of segments."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from testbed.capture.columns import Records
from testbed.capture.compiled import FoundRecords, Walk, address, walk_pcap
from testbed.capture.frame_kinds import link_name
from testbed.capture.interface_ways import ways
from testbed.model.arrays import AnyInt, Int32, Int64, UInt16, UInt64
from testbed.model.errors import CaptureError
from testbed.model.ip import address_text
from testbed.pairing.flow_table import label_all
from testbed.pairing.packet_table import COLUMNS, ConversationEnds, PacketTableBuilder
from testbed.wireshark.label_names import LabelRules, TcpSegments

_WORDS = ("sack", "seen", "closed", "consumed", "unseen")
_SAMPLE = 1024  # records that show how long they are
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


_ENDS = np.dtype(
    [(f"address{k}", "u8") for k in range(4)]
    + [(f"port{k}", "u2") for k in range(2)]
    + [(name, "u1") for name in ("protocol", "version", "turned", "unused")]
)
"""``struct ends`` (compose/columns/conversations.h)."""


class _Frames(ctypes.Structure):
    """``struct frames`` (compose/columns/packets.h)."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("size", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("offset", "captured", "wire", "time", "interface", "link_types")),
        *((name, ctypes.c_int64) for name in ("interfaces", "count", "first_frame")),
    )


class Rows(ctypes.Structure):
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


def zeros(count: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return a new column of zeros, by small pages: what is never written to takes no memory."""
    size = count * dtype.itemsize
    if size < mmap.PAGESIZE:
        return np.zeros(count, dtype)
    return np.frombuffer(mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS), dtype, count)


def no_memory() -> CaptureError:
    """Return what is raised where C has no memory left."""
    return CaptureError("there is not enough memory for the capture")


class UsualPackets:
    """Reads usual packets for one builder, and numbers its conversations."""

    def __init__(self, code: ctypes.CDLL) -> None:
        self._code = code
        self._all = ctypes.c_void_p(code.new_conversations())
        if not self._all:
            raise no_memory()
        self.builder: PacketTableBuilder | None = None
        self._ends: list[tuple[Any, ...]] = []
        self._frames = 0  # that were seen
        self._record = 0.0  # bytes of a record, about

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
        names = tuple(dict.fromkeys(link_name(one.link_type) for one in records.interfaces))
        return self._fill(self._code.usual_packets, frames, columns, count, names)[1]

    def _fill(
        self, read: Callable[..., int], frames: _Frames, columns: Mapping[str, NDArray[Any]], room: int,
        names: tuple[str, ...], *first: object,
    ) -> tuple[int, Int64]:  # fmt: skip
        """Let C fill columns of the builder's that have room; return how many packets there were, and what is left."""
        assert self.builder is not None  # noqa: S101 - the two are made together
        rows = Rows(*(address(columns[name]) for name, _ in COLUMNS))
        found = np.empty(room, np.int64), np.empty(room, np.uint8), np.empty((room, 4, 2), np.uint32)
        sacks = _Sacks(*(address(each) for each in found), 0)
        left = np.empty(room, np.int64)
        taken = read(
            *first,
            ctypes.byref(frames), self._all, ctypes.byref(rows), ctypes.byref(sacks), ctypes.c_void_p(address(left)),
        )  # fmt: skip
        if taken < 0:
            raise no_memory()
        some = slice(sacks.count)
        self.builder.fill(taken, (found[0][some].copy(), found[1][some].copy(), found[2][some].copy()), names)
        self._frames += frames.count
        return frames.count, left[: frames.count - taken].copy()

    def read_pcap(
        self, walk: Walk, longest: int, tick: int, room: int, link_type: int
    ) -> tuple[tuple[Int64, ...], Int64]:
        """Find records and give the builder the usual packets at once; return the records, and which are left.

        Of few records at a time both is done while they are near.
        """
        assert self.builder is not None  # noqa: S101 - the two are made together
        if not self._record:
            some = Walk(walk.data, walk.size, walk.position, walk.size, 0, walk.big)
            count = len(walk_pcap(self._code, some, longest, tick, _SAMPLE)[0])
            self._record = (some.position - walk.position) / count if count else float(walk.size)
        columns = self.builder.room(room, walk.limit / walk.size, int((walk.limit - walk.position) / self._record))
        found = tuple(np.empty(room, np.int64) for _ in range(4))
        interface, link = np.zeros(room, np.int32), np.array([link_type], np.int32)
        places = [*map(address, found), address(interface), address(link)]
        walk.room = room
        frames = _Frames(walk.data, walk.size, *places, 1, 0, self._frames)
        count, left = self._fill(
            self._code.usual_records, frames, columns, room, (link_name(link_type),),
            ctypes.byref(walk), ctypes.c_int64(longest), ctypes.c_int64(tick), ctypes.byref(FoundRecords(*places[:4])),
        )  # fmt: skip
        return tuple(column[:count] for column in found), left

    def number(self, keys: UInt64) -> Int32:
        """Return the number of each key."""
        numbers = np.empty(len(keys), np.int32)
        given = np.ascontiguousarray(keys)
        if not self._code.number_conversations(
            self._all, ctypes.c_void_p(address(given)), ctypes.c_int64(len(given)), ctypes.c_void_p(address(numbers))
        ):
            raise no_memory()
        return numbers

    def keys(self) -> UInt64:
        """Return all keys, by number."""
        keys = np.empty(self._code.count_conversations(self._all), np.uint64)
        self._code.conversation_keys(self._all, ctypes.c_void_p(address(keys)))
        return keys

    def ends_of(self, number: int) -> ConversationEnds:
        """Return the ends of a conversation."""
        if number >= len(self._ends):
            ends = np.empty(self._code.count_conversations(self._all), _ENDS)
            self._code.conversation_ends(self._all, ctypes.c_void_p(address(ends)))
            self._ends = ends.tolist()
        *words, source, target, protocol, version, turned, _ = self._ends[number]
        one, two = address_text(version, words[0], words[1]), address_text(version, words[2], words[3])
        if turned:
            return ConversationEnds(protocol, version, (two, one), (target, source))
        return ConversationEnds(protocol, version, (one, two), (source, target))


def label_segments(code: ctypes.CDLL, segments: TcpSegments, rules: LabelRules) -> tuple[UInt16, AnyInt]:
    """Return what :func:`label` and the first of :func:`streams` (testbed.wireshark) do; with MPTCP by those."""
    if len(segments.mptcp_at):
        return label_all(segments, rules)
    count = len(segments)
    conversation = np.ascontiguousarray(segments.conversation, np.int32)
    conversations = int(conversation.max(initial=-1)) + 1
    columns: dict[str, NDArray[Any]] = {
        name: np.ascontiguousarray(getattr(segments, name), kind) for name, kind in _SEGMENT.items()
    }
    columns["conversation"] = conversation
    sack = [
        np.ascontiguousarray(column, kind)
        for column, kind in (
            (segments.sack_at, np.int64), (segments.sack_count, np.uint8), (segments.sack, np.uint32),
        )
    ]  # fmt: skip
    labels, number = np.empty(count, np.uint16), np.empty(count, np.int32)
    given = _Segments(count=count, conversations=conversations, sacks=len(sack[0]))
    for name, column in (*columns.items(), *zip(("sack_at", "sack_count", "sack"), sack, strict=True)):
        setattr(given, name, address(column))
    flags = (ctypes.c_uint8 * len(_WORDS))(*(getattr(rules, name) for name in _WORDS))
    places = (ctypes.c_void_p(address(each)) for each in (labels, number))
    if not code.label_segments(ctypes.byref(given), flags, *places):
        raise no_memory()
    if not number.any():  # each conversation is one stream
        return labels, conversation
    stream = number.astype(np.int64)
    stream <<= 40
    stream += conversation
    return labels, stream
