"""How much goes into a page: payloads are cut first, then packets, until it is small enough."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from testbed.model import Crossing
from testbed.model.arrays import Int64, distinct
from testbed.report.html.page_source import ShownPackets

LIMIT = 10_000_000
"""A page has at most so many bytes."""

MOST_PACKETS = 120_000
"""Of more the first and the last packets are in the page, and the unusual ones between them with those around them."""

CHOSEN = 10_000
"""So many packets a page of two captures with more than ``MOST_PACKETS`` has where nobody asked for more: each takes
some 0.04 ms, of 120,000 longer than the comparison of a million."""

_PAYLOAD = 0.24  # of the limit: payload hardly compresses, and base64 makes 4 bytes of 3
_MOST_OF_ONE = 65_536
_SHORTEST = 8
_UNUSUAL = 0.75  # of the packets, where the first and the last are the others
_AROUND = 4  # packets before and after an unusual one


def fitting(
    wire_of: Callable[[int], ShownPackets], page_of: Callable[[ShownPackets, int], str], limit: int, most: int
) -> str:
    """Return the page, at most ``limit`` bytes and ``most`` packets.

    ``wire_of`` gives a number of packets at most, ``page_of`` the page of them with so many bytes of each payload.
    """
    while True:
        wire = wire_of(most)
        for payload in (_payload_limit(wire.crossings, int(limit * _PAYLOAD)), _SHORTEST):
            page = page_of(wire, payload)
            if len(page.encode()) <= limit or most < 2:
                return page
        most = min(most, wire.total) // 2


def kept(kinds: Int64, flows: Int64, most: int, named: Iterable[int] = ()) -> Int64:
    """Return which packets a page holds, at most ``most`` (but two), ascending: int64[k].

    They are those that the page has ``named``, and unusual ones, with the packets of the same flow around each; and of
    the first and the last as many as there is room for. ``kinds`` and ``flows`` are int64[n]: what is unusual about
    each packet (0: nothing), and its flow. Of each kind there are as many as of any other, if it has so many, from all
    of the capture.
    """
    count = len(kinds)
    if count <= most:
        return np.arange(count)
    held = np.zeros(count, np.bool_)
    room = int(most * _UNUSUAL) // (2 * _AROUND + 1)
    leading = np.array(list(dict.fromkeys(named))[: room // 2], np.int64)
    found = np.concatenate([leading, _spread(kinds, room - len(leading))])
    by_flow = np.argsort(flows, kind="stable")
    place = np.empty(count, np.int64)
    place[by_flow] = np.arange(count)
    for step in range(-_AROUND, _AROUND + 1):
        near = by_flow[np.clip(place[found] + step, 0, count - 1)]
        held[near[flows[near] == flows[found]]] = True
    ends = max((most - int(np.count_nonzero(held))) // 2, 1)
    held[:ends] = held[-ends:] = True
    return np.flatnonzero(held)


def _spread(kinds: Int64, room: int) -> Int64:
    """Return at most ``room`` items that are of a kind, of rare kinds all, of each other kind as many, evenly."""
    groups = sorted((np.flatnonzero(kinds == kind) for kind in distinct(kinds[kinds != 0]).tolist()), key=len)
    found = [np.zeros(0, np.int64)]
    for left, group in zip(range(len(groups), 0, -1), groups, strict=True):
        share = min(room // left, len(group))
        found.append(group[np.linspace(0, len(group) - 1, share).astype(np.int64)])
        room -= share
    return np.concatenate(found)


def _payload_limit(crossings: Sequence[Crossing], room: int) -> int:
    """Return how many bytes of each payload are stored so that all fit into ``room`` bytes."""
    lengths = np.array([len(one.payload) for one in crossings], np.int64)
    for limit in (_MOST_OF_ONE, 16_384, 4096, 1500, 512, 256, 128, 64, 32, 24, 16):
        if int(np.minimum(lengths, limit).sum()) <= room:
            return limit
    return _SHORTEST
