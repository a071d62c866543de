"""Whether an endpoint acknowledges at once: the kernel's state of that, replayed between a least and a most.

A kernel sends some ACKs at once after a connection's first data, and after data that came twice (icsk_ack.quick,
tcp_enter_quickack_mode); not while the connection is interactive, which it is once it has answered data with data soon
(tcp_event_data_sent). Else an ACK waits: for more to come, or for a timer; where something is out of order three of a
number go at once, and then one for several when a timer runs out (__tcp_ack_snd_check).
"""

from __future__ import annotations

from dataclasses import dataclass

_MOST = 16
"""ACKs that are sent at once from one such event on (TCP_MAX_QUICKACKS)."""
_FEWEST = 2
_AT_ONCE = 3
"""ACKs of one number that go at once although something is out of order (TCP_FASTRETRANS_THRESH)."""
_ANSWERS_WITHIN = 30_000_000
"""Time (ns) within which data that follows data surely is an answer to it (TCP_ATO_MIN is 40 ms, in ticks)."""
_SEGMENT = 536
"""What the kernel takes for a full segment before a larger one came (TCP_MSS_DEFAULT, tcp_initialize_rcv_mss)."""
_SMALLEST = 88
"""Bytes of the smallest segment that it reckons with (TCP_MIN_MSS)."""
_MEMORY = 5632
"""Bytes of memory that a full segment takes at most (skb->truesize)."""
_ROOM = 65536
"""Bytes of the buffer's half, in which it still acknowledges at once, where the window tells of no smaller one."""


@dataclass
class QuickAcks:
    """``most`` and ``least``: how many ACKs it still sends at once. ``interactive``: None where that is not known."""

    most: int = _MOST
    least: int = 0
    interactive: bool | None = False
    _taken: int | None = None
    _due: bool = False
    _number: int = -1
    _repeats: tuple[int, int] = (0, 0)
    _kept: int = 0
    _was_kept: bool = False
    _waited: bool = False
    _widest: int = 0
    _is_set: bool = False

    @property
    def at_once(self) -> bool | None:
        """Whether what comes out of order now is acknowledged at once; None where that is not known."""
        least, most = self._repeats
        if most < _AT_ONCE or (self.least > 0 and self.interactive is False):
            return True
        return False if least >= _AT_ONCE and self._surely_not else None

    @property
    def _surely_not(self) -> bool:
        return self.most == 0 or self.interactive is True

    def takes(self, time: int, window: int, largest: int, least_timeout: int) -> None:
        """Note bytes that came in order at ``time`` (tcp_event_data_recv).

        ``window`` and ``largest``: bytes of the window that is offered, and of the largest segment so far;
        ``least_timeout``: ns, no retransmission timeout is shorter.
        """
        if self._taken is None:  # if something had come before, it has begun already, nobody knows where
            self.most = self.most if self._was_kept or self._waited else 0
            self._enter(window, largest, surely=not self._was_kept)
        elif time - self._taken >= least_timeout:
            self._enter(window, largest, surely=False)
        self._taken = time
        self._due = True

    def keeps(self, window: int) -> None:
        """Note bytes that came out of order (tcp_data_queue_ofo).

        They lie in its buffers: with more than half of the room taken no ACK goes at once (__tcp_select_window). What a
        program has not read makes the window smaller.
        """
        self._kept += 1
        self._was_kept = True
        self._widest = max(self._widest, window)
        self._due = True
        if self._kept * _MEMORY > 2 * min(window, _ROOM) - min(self._widest, _ROOM):
            self.least = 0

    def keeps_none(self) -> None:
        """Note that nothing is out of order any more."""
        self._kept = 0

    def has_already(self, window: int, largest: int, *, surely: bool) -> None:
        """Note bytes that came twice, or others that are thrown away: it acknowledges at once, if ``surely``."""
        self._enter(window, largest, surely=surely)
        self._becomes(False if surely else self.interactive and None)
        self._due = self._due or surely

    def ends(self) -> None:
        """Note the peer's FIN (tcp_fin)."""
        self._becomes(True)

    def sends_bytes(self, time: int) -> None:
        """Note a segment with bytes that left at ``time`` (tcp_event_data_sent)."""
        if self._taken is None:
            return
        if time - self._taken < _ANSWERS_WITHIN:
            self._becomes(True)
        elif self.interactive is False:
            self.interactive = None

    def acknowledges(self, number: int, *, repeats: bool, by_timer: bool | None, delayed: bool | None) -> None:
        """Note that a segment with this ACK number left.

        ``repeats``: for what came out of order; ``by_timer``, ``delayed``: the timer of compressed ACKs, or of delayed
        ones, sent it, None: it may have.
        """
        if number > self._number:
            self._number, self._repeats = number, (0, 0)
        if repeats:
            least, most = self._repeats
            self._repeats = least + (self._surely_not and by_timer is False), most + (by_timer is not True)
        self.least = max(self.least - 1, 0)
        if self._due:
            self.most = max(self.most - 1, 0)
        self._due = False
        if delayed:
            self._becomes(False)
        elif delayed is None and self.interactive:
            self.interactive = None

    def begins_with_bytes(self) -> None:
        """Note that the answer to the SYN+ACK had waited for bytes: they may count as an answer themselves."""
        self.interactive, self._waited = None, True

    def is_set(self) -> None:
        """Note that a program sets at some time whether the connection is interactive (TCP_QUICKACK)."""
        self.interactive, self._is_set = None, True

    def _becomes(self, interactive: bool | None) -> None:
        self.interactive = None if self._is_set else interactive

    def _enter(self, window: int, largest: int, *, surely: bool) -> None:
        fewest = min(window // (2 * max(largest, _SEGMENT)) or _FEWEST, _MOST)
        most = min(window // (2 * _SMALLEST) or _FEWEST, _MOST)
        self.most = max(self.most, most)
        if surely:
            self.least = max(self.least, fewest)
