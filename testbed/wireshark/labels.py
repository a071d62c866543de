"""Wireshark's labels of all TCP segments of one capture, many at a time.

What Wireshark keeps while it reads packet after packet is, for nearly every segment, a running maximum or a value of
the segment before it in one of the two directions: that is had for all segments at once. A stream in which something
else happens (a zero-window probe, an ACK of bytes not captured, a SYN again, numbers that jump) is labelled one segment
after the other by :mod:`testbed.wireshark.one_stream`, whose labels are the same by definition.
"""

from __future__ import annotations

import numpy as np

from testbed.model.arrays import Bool, Int32, Int64, UInt16, distinct
from testbed.model.tcp import ACK, FIN, RST, SYN, seq_add, seq_diff_uint32
from testbed.wireshark.label_names import WIRESHARK_4_4, Label, LabelRules, TcpSegments
from testbed.wireshark.one_stream import UNKNOWN_SCALE, UNSCALED, label_stream
from testbed.wireshark.segment_order import SegmentOrder, members_of, order_segments, streams

__all__ = ["label"]

Number = Int32 | Int64
_FAR = 2**30  # bytes: of numbers farther apart it may not be clear which is ahead
_APART = 2**40  # more than any distance within a direction
_NARROW = 2**33  # the same while no direction has more than ``_FAR`` bytes
_MOST_WIDE = 2**22  # directions that may be so far apart
_FAST = 20_000_000
_RTT_UNKNOWN = 3_000_000
_NO_WINDOW = np.uint32(0xFFFFFFFF)


def label(segments: TcpSegments, rules: LabelRules = WIRESHARK_4_4, known: tuple[Int64, Bool] | None = None) -> UInt16:
    """Return the labels of each segment: uint16[n], :class:`Label` bits.

    ``known`` is what :func:`streams` gives for the same rules, where it was already called.
    """
    result = np.zeros(len(segments), np.uint16)
    if not len(segments):
        return result
    stream, reused = known or streams(segments, rules)
    if int(stream.max()) >= 2**31:
        _, stream = np.unique(stream, return_inverse=True)
        stream = stream.astype(np.int64)
    order = order_segments(stream, segments.side)
    state = _State(segments, order)
    rare = state.rare()
    result[order.position] = state.labels(rules)
    if len(segments.mptcp_at):
        exempt = _exempt(segments, stream, order)
        rare = np.concatenate([rare, stream[exempt[(result[exempt] & int(Label.DUPLICATE_ACK)) != 0]]])
    for members in members_of(stream, distinct(rare)):
        result[members] = label_stream(segments, members.tolist(), rules)
    result[reused] |= np.uint16(Label.REUSED_PORTS)
    return result


def _exempt(segments: TcpSegments, stream: Int64, order: SegmentOrder) -> Int64:
    """Return the segments that MPTCP may repeat: the next ones of both directions after an option of a new kind."""
    kinds = stream[segments.mptcp_at] << 16 | segments.mptcp
    _, first = np.unique(kinds, return_index=True)
    found = []
    for position in segments.mptcp_at[first].tolist():
        for side in (0, 1):
            group = int(stream[position]) << 1 | side
            low, high = np.searchsorted(order.group, (group, group + 1))
            later = low + int(np.searchsorted(order.position[low:high], position, side="right"))
            if later < high:
                found.append(int(order.position[later]))
    return np.array(sorted(set(found)), np.int64)


def _far(distance: Number) -> Bool:
    return np.asarray((distance >= _FAR) | (distance <= -_FAR))


class _State:
    """What is known before each segment, in the places of an :class:`SegmentOrder`.

    Numbers are relative to the first of their direction and go on rising where those on the wire wrap.
    """

    def __init__(self, segments: TcpSegments, order: SegmentOrder) -> None:
        position = order.position
        self.segments, self.order = segments, order
        self.time = segments.time[position]
        self.raw_seq, self.raw_ack = segments.seq[position], segments.ack[position]
        self.flags, self.window = segments.flags[position], segments.window[position]
        self.length = segments.length[position].astype(np.int32)
        heads = np.flatnonzero(order.first)
        self.heads = heads
        self.index = np.cumsum(order.first, dtype=np.int32) - 1  # which direction, counted from 0
        base = self.raw_seq[heads]
        self.base = base
        self.seq: Number = seq_diff_uint32(self.raw_seq, base[self.index])
        self.marked = ((self.flags & (SYN | FIN)) != 0).astype(np.int32)
        self.plain = (self.flags & (SYN | FIN | RST)) == 0
        self.end: Number = self.seq + self.length + self.marked
        self.apart = _NARROW
        if len(heads) < _MOST_WIDE and bool((_far(self.seq) | _far(self.end)).any()):
            self.apart = _APART
            self.seq = self._unwrapped()
            self.end = self.seq + self.length + self.marked
        # the other directions lie apart, so that one running maximum serves all
        apart = self.index * np.int64(self.apart)
        reached = apart + self.end
        np.maximum.accumulate(reached, out=reached)
        reached -= apart
        self.reached: Number = (
            reached if self.apart == _APART else reached.astype(np.int32)
        )  # nextseq after each segment
        del apart, reached
        self.nextseq = np.empty_like(self.reached)
        self.nextseq[1:] = self.reached[:-1]
        self.nextseq[heads] = self.seq[heads]  # not known: no label follows from it
        self.known = ~order.first
        self.back = order.before
        self.met = order.before >= 0
        self.back0 = np.where(self.met, order.before, np.int32(0))
        self.other_window = np.where(self.met, self.window[self.back0].astype(np.int32), np.int32(-1))
        self.other_ack = self.raw_ack[self.back0]
        last_ack = np.empty_like(self.raw_ack)
        last_ack[1:] = self.raw_ack[:-1]
        self.same_ack = (self.raw_ack == last_ack) & self.known
        last_window = np.empty_like(self.window)
        last_window[1:] = self.window[:-1]
        self.same_window = (self.window == last_window) & self.known
        self.advances = (self.end > self.nextseq) | order.first

    def _unwrapped(self) -> Int64:
        """Return the numbers of a direction as they go on where those on the wire begin at 0 again."""
        steps = np.zeros(len(self.raw_seq), np.int64)
        steps[1:] = seq_diff_uint32(self.raw_seq[1:], self.raw_seq[:-1])
        walked = np.cumsum(steps)
        return walked - walked[self.heads][self.index]

    def rare(self) -> Int64:
        """Return the streams (repeated) that must be labelled segment by segment."""
        order = self.order
        wide = self.apart == _APART
        odd = _far(self.seq - self.nextseq) | _far(self.end - self.nextseq) if wide else _far(self.seq) | _far(self.end)
        odd |= (np.abs(self.seq) >= _APART // 4) & wide
        # 0 means "not known" in Wireshark's state
        odd |= (self.raw_seq + (self.length + self.marked).astype(np.uint32)) == 0
        odd[self.heads] |= (self.base == 0) | (self.base == 0xFFFFFFFF)
        odd |= self.met & (self.other_window == 0) & (self.length == 1) & (self.seq == self.nextseq)
        odd |= self._acks_unseen()
        syn = (self.flags & SYN) != 0
        places = np.flatnonzero(syn & self.known)
        odd[places] = True  # again, or not the first
        # what opens after the other direction has sent: which SYN and which ACK the round trip is from depends on order
        odd[self.heads] |= ((self.flags[self.heads] & (SYN | ACK)) == SYN) & self.met[self.heads]
        return np.asarray(order.group[odd] >> 1)

    def _acks_unseen(self) -> Bool:
        """Tell which segments acknowledge beyond what the other direction showed without a gap."""
        edge = self._edges()
        acks = self.met & ((self.flags & ACK) != 0)
        raw_edge = self.base[self.index[self.back0]] + edge[self.back0].astype(np.uint32)
        # an edge that stays far behind would seem to be ahead
        return np.asarray((acks & (seq_diff_uint32(self.raw_ack, raw_edge) > 0)) | (self.nextseq - edge >= _FAR))

    def _edges(self) -> Number:
        """Return the contiguous edge after each segment, as long as no ACK moved it."""
        edge = self.reached
        gaps = np.flatnonzero(self.advances & (self.seq != self.nextseq) & self.known)
        if not len(gaps):
            return edge
        edge = edge.copy()
        # the edge moves on with the first later segment that starts at it
        behind = np.flatnonzero((self.seq < self.nextseq) & self.known)
        key = self._key(self.index[behind], self.seq[behind])
        by_key = np.argsort(key, kind="stable")
        key, behind = key[by_key], behind[by_key]
        wanted = self._key(self.index[gaps], self.nextseq[gaps])
        low, high = np.searchsorted(key, wanted), np.searchsorted(key, wanted, side="right")
        ends = np.append(self.heads[1:], len(self.seq))
        until = 0
        for gap, first, last in zip(gaps.tolist(), low.tolist(), high.tolist(), strict=True):
            if gap < until:
                continue
            later = first + int(np.searchsorted(behind[first:last], gap))
            until = int(behind[later]) if later < last else int(ends[self.index[gap]])
            edge[gap:until] = self.nextseq[gap]
        return edge

    def _key(self, index: Int32, seq: Number) -> Int64:
        return index.astype(np.int64) * self.apart + seq

    def labels(self, rules: LabelRules) -> UInt16:
        """Return the labels in the order of places; those of rare streams mean nothing."""
        result = np.zeros(len(self.seq), np.uint16)
        found = _Found(result)
        here = (self.seq == self.nextseq) & self.known
        found.add(Label.ZERO_WINDOW, self.plain & (self.window == 0))
        found.add(Label.LOST_SEGMENT, self.known & (self.seq > self.nextseq) & ((self.flags & RST) == 0))
        alive = self.known & (self.length <= 1) & (self.seq == self.nextseq - 1) & self.plain
        found.add(Label.KEEP_ALIVE, alive)
        found.add(Label.WINDOW_FULL, self._window_full())
        repeats = here & (self.length == 0) & self.same_ack & self.plain & (self.window != 0)
        found.add(Label.WINDOW_UPDATE, repeats & ~self.same_window)
        repeats &= self.same_window
        answers = repeats & self.met & alive[self.back0]
        found.add(Label.KEEP_ALIVE_ACK, answers)
        repeats &= ~answers
        found.add(Label.DUPLICATE_ACK, repeats)
        self._family(found, alive, repeats, rules)
        return result

    def _window_full(self) -> Bool:
        """Tell which data goes up to the edge of a window whose scale is known."""
        some = np.flatnonzero((self.length > 0) & self.plain & self.met)
        scale = self._scales()[self.index[self.back0[some]]]
        some, scale = some[scale != UNKNOWN_SCALE], scale[scale != UNKNOWN_SCALE]
        back = self.back0[some]
        # the window of a SYN is never scaled, and it counts until an ACK came
        scale = np.where(self._before_ack(back), 0, np.maximum(scale, 0)).astype(np.uint32)
        edge = self.other_ack[some] + (self.window[back].astype(np.uint32) << scale)
        full = np.zeros(len(self.seq), np.bool_)
        full[some] = self.raw_seq[some] + self.length[some].astype(np.uint32) == edge
        # of a direction without packets so far Wireshark takes the largest number for the window
        alone = np.flatnonzero((self.length > 0) & self.plain & ~self.met)
        head = self.heads[self.index[alone]]
        unscaled = ((self.flags[head] & SYN) != 0) & (self.segments.wscale[self.order.position[head]] < 0)
        alone = alone[unscaled]
        full[alone] = self.raw_seq[alone] + self.length[alone].astype(np.uint32) == _NO_WINDOW
        return full

    def _before_ack(self, places: Int64) -> Bool:
        """Tell whether a direction began with SYN and had sent no ACK (without SYN) up to a place."""
        acked = np.cumsum((self.flags & (SYN | ACK)) == ACK, dtype=np.int32)
        head = self.heads[self.index[places]]
        before = np.where(head > 0, acked[head - 1], 0)
        return np.asarray(((self.flags[head] & SYN) != 0) & (acked[places] == before))

    def _scales(self) -> Int64:
        """Return the window scale of each direction; SYNs come first in streams that are not rare."""
        heads = self.heads
        wscale = self.segments.wscale[self.order.position[heads]].astype(np.int64)
        flags = self.flags[heads]
        syn = (flags & (SYN | ACK)) == SYN
        answer = (flags & (SYN | ACK)) == (SYN | ACK)
        scale = np.where(syn | answer, wscale, UNKNOWN_SCALE)
        group = self.order.group[heads]
        partner = np.minimum(np.searchsorted(group, group ^ 1), len(group) - 1)
        has = group[partner] == group ^ 1
        missing = (syn | answer) & (wscale < 0)
        scale[missing] = UNSCALED
        scale[partner[missing & has]] = UNSCALED
        return scale

    def _family(self, found: _Found, alive: Bool, duplicates: Bool, rules: LabelRules) -> None:
        """Label retransmissions: spurious, fast, out of order, other."""
        behind = self.known & (self.seq < self.nextseq)
        carries = ((self.length > 0) | (self.marked > 0)) & ~alive
        acked = (self.length > 0) & self.met & (self.other_ack != 0)
        end = self.raw_seq + self.length.astype(np.uint32)
        acked &= seq_diff_uint32(end, self.other_ack) <= 0
        some = np.flatnonzero(carries & (behind | acked))
        if not len(some):
            return
        found.at(Label.SPURIOUS_RETRANSMISSION, some[acked[some]])
        some = some[~acked[some]]
        some = some[~((self.length[some] > 1) & (self.nextseq[some] - 1 == self.seq[some]))]
        since = self.time[some] - self.time[self.back0[some]]
        fast = self.met[some] & (since >= 0) & (since < _FAST)
        fast &= self._duplicates(duplicates)[self.back0[some]] >= 2
        fast &= (self.other_ack[some] == self.raw_seq[some]) | (rules.sack & self._outside_sack(some, fast))
        found.at(Label.FAST_RETRANSMISSION, some[fast])
        some = some[~fast]
        newest = np.maximum.accumulate(np.where(self.advances, np.arange(len(self.seq)), 0))[some - 1]
        since = self.time[some] - self.time[newest]
        late = (since >= 0) & (since < self._threshold(some))
        closes = self.nextseq[some] == self.end[some]
        if rules.seen:
            closes &= self._length_at(some) != 0
            late[late] = ~self._seen(some[late])
        found.at(Label.OUT_OF_ORDER, some[late & ~closes])
        found.at(Label.RETRANSMISSION, some[~(late & ~closes)])

    def _duplicates(self, duplicate: Bool) -> Int64:
        """Return after each segment how many duplicate ACKs there were since the number changed."""
        count = np.cumsum(duplicate)
        start = np.maximum.accumulate(np.where(self.same_ack, 0, np.arange(len(duplicate))))
        result: Int64 = count - count[start]
        return result

    def _outside_sack(self, places: Int64, wanted: Bool) -> Bool:
        """Tell which segments lie in no block that the last segment of the other direction carried."""
        result = np.zeros(len(places), np.bool_)
        position = self.order.position
        for k in np.flatnonzero(wanted).tolist():
            blocks = self.segments.sack_blocks(int(position[self.back0[places[k]]]))
            first = int(self.raw_seq[places[k]])
            end = seq_add(first, int(self.length[places[k]]))
            result[k] = bool(blocks) and not any(first >= left and end <= right for left, right in blocks)
        return result

    def _threshold(self, places: Int64) -> Int64:
        """Return the initial round-trip time as known at each place: from SYN to the first ACK of either end."""
        group = self.order.group
        pure = (self.flags & (SYN | ACK)) == ACK
        stream = group >> 1
        unknown = np.iinfo(np.int64).max
        count = int(stream[-1]) + 1
        opened = np.full(count, unknown)
        # a time of 0 is none in Wireshark's state
        heads = self.heads[((self.flags[self.heads] & (SYN | ACK)) == SYN) & (self.time[self.heads] != 0)]
        np.minimum.at(opened, stream[heads], self.time[heads])
        first = np.full(count, np.iinfo(np.int64).max)
        # the first ACK in file order; a round trip of 0 is none in Wireshark's state, and the next one is measured
        acks = np.flatnonzero(pure & np.isin(stream, distinct(stream[places])))
        acks = acks[self.time[acks] != opened[stream[acks]]]
        np.minimum.at(first, stream[acks], self.order.position[acks])
        mine = stream[places]
        rtt = np.full(len(places), _RTT_UNKNOWN)
        measured = (opened[mine] != unknown) & (first[mine] < self.order.position[places])
        times = self.segments.time[first[mine[measured]]] - opened[mine[measured]]
        rtt[measured] = np.maximum(times, 0)
        return rtt

    def _length_at(self, places: Int64) -> Int32:
        """Return the length of the segment that last moved the highest number (``lastacklen``)."""
        moves = (self.end > self.nextseq + self.marked) | self.order.first
        newest = np.maximum.accumulate(np.where(moves, np.arange(len(moves)), 0))
        return self.length[newest[places - 1]]

    def _seen(self, places: Int64) -> Bool:
        """Return a mask of segments that lie within an earlier one that is not acknowledged."""
        result = np.zeros(len(places), np.bool_)
        carries = (self.length > 0) | (self.marked > 0)
        candidates = np.flatnonzero(carries & np.isin(self.index, distinct(self.index[places])))
        longest = int((self.end - self.seq)[candidates].max(initial=0))
        key = self._key(self.index[candidates], self.seq[candidates])
        by_key = np.argsort(key, kind="stable")
        key, candidates = key[by_key], candidates[by_key]
        low = np.searchsorted(key, self._key(self.index[places], self.seq[places] - longest))
        high = np.searchsorted(key, self._key(self.index[places], self.seq[places]), side="right")
        for k, place in enumerate(places.tolist()):
            near = candidates[low[k] : high[k]]
            last = self.seq[place] + self.length[place]
            near = near[(near < place) & (self.end[near] >= last)]
            result[k] = len(near) > 0 and not self._acknowledged(int(near.max()), place)
        return result

    def _acknowledged(self, seen: int, place: int) -> bool:
        """Tell whether a segment's first byte was acknowledged between two places of its direction."""
        newest = int(self.back[place])
        if newest < 0:
            return False
        oldest = int(self.back[seen]) + 1 if self.met[seen] else int(self.heads[self.index[newest]])
        acks = self.raw_ack[oldest : newest + 1]
        return bool((seq_diff_uint32(acks, self.raw_seq[place]) > 0).any())


class _Found:
    """Labels being set."""

    def __init__(self, result: UInt16) -> None:
        self.result = result

    def add(self, one: Label, where: Bool) -> None:
        self.result[where] |= np.uint16(one)

    def at(self, one: Label, places: Int64) -> None:
        self.result[places] |= np.uint16(one)
