"""One end of a TCP connection, replayed from its own capture: what the rules in ``causes.py`` look at.

A side is told every segment that left it and every one that reached it, in the order of its own capture. It keeps what
the kernel keeps (RFC 9293 section 3.3.1): SND.UNA, SND.NXT, RCV.NXT, windows, and which arrivals are not answered yet.
Sequence numbers are relative, SYN and FIN count one.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import deque
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from testbed.analysis.calls import (
    is_close,
    moves_bytes,
    option_set,
    shuts_writing,
    starts_connection,
    switched_on,
)
from testbed.analysis.sockets import Hold
from testbed.analysis.streams import Share, Streams
from testbed.model import Call, Cause, Crossing, Host


class Why(NamedTuple):
    """A rule's finding; the rule itself adds its name and kind."""

    evidence: str
    calls: tuple[int, ...] = ()
    packets: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Ender:
    """What gave the socket up: a call (``exit`` with ``by_exit``), or a process that ended unlogged (None)."""

    call: Call | None
    text: str
    by_exit: bool = False


def sack_blocks(packet: Crossing) -> list[tuple[int, int]]:
    """Return a segment's SACK blocks (RFC 2018), edges relative as its ACK number is."""
    return [(left, right) for left, right in packet.options.get("sack", ())]


def sequence_length(packet: Crossing) -> int:
    """Return how much sequence space a segment takes (RFC 9293: SEG.LEN)."""
    return packet.length + ("S" in packet.flags) + ("F" in packet.flags)


def names(calls: tuple[Call, ...] | list[Call]) -> str:
    """Return calls as a reader finds them in the call list: ``send #3, send #4``; long lists are cut."""
    shown = [f"{call.name} #{call.n}" for call in calls[:4]]
    if len(calls) > 4:
        shown[2:] = ["...", f"{calls[-1].name} #{calls[-1].n}"]
    return ", ".join(shown)


def numbers(packets: tuple[int, ...] | list[int]) -> str:
    """Return packet numbers as text: ``#3, #4``; long lists are cut."""
    shown = [f"#{n}" for n in packets[:4]]
    if len(packets) > 4:
        shown[2:] = ["...", f"#{packets[-1]}"]
    return ", ".join(shown)


def duration(nanoseconds: int) -> str:
    """Return a time span in a unit that suits it: ``0.4 ms``, ``12 ms``, ``1.02 s``."""
    if nanoseconds >= 1_000_000_000:
        return f"{nanoseconds / 1e9:.2f} s"
    milliseconds = nanoseconds / 1e6
    return f"{milliseconds:.0f} ms" if milliseconds >= 10 else f"{milliseconds:.2g} ms"


@dataclass
class Side:
    """One host's end of one connection."""

    flow: int
    host: Host
    streams: Streams
    snd_max: int | None = None
    una: int = 0
    rcv_nxt: int | None = None
    last_ack: int | None = None
    last_window: int | None = None
    peer_window: int | None = None
    repair_until: int = -1  # SND.NXT when the last timeout or fast retransmission happened
    originals: list[Crossing] = field(default_factory=list)
    original_seqs: list[int] = field(default_factory=list)
    sent_last: dict[int, Crossing] = field(default_factory=dict)  # by first sequence number
    repeats: dict[int, int] = field(default_factory=dict)
    last_sent: Crossing | None = None
    last_rule: str = ""
    fin_at: int | None = None  # sequence number after the peer's FIN
    last_arrival: Crossing | None = None
    last_data: Crossing | None = None
    una_moved: Crossing | None = None
    # the latest ACKs that repeat una, and those with SACK blocks: more than a few say nothing new
    duplicates: deque[Crossing] = field(default_factory=lambda: deque(maxlen=_KEPT))
    sacks: deque[Crossing] = field(default_factory=lambda: deque(maxlen=_KEPT))
    by_ack: dict[int, Crossing] = field(default_factory=dict)
    pending: deque[Crossing] = field(default_factory=deque)  # in order, not acknowledged yet
    odd: list[Crossing] = field(default_factory=list)  # old, out of order, unacceptable: not answered yet
    old: dict[int, bool] = field(
        default_factory=dict
    )  # those of ``odd`` that were old; True once an ACK passed them by
    probes: list[Crossing] = field(default_factory=list)
    unanswered_syn: Crossing | None = None
    gaps: list[tuple[int, int]] = field(default_factory=list)  # received above rcv_nxt, sorted

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
    def holds(self) -> list[Hold]:
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
        return (inside or before or [None])[-1]

    @cached_property
    def flushes(self) -> list[Call]:
        """Calls that let held bytes go: TCP_NODELAY on, TCP_CORK off (tcp_push_pending_frames)."""
        return [
            call
            for call in self.calls
            if switched_on(call, "TCP_NODELAY") or (option_set(call, "TCP_CORK") and not switched_on(call, "TCP_CORK"))
        ]

    @cached_property
    def unfinished_writes(self) -> list[Call]:
        """Writes that never returned, the last first."""
        return [call for call in reversed(self.calls) if call.end is None and call.direction == "out"]

    def writers(self, packet: Crossing) -> tuple[Share, ...]:
        """Return the calls whose bytes a segment carries."""
        return self.streams.stream(self.flow, self.host, "out").covering(max(packet.start, 0), packet.end)

    @property
    def arrived(self) -> int:
        """How many bytes arrived in order: what the program could have read."""
        if self.rcv_nxt is None:
            return 0
        return max(self.rcv_nxt - 1 - (self.fin_at is not None and self.rcv_nxt >= self.fin_at), 0)

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

    def unread_at(self, time: int) -> int:
        """Return how many bytes had arrived but were not read by calls that began before ``time``."""
        return self.arrived - sum(call.length for call in self.reads if call.start < time)

    def previous(self, packet: Crossing) -> Crossing | None:
        """Return the last segment before this one that carried its first byte."""
        same = self.sent_last.get(packet.seq)
        if same is not None:
            return same
        at = bisect_right(self.original_seqs, packet.seq) - 1
        return self.originals[at] if at >= 0 else None

    def note_sent(self, packet: Crossing, cause: Cause) -> None:
        """Record a segment that left, after its cause was found."""
        length = sequence_length(packet)
        end = packet.seq + length
        if length or self.snd_max is None:
            if self.snd_max is None or end > self.snd_max:
                self.originals.append(packet)
                self.original_seqs.append(max(packet.seq, self.original_seqs[-1] if self.original_seqs else packet.seq))
            else:
                self.repeats[packet.seq] = self.repeats.get(packet.seq, 0) + 1
            self.sent_last[packet.seq] = packet
        if "R" not in packet.flags:
            self.snd_max = end if self.snd_max is None else max(self.snd_max, end)
        if "S" in packet.flags:
            self.unanswered_syn = None
            if packet.ack is not None and self.rcv_nxt is not None and packet.ack < self.rcv_nxt:
                self.rcv_nxt = packet.ack  # data on the SYN was not taken (RFC 7413 section 4.2)
                self.pending.clear()
        if packet.ack is not None:
            self._note_answered(packet, cause)
            self.last_ack = packet.ack if self.last_ack is None else max(self.last_ack, packet.ack)
            if "S" not in packet.flags and "R" not in packet.flags:  # a SYN's window is never scaled (RFC 7323)
                self.last_window = packet.window
        self.last_sent, self.last_rule = packet, cause.rule

    def _note_answered(self, packet: Crossing, cause: Cause) -> None:
        assert packet.ack is not None  # noqa: S101 - the caller has looked
        while self.pending and self.pending[0].seq + sequence_length(self.pending[0]) <= packet.ack:
            self.pending.popleft()
        if self.odd:
            answered = max(cause.packets, default=-1) if cause.rule in _ANSWERS_ODD else -1
            grown = self.last_ack is not None and packet.ack > self.last_ack
            self.odd = [each for each in self.odd if each.n > answered and not (grown and self._passed(each, packet))]
        if self.probes and (not cause.packets or cause.packets[-1] >= self.probes[0].n):
            self.probes = [probe for probe in self.probes if probe.n not in cause.packets]

    def _passed(self, culprit: Crossing, packet: Crossing) -> bool:
        """Say whether an ACK that covers more leaves nothing to answer.

        What was out of order is covered. What was old may still get its own D-SACK, but not after a second such ACK.
        """
        assert packet.ack is not None  # noqa: S101 - the caller has looked
        if culprit.n not in self.old:
            return culprit.seq < packet.ack
        reported = any(left <= culprit.seq < right <= packet.ack for left, right in sack_blocks(packet))
        before, self.old[culprit.n] = self.old[culprit.n], True
        return reported or before

    def note_arrived(self, packet: Crossing) -> None:
        """Record a segment that reached this host."""
        self.last_arrival = packet
        if packet.ack is not None and "R" not in packet.flags:
            self._note_ack(packet, packet.ack)
        if "R" in packet.flags:
            return
        self.peer_window = packet.window
        length = sequence_length(packet)
        if "S" in packet.flags:
            self.unanswered_syn = packet
        if length:
            self._note_data(packet, packet.seq + length)
        elif self.rcv_nxt is not None and self.last_ack is not None:
            if packet.seq == self.rcv_nxt - 1 == self.last_ack - 1:
                self.probes.append(packet)
            elif packet.seq < self.last_ack or packet.seq > self.rcv_nxt:  # RFC 9293 3.10.7.4, first check
                self.odd.append(packet)

    def _note_ack(self, packet: Crossing, ack: int) -> None:
        self.by_ack[ack] = packet
        if ack > self.una:
            self.una, self.una_moved = ack, packet
            self.duplicates.clear()
        elif ack == self.una and not sequence_length(packet):
            self.duplicates.append(packet)
        if self.snd_max is not None and ack >= self.snd_max:
            self.sacks.clear()
        elif packet.options.get("sack"):
            self.sacks.append(packet)

    def _note_data(self, packet: Crossing, end: int) -> None:
        if packet.length:
            self.last_data = packet
        if "F" in packet.flags:
            self.fin_at = end
        if self.rcv_nxt is None:
            self.rcv_nxt = packet.seq
        if end <= self.rcv_nxt:
            self.odd.append(packet)
            self.old[packet.n] = False
            return
        if packet.seq > self.rcv_nxt:
            self.odd.append(packet)
            insort(self.gaps, (packet.seq, end))
            return
        self.rcv_nxt = end
        while self.gaps and self.gaps[0][0] <= self.rcv_nxt:
            self.rcv_nxt = max(self.rcv_nxt, self.gaps.pop(0)[1])
        self.pending.append(packet)


_KEPT = 32
_ANSWERS_ODD = frozenset({"duplicate-ack", "d-sack", "challenge-ack"})
