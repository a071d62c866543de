"""The calls of one endpoint of a connection: which wrote, which read, and what closed the socket."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property

from testbed.analysis.calls.call_effects import (
    disconnects,
    has_flag,
    is_close,
    moves_bytes,
    option_set,
    shuts_writing,
    starts_connection,
    switched_on,
)
from testbed.analysis.calls.sockets import ObservedSocket, OpenDescriptor
from testbed.analysis.calls.streams import Share, Streams
from testbed.model import Call, Crossing, Evidence, Host, call_ref, peer_of
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
        """Whether this host had an observer, which saw what it did on this connection."""
        return self.streams.observes(self.flow, self.host)

    @property
    def known(self) -> bool:
        """Whether the observer saw this socket."""
        return self.streams.knows(self.flow, self.host)

    @property
    def unknown_because(self) -> str:
        """Why there are no calls to point at."""
        if not self.observed:
            older = self.streams.observed[self.host]
            return f"no observer on {self.host}" + (" when this connection was opened" if older else "")
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
    def uses_stdio(self) -> bool:
        """Whether the program made a stream of standard I/O of the socket, whose reads no observer of calls sees."""
        return any(call.name == "fdopen" for call in self.calls)

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

    def receiving(self, time: int, since: int = 0) -> bool:
        """Say whether a call that reads was in progress at ``time``, whether or not it got any bytes.

        Only one that began later than ``since`` counts.
        """
        return any(call.start > since and call.direction == "in" for call in self.in_progress(time))

    def in_progress(self, time: int) -> list[Call]:
        """Return the calls on the socket that were in progress at ``time``, of the last that had begun."""
        at = bisect_right(self.calls, time, key=lambda call: call.start)
        return [call for call in self.calls[max(at - 8, 0) : at] if call.end is None or call.end >= time]

    @cached_property
    def _in_shares(self) -> dict[int, Share]:
        return {share.call.n: share for share in self.streams.stream(self.flow, self.host, "in").shares}

    def taking(self, time: int, arrived: int) -> Call | None:
        """Return the call that was taking bytes out of the socket at ``time``, by when ``arrived`` bytes had come.

        One in progress that takes only bytes which came later was asleep and could do nothing.
        """
        call = self.reading(time)
        share = self._in_shares.get(call.n) if call is not None else None
        return call if share is None or share.start < arrived else None

    def read_by(self, time: int) -> int:
        """Return the stream offset up to which calls that began before ``time`` had read (tcp_sock.copied_seq).

        MSG_OOB takes a byte without moving it.
        """
        ends = (
            share.end
            for share in self._in_shares.values()
            if share.call.start < time and not has_flag(share.call, "MSG_OOB")
        )
        return max(ends, default=0)

    @cached_property
    def flushes(self) -> list[Call]:
        """Calls that release held bytes: TCP_NODELAY on, TCP_CORK off (tcp_push_pending_frames)."""
        return [
            call
            for call in self.calls
            if switched_on(call, "TCP_NODELAY") or (option_set(call, "TCP_CORK") and not switched_on(call, "TCP_CORK"))
        ]

    def pushing(self, time: int) -> list[Call]:
        """Return the calls that were in progress at ``time`` and send what is queued: writes, options, the end."""
        ender = self.fin_ender(time)
        ends = [ender.call] if ender is not None and ender.call is not None and not ender.by_exit else []
        writes = [call for call in self.calls if moves_bytes(call, "out")]
        return [
            call
            for call in (*writes, *self.flushes, *ends)
            if call.start <= time and (call.end is None or call.end >= time)
        ]

    @cached_property
    def corks(self) -> list[Call]:
        """Calls that set TCP_CORK, on or off."""
        return self._settings("TCP_CORK")

    def option(self, name: str, time: int) -> Call | None:
        """Return the setsockopt that holds for an option at ``time``: the last, by any process; None: the default."""
        before = [call for call in self._settings(name) if call.start <= time]
        return before[-1] if before else None

    def _settings(self, name: str) -> list[Call]:
        """Return the calls that set an option, in order: those on the listener before the connection was made first."""
        inherited = [
            call
            for listener in self._listeners
            for call in listener.calls
            if option_set(call, name) and call.start <= self._created
        ]
        inherited.sort(key=lambda call: (call.start, call.n))
        return [*inherited, *(call for call in self.calls if option_set(call, name))]

    @cached_property
    def _listeners(self) -> list[ObservedSocket]:
        """The listener of which an accepted connection is the child (tcp_create_openreq_child copies its options)."""
        if not all(map(disconnects, self.connects)):
            return []
        port = self.streams.flows[self.flow].endpoint(self.host).port
        own = [
            socket
            for socket in self.streams.sockets[self.host]
            if socket.listening and socket.local is not None and socket.local.port == port
        ]
        begun = [socket for socket in own if socket.calls[0].start <= self._created]
        return begun[-1:] or own[:1]

    @cached_property
    def _created(self) -> int:
        """When the peer's ACK of the SYN+ACK made the child: no setting of the listener counts after it."""
        sent = self.streams.by_sender.get((self.flow, peer_of(self.host)), ())
        return next(
            (
                packet.arrived
                for packet in sent
                if packet.arrived is not None and packet.ack is not None and "S" not in packet.flags
            ),
            0,
        )

    @cached_property
    def more(self) -> bool:
        """Whether some call wrote with MSG_MORE."""
        return any(call.direction == "out" and has_flag(call, "MSG_MORE") for call in self.calls)

    def corked(self, time: int) -> Call | None:
        """Return the call that had switched TCP_CORK on, if it is on at ``time``."""
        return self.switched_on_by("TCP_CORK", time)

    def nodelay(self, time: int) -> bool:
        """Say whether TCP_NODELAY is on at ``time``."""
        return self.switched_on_by("TCP_NODELAY", time) is not None

    def switched_on_by(self, name: str, time: int) -> Call | None:
        """Return the setsockopt that had switched an option on, if it is on at ``time``."""
        setter = self.option(name, time)
        return setter if setter is not None and switched_on(setter, name) else None

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

        A close (or an exec, of what is close-on-exec) during which the segment left is certain. Else the last of what
        gave descriptors up counts, if every descriptor that was used or held is given up; if one is not, its process
        must have ended without a log entry. So must some process if the last logged close would have sent the FIN at
        once: one that left no log held the socket as well.
        """
        descriptors = self.descriptors
        ended = [each.ended for each in descriptors if each.ended is not None and each.ended.start <= time]
        ended.sort(key=lambda call: (call.start, call.n))
        for call in reversed(ended):
            if call.name != "exit" and call.end is not None and call.end >= time:
                return _ender(call)
        kept = sorted(
            {
                each.pid
                for each in descriptors
                if (each.used or each.held) and (each.ended is None or each.ended not in ended)
            }
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
        waits = self.host in self.streams.queued  # in the queue of the interface
        if last.end is not None and time - last.end > _LATE and not waits and self._idle_at(last.end):
            held = (call_ref(last), " closed the last descriptor in a log; a process without one still held the socket")
            return Ender(None, held, by_exit=True)
        late: Evidence = (", ", Duration(time - last.end), " before") if last.end is not None else ()
        return _ender(last, late)

    def _idle_at(self, time: int) -> bool:
        """Say whether all written had been sent and acknowledged by a time, with room in the peer's window.

        Then nothing holds a FIN back: tcp_send_fin sends it before the call that closed the socket returns.
        """
        shares = self.streams.stream(self.flow, self.host, "out").shares
        written = sum(share.end - share.start for share in shares if share.call.start < time)
        ours = self.streams.by_sender.get((self.flow, self.host), ())
        sent = max((each.end for each in ours if each.time <= time and each.length), default=0)
        theirs = self.streams.by_sender.get((self.flow, peer_of(self.host)), ())
        came = [each for each in theirs if each.arrived is not None and each.arrived <= time and not each.discarded]
        acknowledged = max((each.ack - 1 for each in came if each.ack is not None), default=-1)
        return acknowledged >= max(written, sent) and came[-1].window > 0


def _ender(call: Call, late: Evidence = ()) -> Ender:
    """Return a call that closed the last descriptor; an exec lets go of files as the end of a process does (__fput)."""
    by_exec = call.name == "execve"
    why = " (close-on-exec)" if by_exec else ""
    return Ender(call, (call_ref(call), f" closed the last descriptor{why}", *late), by_exit=by_exec)


_LATE = 1_000_000
"""ns. A tracer's calls end a little earlier than they do."""
