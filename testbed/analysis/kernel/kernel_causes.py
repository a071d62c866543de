"""The cause of each packet by the kernel's own call stack, beside what captures and calls had led to. Pure.

A stack says in which processing a packet was sent and by which functions. Which of the few causes it is that such a
stack can be, the packet's own header and that of the packet it answers say; which calls wrote its bytes, their ranges.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from testbed.analysis.calls.call_effects import by_wine
from testbed.analysis.calls.endpoint_calls import EndpointCalls
from testbed.analysis.calls.streams import Streams
from testbed.analysis.causes.endpoint import carried, sack_blocks
from testbed.analysis.kernel.calls_in_progress import CallsInProgress
from testbed.analysis.kernel.classify_stack import Classified
from testbed.analysis.kernel.packet_origins import StackOrigins
from testbed.model import (
    Call,
    Cause,
    CauseName,
    Crossing,
    Evidence,
    Host,
    Joined,
    PacketRef,
    call_ref,
    call_refs,
    packet_refs,
    peer_of,
)
from testbed.model.causes import CAUSES, Basis, CauseKind
from testbed.model.evidence import Duration
from testbed.model.origins import Mechanism, PacketOrigin

C = CauseName
_ACKS = frozenset((C.ACK, C.DUPLICATE_ACK, C.D_SACK, C.PROBE_ANSWER, C.CHALLENGE_ACK, C.NOT_TAKEN, C.WINDOW_UPDATE))
_BYTES = frozenset((C.DATA, C.FIN, C.EXIT))
_NOTABLE = 100_000
"""Least time (ns) that a packet waited below TCP for it to be told."""
_HELD = frozenset((C.WINDOW_PROBE, C.CORK_TIMEOUT, C.MORE_TIMEOUT, C.DATA))


@dataclass(frozen=True, slots=True)
class _SentBefore:
    """What an endpoint had sent before a packet: its highest ACK, and the end of its sequence space."""

    ack: int | None = None
    end: int | None = None


def with_kernel(
    joined: Joined, streams: Streams, inferred: Sequence[Cause], origins: StackOrigins
) -> tuple[Cause, ...]:
    """Return the cause of every packet: the kernel's where there is a stack that is known, else what was inferred."""
    judge = _Judge(joined, streams, origins)
    return tuple(judge.cause(packet, cause) for packet, cause in zip(joined.crossings, inferred, strict=True))


class _Judge:
    def __init__(self, joined: Joined, streams: Streams, origins: StackOrigins) -> None:
        self._joined, self._streams, self._origins = joined, streams, origins
        self._before, self._covered = _sent_before(joined)
        self._endpoints: dict[tuple[int, Host], EndpointCalls] = {}
        self._calls = CallsInProgress(streams)

    def cause(self, packet: Crossing, inferred: Cause) -> Cause:
        origin, said = self._origins.origins.get(packet.n), self._origins.classified.get(packet.n)
        if origin is None or said is None:
            return inferred
        if said.row is None or not said.row.causes:
            return replace(inferred, origin=origin)
        rule, others = self._rule(packet, inferred, said, origin)
        call = self._call(packet, origin)
        if rule in (C.DATA, C.UNLOGGED_DATA) and packet.protocol == "tcp":
            evidence, calls, packets = self._of_bytes(packet, inferred, origin, call)
        elif rule in _ACKS or rule in (C.DELAYED_ACK, C.COMPRESSED_ACK):
            evidence, calls, packets = self._of_ack(packet, rule, inferred, origin, call)
        elif self._is_same(rule, inferred) and self._says_no_other(inferred, origin, call):
            evidence, calls, packets = inferred.evidence, inferred.calls, inferred.packets
        else:
            evidence, calls, packets = self._in_words(rule, inferred, origin, call)
            if others:  # which of them it is, nothing says
                evidence = _how(origin, call)
        if origin.waited >= _NOTABLE:
            below = "for the queue of the interface or the next host's hardware address"
            evidence = (*evidence, "; then it waited ", Duration(origin.waited), f" {below}")
        refusal = inferred.refusal if rule is inferred.rule else None
        return Cause(
            rule,
            evidence,
            calls,
            packets,
            refusal,
            alternatives=others,
            basis=Basis.KERNEL,
            origin=origin,
            inferred=inferred,
        )

    @staticmethod
    def _says_no_other(inferred: Cause, origin: PacketOrigin, call: Call | None) -> bool:
        """Say whether what was inferred names neither another call nor another packet than the kernel."""
        if inferred.kind is CauseKind.ANSWER and origin.certain and origin.packet not in (None, *inferred.packets):
            return False
        return call is None or call.n in inferred.calls

    @staticmethod
    def _is_same(rule: CauseName, inferred: Cause) -> bool:
        """Say whether a FIN's call is the inferred one: an exec closes files as it returns, on whatever stack."""
        return rule is inferred.rule or (rule is C.FIN and C.FIN in inferred.alternatives)

    # -------------------------------------------------------------- which cause

    def _rule(
        self, packet: Crossing, inferred: Cause, said: Classified, origin: PacketOrigin
    ) -> tuple[CauseName, tuple[CauseName, ...]]:
        """Return the cause, and which others the stack, the headers and what was inferred leave open."""
        assert said.row is not None  # noqa: S101 - the caller has looked
        causes = said.row.causes
        if "S" in packet.flags and packet.protocol == "tcp":
            return self._of_syn(packet, causes), ()
        if _ACKS.issuperset(causes):
            return self._kind_of_ack(packet, inferred, causes, origin), ()
        if causes == (C.DELAYED_ACK,) and packet.ack == self._before[packet.n].ack and sack_blocks(packet):
            return C.COMPRESSED_ACK, ()  # tcp_delack_timer_handler sends what was put off, if it runs out first
        if _BYTES.issuperset(causes):
            return self._kind_of_bytes(packet, inferred, origin), ()
        if _HELD.issuperset(causes) and not packet.length:
            return C.WINDOW_PROBE, ()
        if C.CLOSED_PORT in causes and "R" not in packet.flags:
            return self._kind_of_ack(packet, inferred, causes, origin), ()
        if C.CLOSED_PORT in causes:
            return (C.CLOSED_PORT if packet.ack is not None else C.RESET_ANSWER), ()
        if inferred.rule is C.RESET_EXIT and C.RESET_UNREAD in causes and self._closed_by_wine(packet, origin):
            return C.RESET_EXIT, ()
        if inferred.rule in causes and not (inferred.rule is C.DATA and _HELD.issuperset(causes)):
            return inferred.rule, tuple(each for each in inferred.alternatives if each in causes)
        if causes == (C.DATAGRAM,) and inferred.rule is C.UNLOGGED_DATA:
            return C.UNLOGGED_DATA, ()
        if C.RECOVERY in causes and not self._shows_loss(origin):
            return C.RECOVERY, ()
        if C.RESET_UNSEEN in causes and not self._streams.observed[packet.sender]:
            return C.RESET_UNSEEN, ()
        return causes[0], tuple(each for each in causes[1:] if each is not C.RESET_UNSEEN)

    def _of_syn(self, packet: Crossing, causes: tuple[CauseName, ...]) -> CauseName:
        if C.SYN_RETRANSMISSION in causes and C.SYN_ACK not in causes:
            return C.SYN_RETRANSMISSION
        if C.CONNECT in causes:
            return C.CONNECT
        return C.SYN_ACK if packet.ack is not None else causes[0]

    def _kind_of_bytes(self, packet: Crossing, inferred: Cause, origin: PacketOrigin) -> CauseName:
        if packet.length:
            return C.UNLOGGED_DATA if inferred.rule is C.UNLOGGED_DATA else C.DATA
        if origin.mechanism is Mechanism.EXIT:
            return C.EXIT
        by_exit = origin.mechanism is not Mechanism.CALL or self._closed_by_wine(packet, origin)
        return C.EXIT if inferred.rule is C.EXIT and by_exit else C.FIN

    def _closed_by_wine(self, packet: Crossing, origin: PacketOrigin) -> bool:
        """Say whether Wine's server closed the socket of a Windows program, as it does when that has ended."""
        if packet.flow is None or origin.syscall != "close":
            return False
        calls = self._streams.calls.get((packet.flow, packet.sender), ())
        return any(map(by_wine, calls)) and self._call(packet, origin) is None

    def _kind_of_ack(
        self, packet: Crossing, inferred: Cause, causes: tuple[CauseName, ...], origin: PacketOrigin
    ) -> CauseName:
        """Say which of the ACKs it is, by what it says itself and by the packet that it answers."""
        before = self._before[packet.n].ack
        grows = before is None or (packet.ack is not None and packet.ack > before)
        if C.DUPLICATE_ACK not in causes:  # by a call
            return C.ACK if grows else C.WINDOW_UPDATE
        known = origin.packet is not None and origin.certain
        answered = self._joined.crossings[origin.packet] if known and origin.packet is not None else None
        if _reports_repeat(packet):
            return C.D_SACK
        if grows:
            return C.ACK
        if answered is None:
            return inferred.rule if inferred.rule in causes else C.DUPLICATE_ACK
        if "R" in answered.flags or "S" in answered.flags:
            return C.CHALLENGE_ACK
        ack = packet.ack or 0
        if not answered.sequence_length:
            return C.PROBE_ANSWER if answered.seq == ack - 1 else C.CHALLENGE_ACK
        if answered.seq == ack:
            return C.NOT_TAKEN
        return C.DUPLICATE_ACK

    def _shows_loss(self, origin: PacketOrigin) -> bool:
        """Say whether the ACK that asked for a repeat reports something behind it, or repeats itself."""
        if origin.packet is None:
            return True
        answered = self._joined.crossings[origin.packet]
        before = self._before.get(answered.n, _SentBefore()).ack
        return bool(sack_blocks(answered)) or answered.ack == before

    # -------------------------------------------------------------- on what evidence

    def _call(self, packet: Crossing, origin: PacketOrigin) -> Call | None:
        """Return the logged call in which a packet was sent."""
        if origin.mechanism not in (Mechanism.CALL, Mechanism.BACKLOG) or not origin.syscall:
            return None
        departure = self._origins.departures[packet.n]
        return self._calls.at(packet.sender, departure.when_sent, origin.syscall, packet.flow, departure.pid)

    def _of_bytes(
        self, packet: Crossing, inferred: Cause, origin: PacketOrigin, call: Call | None
    ) -> tuple[Evidence, tuple[int, ...], tuple[int, ...]]:
        """Return which calls wrote a segment's bytes, and what let them go."""
        assert packet.flow is not None  # noqa: S101 - it is of a connection
        stream = self._streams.stream(packet.flow, packet.sender, "out")
        shares = stream.covering(packet.start, packet.end)
        writers = [share.call for share in shares]
        covered = sum(min(share.end, packet.end) - max(share.start, packet.start) for share in shares)
        if not writers:
            return (*inferred.evidence, "; ", *_how(origin, call)), _numbers(inferred.calls, call), ()
        evidence: Evidence = (carried(packet), " of ", call_refs(writers))
        if covered < packet.length:
            evidence = (*evidence, f"; {packet.length - covered} bytes of it were written by no logged call")
        if any(share.ambiguous for share in shares):
            evidence = (*evidence, " (other bytes fit there as well: their order is not certain)")
        if call is None or call not in writers:
            evidence = (*evidence, "; ", *_how(origin, call, "let go"))
        # A write that released other calls' bytes did not write these.
        released = call is not None and (call.direction != "out" or call in writers)
        calls = [*writers, *((call,) if call is not None and released else ())]
        if "F" in packet.flags:
            key = packet.flow, packet.sender
            endpoint = self._endpoints.setdefault(key, EndpointCalls(*key, self._streams))
            ender = endpoint.fin_ender(packet.time)
            evidence = (*evidence, "; FIN: ", *(ender.evidence if ender else ("no logged call explains it",)))
            calls += [ender.call] if ender is not None and ender.call is not None else []
        packets = (origin.packet,) if origin.packet is not None else ()
        return evidence, tuple(dict.fromkeys(each.n for each in calls)), packets

    def _of_ack(
        self, packet: Crossing, rule: CauseName, inferred: Cause, origin: PacketOrigin, call: Call | None
    ) -> tuple[Evidence, tuple[int, ...], tuple[int, ...]]:
        """Return what an ACK covers or answers, and what sent it when."""
        answered = origin.packet
        if rule in (C.ACK, C.DELAYED_ACK):
            covered = self._covered[packet.n] or inferred.packets
            what: Evidence = ("acknowledges ", packet_refs(covered)) if covered else (CAUSES[rule].meaning,)
            packets = covered if answered is None or answered in covered else (*covered, answered)
            return (*what, *self._when(packet, covered, origin, call)), _numbers((), call), packets
        if rule is inferred.rule and (answered is None or answered in inferred.packets):
            return inferred.evidence, inferred.calls, inferred.packets
        if rule is C.WINDOW_UPDATE:
            return ("the window grows: ", *_how(origin, call)), _numbers((), call), ()
        packets = (answered,) if answered is not None else ()
        return (f"{CAUSES[rule].meaning}: ", *_how(origin, call)), _numbers((), call), packets

    def _when(self, packet: Crossing, covered: tuple[int, ...], origin: PacketOrigin, call: Call | None) -> Evidence:
        """Say how long after the newest of what it covers an ACK was sent, and by what."""
        newest = self._joined.crossings[covered[-1]].arrived if covered else None
        sent = packet.time - origin.waited
        waited: Evidence = (Duration(sent - newest), " after it came") if newest is not None else ()
        if origin.mechanism is Mechanism.ARRIVAL and origin.packet is not None and origin.packet in covered[-1:]:
            return (" at once, ", *waited)
        later: Evidence = (", ", *waited) if waited else ()
        if origin.mechanism is Mechanism.CALL and call is not None:
            return (
                (", while ", call_ref(call), " took bytes", *later)
                if call.direction == "in"
                else (", sent in ", call_ref(call), *later)
            )
        if origin.mechanism is Mechanism.TIMER and origin.timer == "tcp_delack_timer":
            return (*later, ": the timer of delayed ACKs")
        return (*later, ", ", *_how(origin, call))

    def _in_words(
        self, rule: CauseName, inferred: Cause, origin: PacketOrigin, call: Call | None
    ) -> tuple[Evidence, tuple[int, ...], tuple[int, ...]]:
        same = CAUSES[rule].kind is CAUSES[inferred.rule].kind
        packets = (origin.packet,) if origin.packet is not None else inferred.packets if same else ()
        return (f"{CAUSES[rule].meaning}: ", *_how(origin, call)), _numbers((), call), packets


def _how(origin: PacketOrigin, call: Call | None, done: str = "sent") -> Evidence:
    """Return in the course of what a packet was sent (or what else was ``done`` to it), in words."""
    in_call: Evidence = (call_ref(call),) if call is not None else (_unlogged(origin),)
    answered: Evidence = (PacketRef(origin.packet),) if origin.packet is not None else ("a packet",)
    match origin.mechanism:
        case Mechanism.CALL:
            return (f"{done} in ", *in_call)
        case Mechanism.ARRIVAL:
            return (f"{done} as ", *answered, " came")
        case Mechanism.BACKLOG:
            return (f"{done} as ", *answered, " was looked at, which had come while ", *in_call, " used the socket")
        case Mechanism.TIMER:
            return (origin.meaning if not origin.timer else f"{origin.meaning} ({origin.timer})",)
        case Mechanism.EXIT:
            return (f"{done} by the end of the process",)
    return (origin.meaning,)


def _unlogged(origin: PacketOrigin) -> str:
    return f"a {origin.syscall} that is not in the log" if origin.syscall else "a call that is not in the log"


def _numbers(calls: tuple[int, ...], call: Call | None) -> tuple[int, ...]:
    return tuple(dict.fromkeys((*calls, *((call.n,) if call is not None else ()))))


def _reports_repeat(packet: Crossing) -> bool:
    """Say whether an ACK's first SACK block is of bytes that had come before (RFC 2883)."""
    blocks = sack_blocks(packet)
    if not blocks:
        return False
    left, right = blocks[0]
    return right <= (packet.ack or 0) or (len(blocks) > 1 and blocks[1][0] <= left and right <= blocks[1][1])


def _sent_before(joined: Joined) -> tuple[dict[int, _SentBefore], dict[int, tuple[int, ...]]]:
    """Return for each packet what its endpoint had sent before, and what its ACK is the first to cover."""
    found: dict[int, _SentBefore] = {}
    covered: dict[int, tuple[int, ...]] = {}
    state: dict[tuple[int | None, Host], _SentBefore] = {}
    pending: dict[tuple[int | None, Host], list[Crossing]] = defaultdict(list)
    for packet, is_departure in _events(joined):
        if not is_departure:
            if packet.sequence_length and packet.protocol == "tcp":
                pending[packet.flow, peer_of(packet.sender)].append(packet)
            continue
        key = packet.flow, packet.sender
        before = found[packet.n] = state.get(key, _SentBefore())
        if "R" in packet.flags:  # it may answer what was never of the connection, with numbers of its own
            covered[packet.n] = ()
            continue
        acks = [ack for ack in (before.ack, packet.ack) if ack is not None]
        ack = max(acks, default=None)
        end = packet.seq + packet.sequence_length
        state[key] = _SentBefore(ack, end if before.end is None else max(before.end, end))
        covered[packet.n] = ()
        if ack is not None and ack != before.ack:
            waiting = pending[key]
            ends = {each.n: each.seq + each.sequence_length for each in waiting}
            new = [
                each for each in waiting if ends[each.n] <= ack and (before.ack is None or ends[each.n] > before.ack)
            ]
            covered[packet.n] = tuple(each.n for each in new)
            pending[key] = [each for each in waiting if ends[each.n] > ack]
    return found, covered


def _events(joined: Joined) -> list[tuple[Crossing, bool]]:
    """Return departures (True) and arrivals in time order; a departure comes first among equals."""
    events = [(each.sent, 0, each.n, each) for each in joined.crossings if each.sent is not None]
    events += [(each.arrived, 1, each.n, each) for each in joined.crossings if each.arrived is not None]
    events.sort(key=lambda event: event[:3])
    return [(packet, not arrival) for _, arrival, _, packet in events]
