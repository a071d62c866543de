"""What the calls of one end of a connection say: who wrote, who read, and what gave the socket up."""

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
from testbed.analysis.calls.sockets import HeldDescriptor
from testbed.analysis.calls.streams import Share, Streams
from testbed.model import Call, Crossing, Host


@dataclass(frozen=True, slots=True)
class Ender:
    """What gave the socket up: a call (``exit`` with ``by_exit``), or a process that ended unlogged (None)."""

    call: Call | None
    text: str
    by_exit: bool = False


def names(calls: tuple[Call, ...] | list[Call]) -> str:
    """Return calls as a reader finds them in the call list: ``send #3, send #4``; long lists are cut."""
    shown = [f"{call.name} #{call.n}" for call in calls[:4]]
    if len(calls) > 4:
        shown[2:] = ["...", f"{calls[-1].name} #{calls[-1].n}"]
    return ", ".join(shown)


def duration(nanoseconds: int) -> str:
    """Return a time span in a unit that suits it: ``0.4 ms``, ``12 ms``, ``1.02 s``."""
    if nanoseconds >= 1_000_000_000:
        return f"{nanoseconds / 1e9:.2f} s"
    milliseconds = nanoseconds / 1e6
    return f"{milliseconds:.0f} ms" if milliseconds >= 10 else f"{milliseconds:.2g} ms"


@dataclass
class OwnCalls:
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
    def unseen(self) -> str:
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
        """Calls that gave a descriptor of the socket up."""
        return [call for call in self.calls if is_close(call)]

    @cached_property
    def shutdowns(self) -> list[Call]:
        """Calls that ended the sending direction."""
        return [call for call in self.calls if shuts_writing(call)]

    @cached_property
    def holds(self) -> list[HeldDescriptor]:
        """All descriptors of the socket, in every process."""
        return self.streams.holds.get((self.flow, self.host), [])

    @cached_property
    def reads(self) -> list[Call]:
        """Calls that took bytes."""
        return [call for call in self.calls if moves_bytes(call, "in")]

    def reader(self, time: int) -> Call | None:
        """Return the call that was taking bytes at ``time``, else the last that had."""
        at = bisect_right(self.reads, time, key=lambda call: call.start)
        before = self.reads[max(at - 8, 0) : at]
        inside = [call for call in before if call.end is None or call.end >= time]
        found = inside or before
        return found[-1] if found else None

    def reading(self, time: int) -> Call | None:
        """Return the call that was taking bytes at ``time``."""
        found = self.reader(time)
        return found if found is not None and (found.end is None or found.end >= time) else None

    @cached_property
    def flushes(self) -> list[Call]:
        """Calls that let held bytes go: TCP_NODELAY on, TCP_CORK off (tcp_push_pending_frames)."""
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
                return Ender(call, f"{names([call])} ended the sending direction")
        return self.ender(time)

    def ender(self, time: int) -> Ender | None:
        """Return what had given up the socket's last descriptor by ``time``, None if nothing can have.

        A close during which the segment left is certain. Else the last of the closes and exits counts, if every
        descriptor that was used is given up; if one is not, its process must have ended without a log entry.
        """
        ended = [hold.ended for hold in self.holds if hold.ended is not None and hold.ended.start <= time]
        ended.sort(key=lambda call: (call.start, call.n))
        for call in ended:
            if call.name != "exit" and call.end is not None and call.end >= time:
                return Ender(call, f"{names([call])} gave up the last descriptor")
        kept = sorted(
            {hold.pid for hold in self.holds if hold.used and (hold.ended is None or hold.ended not in ended)}
        )
        if kept or (not ended and self.known):
            pids = ", ".join(map(str, kept)) or "of the socket"
            return Ender(None, f"no logged call closed the socket: process {pids} ended with it open", by_exit=True)
        if not ended:
            return None
        last = ended[-1]
        if last.name == "exit":
            return Ender(last, f"process {last.pid} ended with the socket open ({names([last])})", by_exit=True)
        late = f", {duration(time - last.end)} before" if last.end is not None else ""
        return Ender(last, f"{names([last])} gave up the last descriptor{late}")
