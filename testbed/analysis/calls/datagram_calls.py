"""Which calls made or took which UDP datagrams.

Usually one call is one datagram. MSG_MORE and UDP_CORK make one datagram of several calls (udp_sendmsg,
ip_append_data), UDP_SEGMENT makes several of one call (udp_send_skb), and UDP_GRO gives several to one call.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from testbed.analysis.calls.call_effects import (
    has_flag,
    option_set,
    option_value,
    succeeded,
    switched_on,
)
from testbed.analysis.calls.sockets import ObservedSocket
from testbed.analysis.calls.wire_stream import digest_of
from testbed.model import DATA_PREFIX, Call, Crossing


@dataclass(slots=True)
class Datagram:
    """Calls on a UDP socket and the crossings that they made or took; no crossing where none is known.

    ``calls`` moved its bytes, in order; ``release`` is what sent them where a call without bytes did (UDP_CORK off).
    ``held`` names the call that held them back to the end: nothing was sent. ``segment`` is how many bytes each
    datagram has at most where one call made several, 0 where that is not known; None where it makes one.
    """

    calls: tuple[Call, ...]
    crossings: tuple[int, ...] = ()
    release: Call | None = None
    held: Call | None = None
    segment: int | None = None

    @property
    def call(self) -> Call:
        """The call that sent or took it."""
        return self.release or self.calls[-1]

    @property
    def crossing(self) -> int | None:
        """The first crossing, None where none is known."""
        return self.crossings[0] if self.crossings else None

    @property
    def length(self) -> int:
        """How many bytes the calls moved."""
        return sum(call.length for call in self.calls)

    @property
    def count(self) -> int:
        """How many datagrams it is."""
        if self.crossings:
            return len(self.crossings)
        return max(-(-self.length // self.segment), 1) if self.segment else 1

    @property
    def data(self) -> bytes:
        """The first bytes, as far as the observer kept them without a gap, at most ``DATA_PREFIX``."""
        found = b""
        for call in self.calls:
            found += call.data
            if len(call.data) < call.length:
                break
        return found[:DATA_PREFIX]


@dataclass(slots=True)
class _Cork:
    """What a socket holds back for one datagram."""

    calls: list[Call] = field(default_factory=list)
    setter: Call | None = None

    def holder(self) -> Call:
        """Return the call that holds bytes back: the UDP_CORK, else the last with MSG_MORE."""
        return self.setter if self.setter is not None else self.calls[-1]


def sent_datagrams(socket: ObservedSocket) -> Iterator[Datagram]:
    """Yield the datagrams that a socket's calls made, in order, without crossings."""
    cork = _Cork()
    segment: int | None = None
    for call in socket.calls:
        if option_set(call, "UDP_CORK"):
            cork.setter = call if switched_on(call, "UDP_CORK") else None
            if cork.setter is None and cork.calls:
                yield Datagram(tuple(cork.calls), release=call, segment=segment)
                cork.calls.clear()
        elif option_set(call, "UDP_SEGMENT"):
            segment = next(iter(option_value(call)), 0) or None
        elif call.direction == "out" and succeeded(call):
            cork.calls.append(call)
            if cork.setter is None and not has_flag(call, "MSG_MORE"):
                # a control message may ask for segments, of a size that no observer records
                asked = 0 if call.args.get("control") and segment is None else segment
                yield Datagram(tuple(cork.calls), segment=asked)
                cork.calls.clear()
    if cork.calls:
        yield Datagram(tuple(cork.calls), held=cork.holder())


def taken_datagrams(calls: Iterable[Call]) -> Iterator[Datagram]:
    """Yield what a socket's calls took, in order, without crossings."""
    several: int | None = None
    for call in calls:
        if option_set(call, "UDP_GRO"):
            several = 0 if switched_on(call, "UDP_GRO") else None
        elif call.direction == "in" and succeeded(call) and not has_flag(call, "MSG_PEEK"):
            yield Datagram((call,), segment=several)


def matched(datagrams: Sequence[Datagram], crossings: Sequence[tuple[Crossing, bytes]]) -> tuple[Datagram, ...]:
    """Give datagrams their crossings (in order of time, each with its payload): by content, in order among equals."""
    waiting: dict[tuple[int, bytes], deque[int]] = defaultdict(deque)
    payloads: dict[int, bytes] = {}
    for crossing, payload in crossings:
        waiting[len(payload), payload[:DATA_PREFIX]].append(crossing.n)
        payloads[crossing.n] = payload
    left = dict.fromkeys(payloads)  # in order
    rest: list[Datagram] = []  # truncated reads, datagrams whose content changed
    for each in datagrams:
        found = () if each.held is not None else _by_content(each, waiting, left, payloads)
        for number in found:
            del left[number]
        each.crossings = found
        if not found and each.held is None:
            rest.append(each)
    for each in rest:  # in the order of what is left over, where the first bytes do not contradict
        first = next(iter(left), None)
        if first is not None and _resembles(each, payloads[first]):
            del left[first]
            each.crossings = (first,)
    return tuple(datagrams)


def _by_content(
    datagram: Datagram,
    waiting: Mapping[tuple[int, bytes], deque[int]],
    left: Mapping[int, None],
    payloads: Mapping[int, bytes],
) -> tuple[int, ...]:
    """Return the crossings of a datagram, none where content finds none."""
    queue = waiting.get((datagram.length, datagram.data), deque())
    while queue and queue[0] not in left:
        queue.popleft()
    digest = datagram.calls[0].digest if len(datagram.calls) == 1 else None
    if queue and (digest is None or digest_of(payloads[queue[0]]) == digest):
        return (queue.popleft(),)
    return () if datagram.segment is None else _segments(datagram, list(left), payloads)


def _segments(datagram: Datagram, left: Sequence[int], payloads: Mapping[int, bytes]) -> tuple[int, ...]:
    """Return the crossings in a row that make up what one call moved: all of one size, the last may be smaller."""
    for at, first in enumerate(left):
        size = len(payloads[first])
        if not 0 < size <= datagram.length or datagram.segment not in (0, size):
            continue
        count = -(-datagram.length // size)
        some = left[at : at + count]
        if [len(payloads[number]) for number in some] != [size] * (count - 1) + [datagram.length - size * (count - 1)]:
            continue
        if b"".join(payloads[number] for number in some).startswith(datagram.data):
            return tuple(some)
    return ()


def _resembles(datagram: Datagram, payload: bytes) -> bool:
    """Say whether calls may have moved this datagram, possibly only its beginning."""
    length = datagram.length
    return len(payload) >= length and (len(payload) == length or payload.startswith(datagram.data[:length]))
