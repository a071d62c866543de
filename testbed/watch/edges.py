"""The edges of what was watched: packets on their way as it began and ended, which only one capture can have."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

from testbed.analysis.join.join import join
from testbed.capture.columns import Capture
from testbed.capture.read_file import read
from testbed.model import HOSTS, Crossing, Fate, Host, peer_of
from testbed.watch.pcap_stream import without_frames

EDGE = 1_000_000_000
"""ns from the beginning and the end in which a packet may have been on its way."""

_Way = tuple[int | None, Host]


def all_written(counted: Mapping[str, int]) -> bool:
    """Say whether tcpdump, which ends at once when it is told to, has written all that had come, by what it counted."""
    return "captured" in counted and counted["captured"] >= counted.get("received by filter", 0)


def last_time(capture: Capture) -> int:
    """Return until when (ns) a capture has all, where what came last may not have been written."""
    return int(capture.time_ns[-1]) if len(capture.time_ns) else 0


def leave_out_edges(
    paths: Mapping[Host, Path], addresses: Mapping[Host, Collection[str]], begun: int, ended: int
) -> dict[Host, int]:
    """Take out of both captures what was on its way as they began and ended; return how many packets of each.

    Both are cut to the time from ``begun`` to ``ended`` (ns) first, in which both recorded. What arrived within
    :data:`EDGE` of the beginning and before anything of its flow and direction that both have may have left before;
    what left within :data:`EDGE` of the end and after all that both have may have arrived later. Neither was lost.
    """
    for path in paths.values():
        times = read(path).time_ns
        outside = np.flatnonzero((times < begun) | (times > ended)) + 1
        without_frames(path, frozenset(outside.tolist()))
    crossings = join(read(paths["client"]), read(paths["server"]), addresses).crossings
    frames = edge_frames(crossings, begun, ended)
    for host, numbers in frames.items():
        without_frames(paths[host], frozenset(numbers))
    return {host: len(numbers) for host, numbers in frames.items()}


def edge_frames(crossings: Collection[Crossing], begun: int, ended: int) -> dict[Host, set[int]]:
    """Return the frames (from 1, in each host's capture) that were on their way as watching began and ended."""
    first: dict[_Way, int] = {}
    last: dict[_Way, int] = {}
    for each in crossings:
        if each.fate is Fate.CROSSED:
            first.setdefault((each.flow, each.sender), each.n)
            last[each.flow, each.sender] = each.n
    frames: dict[Host, set[int]] = {host: set() for host in HOSTS}
    for each in crossings:
        way = (each.flow, each.sender)
        if each.fate is Fate.APPEARED and each.time < begun + EDGE and each.n < first.get(way, each.n + 1):
            frames[peer_of(each.sender)].add(_frame(each, peer_of(each.sender)))
        elif each.fate is Fate.LOST and each.time > ended - EDGE and each.n > last.get(way, -1):
            frames[each.sender].add(_frame(each, each.sender))
    return frames


def _frame(crossing: Crossing, host: Host) -> int:
    number = crossing.at_client if host == "client" else crossing.at_server
    assert number is not None  # noqa: S101 - this end has it
    return number
