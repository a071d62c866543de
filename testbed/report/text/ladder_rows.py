"""Which rows a ladder has: calls and packets in time order, folded to the height that there is.

Of a long run first calls that have nothing to do with the wire are left out, then packets among packets, then the
middle.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

from testbed.model import HOSTS, Analysis, Call, Crossing, Host
from testbed.report.text.terminal_text import counted

WINDOW = 4000
"""How many events from the start and from the end are looked at; what lies between is only counted."""

_WAITING = frozenset(
    {"accept", "accept4", "poll", "ppoll", "select", "pselect", "epoll_wait", "epoll_pwait", "epoll_pwait2"}
)
_MEETING = frozenset({"connect", "accept", "accept4", "shutdown"})
_LOCAL = _WAITING - {"accept", "accept4"} | {
    "ioctl",
    "fcntl",
    "setsockopt",
    "getsockopt",
    "getsockname",
    "getpeername",
    "fork",
    "dup",
    "dup2",
    "dup3",
}
ENDLESS = frozenset({"exit", "_exit", "_Exit"})
"""Calls that never return, as they should."""

_KEPT = (12, 6, 3)  # packets kept where many follow one another, the most that fits


@dataclass(slots=True)
class LadderRow:
    """A line of a ladder: a packet and the calls beside it; ``time`` is ns since the epoch."""

    time: int
    client: Call | None = None
    crossing: Crossing | None = None
    server: Call | None = None

    def call(self, host: Host) -> Call | None:
        """Return the call of a host."""
        return self.client if host == "client" else self.server

    def put(self, host: Host, call: Call) -> None:
        """Put a host's call here."""
        if host == "client":
            self.client = call
        else:
            self.server = call

    def gap(self) -> Gap:
        """Return what a gap in its place leaves out."""
        calls = (self.client is not None) + (self.server is not None)
        return Gap(int(self.crossing is not None), self.crossing.length if self.crossing else 0, calls)


@dataclass(frozen=True, slots=True)
class Gap:
    """What is left out at one place."""

    packets: int = 0
    bytes: int = 0
    calls: int = 0

    def gap(self) -> Gap:
        """Return itself, as a row does."""
        return self

    def __str__(self) -> str:
        """Say how much of what is left out."""
        parts = []
        if self.packets:
            what = counted(self.packets, "more segment")
            parts.append(f"{what} ({counted(self.bytes, 'byte')})" if self.bytes else what)
        if self.calls:
            parts.append(counted(self.calls, "more call"))
        return f"... {', '.join(parts)} ..."


Entry = LadderRow | Gap


def choose(analysis: Analysis, room: int) -> tuple[list[Entry], int]:
    """Return at most ``room`` entries, and how many calls are neither in them nor in their gaps."""
    calls = [call for host in HOSTS for call in analysis.inputs.calls.get(host, ())]
    causing = {
        (crossing.sender, n)
        for crossing, cause in zip(analysis.inputs.joined.crossings, analysis.causes, strict=True)
        for n in cause.calls
    }
    for least in _Weight:
        heavy = [call for call in calls if _weigh(call, causing) >= least]
        entries = _fold_packets(_entries(heavy, analysis.inputs.joined.crossings), room)
        if len(entries) <= room:
            break
    return _fold_middle(entries, room), len(calls) - len(heavy)


class _Weight(IntEnum):
    """How near a call is to the wire."""

    LOCAL = 0
    SOCKET = 1
    WIRE = 2


def _weigh(call: Call, causing: Collection[tuple[Host, int]]) -> _Weight:
    """Tell a call that meets a peer or moves bytes from one on an Internet socket, and both from all others."""
    if (call.host, call.n) in causing:
        return _Weight.WIRE
    if call.name in _LOCAL | ENDLESS or (call.socket is not None and call.socket.protocol == "other"):
        return _Weight.LOCAL
    met = call.name in _MEETING and (call.errno is None or call.errno == "ECONNREFUSED")
    return _Weight.WIRE if met or call.length or call.end is None else _Weight.SOCKET


def _entries(calls: Sequence[Call], crossings: Sequence[Crossing]) -> list[Entry]:
    if len(calls) + len(crossings) <= 2 * WINDOW:
        events: list[Call | Crossing] = [*calls, *crossings]
        return list(_rows(sorted(events, key=_when)))
    first: list[Call | Crossing] = [*calls, *crossings[:WINDOW]]
    last: list[Call | Crossing] = [*calls, *crossings[-WINDOW:]]
    head = heapq.nsmallest(WINDOW, first, key=_when)
    tail = heapq.nlargest(WINDOW, last, key=_when)[::-1]
    shown = [event for event in (*head, *tail) if isinstance(event, Crossing)]
    between = Gap(
        len(crossings) - len(shown),
        sum(crossing.length for crossing in crossings) - sum(crossing.length for crossing in shown),
        len(calls) - (2 * WINDOW - len(shown)),
    )
    return [*_rows(head), between, *_rows(tail)]


def _when(event: Call | Crossing) -> tuple[int, int, int]:
    """Time, then calls before packets, then their numbers."""
    if isinstance(event, Crossing):
        return event.time, 1, event.n
    waited = event.direction == "in" or event.name in _WAITING
    return event.end if waited and event.end is not None else event.start, 0, event.n


def _rows(events: Iterable[Call | Crossing]) -> Iterator[LadderRow]:
    row: LadderRow | None = None
    for event in events:
        if row is not None and _joins(row, event):
            if isinstance(event, Crossing):
                row.crossing = event
            else:
                row.put(event.host, event)
            continue
        if row is not None:
            yield row
        row = LadderRow(_when(event)[0])
        if isinstance(event, Crossing):
            row.crossing = event
        else:
            row.put(event.host, event)
    if row is not None:
        yield row


def _joins(row: LadderRow, event: Call | Crossing) -> bool:
    """Say whether the event continues the line: call, its packet, the call of the other host that waited for it."""
    if isinstance(event, Crossing):
        own, other = (row.client, row.server) if event.sender == "client" else (row.server, row.client)
        return row.crossing is None and own is not None and other is None
    crossing = row.crossing
    return (
        crossing is not None
        and crossing.sender != event.host
        and crossing.arrived is not None
        and row.call(event.host) is None
        and (event.direction == "in" or event.name in _WAITING)
    )


def _fold_packets(entries: list[Entry], height: int) -> list[Entry]:
    """Shorten runs of packets as little as makes the ladder fit, or as much as can be."""
    folded = entries
    for kept in _KEPT:
        if len(folded) <= height:
            break
        folded = list(_shorten_runs(entries, kept))
    return folded


def _fold_middle(entries: list[Entry], height: int) -> list[Entry]:
    if len(entries) <= height:
        return entries
    head = (height - 1) * 2 // 3
    tail = height - 1 - head
    return [*entries[:head], _sum(entries[head : len(entries) - tail]), *entries[len(entries) - tail :]]


def _shorten_runs(entries: Sequence[Entry], kept: int) -> Iterator[Entry]:
    """Keep the first and the last of packets that follow one another without a call."""
    tail = kept // 3
    head = kept - tail
    run: list[Entry] = []
    for entry in (*entries, None):
        if isinstance(entry, Gap) or (entry is not None and entry.client is None and entry.server is None):
            run.append(entry)
            continue
        if len(run) > kept + 1:
            yield from run[:head]
            yield _sum(run[head:-tail])
            yield from run[-tail:]
        else:
            yield from run
        run = []
        if entry is not None:
            yield entry


def _sum(entries: Sequence[Entry]) -> Gap:
    gaps = [entry.gap() for entry in entries]
    return Gap(sum(g.packets for g in gaps), sum(g.bytes for g in gaps), sum(g.calls for g in gaps))
