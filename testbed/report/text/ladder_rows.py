"""Which rows a ladder has: calls and packets in time order, folded to the height that there is.

Of a long run first calls that have nothing to do with the wire are left out, then packets among packets, then the
middle. What failed, closed or reset something stays: up to :data:`MOST_TELLING` rows; where there are more, what failed
or was reset, up to :data:`MOST_FAILED`. A gap says how many of such rows it leaves out.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from testbed.analysis.calls.call_effects import connect_error
from testbed.model import HOSTS, Analysis, Call, CauseKind, Crossing, Host
from testbed.model.loopback import LoopbackPacket
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
    "execve",
    "dup",
    "dup2",
    "dup3",
}
ENDLESS = frozenset({"exit", "_exit", "_Exit"})
"""Calls that never return, as they should."""

MOST_TELLING = 30
"""Rows that are kept whatever the height: of what failed, closed or reset something."""
MOST_FAILED = 60
"""As many where these are too many: of what failed or was reset."""

_USUAL = frozenset({"EAGAIN", "EINPROGRESS", "EALREADY", "EINTR"})
"""Errors that say: later, or again."""
_ENDS = frozenset({"close", "closesocket", "fclose", "shutdown"})

_KEPT = (12, 6, 3)  # packets kept where many follow one another, the most that fits


class Telling(IntEnum):
    """Why a row is kept where others are left out."""

    ENDED = 0
    """A call or a FIN that ended something."""
    FAILED = 1
    """A call that failed, or a RST."""


def _on(call: Call, *protocols: str) -> bool:
    return call.socket is not None and call.socket.protocol in protocols


def _failed(call: Call) -> bool:
    """Say whether a call on an Internet socket failed, or told of a connect that had."""
    bad = connect_error(call) is not None or (call.errno is not None and call.errno not in _USUAL)
    return bad and _on(call, "tcp", "udp")


@dataclass(slots=True)
class LadderRow:
    """A line of a ladder: a packet and the calls beside it, or a packet over a host's loopback.

    ``time`` is ns since the epoch.
    """

    time: int
    client: Call | None = None
    crossing: Crossing | None = None
    server: Call | None = None
    loopback: LoopbackPacket | None = None

    @property
    def packet(self) -> Packet | None:
        """The packet, wherever it went."""
        return self.crossing or self.loopback

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
        telling = self.weight() is not None
        return Gap(int(self.packet is not None), self.packet.length if self.packet else 0, calls, int(telling))

    def weight(self) -> Telling | None:
        """Return what makes the row one that a reader looks for, None if nothing does."""
        calls = [call for call in (self.client, self.server) if call is not None]
        if any(_failed(call) for call in calls) or (self.packet is not None and "R" in self.packet.flags):
            return Telling.FAILED
        ends = any(call.name in _ENDS and _on(call, "tcp") for call in calls)
        return Telling.ENDED if ends or (self.crossing is not None and "F" in self.crossing.flags) else None


@dataclass(frozen=True, slots=True)
class Gap:
    """What is left out at one place."""

    packets: int = 0
    bytes: int = 0
    calls: int = 0
    telling: int = 0
    """Of the rows, those of which something failed, closed or was reset."""

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
        if self.telling:
            parts.append(f"where {counted(self.telling, 'row')} would show something that failed, closed or was reset")
        return f"... {', '.join(parts)} ..."


Entry = LadderRow | Gap
Packet = Crossing | LoopbackPacket


def choose(analysis: Analysis, room: int | None) -> tuple[list[Entry], int]:
    """Return at most ``room`` entries (None: all), and how many calls are neither in them nor in their gaps.

    There may be more where more rows than that are of what failed, closed or reset something.
    """
    inputs = analysis.inputs
    calls = [call for host in HOSTS for call in inputs.calls.get(host, ())]
    causing = {
        (crossing.sender, n)
        for crossing, cause in zip(inputs.joined.crossings, analysis.causes, strict=True)
        for n in cause.calls
    }
    causes = {
        crossing.n: frozenset(cause.calls if cause.kind is CauseKind.CALL else ())
        for crossing, cause in zip(inputs.joined.crossings, analysis.causes, strict=True)
    }
    looped = [packet for host in HOSTS if host in inputs.loopback for packet in inputs.loopback[host].packets]
    packets: Sequence[Packet] = inputs.joined.crossings
    if looped:
        packets = sorted([*packets, *looped], key=_when)
    if room is None:
        events: list[Call | Packet] = [*calls, *packets]
        return list(_rows(sorted(events, key=_when), causes)), 0
    for least in _Weight:
        heavy = [call for call in calls if _weigh(call, causing) >= least]
        entries = _fold_packets(_entries(heavy, packets, causes), room)
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
    if (call.host, call.n) in causing or _failed(call) or (call.name in _ENDS and _on(call, "tcp")):
        return _Weight.WIRE
    if call.name in _LOCAL | ENDLESS or (call.socket is not None and call.socket.protocol == "other"):
        return _Weight.LOCAL
    met = call.name in _MEETING and call.errno is None
    return _Weight.WIRE if met or call.length or call.end is None else _Weight.SOCKET


def _entries(calls: Sequence[Call], packets: Sequence[Packet], causes: Mapping[int, Collection[int]]) -> list[Entry]:
    if len(calls) + len(packets) <= 2 * WINDOW:
        events: list[Call | Packet] = [*calls, *packets]
        return list(_rows(sorted(events, key=_when), causes))
    first: list[Call | Packet] = [*calls, *packets[:WINDOW]]
    last: list[Call | Packet] = [*calls, *packets[-WINDOW:]]
    head = heapq.nsmallest(WINDOW, first, key=_when)
    tail = heapq.nlargest(WINDOW, last, key=_when)[::-1]
    bounds = _when(head[-1]), _when(tail[0])
    failed: list[Call | Packet] = [call for call in calls if _failed(call)]
    failed += [packet for packet in packets if "R" in packet.flags]
    middle = sorted((event for event in failed if bounds[0] < _when(event) < bounds[1]), key=_when)
    shown = [event for event in (*head, *middle, *tail) if not isinstance(event, Call)]
    between = Gap(
        len(packets) - len(shown),
        sum(packet.length for packet in packets) - sum(packet.length for packet in shown),
        len(calls) - (2 * WINDOW + len(middle) - len(shown)),
    )
    return [*_rows(head, causes), between, *_rows(middle, causes), *_rows(tail, causes)]


def _when(event: Call | Packet) -> tuple[int, int, int]:
    """Time, then calls before packets, then their numbers."""
    if isinstance(event, LoopbackPacket):
        return event.time, 1, event.frame
    if isinstance(event, Crossing):
        return event.time, 1, event.n
    waited = event.direction == "in" or event.name in _WAITING
    return event.end if waited and event.end is not None else event.start, 0, event.n


def _rows(events: Iterable[Call | Packet], causes: Mapping[int, Collection[int]]) -> Iterator[LadderRow]:
    """Yield the rows of events in order; ``causes`` are the calls that caused a packet, by its number."""
    row: LadderRow | None = None
    for event in events:
        if row is not None and not isinstance(event, LoopbackPacket) and _joins(row, event, causes):
            if isinstance(event, Crossing):
                row.crossing = event
            else:
                row.put(event.host, event)
            continue
        if row is not None:
            yield row
        row = LadderRow(_when(event)[0])
        if isinstance(event, LoopbackPacket):
            row.loopback = event
        elif isinstance(event, Crossing):
            row.crossing = event
        else:
            row.put(event.host, event)
    if row is not None:
        yield row


_LATE = 1_000_000
"""ns. A tracer's calls end a little earlier than they do: what one caused so soon after its end left during it."""


def _joins(row: LadderRow, event: Call | Crossing, causes: Mapping[int, Collection[int]]) -> bool:
    """Say whether the event continues the line: call, its packet, the call of the other host that waited for it.

    A packet is a call's only if it left while the call lasted: what an earlier call wrote may leave much later.
    """
    if isinstance(event, Crossing):
        own, other = (row.client, row.server) if event.sender == "client" else (row.server, row.client)
        if row.crossing is not None or own is None or other is not None:
            return False
        late = _LATE if own.n in causes.get(event.n, ()) else 0
        return own.start <= event.time and (own.end is None or event.time <= own.end + late)
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
    """Fold to a height: the first and the last entries stay, and the rows that a reader looks for."""
    if len(entries) <= height:
        return entries
    kept = set(_telling(entries, height))
    others = [at for at in range(len(entries)) if at not in kept]
    spare = max(height - 1 - len(kept), _LEAST)
    head = spare * 2 // 3
    kept.update(others[:head], others[len(others) - (spare - head) :])
    folded: list[Entry] = []
    between: list[Entry] = []
    for at, entry in enumerate(entries):
        if at not in kept:
            between.append(entry)
            continue
        if between:
            folded.append(_sum(between))
            between = []
        folded.append(entry)
    return folded


_LEAST = 4


def _telling(entries: Sequence[Entry], height: int) -> list[int]:
    """Return the places of the rows to keep: of all that tell something, of what failed, or of some of these."""
    weights = {at: entry.weight() for at, entry in enumerate(entries) if isinstance(entry, LadderRow)}
    for least, most in ((Telling.ENDED, max(height, MOST_TELLING)), (Telling.FAILED, max(height, MOST_FAILED))):
        found = [at for at, weight in weights.items() if weight is not None and weight >= least]
        if len(found) <= most:
            return found
    head = most * 2 // 3
    return [*found[:head], *found[len(found) - (most - head) :]]


def _shorten_runs(entries: Sequence[Entry], kept: int) -> Iterator[Entry]:
    """Keep the first and the last of packets that follow one another without a call, and every RST and FIN."""
    tail = kept // 3
    head = kept - tail
    run: list[Entry] = []
    for entry in (*entries, None):
        alone = isinstance(entry, LadderRow) and entry.client is None and entry.server is None
        if isinstance(entry, Gap) or (isinstance(entry, LadderRow) and alone and entry.weight() is None):
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
    return Gap(*(sum(values) for values in zip(*((g.packets, g.bytes, g.calls, g.telling) for g in gaps), strict=True)))
