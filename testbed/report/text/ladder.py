"""The ladder: both hosts' calls in time order with the packets between them, as lines of plain text.

A line has up to three cells: a call of the client, a packet, a call of the server. A packet stands beside the call
before it when its own host made that call and it left while the call lasted, and beside the call of the other host
that waited for it::

       0.310  send("c") = 1               --P. "c"------------------>  recv() = 1 "c"

Where there is room the packet has a lane for each capture: what was sent, and how much later it arrived::

       0.310  send("c") = 1                  P. "c" ----------> +5.02 ms       recv() = 1 "c"

What a host sends to itself stands in its own column: ``lo 40002>8000 P. "c"``.
A call that waits (accept, recv, poll) stands where it returned, any other where it began. Which rows there are
:mod:`testbed.report.text.ladder_rows` says.
"""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from testbed.analysis.calls.call_effects import connect_error, endpoint_argument, option_name, shutdown_how
from testbed.model import HOSTS, Analysis, Call, Crossing, Fate, Host
from testbed.model.absences import NoPacket, NoPacketReason
from testbed.model.call_table import is_message
from testbed.model.loopback import LoopbackPacket
from testbed.report.evidence_text import sentence
from testbed.report.no_packet_text import no_packet
from testbed.report.text.ladder_rows import ENDLESS, Gap, LadderRow, choose
from testbed.report.text.terminal_text import clip, counted, duration, escape, quote

_TIME = 9
_FOUR_LANES = 110  # columns from which each capture has a lane of its own
_SHAFT = 11
_KERNEL_ONLY = " (kernel)"
_PLAIN = frozenset({NoPacketReason.NOTES_PEER, NoPacketReason.NO_CONNECTION_TO_END})
"""Reasons that are no news: of every datagram socket."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the ladder; ``style`` is a name (``head``, ``lost``, ``folded``, ``failed``, empty)."""

    text: str
    style: str = ""


def ladder(analysis: Analysis, width: int, height: int | None) -> list[Line]:
    """Return the ladder, headings included, in lines of ``width`` columns.

    There are at most ``height`` lines, None: with every call and packet. Of a run in which more than that failed,
    closed or was reset, there are more.
    """
    layout = _Layout.of(width, analysis)
    room = None if height is None else max(height - 1, 3)
    lines = _lines(layout, analysis, room)
    if height is not None and room is not None and len(lines) > height:  # reasons take lines of their own
        lines = _lines(layout, analysis, max(room - (len(lines) - height), 3))
    return lines


def _lines(layout: _Layout, analysis: Analysis, room: int | None) -> list[Line]:
    entries, hidden = choose(analysis, room)
    start = min((entry.time for entry in entries if isinstance(entry, LadderRow)), default=0)
    indent = " " * (_TIME + 2)
    lines = [Line(layout.head(), "head")]
    for entry in entries:
        if isinstance(entry, Gap):
            lines.append(Line(f"{indent}{entry}", "folded"))
        else:
            lines.extend(layout.lines(entry, start))
    if hidden:
        what = counted(hidden, "call")
        text = f"(not shown: {what} that sent and ended nothing; `invoke show --full`)"
        lines.append(Line(indent[: max(layout.width - len(text), 0)] + text, "folded"))
    return lines


@dataclass(frozen=True, slots=True)
class _Layout:
    width: int
    call: int
    arrow: int
    capture: int
    """Columns of one capture's lane; 0 where the two captures have none of their own."""
    many_flows: bool
    no_packet: dict[tuple[Host, int], NoPacket]
    looped: Collection[Host]
    """Hosts whose loopback was captured."""
    names: dict[str, str]
    """Addresses of the two hosts to their names, which are shorter and say more."""

    @classmethod
    def of(cls, width: int, analysis: Analysis) -> _Layout:
        capture = min(16 + (width - _FOUR_LANES) // 5, 20) if width >= _FOUR_LANES else 0
        arrow = 2 * capture + _SHAFT + 2 if capture else max(width * 28 // 100, 16)
        call = max((width - _TIME - 4 - arrow) // 2, 12)
        flows = analysis.inputs.joined.flows
        looped, names = analysis.inputs.loopback.keys(), analysis.inputs.address_names
        return cls(width, call, arrow, capture, len(flows) > 1, analysis.no_packet, looped, names)

    def head(self) -> str:
        """Return the line of headings."""
        if not self.capture:
            return self.row("ms", "client", "", "server")
        captures = f"{'client capture':>{self.capture}} {'':{_SHAFT}} server capture"
        return self.row("ms", "client calls", captures, "server calls")

    def row(self, time: str, client: str, middle: str, server: str) -> str:
        text = f"{time:>{_TIME}}  {client:<{self.call}} {middle:<{self.arrow}} {clip(server, self.call)}"
        return text.rstrip()

    def lines(self, row: LadderRow, start: int) -> Iterator[Line]:
        """Yield a row's line, and one below it for a reason that its cell does not hold."""
        calls = [call for call in (row.client, row.server) if call is not None]
        style = "failed" if any(call.errno or connect_error(call) for call in calls) else ""
        if row.crossing is not None and row.crossing.fate is not Fate.CROSSED:
            style = "lost"
        client, server = (self._call(call) if call else "" for call in (row.client, row.server))
        if row.loopback is not None:
            client, server = (self._looped(row.loopback) if row.loopback.host == host else "" for host in HOSTS)
        reason = "" if row.crossing else self._reason(calls)
        fits = len(reason) <= self.arrow
        middle = self._arrow(row.crossing) if row.crossing else reason if fits else ""
        ms = (row.time - start) / 1e6
        yield Line(self.row(f"{ms:.3f}" if ms < 99_999 else f"{ms:.0f}", client, middle, server), style)
        if not fits:
            indent = " " * (_TIME + 4)
            for text in textwrap.wrap(reason, self.width, initial_indent=indent, subsequent_indent=indent + "  "):
                yield Line(text, style)

    def _call(self, call: Call) -> str:
        """``client.c:23 send("c") = 1``; without the source line where that leaves no room for the call."""
        text = clip(show_call(call, self.call, self.names), self.call)
        line = escape(call.source) if call.source else ""
        return f"{line} {text}" if line and len(line) + 1 + len(text) <= self.call else text

    def _looped(self, packet: LoopbackPacket) -> str:
        """``lo 40002>8000 P. "GET /"``: in its host's own column, as both of its ends are there."""
        ends = (packet.source, packet.destination)
        usual = packet.source.address == packet.destination.address
        way = ">".join(f"{end.port}" if usual else str(end) for end in ends)
        words = f"lo {way} {packet.flags or escape(packet.protocol.upper())}"
        if packet.length:
            words += f" {quote(packet.payload, self.call - len(words) - 1, packet.length)}"
        return clip(words, self.call)

    def _reason(self, calls: Sequence[Call]) -> str:
        """Why a call that might have sent something sent nothing; that socket() or bind() did not is no news.

        Over the loopback also which process made it, as both ends are in one column: ``(nginx[12])``.
        """
        who = "; ".join(
            f"{escape(each.program.rpartition('/')[2])}[{each.pid}]" for each in calls if _over_loopback(each)
        )
        for call in calls:
            absence = self.no_packet.get((call.host, call.n))
            if absence and (call.direction == "out" or call.name in ("connect", "shutdown", "close", "closesocket")):
                if absence.reason in _PLAIN and absence.errno == "":
                    continue
                if absence.reason is NoPacketReason.SAME_HOST and call.host in self.looped:
                    continue
                return f"({who}{': ' * bool(who)}none: {escape(sentence(no_packet(absence)))})"
        return f"({who})" if who else ""

    def _arrow(self, crossing: Crossing) -> str:
        """``--P. "c"------>``, ``<--S.------``; a lost one ends in ``x``, one that nobody sent begins with ``?``."""
        if self.capture:
            return self._between_captures(crossing)
        inner = self.arrow - 4
        label = clip(self._label(crossing, inner), inner)
        lost, appeared = crossing.fate is Fate.LOST, crossing.fate is Fate.APPEARED
        if crossing.sender == "client":
            body = ("?-" if appeared else "--") + label
            return body + "-" * (self.arrow - 1 - len(body)) + ("x" if lost else ">")
        body = ("x" if lost else "<") + "--" + label
        return body + "-" * (self.arrow - 1 - len(body)) + ("?" if appeared else "-")

    def _between_captures(self, crossing: Crossing) -> str:
        """``P. "c" ----------> +5.02 ms``; an end that nobody saw stays empty."""
        lane = self.capture
        label = clip(self._label(crossing, lane), lane)
        if crossing.fate is Fate.LOST:
            sent, shaft, arrived = label, "-" * (_SHAFT // 2) + "x", ""
        elif crossing.fate is Fate.APPEARED:
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
        words = [f"#{crossing.flow + 1}"] if self.many_flows and crossing.flow is not None else []
        if crossing.flags or crossing.protocol != "udp":
            words.append(crossing.flags or escape(crossing.protocol.upper()))
        if crossing.made in ("copy", "forged"):
            words.append(crossing.made)
        if crossing.changes:
            words.append("altered")
        if crossing.length or crossing.protocol == "udp":
            words.append(quote(crossing.payload, room - len(" ".join(words)) - 1, crossing.length))
        return " ".join(words)


def _over_loopback(call: Call) -> bool:
    """Say whether a call is about a connection of its host to itself."""
    local, peer = (call.socket.local, call.socket.peer) if call.socket is not None else (None, None)
    if local is not None and peer is not None and local.address == peer.address:
        return True
    asked = peer or (endpoint_argument(call) if call.name == "connect" else None)
    return asked is not None and (asked.address.startswith("127.") or asked.address == "::1")


def show_call(call: Call, room: int, names: Mapping[str, str]) -> str:
    """Return a call as C would show it: ``send("c") = 1``, ``connect(server:10011) ECONNREFUSED``.

    One that only the kernel saw is marked.
    """
    if call.kernel_only and call.direction is not None:
        return _show_call(call, room - len(_KERNEL_ONLY), names) + _KERNEL_ONLY
    return _show_call(call, room, names)


def _show_call(call: Call, room: int, names: Mapping[str, str]) -> str:
    name = escape(str(call.args.get("function", call.name)))
    error = None
    if call.end is None:
        ending = "" if call.name in ENDLESS else " never returned"
    elif error := call.errno or connect_error(call):
        ending = f" {escape(error)}"
    elif call.direction is not None or call.result > 0:
        ending = f" = {call.result}"
    else:
        ending = ""
    left = room - len(name) - len(ending)
    if is_message(call.name):
        return name + ending
    if call.direction == "in" and call.data:
        read = quote(call.data, left - 3, call.length)
        return f"{name}(){ending} {read}" if read.startswith('"') else f"{name}(){ending}"  # the number once
    if call.direction == "out" and call.result == call.length:
        argument = quote(call.data, left - 2, call.length)
        return f"{name}({argument})" + ("" if argument.endswith("bytes") else ending)  # the number once
    argument = _argument(call, left - 2, names)
    if error:  # never cut off
        argument = clip(argument, max(left - 2, 0))
    return f"{name}({argument}){ending}"


def _argument(call: Call, room: int, names: Mapping[str, str]) -> str:
    if call.direction == "out":
        return quote(call.data, room, call.length)
    if call.name in ("setsockopt", "getsockopt"):
        value = call.args.get("value") if connect_error(call) is None else None
        return escape(option_name(call) + (f", {value}" if value is not None else ""))
    endpoint = endpoint_argument(call)
    if endpoint is not None:
        host = names.get(endpoint.address)
        return f"{host}:{endpoint.port}" if host else escape(str(endpoint))
    if call.name == "execve":
        return escape(str(call.args.get("program", "")).rpartition("/")[2])
    return escape(shutdown_how(call) or str(call.args.get("events") or call.args.get("request") or ""))
