"""Which packets send bytes again, and which arrived in another order than they were sent.

Other questions have other names. Why the kernel sent a segment again is its cause (:mod:`testbed.analysis.causes`);
what one capture alone makes of it is Wireshark's label (:data:`testbed.wireshark.label_names.RETRANSMISSION_LABELS`);
whether the receiver needed it: :mod:`testbed.pairing.needed_retransmissions`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Sequence

from testbed.model import Crossing, Fate, Host

_Way = tuple[int | None, Host]  # a flow and the sender: one direction


def retransmitted(crossings: Sequence[Crossing], probes: Collection[int] = ()) -> list[int]:
    """Return the positions of TCP segments with sequence space below the highest that their sender had sent.

    Part of what they carry may be new. ``probes`` are positions of segments that name an old number without sending
    bytes again (keep-alive and window probes).
    """
    highest: dict[_Way, int] = {}
    found = []
    for position, crossing in enumerate(crossings):
        size = crossing.sequence_length
        if crossing.protocol != "tcp" or crossing.sent is None or not size or position in probes:
            continue
        way = (crossing.flow, crossing.sender)
        if crossing.seq < highest.get(way, crossing.seq):
            found.append(position)
        highest[way] = max(highest.get(way, crossing.seq), crossing.seq + size)
    return found


def without_new_bytes(crossings: Sequence[Crossing]) -> list[int]:
    """Return the positions of TCP segments with payload of which every byte had been sent before.

    Unlike :func:`retransmitted`, a segment that adds bytes to old ones is not among them.
    """
    reached: dict[_Way, int] = {}
    found = []
    for position, crossing in enumerate(crossings):
        if crossing.protocol != "tcp" or not crossing.length:
            continue
        way = (crossing.flow, crossing.sender)
        if crossing.end <= reached.get(way, 0):
            found.append(position)
        reached[way] = max(reached.get(way, 0), crossing.end)
    return found


def reordered(crossings: Sequence[Crossing]) -> list[int]:
    """Return the positions of packets that arrived after one of the same flow and sender that was sent later.

    RFC 4737's type-P-reordered; :attr:`testbed.pairing.crossing_table.Table.reordered` is the same for millions of
    packets. ``crossings`` are in the order in which they were sent.
    """
    return sorted(_passed(enumerate(crossings), lambda crossing: (crossing.flow, crossing.sender)))


def overtaken(crossings: Iterable[Crossing]) -> int:
    """Count packets that arrived after one of the same sender that was sent later, of whatever flow.

    Between the hosts there is one path each way, so nothing may overtake where no link reorders.
    """
    crossed = [each for each in crossings if each.fate is Fate.CROSSED]
    # of those sent at one moment none is overtaken by the other
    crossed.sort(key=lambda each: (each.time, each.arrived or 0))
    return len(_passed(enumerate(crossed), lambda crossing: crossing.sender))


def _passed(crossings: Iterable[tuple[int, Crossing]], way: Callable[[Crossing], Hashable]) -> list[int]:
    earliest: dict[Hashable, int] = {}  # arrival of those sent later
    found = []
    for position, crossing in reversed(list(crossings)):
        if crossing.sent is None or crossing.arrived is None:
            continue
        first = earliest.get(way(crossing), crossing.arrived)
        if crossing.arrived > first:
            found.append(position)
        earliest[way(crossing)] = min(first, crossing.arrived)
    return found
