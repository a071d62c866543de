"""Fragments of a packet of which others were lost: they are no packets of their own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from testbed.analysis.join.lab_frames import Selection
from testbed.model import HOSTS, Crossing, Host, peer_of

if TYPE_CHECKING:
    from testbed.capture.columns import Capture

_Key = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PartialArrival:
    """A packet that was sent in ``of`` fragments, of which ``came`` reached the receiver."""

    came: int
    of: int

    def __str__(self) -> str:
        """Say so."""
        return f"{self.came} of its {self.of} fragments arrived"


PartialArrivals = Mapping[tuple[Host, int], PartialArrival]
"""By the packet's sender and the number of its frame there."""


def without_remains(
    captures: Mapping[Host, Capture], selections: Mapping[Host, Selection]
) -> tuple[dict[Host, Selection], PartialArrivals]:
    """Leave out fragments that make up no packet, where the capture of the host that sent them has the whole packet.

    Also return, for such a packet, how many of its fragments came.
    """
    left = dict(selections)
    partial: dict[tuple[Host, int], PartialArrival] = {}
    for host in HOSTS:
        receiver = peer_of(host)
        whole = _whole(captures[host])
        chosen, capture = selections[receiver], captures[receiver]
        mine = chosen.sender == HOSTS.index(host)
        stray = capture.fragment[chosen.rows] & (capture.reassembled_in[chosen.rows] < 0) & mine
        came: dict[int, set[int]] = defaultdict(set)
        dropped = np.zeros(len(chosen.rows), np.bool_)
        for at in np.flatnonzero(stray).tolist():
            row = int(chosen.rows[at])
            same = whole.get(_key(capture, row), ())
            before = [each for each in same if _first(captures[host], each) <= capture.time_ns[row]]
            if before:
                came[before[-1]].add(int(capture.fragment_offset[row]))
                dropped[at] = True
        for row, offsets in came.items():
            parts = int(np.count_nonzero(captures[host].reassembled_in == row))
            partial[host, row + 1] = PartialArrival(len(offsets), parts)
        left[receiver] = chosen.only(~dropped)
    return left, partial


def noted(crossings: tuple[Crossing, ...], partial: PartialArrivals) -> tuple[Crossing, ...]:
    """Return the crossings, those of which only some fragments arrived with a note that says so."""
    if not partial:
        return crossings
    found = []
    for crossing in crossings:
        frame = crossing.at_client if crossing.sender == "client" else crossing.at_server
        some = partial.get((crossing.sender, frame)) if frame is not None else None
        found.append(crossing if some is None else replace(crossing, note=(str(some),)))
    return tuple(found)


def _first(capture: Capture, row: int) -> int:
    """Return when the first fragment of a packet was captured."""
    return int(capture.time_ns[capture.reassembled_in == row].min())


def _whole(capture: Capture) -> dict[_Key, list[int]]:
    """Return the rows of packets that were put together from fragments, by what their fragments have in common."""
    rows = np.flatnonzero(capture.fragment & (capture.reassembled_in == np.arange(len(capture))))
    found: dict[_Key, list[int]] = defaultdict(list)
    for row in rows.tolist():
        found[_key(capture, row)].append(row)
    return found


def _key(capture: Capture, row: int) -> _Key:
    """Return addresses and identification (RFC 791 section 3.2, RFC 8200 section 4.5)."""
    ends = (capture.src_hi[row], capture.src_lo[row], capture.dst_hi[row], capture.dst_lo[row])
    return (int(capture.version[row]), *map(int, ends), int(capture.ip_id[row]))
