"""One endpoint of a TCP connection, replayed from its own host's capture: what the rules look at.

An endpoint is given every segment that left it and every one that reached it, in the order of its own capture. It keeps
what the kernel keeps (RFC 9293 section 3.3.1): SND.UNA, SND.NXT, RCV.NXT, windows, and which arrivals are not answered
yet. Sequence numbers are relative, SYN and FIN count one. Rules read it; only :meth:`TcpEndpoint.note_sent` and
:meth:`TcpEndpoint.note_arrived` change it. Long because it is one state machine, whose parts share what they keep.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import cached_property
from typing import NamedTuple

from testbed.analysis.calls.call_effects import option_value
from testbed.analysis.calls.endpoint_calls import EndpointCalls
from testbed.analysis.causes.quick_acks import QuickAcks
from testbed.model import CauseName, Crossing, Evidence, peer_of
from testbed.model.causes import Refusal
from testbed.model.crossings import FieldChange, HeaderField
from testbed.model.evidence import ByteRange, Part
from testbed.model.intervals import IntervalSet
from testbed.model.origins import SentBy
from testbed.model.tcp import seq_offset


class EndpointEffect(Enum):
    """What a packet changes at the endpoint that sent it, beyond what its header shows."""

    BEGINS_REPAIR = auto()
    """A loss was found: what is out now may be sent again as ACKs move on (RFC 6582, "recover")."""
    ANSWERS_UNEXPECTED = auto()
    """It answers the segments up to the one that it names that were not the next in order."""
    ANSWERS_PROBES = auto()
    """It answers every probe."""
    PROBES_TAIL = auto()
    """It is a tail-loss probe: none goes again until what is out now is acknowledged (tcp_sock.tlp_high_seq)."""
    SHOWS_REFUSAL = auto()
    """Its ACK number shows that what came in order beyond it was not taken."""


class Explanation(NamedTuple):
    """What a rule found; the registry adds the rest.

    ``calls``, ``packets``, ``alternatives`` and ``sent_by`` as in :class:`testbed.model.Cause`; ``effects`` are for the
    endpoint to apply.
    """

    evidence: Evidence
    calls: tuple[int, ...] = ()
    packets: tuple[int, ...] = ()
    effects: tuple[EndpointEffect, ...] = ()
    refusal: Refusal | None = None
    alternatives: tuple[CauseName, ...] = ()
    sent_by: SentBy | None = None


def sack_blocks(packet: Crossing) -> list[tuple[int, int]]:
    """Return a segment's SACK blocks (RFC 2018), edges relative as its ACK number is."""
    return [(left, right) for left, right in packet.options.get("sack", ())]


def arrival_time(packet: Crossing) -> int:
    """Return when a packet reached its receiver; when it was sent if its arrival was not captured."""
    return packet.time if packet.arrived is None else packet.arrived


def _faster(packet: Crossing, fastest: int | None) -> int | None:
    if packet.sent is None or packet.arrived is None:
        return fastest
    took = packet.arrived - packet.sent
    return took if fastest is None else min(fastest, took)


def sequence_length_arrived(packet: Crossing) -> int:
    """Return how much sequence space a segment took where it arrived: it may have been cut on the way."""
    cut = sum(_shortened(each) for each in packet.changes if isinstance(each, FieldChange))
    return packet.sequence_length - cut


def _shortened(change: FieldChange) -> int:
    before, after = change.before, change.after
    if change.field is not HeaderField.LENGTH or not isinstance(before, int) or not isinstance(after, int):
        return 0
    return before - after


def carried(packet: Crossing) -> Part:
    """Return what a segment carries: bytes of the stream, ``the SYN``, ``the FIN`` or ``nothing``."""
    if packet.length:
        return ByteRange(packet.start, packet.end)
    return "the SYN" if "S" in packet.flags else "the FIN" if "F" in packet.flags else "nothing"


@dataclass
class TcpEndpoint(EndpointCalls):
    """One host's endpoint of one connection.

    ``sysctls`` are those of its network namespace, empty where they are not known. ``route_rto_min``: the minimum of
    the retransmission timeout (ns) that its route has, 0 for none, None where that is not known. ``has_queue``: its
    interface has a queue, in which packets wait before they leave; ``queued``: the packet that is looked at may have
    waited there.
    """

    sysctls: Mapping[str, str] = field(default_factory=dict)
    route_rto_min: int | None = None
    has_queue: bool = False
    queued: bool = False
    snd_max: int | None = None
    una: int = 0
    rcv_nxt: int | None = None
    last_ack: int | None = None
    repeated_acks: int = 0  # how many pure ACKs with that number left while something was out of order
    last_window: int | None = None  # bytes
    scales: tuple[int | None, int | None] = (None, None)  # window scale on its own SYN and on the peer's
    peer_window: int | None = None
    send_edge: int | None = None  # the right edge of the window that the peer offers
    widest: int = 0  # bytes of the largest window that the peer offered (tcp_sock.max_window)
    newest_stamp: int | None = None  # the peer's newest time stamp (tcp_options_received.ts_recent)
    handshake: int | None = None  # ns from its SYN or SYN+ACK to the answer
    # ns that the fastest packet so far took from the peer and to it, as both captures say
    fastest: tuple[int | None, int | None] = (None, None)
    repair_until: int = -1  # SND.NXT when the last timeout or fast retransmission happened
    originals: list[Crossing] = field(default_factory=list)
    original_seqs: list[int] = field(default_factory=list)
    resent: list[Crossing] = field(default_factory=list)
    tail_probed: int | None = None  # SND.NXT at a tail-loss probe that is not answered yet
    probed_new: bool = False  # that probe brought new bytes
    unprobed: bool = False  # a timer sent the newest bytes, which plans no tail-loss probe (tcp_write_wakeup)
    edge: int | None = None  # the right edge of the window that was offered
    fin_sent: bool = False
    largest: int = 0  # bytes of the largest segment that came
    urgent: int = 0  # segments with urgent bytes that came: of those it may have passed one over (tcp_recvmsg_locked)
    filled: int | None = None  # the arrival that filled a hole, so that what was kept behind it followed
    sent_last: dict[int, Crossing] = field(default_factory=dict)  # by first sequence number
    repeats: dict[int, int] = field(default_factory=dict)
    last_sent: Crossing | None = None
    last_data_sent: Crossing | None = None  # the newest bytes, not one sent again
    sack: tuple[bool | None, bool | None] = (None, None)  # whether its own SYN and the peer's took SACK
    mss: int | None = None  # what the peer's SYN allows
    last_cause: CauseName | None = None  # of the last packet sent
    fin_at: int | None = None  # sequence number after the peer's FIN
    last_arrival: Crossing | None = None
    last_data: Crossing | None = None
    una_moved: Crossing | None = None
    # the latest ACKs that repeat una, and those with SACK blocks: more than a few say nothing new
    duplicates: deque[Crossing] = field(default_factory=lambda: deque(maxlen=_KEPT))
    sacks: deque[Crossing] = field(default_factory=lambda: deque(maxlen=_KEPT))
    by_ack: dict[int, Crossing] = field(default_factory=dict)  # the newest of each ACK number, whether or not it fits
    pending: deque[Crossing] = field(default_factory=deque)  # in order, not acknowledged yet
    # not the next in order (old, out of order, outside the window), not answered yet
    unexpected: deque[Crossing] = field(default_factory=lambda: deque(maxlen=4 * _KEPT))
    # those that were old; True once an ACK passed them by
    old: dict[int, bool] = field(default_factory=dict)
    reported: Sequence[tuple[int, int]] = ()  # the SACK blocks of its last ACK
    no_room: Crossing | None = None  # the newest that came in order while the window was 0, not answered yet
    probes: list[Crossing] = field(default_factory=list)
    unanswered_syn: Crossing | None = None
    too_big: list[Crossing] = field(default_factory=list)  # ICMP errors: a segment that left does not fit the path
    others_too_big: bool = False  # ICMP said so to another socket of this host: routes keep it for all
    out_of_order: IntervalSet = field(default_factory=IntervalSet)  # sequence numbers received above rcv_nxt
    quick: QuickAcks = field(default_factory=QuickAcks)
    _marks: bool = False  # congestion may be marked (RFC 3168), which is answered at once

    def __post_init__(self) -> None:
        if self._settings("TCP_QUICKACK"):
            self.quick.is_set()

    @cached_property
    def _probing_kernel(self) -> bool | None:
        setting = self.sysctls.get("net.ipv4.tcp_early_retrans")
        return None if setting is None else setting in ("3", "4")

    @property
    def probes_tail(self) -> bool | None:
        """Whether the kernel sends tail-loss probes on this connection; None where that is not known."""
        if False in self.sack or self._probing_kernel is False:
            return False
        return self._probing_kernel if all(self.sack) else None

    @property
    def answers_at_once(self) -> bool | None:
        """Whether what comes out of order now is acknowledged at once; None where that is not known."""
        return None if self._marks else self.quick.at_once

    @property
    def arrived(self) -> int:
        """How many bytes arrived in order: what the program could have read."""
        if self.rcv_nxt is None:
            return 0
        return max(self.rcv_nxt - 1 - (self.fin_at is not None and self.rcv_nxt >= self.fin_at), 0)

    def window(self, packet: Crossing) -> int:
        """Return the window that this endpoint offers, in bytes: scaled if both SYNs allowed it (RFC 7323)."""
        own, theirs = self.scales
        if own is None or theirs is None or "S" in packet.flags:
            return packet.window
        return packet.window << own

    def closing(self, time: int) -> bool:
        """Say whether a FIN was sent, or a call or an exit had asked for one, by ``time``: FIN-WAIT-1 or later."""
        ends = [each.ended for each in self.descriptors]
        closed = bool(ends) and all(call is not None and call.start < time for call in ends)
        return self.fin_sent or closed or any(call.start < time for call in self.shutdowns)

    @property
    def rto_min(self) -> int:
        """The minimum of the retransmission timeout (ns), as far as route, options and sysctls say it (TCP_RTO_MIN)."""
        usual = self.route_rto_min or int(self.sysctls.get("net.ipv4.tcp_rto_min_us", 200_000)) * 1000
        return min(usual, self.least_set("TCP_RTO_MIN_US"))

    def least_set(self, name: str) -> int:
        """Return the least time (ns) to which an option in microseconds was ever set, much where it never was."""
        values = (option_value(call)[:1] for call in self._settings(name))
        return min((value[0] * 1000 for value in values if value), default=_MUCH)

    @property
    def shortest(self) -> int:
        """The shortest round trip (ns) that there can have been so far: none that the kernel measured was less."""
        return max((self.fastest[0] or 0) + (self.fastest[1] or 0), 0)

    @property
    def full(self) -> int:
        """How many bytes a segment has at least that is certainly full: nothing but windows holds those back."""
        return (self.mss or 0) - OPTIONS_MOST

    @property
    def loses_in_queue(self) -> bool:
        """Whether what leaves may be a repeat of what its own queue threw away, as too big for the path."""
        return self.has_queue and bool(self.too_big)

    def may_be_lost_in_queue(self, packet: Crossing) -> bool:
        """Say whether that may be so of new bytes: their segment is as large as any before, or later ones came."""
        largest = max((each.length for each in self.originals), default=0)
        if not self.loses_in_queue:
            return False
        just_now = self.queued and packet.time - arrival_time(self.too_big[-1]) < _MENDED
        return packet.length >= largest or bool(self.sacks) or just_now

    def unread_at(self, time: int) -> int:
        """Return how many bytes had arrived but were not read by calls that began before ``time``."""
        return self.arrived - self.read_by(time)

    def previous(self, packet: Crossing) -> Crossing | None:
        """Return the last segment before this one that carried its first byte."""
        same = self.sent_last.get(packet.seq)
        if same is not None:
            return same
        at = bisect_right(self.original_seqs, packet.seq) - 1
        return self.originals[at] if at >= 0 else None

    def note_sent(self, packet: Crossing, rule: CauseName, explained: Explanation) -> None:
        """Record a segment that left, after its cause was found, with the effects of that."""
        self.fastest = self.fastest[0], _faster(packet, self.fastest[1])
        if EndpointEffect.BEGINS_REPAIR in explained.effects:
            self.repair_until = max(self.repair_until, self.snd_max or 0)
        if EndpointEffect.SHOWS_REFUSAL in explained.effects and packet.ack is not None:
            self.rcv_nxt = packet.ack
            self.pending = deque(each for each in self.pending if each.seq < packet.ack)
        length = packet.sequence_length
        end = packet.seq + length
        if length or self.snd_max is None:
            if self.snd_max is None or end > self.snd_max:
                self.originals.append(packet)
                self.original_seqs.append(max(packet.seq, self.original_seqs[-1] if self.original_seqs else packet.seq))
                self.last_data_sent = packet if packet.length else self.last_data_sent
                self.unprobed = bool(_BY_WAKEUP & {rule, *explained.alternatives})
            else:
                self.repeats[packet.seq] = self.repeats.get(packet.seq, 0) + 1
                self.resent.append(packet)
            self.sent_last[packet.seq] = packet
        if "R" not in packet.flags:
            self.snd_max = end if self.snd_max is None else max(self.snd_max, end)
        if EndpointEffect.PROBES_TAIL in explained.effects:
            self.tail_probed, self.probed_new = self.snd_max, rule is CauseName.DATA
        self.fin_sent = self.fin_sent or "F" in packet.flags
        if "S" in packet.flags:
            self.unanswered_syn = None
            self.unexpected = deque((each for each in self.unexpected if "S" not in each.flags), self.unexpected.maxlen)
            self.scales = (packet.options.get("wscale"), self.scales[1])
            self.sack = (bool(packet.options.get("sack_permitted")), self.sack[1])
            if packet.ack is not None and self.rcv_nxt is not None and packet.ack < self.rcv_nxt:
                self.rcv_nxt = packet.ack  # data on the SYN was not taken (RFC 7413 section 4.2)
                self.pending.clear()
        if packet.ack is not None and packet.acknowledges is None:
            self._note_answered(packet, rule, explained)  # it refuses a SYN: its number is of no connection
        elif packet.ack is not None:
            if self.last_ack is None or packet.ack > self.last_ack:
                self.repeated_acks = int(bool(sack_blocks(packet)))
            elif not length:
                self.repeated_acks += 1
            self._note_answered(packet, rule, explained)
            self._note_reported(packet)
            if length and not self.queued and self._refused_all(packet):
                self.pending.clear()
            if self.rcv_nxt is not None and not self.pending:
                self.rcv_nxt = packet.ack  # less than that: what was out of order was thrown away (tcp_prune_ofo_queue)
            self.last_ack = packet.ack if self.last_ack is None else max(self.last_ack, packet.ack)
            if "R" not in packet.flags:
                self.last_window = self.window(packet)
                self.edge = max(self.edge or 0, packet.ack + self.last_window)
            if "S" not in packet.flags:
                if length and self.last_sent is not None and self.last_sent.ack is None:
                    self.quick.begins_with_bytes()
                self._note_quick(packet, packet.ack, rule, explained)
        if packet.length:
            self.quick.sends_bytes(packet.time)
        self.last_sent, self.last_cause = packet, rule

    def _note_quick(self, packet: Crossing, ack: int, rule: CauseName, explained: Explanation) -> None:
        names = (rule, *explained.alternatives)
        delayed = CauseName.DELAYED_ACK in names
        timer = CauseName.COMPRESSED_ACK in names
        self.quick.acknowledges(
            ack,
            repeats=not packet.sequence_length and bool(self.out_of_order),
            by_timer=None if timer and len(names) > 1 else timer,
            delayed=None if delayed and len(names) > 1 else delayed,
        )

    def _refused_all(self, packet: Crossing) -> bool:
        """Say whether a segment with bytes and no window shows that what came in order, for long, was not taken."""
        waiting = self.pending
        if not waiting or packet.ack is None or packet.ack > waiting[0].seq or self.window(packet):
            return False
        return packet.time - arrival_time(waiting[-1]) >= _FOR_LONG

    def _note_reported(self, packet: Crossing) -> None:
        """Forget what was out of order and is no longer reported: the kernel threw it away (tcp_prune_ofo_queue)."""
        blocks = sack_blocks(packet)
        ahead = [(left, right) for left, right in self.reported if right > (packet.ack or 0)]
        if (
            blocks
            and len(blocks) < _SACK_ROOM
            and not all(any(left <= old[0] and old[1] <= right for left, right in blocks) for old in ahead)
        ):
            self.out_of_order = IntervalSet(blocks)
        self.reported = blocks

    def _note_answered(self, packet: Crossing, rule: CauseName, explained: Explanation) -> None:
        assert packet.ack is not None  # noqa: S101 - the caller has looked
        while self.pending and self.pending[0].seq + self.pending[0].sequence_length <= packet.ack:
            self.pending.popleft()
        if self.unexpected:
            named = explained.packets if EndpointEffect.ANSWERS_UNEXPECTED in explained.effects else ()
            named = named[:1] if rule is CauseName.DUPLICATE_ACK else named  # what comes next gets its own
            answered = max(named, default=-1)
            grown = self.last_ack is not None and packet.ack > self.last_ack
            if answered >= 0 or grown:
                left = (each for each in self.unexpected if each.n > answered)
                left = (each for each in left if not (grown and self._passed(each, packet)))
                self.unexpected = deque(left, self.unexpected.maxlen)
            self.no_room = None
        if EndpointEffect.ANSWERS_PROBES in explained.effects:
            self.probes.clear()
        packets = explained.packets
        if self.probes and (not packets or packets[-1] >= self.probes[0].n):
            self.probes = [probe for probe in self.probes if probe.n not in packets]

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
        """Record a segment that reached this host, as far as its kernel takes it (tcp_validate_incoming)."""
        if packet.discarded:
            return
        self.last_arrival = packet
        self.fastest = _faster(packet, self.fastest[0]), self.fastest[1]
        if self.handshake is None and self.originals and packet.ack is not None:
            self.handshake = arrival_time(packet) - self.originals[0].time
        if "R" in packet.flags:
            # RFC 5961 section 3.2: one that fits the window, but not exactly, is challenged; others are not answered
            edge = (self.last_ack or 0) + (self.last_window or 0)  # as far as tcp_sequence takes it, itself included
            if self.rcv_nxt is not None and self.rcv_nxt < packet.seq <= edge:
                self.unexpected.append(packet)
            return
        if packet.ack is not None:
            self.by_ack[packet.ack] = packet
        length = sequence_length_arrived(packet)
        if "S" in packet.flags:
            self._marks = self._marks or "E" in packet.flags
            if packet.ack is None:
                self.unanswered_syn = packet
            if self.rcv_nxt is not None and packet.seq + length > self.rcv_nxt:
                self.unexpected.append(packet)  # RFC 5961 section 4.2: a SYN on an open connection is challenged
                return
            if self.rcv_nxt is None:
                self.scales = (self.scales[0], packet.options.get("wscale"))
                self.sack = (self.sack[0], bool(packet.options.get("sack_permitted")))
                self.mss = packet.options.get("mss")
        if packet.ack is not None and self.snd_max is not None and packet.ack > self.snd_max and self.rcv_nxt:
            self.unexpected.append(packet)  # RFC 5961 section 5.2: it acknowledges what was never sent
            return
        if self._is_stale(packet):
            self.unexpected.append(packet)
            self.quick.has_already(self.last_window or 0, self.largest, surely=False)
            return
        if packet.ack is not None and self.una - packet.ack > min(self.widest, self.una - 1) > 0:
            self.unexpected.append(packet)  # RFC 5961 section 5.2: its ACK is too old
            return
        if self.edge is not None and self.rcv_nxt is not None and packet.seq > max(self.edge, self.rcv_nxt):
            self.unexpected.append(packet)
            self.quick.has_already(self.last_window or 0, self.largest, surely=False)
            return
        # of what lies before all that was acknowledged the kernel reads no ACK: a window probe (tcp_sequence)
        read = self.last_ack is None or packet.seq + length >= self.last_ack
        if packet.ack is not None and read:
            self._note_ack(packet, packet.ack)
        if read and (packet.ack is None or packet.ack >= self.una):
            self.peer_window = packet.window
            self.send_edge = self._edge_offered(packet)
            self.widest = max(self.widest, (self.send_edge or 0) - (packet.ack or 0))
        if length:
            self._note_data(packet, packet.seq + length)
        elif self.rcv_nxt is not None and self.last_ack is not None:
            if packet.seq == self.rcv_nxt - 1 == self.last_ack - 1:
                self.probes.append(packet)
            elif packet.seq < self.last_ack or packet.seq > self.rcv_nxt:  # RFC 9293 3.10.7.4, first check
                self.unexpected.append(packet)

    def _is_stale(self, packet: Crossing) -> bool:
        """Say whether a pure ACK that others overtook is discarded by its time stamp, and keep that of others.

        RFC 7323 section 5.3; one that repeats the last number is taken all the same (tcp_disordered_ack).
        """
        stamp = packet.options.get("tsval")
        if stamp is None:
            return False
        if self.newest_stamp is not None and (self.newest_stamp - stamp) % 2**32 in _OLDER:
            in_order = packet.seq >= (self.last_ack or 0)  # else it has the form of a probe
            return in_order and not packet.sequence_length and packet.ack != self.una
        if self.last_ack is None or packet.seq <= self.last_ack:
            self.newest_stamp = stamp
        return False

    def _edge_offered(self, packet: Crossing) -> int | None:
        own, theirs = self.scales
        scale = theirs if theirs is not None and own is not None and "S" not in packet.flags else 0
        return None if packet.ack is None else packet.ack + (packet.window << scale)

    def note_too_big(self, packet: Crossing) -> None:
        """Record an ICMP error that reached this host, if it quotes a segment of this connection."""
        about, last = packet.options.get("about") or {}, self.last_sent
        flow, peer = self.streams.flows[self.flow], peer_of(self.host)
        ports = (flow.endpoint(self.host).port, flow.endpoint(peer).port)
        if last is None or about.get("protocol") != "tcp" or (about["sport"], about["dport"]) != ports:
            self.others_too_big = True
            return
        if self.una <= seq_offset(about["raw_seq"], last.raw_seq - last.seq) <= (self.snd_max or 0):  # as tcp_v4_err
            self.too_big.append(packet)

    def _note_ack(self, packet: Crossing, ack: int) -> None:
        if ack > self.una:
            self.una, self.una_moved = ack, packet
            # the ACK of a part of a segment leaves its timer as it is (tcp_clean_rtx_queue)
            self.unprobed = self.unprobed and self.originals[-1].seq < ack < (self.snd_max or 0)
            if self.tail_probed is not None and self._answers_probe(packet, ack, self.tail_probed):
                self.tail_probed = None
            self.duplicates.clear()
        elif ack == self.una and not packet.sequence_length:
            self.duplicates.append(packet)
            if ack == self.tail_probed:  # both the segment and its probe arrived (tcp_process_tlp_ack)
                self.tail_probed = None
        if self.snd_max is not None and ack >= self.snd_max:
            self.sacks.clear()
        elif packet.options.get("sack"):
            self.sacks.append(packet)

    def _answers_probe(self, packet: Crossing, ack: int, probed: int) -> bool:
        """Say whether an ACK ends a tail-loss probe (tcp_process_tlp_ack); of old bytes, only if it says more."""
        repeated = any(right <= ack for _, right in sack_blocks(packet)[:1])
        return ack > probed or (ack == probed and (self.probed_new or repeated))

    def _note_data(self, packet: Crossing, end: int) -> None:
        if packet.length:
            self.urgent += "U" in packet.flags
            self.last_data = packet
            self.largest = max(self.largest, packet.length)
        if "F" in packet.flags:
            self.fin_at = end
        if self.rcv_nxt is None:
            self.rcv_nxt = packet.seq
        if end <= self.rcv_nxt:
            self.unexpected.append(packet)
            self.old[packet.n] = False
            self.quick.has_already(self.last_window or 0, self.largest, surely=True)
            return
        if packet.seq > self.rcv_nxt:
            self.unexpected.append(packet)
            self.out_of_order.add(packet.seq, end)
            self.quick.keeps(self.last_window or 0)
            return
        # a receiver without memory takes its window back, behind the edge it had offered (ICSK_ACK_NOMEM)
        closed = self.edge == self.rcv_nxt or self.last_window == 0
        if packet.length and packet.seq == self.rcv_nxt and closed and not self.pending:
            self.no_room = packet  # the window is 0 (tcp_data_queue: ZEROWINDOWDROP)
            self.quick.has_already(self.last_window or 0, self.largest, surely=False)
            return
        if packet.length:
            self.quick.takes(arrival_time(packet), self.last_window or 0, self.largest, self.rto_min)
        if "F" in packet.flags:
            self.quick.ends()
        self.rcv_nxt = self.out_of_order.end_after(end)
        self.filled = packet.n if self.rcv_nxt > end else self.filled
        self.out_of_order.remove(packet.seq, self.rcv_nxt)
        self.pending.append(packet)
        if not self.out_of_order:
            self.quick.keeps_none()


_MUCH = 1 << 62
_OLDER = range(2, 2**31)
"""By so much a time stamp is older than the newest one (TCP_PAWS_WINDOW)."""
_MENDED = 200_000_000
"""Time (ns) after a report of too large packets in which what leaves may be a repeat of what a queue threw away."""
_FOR_LONG = 5_000_000
"""Time (ns) after which no call that uses the socket keeps the kernel from looking at what came."""
_SACK_ROOM = 3
"""Blocks that an ACK with a time stamp has room for."""
_KEPT = 32
_BY_WAKEUP = frozenset((CauseName.CORK_TIMEOUT, CauseName.MORE_TIMEOUT, CauseName.WINDOW_PROBE))

OPTIONS_MOST = 40
"""Bytes of TCP options: a segment that is shorter than the MSS by more than this is not full."""
