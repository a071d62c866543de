"""The cause of each packet by the kernel's own call stack, beside what captures and calls had led to. Pure.

A stack says in which processing a packet was sent and by which functions. Which of the few causes it is that such a
stack can be, the packet's own header and that of the packet it answers say; which calls wrote its bytes, their ranges.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

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
)
from testbed.model.causes import CAUSES, Basis
from testbed.model.origins import Mechanism, PacketOrigin

C = CauseName
_ACKS = frozenset((C.ACK, C.DUPLICATE_ACK, C.D_SACK, C.PROBE_ANSWER, C.CHALLENGE_ACK, C.NOT_TAKEN, C.WINDOW_UPDATE))
_BYTES = frozenset((C.DATA, C.FIN, C.EXIT))
_HELD = frozenset((C.WINDOW_PROBE, C.CORK_TIMEOUT, C.MORE_TIMEOUT))


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
        self._before = _sent_before(joined)
        self._calls = CallsInProgress(streams)

    def cause(self, packet: Crossing, inferred: Cause) -> Cause:
        origin, said = self._origins.origins.get(packet.n), self._origins.classified.get(packet.n)
        if origin is None or said is None:
            return inferred
        if said.row is None or not said.row.causes:
            return replace(inferred, origin=origin)
        rule = self._rule(packet, inferred, said, origin)
        call = self._call(packet, origin)
        if rule in (C.DATA, C.UNLOGGED_DATA) and packet.protocol == "tcp":
            evidence, calls, packets = self._of_bytes(packet, inferred, origin, call)
        elif rule in _ACKS or rule in (C.DELAYED_ACK, C.COMPRESSED_ACK):
            evidence, calls, packets = self._of_ack(rule, inferred, origin, call)
        elif rule is inferred.rule:
            evidence, calls, packets = inferred.evidence, inferred.calls, inferred.packets
        else:
            evidence, calls, packets = self._in_words(rule, inferred, origin, call)
        refusal = inferred.refusal if rule is inferred.rule else None
        return Cause(rule, evidence, calls, packets, refusal, basis=Basis.KERNEL, origin=origin, inferred=inferred)

    # -------------------------------------------------------------- which cause

    def _rule(self, packet: Crossing, inferred: Cause, said: Classified, origin: PacketOrigin) -> CauseName:
        assert said.row is not None  # noqa: S101 - the caller has looked
        causes = said.row.causes
        if "S" in packet.flags and packet.protocol == "tcp":
            return self._of_syn(packet, causes)
        if _ACKS.issuperset(causes):
            return self._kind_of_ack(packet, inferred, causes, origin)
        if _BYTES.issuperset(causes):
            return self._kind_of_bytes(packet, inferred, origin)
        if _HELD.issuperset(causes):
            if not packet.length:
                return C.WINDOW_PROBE
            return inferred.rule if inferred.rule in causes else C.CORK_TIMEOUT
        if C.CLOSED_PORT in causes:
            return C.CLOSED_PORT if packet.ack is not None else C.RESET_ANSWER
        if inferred.rule in causes:
            return inferred.rule
        if causes == (C.DATAGRAM,) and inferred.rule is C.UNLOGGED_DATA:
            return C.UNLOGGED_DATA
        if C.RECOVERY in causes and not self._shows_loss(origin):
            return C.RECOVERY
        if C.RESET_UNSEEN in causes and not self._streams.observed[packet.sender]:
            return C.RESET_UNSEEN
        return causes[0]

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
        return C.EXIT if inferred.rule is C.EXIT and origin.mechanism is not Mechanism.CALL else C.FIN

    def _kind_of_ack(
        self, packet: Crossing, inferred: Cause, causes: tuple[CauseName, ...], origin: PacketOrigin
    ) -> CauseName:
        """Say which of the ACKs it is, by what it says itself and by the packet that it answers."""
        before = self._before[packet.n].ack
        grows = before is None or (packet.ack is not None and packet.ack > before)
        if C.DUPLICATE_ACK not in causes:  # by a call
            return C.ACK if grows else C.WINDOW_UPDATE
        answered = self._joined.crossings[origin.packet] if origin.packet is not None else None
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
        before = self._before[answered.n].ack
        return bool(sack_blocks(answered)) or answered.ack == before

    # -------------------------------------------------------------- on what evidence

    def _call(self, packet: Crossing, origin: PacketOrigin) -> Call | None:
        """Return the logged call in which a packet was sent."""
        if origin.mechanism not in (Mechanism.CALL, Mechanism.BACKLOG) or not origin.syscall:
            return None
        departure = self._origins.departures[packet.n]
        return self._calls.at(packet.sender, departure.time, origin.syscall, packet.flow, departure.pid)

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
            evidence = (*evidence, "; ", *_how(origin, call))
        if "F" in packet.flags:
            evidence = (*evidence, "; the FIN went with it")
        packets = (origin.packet,) if origin.packet is not None else ()
        return evidence, _numbers(tuple(writer.n for writer in writers), call), packets

    def _of_ack(
        self, rule: CauseName, inferred: Cause, origin: PacketOrigin, call: Call | None
    ) -> tuple[Evidence, tuple[int, ...], tuple[int, ...]]:
        answered = origin.packet
        if rule is inferred.rule and (answered is None or answered in inferred.packets):
            if rule in (C.ACK, C.WINDOW_UPDATE) and origin.mechanism is Mechanism.CALL:
                covers = self._covers(inferred.packets, rule)
                return (*covers, *_how(origin, call)), _numbers((), call), inferred.packets
            if rule is C.ACK:
                return (*self._covers(inferred.packets, rule), *_how(origin, call)), (), inferred.packets
            return inferred.evidence, inferred.calls, inferred.packets
        packets = inferred.packets if CAUSES[inferred.rule].kind is CAUSES[rule].kind and rule is C.ACK else ()
        if answered is not None and answered not in packets:
            packets = (*packets, answered)
        if rule is C.DELAYED_ACK and not packets:
            packets = inferred.packets
        return (f"{CAUSES[rule].meaning}: ", *_how(origin, call)), _numbers((), call), packets

    def _covers(self, packets: tuple[int, ...], rule: CauseName) -> Evidence:
        if rule is C.WINDOW_UPDATE or not packets:
            return (f"{CAUSES[rule].meaning}: ",)
        return ("acknowledges ", packet_refs(packets), ", ")

    def _in_words(
        self, rule: CauseName, inferred: Cause, origin: PacketOrigin, call: Call | None
    ) -> tuple[Evidence, tuple[int, ...], tuple[int, ...]]:
        same = CAUSES[rule].kind is CAUSES[inferred.rule].kind
        packets = (origin.packet,) if origin.packet is not None else inferred.packets if same else ()
        return (f"{CAUSES[rule].meaning}: ", *_how(origin, call)), _numbers((), call), packets


def _how(origin: PacketOrigin, call: Call | None) -> Evidence:
    """Return in the course of what a packet was sent, in words."""
    in_call: Evidence = (call_ref(call),) if call is not None else (_unlogged(origin),)
    answered: Evidence = (PacketRef(origin.packet),) if origin.packet is not None else ("a packet",)
    match origin.mechanism:
        case Mechanism.CALL:
            return ("sent in ", *in_call)
        case Mechanism.ARRIVAL:
            return ("sent as ", *answered, " came")
        case Mechanism.BACKLOG:
            return ("sent as ", *in_call, " had ended with the socket, for what had come meanwhile")
        case Mechanism.TIMER:
            return (origin.meaning if not origin.timer else f"{origin.meaning} ({origin.timer})",)
        case Mechanism.EXIT:
            return ("sent by the end of the process, or of its file",)
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


def _sent_before(joined: Joined) -> dict[int, _SentBefore]:
    found: dict[int, _SentBefore] = {}
    state: dict[tuple[int | None, Host], _SentBefore] = {}
    for packet in sorted(joined.crossings, key=lambda each: each.time):
        if packet.sent is None:
            found[packet.n] = _SentBefore()
            continue
        before = found[packet.n] = state.get((packet.flow, packet.sender), _SentBefore())
        acks = [ack for ack in (before.ack, packet.ack) if ack is not None]
        end = packet.seq + packet.sequence_length
        state[packet.flow, packet.sender] = _SentBefore(
            max(acks, default=None), end if before.end is None else max(before.end, end)
        )
    return found
