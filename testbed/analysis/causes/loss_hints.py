"""Which ACKs ask for a segment to be sent again: they show that later bytes arrived."""

from __future__ import annotations

from testbed.analysis.causes.endpoint import TcpEndpoint, arrival_time, sack_blocks
from testbed.model import Crossing

DUPLICATES = 3
"""ACKs that repeat a number and ask for what follows it, without SACK (RFC 5681 section 3.2)."""


def hints_of(endpoint: TcpEndpoint, packet: Crossing, before: Crossing) -> list[Crossing]:
    """Return the ACKs that show that a segment was lost as it was sent last, ``before``.

    With SACK: those that report bytes which were sent after it (tcp_rack_detect_loss). Without: three that repeat the
    ACK of all before it; that counts only once (RFC 6582 section 3.2).
    """
    end = packet.seq + packet.sequence_length
    if end <= endpoint.una:
        return []  # what says so was not taken
    if endpoint.sack != (True, True):
        first = packet.seq == endpoint.una and not endpoint.repeats.get(packet.seq)
        repeated = [ack for ack in endpoint.duplicates if arrival_time(ack) > before.time] if first else []
        if len(repeated) >= DUPLICATES:
            return repeated
    again = endpoint.repeats.get(packet.seq, 0) > 0
    return [
        ack
        for ack in endpoint.sacks
        if arrival_time(ack) > before.time
        and any(_reports_later(endpoint, block, before) or (not again and block[1] > end) for block in sack_blocks(ack))
    ]


def _reports_later(endpoint: TcpEndpoint, block: tuple[int, int], before: Crossing) -> bool:
    """Say whether a SACK block has bytes that were sent, or sent again, after ``before``."""
    left, right = block
    for segments in (endpoint.originals, endpoint.resent):
        for each in reversed(segments):
            if each.time <= before.time:
                break
            if left <= each.seq < right and each.n != before.n:
                return True
    return False
