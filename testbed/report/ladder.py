"""The ladder: both hosts' calls in time order with the packets between them, as lines of plain text.

A line has up to three cells: a call of the client, a packet, a call of the server. A packet stands beside the call
before it when its own host made that call, and beside the call of the other host that waited for it::

       0.310  send("c") = 1               --P. "c"------------------>  recv() = 1 "c"

Where there is room the packet has a lane for each capture: what was sent, and how much later it arrived::

       0.310  send("c") = 1                  P. "c" ----------> +5.02 ms       recv() = 1 "c"

A call that waits (accept, recv, poll) stands where it returned, any other where it began. Long ladders are folded
to a given number of lines: first calls that have nothing to do with the wire are left out, then packets among
packets, then the middle.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from testbed.analysis.calls import endpoint_argument, option_name, shutdown_how
from testbed.model import HOSTS, Analysis, Call, Crossing, Host
from testbed.report.plain import clip, counted, duration, escape, quote

WINDOW = 4000
"""How many events from the start and from the end are looked at; what lies between is only counted."""

_TIME = 9
_FOUR_LANES = 110  # columns from which each capture has a lane of its own
_SHAFT = 11
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
_ENDLESS = frozenset({"exit", "_exit", "_Exit"})
_KEPT = (12, 6, 3)  # packets kept where many follow one another, the most that fits


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the ladder; ``style`` is a name (``head``, ``lost``, ``folded``, ``failed``, empty)."""

    text: str
    style: str = ""


@dataclass(slots=True)
class _Row:
    time: int
    client: Call | None = None
    crossing: Crossing | None = None
    server: Call | None = None

    def call(self, host: Host) -> Call | None:
        return self.client if host == "client" else self.server

    def put(self, host: Host, call: Call) -> None:
        if host == "client":
            self.client = call
        else:
            self.server = call

    def gap(self) -> _Gap:
        calls = (self.client is not None) + (self.server is not None)
        return _Gap(int(self.crossing is not None), self.crossing.length if self.crossing else 0, calls)


@dataclass(frozen=True, slots=True)
class _Gap:
    """What is left out at one place."""

    packets: int = 0
    bytes: int = 0
    calls: int = 0

    def gap(self) -> _Gap:
        return self

    def __str__(self) -> str:
        parts = []
        if self.packets:
            what = counted(self.packets, "more segment")
            parts.append(f"{what} ({counted(self.bytes, 'byte')})" if self.bytes else what)
        if self.calls:
            parts.append(counted(self.calls, "more call"))
        return f"... {', '.join(parts)} ..."


_Entry = _Row | _Gap


def ladder(analysis: Analysis, width: int, height: int) -> list[Line]:
    """Return the ladder, headings included, in at most ``height`` lines of ``width`` columns."""
    room = max(height - 2, 3)
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
    hidden = len(calls) - len(heavy)
    entries = _fold_middle(entries, room)
    start = min((entry.time for entry in entries if isinstance(entry, _Row)), default=0)
    layout = _Layout.of(width, analysis)
    lines = [Line(layout.head(), "head")]
    lines += [
        Line(" " * (_TIME + 2) + str(entry), "folded") if isinstance(entry, _Gap) else layout.line(entry, start)
        for entry in entries
    ]
    if hidden:
        lines.append(
            Line(" " * (_TIME + 2) + f"(not shown: {counted(hidden, 'call')} without a byte or a peer)", "folded")
        )
    return lines


# ------------------------------------------------------------------ which rows


class _Weight(IntEnum):
    """How near a call is to the wire."""

    LOCAL = 0
    SOCKET = 1
    WIRE = 2


def _weigh(call: Call, causing: Collection[tuple[Host, int]]) -> _Weight:
    """Tell a call that meets a peer or moves bytes from one on an Internet socket, and both from all others."""
    if (call.host, call.n) in causing:
        return _Weight.WIRE
    if call.name in _LOCAL | _ENDLESS or (call.socket is not None and call.socket.protocol == "other"):
        return _Weight.LOCAL
    met = call.name in _MEETING and (call.errno is None or call.errno == "ECONNREFUSED")
    return _Weight.WIRE if met or call.length or call.end is None else _Weight.SOCKET


def _entries(calls: Sequence[Call], crossings: Sequence[Crossing]) -> list[_Entry]:
    if len(calls) + len(crossings) <= 2 * WINDOW:
        events: list[Call | Crossing] = [*calls, *crossings]
        return list(_rows(sorted(events, key=_when)))
    first: list[Call | Crossing] = [*calls, *crossings[:WINDOW]]
    last: list[Call | Crossing] = [*calls, *crossings[-WINDOW:]]
    head = heapq.nsmallest(WINDOW, first, key=_when)
    tail = heapq.nlargest(WINDOW, last, key=_when)[::-1]
    shown = [event for event in (*head, *tail) if isinstance(event, Crossing)]
    between = _Gap(
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


def _rows(events: Iterable[Call | Crossing]) -> Iterator[_Row]:
    row: _Row | None = None
    for event in events:
        if row is not None and _joins(row, event):
            if isinstance(event, Crossing):
                row.crossing = event
            else:
                row.put(event.host, event)
            continue
        if row is not None:
            yield row
        row = _Row(_when(event)[0])
        if isinstance(event, Crossing):
            row.crossing = event
        else:
            row.put(event.host, event)
    if row is not None:
        yield row


def _joins(row: _Row, event: Call | Crossing) -> bool:
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


def _fold_packets(entries: list[_Entry], height: int) -> list[_Entry]:
    """Shorten runs of packets as little as makes the ladder fit, or as much as can be."""
    folded = entries
    for kept in _KEPT:
        if len(folded) <= height:
            break
        folded = list(_shorten_runs(entries, kept))
    return folded


def _fold_middle(entries: list[_Entry], height: int) -> list[_Entry]:
    if len(entries) <= height:
        return entries
    head = (height - 1) * 2 // 3
    tail = height - 1 - head
    return [*entries[:head], _sum(entries[head : len(entries) - tail]), *entries[len(entries) - tail :]]


def _shorten_runs(entries: Sequence[_Entry], kept: int) -> Iterator[_Entry]:
    """Keep the first and the last of packets that follow one another without a call."""
    tail = kept // 3
    head = kept - tail
    run: list[_Entry] = []
    for entry in (*entries, None):
        if isinstance(entry, _Gap) or (entry is not None and entry.client is None and entry.server is None):
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


def _sum(entries: Sequence[_Entry]) -> _Gap:
    gaps = [entry.gap() for entry in entries]
    return _Gap(sum(g.packets for g in gaps), sum(g.bytes for g in gaps), sum(g.calls for g in gaps))


# ------------------------------------------------------------------ how a row looks


@dataclass(frozen=True, slots=True)
class _Layout:
    call: int
    arrow: int
    capture: int
    """Columns of one capture's lane; 0 where the two captures have none of their own."""
    many_flows: bool
    silent: dict[tuple[Host, int], str]
    names: dict[str, str]
    """Addresses of the two hosts to their names, which are shorter and say more."""

    @classmethod
    def of(cls, width: int, analysis: Analysis) -> _Layout:
        capture = min(16 + (width - _FOUR_LANES) // 5, 20) if width >= _FOUR_LANES else 0
        arrow = 2 * capture + _SHAFT + 2 if capture else max(width * 28 // 100, 16)
        call = max((width - _TIME - 4 - arrow) // 2, 12)
        flows = analysis.inputs.joined.flows
        names = {flow.endpoint(host).address: host for flow in flows for host in HOSTS}
        return cls(call, arrow, capture, len(flows) > 1, analysis.silent, dict(names))

    def head(self) -> str:
        """Return the line of headings."""
        if not self.capture:
            return self.row("ms", "client", "", "server")
        captures = f"{'client capture':>{self.capture}} {'':{_SHAFT}} server capture"
        return self.row("ms", "client calls", captures, "server calls")

    def row(self, time: str, client: str, middle: str, server: str) -> str:
        text = f"{time:>{_TIME}}  {client:<{self.call}} {middle:<{self.arrow}} {clip(server, self.call)}"
        return text.rstrip()

    def line(self, row: _Row, start: int) -> Line:
        calls = [call for call in (row.client, row.server) if call is not None]
        middle = self._arrow(row.crossing) if row.crossing else self._reason(calls)
        style = "failed" if any(call.errno for call in calls) else ""
        if row.crossing is not None and row.crossing.fate != "crossed":
            style = "lost"
        client, server = (self._call(call) if call else "" for call in (row.client, row.server))
        ms = (row.time - start) / 1e6
        return Line(self.row(f"{ms:.3f}" if ms < 99_999 else f"{ms:.0f}", client, middle, server), style)

    def _call(self, call: Call) -> str:
        """``client.c:23 send("c") = 1``; without the source line where that leaves no room for the call."""
        text = clip(show_call(call, self.call, self.names), self.call)
        line = escape(call.source) if call.source else ""
        return f"{line} {text}" if line and len(line) + 1 + len(text) <= self.call else text

    def _reason(self, calls: Sequence[Call]) -> str:
        """Why a call that might have sent something sent nothing; that socket() or bind() did not is no news."""
        for call in calls:
            reason = self.silent.get((call.host, call.n))
            if reason and (call.direction == "out" or call.name in ("connect", "shutdown", "close")):
                return clip(f"(none: {escape(reason)})", self.arrow)
        return ""

    def _arrow(self, crossing: Crossing) -> str:
        """``--P. "c"------>``, ``<--S.------``; a lost one ends in ``x``, one that nobody sent begins with ``?``."""
        if self.capture:
            return self._between_captures(crossing)
        inner = self.arrow - 4
        label = clip(self._label(crossing, inner), inner)
        lost, appeared = crossing.fate == "lost", crossing.fate == "appeared"
        if crossing.sender == "client":
            body = ("?-" if appeared else "--") + label
            return body + "-" * (self.arrow - 1 - len(body)) + ("x" if lost else ">")
        body = ("x" if lost else "<") + "--" + label
        return body + "-" * (self.arrow - 1 - len(body)) + ("?" if appeared else "-")

    def _between_captures(self, crossing: Crossing) -> str:
        """``P. "c" ----------> +5.02 ms``; an end that nobody saw stays empty."""
        lane = self.capture
        label = clip(self._label(crossing, lane), lane)
        if crossing.fate == "lost":
            sent, shaft, arrived = label, "-" * (_SHAFT // 2) + "x", ""
        elif crossing.fate == "appeared":
            sent, shaft, arrived = "", "x" + "-" * (_SHAFT // 2 - 1) + ">", label
        else:
            assert crossing.sent is not None  # noqa: S101 - it crossed
            assert crossing.arrived is not None  # noqa: S101
            late = crossing.arrived - crossing.sent
            sent, shaft, arrived = label, "-" * (_SHAFT - 1) + ">", f"{'+' if late >= 0 else ''}{duration(late)}"
        if crossing.sender == "client":
            shaft = f"{shaft:<{_SHAFT}}" if sent else f"{shaft:>{_SHAFT}}"
            return f"{sent:>{lane}} {shaft} {arrived:<{lane}}"
        shaft = shaft[::-1].replace(">", "<")
        shaft = f"{shaft:>{_SHAFT}}" if sent else f"{shaft:<{_SHAFT}}"
        return f"{arrived:>{lane}} {shaft} {sent:<{lane}}"

    def _label(self, crossing: Crossing, room: int) -> str:
        words = [f"#{crossing.flow}"] if self.many_flows and crossing.flow is not None else []
        if crossing.flags or crossing.protocol != "udp":
            words.append(crossing.flags or escape(crossing.protocol.upper()))
        if crossing.made in ("copy", "forged"):
            words.append(crossing.made)
        if crossing.changes:
            words.append("altered")
        if crossing.length or crossing.protocol == "udp":
            words.append(quote(crossing.payload, room - len(" ".join(words)) - 1, crossing.length))
        return " ".join(words)


def show_call(call: Call, room: int, names: Mapping[str, str]) -> str:
    """Return a call as C would show it: ``send("c") = 1``, ``connect(server:10011) ECONNREFUSED``."""
    name = escape(call.name)
    if call.end is None:
        ending = "" if call.name in _ENDLESS else " never returned"
    elif call.errno:
        ending = f" {escape(call.errno)}"
    elif call.direction is not None or call.result > 0:
        ending = f" = {call.result}"
    else:
        ending = ""
    left = room - len(name) - len(ending)
    if call.direction == "in" and call.data:
        read = quote(call.data, left - 3, call.length)
        return f"{name}(){ending} {read}" if read.startswith('"') else f"{name}(){ending}"  # the number once
    if call.direction == "out" and call.result == call.length:
        argument = quote(call.data, left - 2, call.length)
        return f"{name}({argument})" + ("" if argument.endswith("bytes") else ending)  # the number once
    return f"{name}({_argument(call, left - 2, names)}){ending}"


def _argument(call: Call, room: int, names: Mapping[str, str]) -> str:
    if call.direction == "out":
        return quote(call.data, room, call.length)
    if call.name in ("setsockopt", "getsockopt"):
        value = call.args.get("value")
        return escape(option_name(call) + (f", {value}" if value is not None else ""))
    endpoint = endpoint_argument(call)
    if endpoint is not None:
        host = names.get(endpoint.address)
        return f"{host}:{endpoint.port}" if host else escape(str(endpoint))
    return escape(shutdown_how(call) or "")
