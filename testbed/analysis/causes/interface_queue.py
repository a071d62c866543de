"""The queue of a slowed interface (``egress``), by what left it: which packets may have waited there.

It is a token bucket (sch_tbf): a frame leaves at once where the tokens suffice and no frame is before it, else by a
timer that runs once they do. Tokens are counted with what leaves at least, so that a packet that waited is never taken
for one that did not.
"""

from __future__ import annotations

from dataclasses import dataclass

from testbed.analysis.causes.endpoint import Explanation
from testbed.model import CauseName, Crossing

_BURST = 1500
"""Bytes that may leave at once: a frame (testbed/lab/tcpdump.py), less ARP, which is not among the packets."""
_HEADERS = 120
"""Most bytes of headers that a packet has, the link's too."""
_TIMER = 5_000_000
"""How late (ns) the timer may be on a busy machine."""

_REPEATS = (
    *(CauseName.FAST_RETRANSMISSION, CauseName.REORDERING_TIMEOUT, CauseName.RECOVERY),
    *(CauseName.TAIL_LOSS_PROBE, CauseName.TIMEOUT, CauseName.PATH_MTU),
)
_REPEATED_ACKS = (
    *(CauseName.DUPLICATE_ACK, CauseName.D_SACK, CauseName.COMPRESSED_ACK, CauseName.WINDOW_UPDATE),
    *(CauseName.PROBE_ANSWER, CauseName.CHALLENGE_ACK, CauseName.NOT_TAKEN),
)


def behind_queue(rule: CauseName, explained: Explanation) -> Explanation:
    """Return the explanation of what may have waited: by what came meanwhile nobody knows what it was sent for."""
    alike = next((names for names in (_REPEATS, _REPEATED_ACKS) if rule in names), ())
    others = dict.fromkeys((*explained.alternatives, *alike))
    return explained._replace(alternatives=tuple(name for name in others if name is not rule))


@dataclass(slots=True)
class InterfaceQueue:
    """What is known of one host's queue; ``rate`` is in bits a second."""

    rate: int
    _tokens: float = _BURST
    _last: int | None = None
    _waited: bool = False

    def leaves(self, packet: Crossing) -> bool:
        """Take the next packet that left the host; say whether it may have waited."""
        size = packet.length + _HEADERS
        since = packet.time - self._last if self._last is not None else 0
        bytes_a_ns = self.rate / 8e9
        enough_after = max(min(size, _BURST) - self._tokens, 0) / bytes_a_ns
        at_once = enough_after == 0 and not self._waited
        self._waited = not at_once and since < enough_after + _TIMER
        self._tokens = max(min(self._tokens + since * bytes_a_ns, _BURST) - size, 0)
        self._last = packet.time
        return self._waited
