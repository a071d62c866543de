"""The calls of one endpoint of a connection: which wrote, which read, and what closed the socket."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property

from testbed.analysis.calls.call_effects import (
    has_flag,
    is_close,
    moves_bytes,
    option_set,
    shuts_writing,
    starts_connection,
    switched_on,
)
from testbed.analysis.calls.sockets import OpenDescriptor
from testbed.analysis.calls.streams import Share, Streams
from testbed.model import Call, Crossing, Evidence, Host, call_ref
from testbed.model.evidence import Duration


@dataclass(frozen=True, slots=True)
class Ender:
    """What closed the socket: a call (``exit`` with ``by_exit``), or a process whose end was not logged (None)."""

    call: Call | None
    evidence: Evidence
    by_exit: bool = False


@dataclass
class EndpointCalls:
    """The calls of one host on one connection's socket."""

    flow: int
    host: Host
    streams: Streams

    @property
    def observed(self) -> bool:
        """Whether this host had an observer."""
        return self.streams.observed[self.host]

    @property
    def known(self) -> bool:
        """Whether the observer saw this socket."""
        return self.streams.knows(self.flow, self.host)

    @property
    def unknown_because(self) -> str:
        """Why there are no calls to point at."""
        if not self.observed:
            return f"no observer on {self.host}"
        return f"the observer on {self.host} saw no socket of this connection"

    @cached_property
    def calls(self) -> tuple[Call, ...]:
        """All calls on this socket, in order of start."""
        return self.streams.calls.get((self.flow, self.host), ())

    @cached_property
    def connects(self) -> list[Call]:
        """Calls that may have sent the SYN."""
        return [call for call in self.calls if starts_connection(call)]

    @cached_property
    def closes(self) -> list[Call]:
        """Calls that closed a descriptor of the socket."""
        return [call for call in self.calls if is_close(call)]

    @cached_property
    def shutdowns(self) -> list[Call]:
        """Calls that ended the sending direction."""
        return [call for call in self.calls if shuts_writing(call)]

    @cached_property
    def descriptors(self) -> list[OpenDescriptor]:
        """All descriptors of the socket, in every process."""
        return self.streams.descriptors.get((self.flow, self.host), [])

    @cached_property
    def reads(self) -> list[Call]:
        """Calls that read bytes."""
        return [call for call in self.calls if moves_bytes(call, "in")]

    def reader(self, time: int) -> Call | None:
        """Return the call that was reading bytes at ``time``, else the last that had read."""
        at = bisect_right(self.reads, time, key=lambda call: call.start)
        before = self.reads[max(at - 8, 0) : at]
        inside = [call for call in before if call.end is None or call.end >= time]
        found = inside or before
        return found[-1] if found else None

    def reading(self, time: int) -> Call | None:
        """Return the call that was reading bytes at ``time``."""
        found = self.reader(time)
        return found if found is not None and (found.end is None or found.end >= time) else None

    @cached_property
    def flushes(self) -> list[Call]:
        """Calls that release held bytes: TCP_NODELAY on, TCP_CORK off (tcp_push_pending_frames)."""
        return [
            call
            for call in self.calls
            if switched_on(call, "TCP_NODELAY") or (option_set(call, "TCP_CORK") and not switched_on(call, "TCP_CORK"))
        ]

    @cached_property
    def corks(self) -> list[Call]:
        """Calls that set TCP_CORK, on or off."""
        return [call for call in self.calls if option_set(call, "TCP_CORK")]

    @cached_property
    def more(self) -> bool:
        """Whether some call wrote with MSG_MORE."""
        return any(call.direction == "out" and has_flag(call, "MSG_MORE") for call in self.calls)

    @cached_property
    def nodelays(self) -> list[Call]:
        """Calls that set TCP_NODELAY, on or off."""
        return [call for call in self.calls if option_set(call, "TCP_NODELAY")]

    def corked(self, time: int) -> Call | None:
        """Return the call that had switched TCP_CORK on, if it is on at ``time``."""
        before = [call for call in self.corks if call.start <= time]
        return before[-1] if before and switched_on(before[-1], "TCP_CORK") else None

    def nodelay(self, time: int) -> bool:
        """Say whether TCP_NODELAY is on at ``time``."""
        before = [call for call in self.nodelays if call.start <= time]
        return bool(before) and switched_on(before[-1], "TCP_NODELAY")

    @cached_property
    def unfinished_writes(self) -> list[Call]:
        """Writes that never returned, the last first."""
        return [call for call in reversed(self.calls) if call.end is None and call.direction == "out"]

    def writers(self, packet: Crossing) -> tuple[Share, ...]:
        """Return the calls whose bytes a segment carries."""
        return self.streams.stream(self.flow, self.host, "out").covering(max(packet.start, 0), packet.end)

    def fin_ender(self, time: int) -> Ender | None:
        """Return what had ended the sending direction by ``time``; None if nothing can have."""
        for call in self.shutdowns:
            if call.start <= time:
                return Ender(call, (call_ref(call), " ended the sending direction"))
        return self.ender(time)

    def ender(self, time: int) -> Ender | None:
        """Return what had closed the socket's last descriptor by ``time``, None if nothing can have.

        A close during which the segment left is certain. Else the last of the closes and exits counts, if every
        descriptor that was used is closed; if one is not, its process must have ended without a log entry.
        """
        descriptors = self.descriptors
        ended = [each.ended for each in descriptors if each.ended is not None and each.ended.start <= time]
        ended.sort(key=lambda call: (call.start, call.n))
        for call in ended:
            if call.name != "exit" and call.end is not None and call.end >= time:
                return Ender(call, (call_ref(call), " closed the last descriptor"))
        kept = sorted(
            {each.pid for each in descriptors if each.used and (each.ended is None or each.ended not in ended)}
        )
        if kept or (not ended and self.known):
            pids = ", ".join(map(str, kept)) or "of the socket"
            return Ender(None, (f"no logged call closed the socket: process {pids} ended with it open",), by_exit=True)
        if not ended:
            return None
        last = ended[-1]
        if last.name == "exit":
            open_at_end = (f"process {last.pid} ended with the socket open (", call_ref(last), ")")
            return Ender(last, open_at_end, by_exit=True)
        late: Evidence = (", ", Duration(time - last.end), " before") if last.end is not None else ()
        return Ender(last, (call_ref(last), " closed the last descriptor", *late))
