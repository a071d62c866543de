"""Distinguish lost packets from packets the tap dropped, using what else its capture shows.

A receiver that acknowledges bytes which its own tap never captured has received them. A sender whose own tap shows
later bytes but never these has sent them. A sender that numbers its packets (IP identification) and whose tap lacks
just one number has sent that one too.
"""

from __future__ import annotations

import numpy as np

from testbed.model.arrays import Bool, Int64, UInt32, distinct
from testbed.model.interval_arrays import covers, union
from testbed.model.ip import TCP
from testbed.model.tcp import ACK, seq_diff
from testbed.pairing.flow_packets import FlowPackets

_WIDE = 1 << 33  # apart from numbers of another place


def uncaptured_places(one: FlowPackets, two: FlowPackets, from_one: Bool) -> Bool:
    """Tell which places a tap does not capture although their packets came by: bool[places, 2], by capture.

    It has none of a direction, and all of the other: the receiver's tap must also show that they arrived, by what its
    host acknowledges; the sender's must lack the direction in every flow.
    """
    places = len(from_one)
    sides = one, two
    counts = np.stack([np.bincount(side.place, minlength=places) for side in sides], axis=1)
    result = np.zeros((places, 2), np.bool_)
    for k, (here, there) in enumerate((sides, sides[::-1])):  # what is lacking here, and there
        lacks = (counts[:, k] == 0) & (counts[:, 1 - k] > 0) & (counts[np.arange(places) ^ 1, k] > 0)
        if not lacks.any():
            continue
        sent_here = from_one == (k == 0)
        whole = {way: not counts[from_one == way, k].any() for way in (True, False)}
        all_lack = np.where(from_one, whole[True], whole[False])
        result[:, k] = lacks & ((sent_here & all_lack) | _acknowledged(here, there, places))
    return result


def _acknowledged(here: FlowPackets, there: FlowPackets, places: int) -> Bool:
    """Tell of which places packets seen ``there`` are acknowledged ``here``: bool[places]."""
    tcp = np.flatnonzero(there.column("protocol", there.item) == TCP)[::-1]
    base = np.full(places, -1, np.int64)
    base[there.place[tcp]] = there.seq[tcp]
    mine = (here.column("protocol", here.item) == TCP) & ((here.packets.flags[here.item] & ACK) != 0)
    rows = np.flatnonzero(mine & (base[here.place ^ 1] >= 0))
    about = here.place[rows] ^ 1
    result = np.zeros(places, np.bool_)
    result[about[seq_diff(here.ack[rows].astype(np.int64), base[about]) > 0]] = True
    return result


class CapturedBytes:
    """The bytes of each place (direction of a flow) that each capture shows."""

    def __init__(self, one: FlowPackets, two: FlowPackets, from_one: Bool) -> None:
        self._sides = one, two
        self._from_one = from_one
        self._base = np.full(len(from_one), -1, np.int64)
        for side in (one, two):
            rows = np.flatnonzero(side.column("protocol", side.item) == TCP)[::-1]
            self._base[side.place[rows]] = side.seq[rows]

    def _relative(self, seq: Int64 | UInt32, place: Int64) -> Int64:
        return seq_diff(seq.astype(np.int64), self._base[place])

    def missed(self, left: Int64, sent: Bool, *, at_one: bool) -> Bool:
        """Return a mask, bool[k], of packets in one capture only that the other end's tap must have dropped.

        ``left``: int64[k], positions in the side of the capture that has them; ``sent``: bool[k], whether that is where
        they were sent.
        """
        here, there = self._sides if at_one else self._sides[::-1]
        packets = here.packets
        rows = here.item[left]
        tcp = (packets.protocol[rows] == TCP) & packets.decoded[rows]
        data = tcp & (packets.length[rows] > 0)
        result = np.zeros(len(left), np.bool_)
        if data.any():
            some = np.flatnonzero(data)
            place = here.place[left[some]]
            first = self._relative(here.seq[left[some]], place)
            end = first + packets.length[rows[some]]
            covered = self._covered(there, place, first, end)
            acknowledged = self._reach(there, place ^ 1, acks=True)[place ^ 1] >= end
            continued = self._reach(there, place, acks=False)[place] >= end
            result[some] = ~covered & np.where(sent[some], acknowledged, continued)
        numbered = np.flatnonzero(tcp & ~data & ~sent & (packets.ip_id[rows] > 0))
        if len(numbered):
            result[numbered] = self._in_gap(
                there, here.place[left[numbered]], packets.ip_id[rows[numbered]].astype(np.int64)
            )
        return result

    def _covered(self, side: FlowPackets, place: Int64, first: Int64, end: Int64) -> Bool:
        """Return a mask of byte ranges (int64[k], relative) that a capture shows whole, in whatever segments."""
        wanted = np.zeros(len(self._from_one), np.bool_)
        wanted[place] = True
        mine = np.flatnonzero(wanted[side.place] & (side.column("protocol", side.item) == TCP))
        length = side.packets.length[side.rows(mine)]
        mine, length = mine[length > 0], length[length > 0]
        places = side.place[mine]
        low = self._relative(side.seq[mine], places) + places * _WIDE
        known = union(low, low + length)
        return covers(*known, first + place * _WIDE, end + place * _WIDE)

    def _reach(self, side: FlowPackets, place: Int64, *, acks: bool) -> Int64:
        """Return for each place the highest number acknowledged, or begun, that a capture shows."""
        reach = np.full(len(self._from_one), -(2**40), np.int64)
        wanted = np.zeros(len(self._from_one), np.bool_)
        wanted[place] = True
        mine = np.flatnonzero(wanted[side.place] & (side.column("protocol", side.item) == TCP))
        if acks:
            mine = mine[(side.packets.flags[side.rows(mine)] & ACK) != 0]
            numbers = self._relative(side.ack[mine], side.place[mine] ^ 1)
        else:
            numbers = self._relative(side.seq[mine], side.place[mine])
        np.maximum.at(reach, side.place[mine], numbers)
        return reach

    @staticmethod
    def _in_gap(side: FlowPackets, place: Int64, numbers: Int64) -> Bool:
        """Return a mask of IP identifications that a capture lacks between two that it has."""
        have = distinct(side.place << 32 | side.packets.ip_id[side.item].astype(np.int64))
        wanted = place << 32 | numbers
        return np.isin(wanted - 1, have) & np.isin(wanted + 1, have) & ~np.isin(wanted, have)
