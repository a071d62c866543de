"""Label the segments of one TCP stream one after the other: the rules as Wireshark's code states them.

This is the reference. :mod:`testbed.wireshark.labels` gives the same labels many segments at a time and comes here only
with streams in which something rare happens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from testbed.model.tcp import ACK, FIN, RST, SYN, seq_add, seq_after
from testbed.wireshark.label_names import Label, LabelRules, TcpSegments
from testbed.wireshark.unacknowledged import Unacknowledged

_NEVER = 0xFFFFFFFF  # a window before there was one
_FAST = 20_000_000  # ns since the ACK that a fast retransmission answers
_RTT_UNKNOWN = 3_000_000  # ns
_MOST_UNACKED = 10_000  # TCP_MAX_UNACKED_SEGMENTS
UNSCALED = -2  # window scaling is not used
UNKNOWN_SCALE = -1


@dataclass(slots=True)
class Direction:
    """What is remembered of one direction; numbers are raw, 0 where there was none yet."""

    nextseq: int = 0
    nextseq_time: int = 0
    edge: int = 0  # maxseqtobeacked
    last_ack: int = 0
    last_time: int = 0
    window: int = _NEVER
    scale: int = UNKNOWN_SCALE
    first_ack: bool = False
    duplicates: int = 0
    last_labels: int = 0
    last_length: int = 0  # lastacklen
    sack: tuple[tuple[int, int], ...] = ()
    mptcp: int = 0  # subtypes of MPTCP options that the stream had before the last segment of this direction
    unacked: Unacknowledged = field(default_factory=Unacknowledged)


def label_stream(segments: TcpSegments, positions: Sequence[int], rules: LabelRules) -> list[int]:
    """Return the labels of the segments at ``positions``, all those of one stream in file order."""
    directions = Direction(), Direction()
    syn_time = rtt = mptcp = 0
    result = []
    columns = (
        segments.time[positions].tolist(),
        segments.side[positions].tolist(),
        segments.seq[positions].tolist(),
        segments.ack[positions].tolist(),
        segments.flags[positions].tolist(),
        segments.window[positions].tolist(),
        segments.length[positions].tolist(),
        segments.wscale[positions].tolist(),
    )
    for position, time, side, seq, ack, flags, window, length, wscale in zip(positions, *columns, strict=True):
        fwd, rev = directions[side], directions[1 - side]
        if flags & (SYN | ACK) == SYN and fwd.nextseq:
            fwd.nextseq = fwd.edge  # a RST may have moved it (Wireshark issue 17616)
        fwd.sack = ()
        labels = _forward(fwd, rev, seq, ack, flags, window, length, rules, exempt=mptcp != fwd.mptcp)
        fwd.mptcp = mptcp
        if len(segments.mptcp_at):
            mptcp |= segments.mptcp_kinds(position)
        # finished_fwd
        if ack != fwd.last_ack:
            fwd.duplicates = 0
        if rev.edge and seq_after(ack, rev.edge) and flags & ACK:
            labels |= _ack_of_unseen(fwd, rev, seq, ack, rules)
        if (length or flags & (SYN | FIN)) and not labels & Label.KEEP_ALIVE:
            labels |= _repeated(fwd, rev, seq, flags, length, time, rtt or _RTT_UNKNOWN, rules)
        _remember(fwd, seq, ack, flags, window, length, time, labels)
        rev.unacked.acknowledge(ack)
        fwd.sack = segments.sack_blocks(position)
        result.append(labels)
        if flags & SYN:
            fwd.scale = wscale if wscale >= 0 else fwd.scale
            _check_scaling(fwd, rev, answer=bool(flags & ACK))
            if not flags & ACK:
                syn_time = time
            fwd.first_ack = True
        elif flags & ACK:
            if syn_time and not rtt:
                rtt = time - syn_time
            fwd.first_ack = False
    return result


def _forward(
    fwd: Direction, rev: Direction, seq: int, ack: int, flags: int, window: int, length: int, rules: LabelRules,
    *, exempt: bool,
) -> int:  # fmt: skip
    """Return the labels up to duplicate_ack, and count duplicates.

    ``exempt``: MPTCP may repeat this ACK to carry options (RFC 8684, section 4); Wireshark takes it for one of those
    where the stream had a subtype of option for the first time since the last segment of the direction.
    """
    if length == 1 and seq == fwd.nextseq and rev.window == 0:
        return Label.ZERO_WINDOW_PROBE
    labels = 0
    plain = not flags & (SYN | FIN | RST)
    if window == 0 and plain:
        labels |= Label.ZERO_WINDOW
    if fwd.nextseq and seq_after(seq, fwd.nextseq) and not flags & RST:
        labels |= Label.LOST_SEGMENT
    if length <= 1 and seq == seq_add(fwd.nextseq, -1) and plain:
        labels |= Label.KEEP_ALIVE
    here = length == 0 and seq == fwd.nextseq and plain
    repeats = here and ack == fwd.last_ack
    if repeats and window and window != fwd.window:
        labels |= Label.WINDOW_UPDATE
    if length and plain and rev.scale != UNKNOWN_SCALE:
        scale = 0 if rev.first_ack else max(rev.scale, 0)
        if seq_add(seq, length) == seq_add(rev.last_ack, rev.window << scale):
            labels |= Label.WINDOW_FULL
    if repeats and window and window == fwd.window:
        if rev.last_labels & Label.KEEP_ALIVE:
            return labels | Label.KEEP_ALIVE_ACK
        if exempt:
            return labels
        fwd.duplicates = max(fwd.duplicates, 0) + 1
        return labels | Label.DUPLICATE_ACK
    consumed = rules.consumed and ack == seq_add(fwd.last_ack, 1)
    probed = rev.last_labels & Label.ZERO_WINDOW_PROBE
    if here and window == 0 == fwd.window and probed and (ack == fwd.last_ack or consumed):
        labels |= Label.ZERO_WINDOW_PROBE_ACK
        if consumed:
            rev.nextseq = rev.edge = ack
    return labels


def _ack_of_unseen(fwd: Direction, rev: Direction, seq: int, ack: int, rules: LabelRules) -> int:
    """Return the labels of an ACK beyond what was captured without a gap, and move that edge."""
    if not rules.unseen:
        if seq_after(rev.nextseq, rev.edge):
            rev.edge = rev.nextseq
            return Label.ACK_LOST_SEGMENT
        unseen_yet = rev.duplicates == 0
        rev.duplicates = -1
        return Label.ACK_LOST_SEGMENT if unseen_yet else 0
    if (
        ack == seq_add(fwd.last_ack, 1)
        and seq == fwd.nextseq
        and rev.last_labels & Label.ZERO_WINDOW_PROBE
    ):  # fmt: skip
        rev.nextseq = rev.edge = ack
        return Label.WINDOW_UPDATE
    rev.edge = rev.unacked.edge_behind(ack)
    return Label.ACK_LOST_SEGMENT


def _repeated(
    fwd: Direction, rev: Direction, seq: int, flags: int, length: int, time: int, threshold: int, rules: LabelRules
) -> int:
    """Return the label of the retransmission family, 0 for a segment with new data."""
    end = seq_add(seq, length)
    behind = bool(fwd.nextseq) and seq_after(fwd.nextseq, seq)
    if length > 1 and seq_add(fwd.nextseq, -1) == seq:
        behind = False
    if length and rev.last_ack and not seq_after(end, rev.last_ack):
        return Label.SPURIOUS_RETRANSMISSION
    if not behind:
        return 0
    if 0 <= time - rev.last_time < _FAST and rev.duplicates >= 2:
        if rev.last_ack == seq:
            return Label.FAST_RETRANSMISSION
        if rules.sack and rev.sack and not any(seq >= left and end <= right for left, right in rev.sack):
            return Label.FAST_RETRANSMISSION
    if 0 <= time - fwd.nextseq_time < threshold and not (rules.seen and fwd.unacked.holds(seq, end)):
        closes = fwd.nextseq == seq_add(end, bool(flags & (SYN | FIN)))
        if not closes or (rules.seen and fwd.last_length == 0):
            return Label.OUT_OF_ORDER
    return Label.RETRANSMISSION


def _remember(fwd: Direction, seq: int, ack: int, flags: int, window: int, length: int, time: int, labels: int) -> None:
    marked = bool(flags & (SYN | FIN))
    end = seq_add(seq, length)
    if (length or marked) and len(fwd.unacked) < _MOST_UNACKED:
        end = seq_add(end, marked)
        fwd.unacked.add(seq, end)
    if not fwd.nextseq or seq_after(end, seq_add(fwd.nextseq, marked)):
        fwd.last_length = length
    if not labels & Label.ZERO_WINDOW_PROBE:
        if not fwd.nextseq or seq_after(end, fwd.nextseq):
            fwd.nextseq, fwd.nextseq_time = end, time
        if not fwd.edge or seq == fwd.edge:
            fwd.edge = fwd.nextseq
    fwd.window, fwd.last_ack, fwd.last_time = window, ack, time
    fwd.last_labels = labels


def _check_scaling(fwd: Direction, rev: Direction, *, answer: bool) -> None:
    """Window scaling is used only if both ends offered it (``verify_tcp_window_scaling``)."""
    if fwd.scale == UNKNOWN_SCALE:
        fwd.scale = rev.scale = UNSCALED
    elif answer and rev.scale == UNSCALED:
        fwd.scale = UNSCALED
