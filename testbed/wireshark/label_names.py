"""Wireshark's labels of TCP segments (``tcp.analysis.*``), and the rule sets that assign them.

The rules are those of ``tcp_analyze_sequence_number`` in Wireshark's packet-tcp.c; the code counts where the User's
Guide differs from it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntFlag
from functools import cache

import numpy as np

from testbed.model.arrays import AnyInt, Int16, Int64, UInt8, UInt16, UInt32


class Label(IntFlag):
    """The labels of one segment, as bits; the names are those of the display filters ``tcp.analysis.<name>``."""

    ZERO_WINDOW_PROBE = 1 << 0
    ZERO_WINDOW = 1 << 1
    LOST_SEGMENT = 1 << 2
    KEEP_ALIVE = 1 << 3
    WINDOW_UPDATE = 1 << 4
    WINDOW_FULL = 1 << 5
    KEEP_ALIVE_ACK = 1 << 6
    ZERO_WINDOW_PROBE_ACK = 1 << 7
    DUPLICATE_ACK = 1 << 8
    ACK_LOST_SEGMENT = 1 << 9
    SPURIOUS_RETRANSMISSION = 1 << 10
    FAST_RETRANSMISSION = 1 << 11
    OUT_OF_ORDER = 1 << 12
    RETRANSMISSION = 1 << 13
    REUSED_PORTS = 1 << 14


RETRANSMISSION_LABELS = (
    Label.RETRANSMISSION | Label.FAST_RETRANSMISSION | Label.SPURIOUS_RETRANSMISSION | Label.OUT_OF_ORDER
)
"""Labels of which a segment of old bytes has at most one: what one capture alone shows of a retransmission."""


@cache
def label_names(value: int) -> tuple[str, ...]:
    """Return the names of a segment's labels: ``("lost_segment", "window_full")``."""
    return tuple(one.name.lower() for one in Label if value & one and one.name)


@dataclass(frozen=True, slots=True)
class LabelRules:
    """What differs between versions of Wireshark.

    ``sack``: SACK blocks can show a fast retransmission; ``seen``: bytes captured before and not acknowledged yet are
    no out-of-order segment; ``closed``: SYN after FIN or RST is a new stream whatever its number, also with ACK;
    ``consumed``: the answer to a zero-window probe may acknowledge its byte; ``unseen``: how an ACK of bytes that were
    not captured moves the contiguous edge.
    """

    name: str
    sack: bool
    seen: bool
    closed: bool
    consumed: bool
    unseen: bool


WIRESHARK_4_0 = LabelRules("4.0.17", sack=False, seen=False, closed=False, consumed=False, unseen=False)
WIRESHARK_4_4 = LabelRules("4.4", sack=True, seen=True, closed=True, consumed=True, unseen=True)
RULE_SETS = {rules.name: rules for rules in (WIRESHARK_4_0, WIRESHARK_4_4)}


@dataclass(slots=True)
class TcpSegments:
    """TCP segments of one capture in file order: n items in each column.

    ``conversation`` numbers addresses and ports, from 0 and below 2**30 (both directions have one number); ``side`` is
    0 or 1 by direction. ``seq``, ``ack`` and ``window`` are as on the wire, ``length`` is that of the payload,
    ``wscale`` -1 without the option. SACK options, k of them: ``sack_at``: int64[k], positions of their segments,
    ascending; ``sack_count``: uint8[k]; ``sack``: uint32[k, 4, 2], raw left and right edges, of which ``sack_count``
    count. MPTCP options: ``mptcp_at``, positions of their segments, ascending; ``mptcp``: uint16, a bit for a subtype.
    """

    time: Int64
    conversation: AnyInt
    side: UInt8
    seq: UInt32
    ack: UInt32
    flags: UInt16
    window: UInt16
    length: AnyInt
    wscale: Int16
    sack_at: Int64
    sack_count: UInt8
    sack: UInt32
    mptcp_at: Int64 = field(default_factory=lambda: np.zeros(0, np.int64))
    mptcp: UInt16 = field(default_factory=lambda: np.zeros(0, np.uint16))

    def __len__(self) -> int:
        return len(self.time)

    def sack_blocks(self, position: int) -> tuple[tuple[int, int], ...]:
        """Return the SACK blocks of one segment."""
        place = int(np.searchsorted(self.sack_at, position))
        if place == len(self.sack_at) or self.sack_at[place] != position:
            return ()
        return tuple((int(left), int(right)) for left, right in self.sack[place][: int(self.sack_count[place])])

    def mptcp_kinds(self, position: int) -> int:
        """Return the subtypes of the MPTCP options of one segment, a bit each."""
        first, end = np.searchsorted(self.mptcp_at, (position, position + 1))
        return int(np.bitwise_or.reduce(self.mptcp[first:end])) if first < end else 0
