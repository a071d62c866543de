"""Which calls of a connection that was open before can be put beside its packets: those since it was quiet. Pure.

A stream of bytes that is known from its middle on has no first byte. Calls and packets are counted from the same one
only if at some moment every byte had been sent, acknowledged and read, and both are known from then on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from testbed.capture.columns import Capture
from testbed.model import Call, Endpoint, Host
from testbed.model.arrays import Int64
from testbed.model.ip import TCP
from testbed.model.tcp import FIN, RST, SYN, seq_diff

Connection = tuple[Endpoint, Endpoint]
"""One end first."""
_UNKNOWN = frozenset({"unknown_send", "unknown_recv"})
"""What moved without a traced system call: one that had begun before."""
_NONE: Int64 = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class KnownCalls:
    """The calls that are kept, and the connections of which none is, own end first."""

    calls: tuple[Call, ...]
    left_out: frozenset[Connection]


def turned(connection: Connection) -> Connection:
    """Return the other end first."""
    return connection[1], connection[0]


class CapturedConnections:
    """The connections of one capture, direction by direction: ``way`` of each row, -1 where it is not TCP."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture
        rows = np.flatnonzero(capture.transport == TCP)
        columns = (capture.src_hi, capture.src_lo, capture.dst_hi, capture.dst_lo, capture.sport, capture.dport)
        table = np.column_stack([column[rows].astype(np.uint64) for column in columns])
        _, first, members = np.unique(table, axis=0, return_index=True, return_inverse=True)
        self.ways = [_way(capture, int(row)) for row in rows[first]]
        members = members.reshape(-1)
        order = np.argsort(members, kind="stable")
        edges = np.searchsorted(members[order], np.arange(len(self.ways) + 1))
        self._rows = {way: rows[order[edges[k] : edges[k + 1]]] for k, way in enumerate(self.ways)}

    def opened_before(self, begun: int) -> frozenset[Connection]:
        """Return the connections whose first packet since ``begun`` opens none, both ends first in turn."""
        found = set()
        for way in self.ways:
            rows = np.sort(np.concatenate([self._since(way, begun), self._since(turned(way), begun)]))
            if len(rows) and not int(self._capture.flags[rows[0]]) & SYN:
                found.add(way)
        return frozenset(found | {turned(way) for way in found})

    def countable(self, connections: Iterable[Connection], since: int, begun: int) -> frozenset[Connection]:
        """Return those, both ends first, that moved nothing from ``since`` to ``begun`` and are counted well after.

        In each direction the first segment since ``begun`` that takes numbers must have the lowest: a keep-alive probe
        before it has the number below.
        """
        wanted = set(connections)
        bad = {way for way in wanted if not self._counts(way, since, begun)}
        return frozenset(way for way in wanted if way not in bad and turned(way) not in bad)

    def _counts(self, way: Connection, since: int, begun: int) -> bool:
        rows, capture = self._since(way, since), self._capture
        takes = (capture.payload_length[rows] > 0) | ((capture.flags[rows] & FIN) != 0)
        after = capture.time_ns[rows] >= begun
        if (takes & ~after).any():
            return False
        known = after & ((capture.flags[rows] & RST) == 0)  # the number of a RST may be anything
        numbers = capture.seq[rows][known].astype(np.int64)
        first = numbers[takes[known]]
        return not len(first) or int(seq_diff(numbers, int(first[0])).min()) == 0

    def _since(self, way: Connection, time: int) -> Int64:
        rows = self._rows.get(way, _NONE)
        return rows[self._capture.time_ns[rows] >= time]


def known_calls(
    calls: Sequence[Call], old: Collection[Connection], quiet: Collection[Connection], span: tuple[int, int]
) -> KnownCalls:
    """Keep what was done within ``span``, begin and end (ns), and no call of ``old`` connections that were not quiet.

    A call that was in progress as it began is kept, but for one that moved bytes out: which of them is not known, and
    with it goes its connection. One that returned after the end had not returned by then.
    """
    begun, ended = span
    within = [
        call if call.end is None or call.end <= ended else replace(call, end=None, result=0, errno=None, length=0)
        for call in calls
        if (call.end is None or call.end >= begun) and call.start <= ended
    ]
    before = {each for call in within if (each := _connection(call)) is not None and each in old}
    left_out = {each for each in before if each not in quiet}
    if any(call.name in _UNKNOWN and _connection(call) is None for call in within):
        left_out = before
    left_out |= {
        each
        for call in within
        if call.direction == "out" and call.start < begun and (each := _connection(call)) is not None and each in before
    }
    kept = [call for call in within if _connection(call) not in left_out]
    return KnownCalls(tuple(replace(call, n=n) for n, call in enumerate(kept)), frozenset(left_out))


def _connection(call: Call) -> Connection | None:
    info = call.socket
    return (info.local, info.peer) if info is not None and info.local is not None and info.peer is not None else None


def _way(capture: Capture, row: int) -> Connection:
    return (
        Endpoint(capture.source(row), int(capture.sport[row])),
        Endpoint(capture.destination(row), int(capture.dport[row])),
    )


def both_quiet(states: Mapping[Host, Collection[Connection]]) -> frozenset[Connection]:
    """Return the connections, both ends first, that were quiet at each end; ``states`` are the ends' own, own first."""
    parts = list(states.values())
    if not parts:
        return frozenset()
    quiet = set(parts[0]) | {turned(each) for each in parts[0]}
    for part in parts[1:]:
        quiet &= set(part) | {turned(each) for each in part}
    return frozenset(quiet)
