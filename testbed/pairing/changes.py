"""Find the fields that differ between both captures of a packet, beyond what its whole flow shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from testbed.model.arrays import Bool, Int64, UInt32
from testbed.model.ip import TCP, plain_quote
from testbed.model.tcp import ACK
from testbed.pairing.checksum import checksums_are_wrong
from testbed.pairing.fates import ChangedField
from testbed.pairing.flow_changes import FlowChange, find_flow_changes
from testbed.pairing.flow_packets import FlowPackets
from testbed.pairing.packet_table import PacketTable

_NONE = 1 << 20  # more than any TTL
_QUOTED = 20  # bytes of an IP header that an ICMP error quotes
_BLOCK = 1 << 14  # pairs of which all that is needed stays in a processor's cache
_PLAIN = (
    (ChangedField.FLAGS, "flags"),
    (ChangedField.WINDOW, "window"),
    (ChangedField.URGENT, "urgent"),
    (ChangedField.OPTIONS, "options"),
    (ChangedField.LENGTH, "length"),
    (ChangedField.DONT_FRAGMENT, "dont_fragment"),
    (ChangedField.ICMP, "icmp"),
    (ChangedField.IP_ID, "ip_id"),
    (ChangedField.PAYLOAD, "payload"),
    (ChangedField.CHECKSUM, "checksum"),
)

Differences = Callable[[FlowPackets, Int64, FlowPackets, Int64], UInt32]
"""What :func:`differences` does, by whatever does it."""


@dataclass(slots=True)
class FlowwideChanges:
    """Changes that all packets of a place (a flow's direction) have in common: no alteration of one packet.

    ``ttl``: int64[places], by how much it is lower in the second capture than in the first; ``new_ids``: bool[places],
    whether the IP identifications were rewritten; ``facts`` are all others.
    """

    ttl: Int64
    new_ids: Bool
    facts: tuple[FlowChange, ...] = ()


def find_changes(
    one: FlowPackets, x: Int64, two: FlowPackets, y: Int64, from_one: Bool, *, one_route: bool = False,
    differ: Differences | None = None,
) -> tuple[UInt32, FlowwideChanges]:  # fmt: skip
    """Return the changes of each pair of packets (uint32[n], ChangedField bits), and those of each place.

    ``x`` and ``y``: int64[n], positions in the sides, aligned. ``from_one``: bool[places], sent at the first end. With
    ``one_route`` all places of a direction go the same way, and no device on it rewrites IP identifications.
    """
    places = len(from_one)
    ours, theirs = one.packets, two.packets
    a, b = one.rows(x), two.rows(y)
    place = one.place[x]
    found = (differ or differences)(one, x, two, y)
    dropped = ours.ttl[a].astype(np.int64)
    dropped -= theirs.ttl[b]
    ttl = _routing(dropped, place, from_one) if one_route else most_frequent(dropped, place, places)
    _note(found, ChangedField.TTL, dropped != ttl[place])
    del dropped
    other = np.flatnonzero(found & np.uint32(ChangedField.IP_ID))
    count = np.bincount(place, minlength=places) if len(other) else np.zeros(places, np.int64)
    new_ids = (np.bincount(place[other], minlength=places) * 2 > count) & (not one_route)
    found[other[new_ids[place[other]]]] &= ~np.uint32(ChangedField.IP_ID)
    _cut_payloads(found, ours, a, theirs, b)
    _checksums(found, ours, a, theirs, b, place, from_one)
    facts = () if one_route else find_flow_changes(one, x, two, y, from_one, found)
    return found, FlowwideChanges(ttl, new_ids, facts)


def _note(found: UInt32, change: ChangedField, where: Bool) -> None:
    if where.any():
        found[where] |= np.uint32(change)


def differences(one: FlowPackets, x: Int64, two: FlowPackets, y: Int64) -> UInt32:
    """Return how the packets of pairs differ by their columns: uint32[n], ChangedField bits, without TTL.

    Of IP identification, payload and checksum they only say that both are not the same.
    """
    found = np.zeros(len(x), np.uint32)
    for first in range(0, len(x), _BLOCK):
        some = slice(first, first + _BLOCK)
        _plain_changes(one, x[some], two, y[some], found[some])
    return found


def _plain_changes(one: FlowPackets, x: Int64, two: FlowPackets, y: Int64, found: UInt32) -> None:
    """Note the fields that differ of some pairs, by their headers alone."""
    ours, theirs = one.packets, two.packets
    a, b = one.rows(x), two.rows(y)
    for change, name in _PLAIN:
        _note(found, change, getattr(ours, name)[a] != getattr(theirs, name)[b])
    tcp = (ours.protocol[a] == TCP) & ours.decoded[a]
    _note(found, ChangedField.SEQUENCE, tcp & (one.seq[x] != two.seq[y]))
    acks = tcp & ((ours.flags[a] & theirs.flags[b] & ACK) != 0)
    _note(found, ChangedField.ACKNOWLEDGMENT, acks & (one.ack[x] != two.ack[y]))
    tos = ours.tos[a] ^ theirs.tos[b]
    _note(found, ChangedField.DSCP, tos >= 4)
    _note(found, ChangedField.ECN, (tos & 3) != 0)
    framed, there = ours.framed[a], theirs.framed[b]
    if (other := framed != there).any():
        other &= (ours.captured[a] == framed) & (theirs.captured[b] == there)
        _note(found, ChangedField.FRAME_LENGTH, other & (ours.length[a] == theirs.length[b]))


def most_frequent(values: Int64, place: Int64, places: int) -> Int64:
    """Return for each place the most frequent value, 0 where there is none; of two the nearer to 0."""
    low, high = np.full(places, _NONE, np.int64), np.full(places, -_NONE, np.int64)
    np.minimum.at(low, place, values)
    np.maximum.at(high, place, values)
    result = np.where(low == _NONE, 0, low)
    for one in np.flatnonzero((low != high) & (low != _NONE)).tolist():
        kinds, counts = np.unique(values[place == one], return_counts=True)
        best = kinds[counts == counts.max()]
        result[one] = best[np.abs(best).argmin()]
    return result


def _routing(dropped: Int64, place: Int64, from_one: Bool) -> Int64:
    """Return for each place by how much the TTL of most packets of its direction fell on the way, 0 if it did not."""
    result = np.zeros(len(from_one), np.int64)
    for at_one, sign in ((True, 1), (False, -1)):
        mine = sign * dropped[from_one[place] == at_one]
        values, counts = np.unique(mine, return_counts=True)
        if len(values) and values[counts.argmax()] > 0 and counts.max() * 2 > len(mine):
            result[from_one == at_one] = sign * values[counts.argmax()]
    return result


def _cut_payloads(found: UInt32, ours: PacketTable, a: Int64, theirs: PacketTable, b: Int64) -> None:
    """Note no change of payloads that are the same as far as both captures have them."""
    other = np.flatnonzero(found & np.uint32(ChangedField.PAYLOAD))
    # of different lengths: captured shorter, or changed; only the bytes themselves decide
    for k in other[ours.captured[a[other]] != theirs.captured[b[other]]].tolist():
        common = min(int(ours.captured[a[k]]), int(theirs.captured[b[k]]))
        cut = ours.captured[a[k]] < ours.length[a[k]] or theirs.captured[b[k]] < theirs.length[b[k]]
        first, second = ours.bytes_at(int(a[k]), 0, common), theirs.bytes_at(int(b[k]), 0, common)
        if common >= _QUOTED and ours.ends[int(ours.conversation[a[k]])].quoted is not None:
            first, second = plain_quote(first), plain_quote(second)
        if first == second and cut:
            found[k] &= ~np.uint32(ChangedField.PAYLOAD)


def _checksums(
    found: UInt32, ours: PacketTable, a: Int64, theirs: PacketTable, b: Int64, place: Int64, from_one: Bool
) -> None:
    """Note checksums that are wrong where they arrived, of those that differ, or whose payload does.

    That a network card fills them in after the tap, and that they follow from rewritten addresses, is no alteration.
    """
    differ = np.flatnonzero(found & np.uint32(ChangedField.CHECKSUM | ChangedField.PAYLOAD))
    found[differ] &= ~np.uint32(ChangedField.CHECKSUM)
    at_one = from_one[place[differ]]
    for packets, items, mine in ((theirs, b, differ[at_one]), (ours, a, differ[~at_one])):
        found[mine[checksums_are_wrong(packets, items[mine])]] |= np.uint32(ChangedField.CHECKSUM)
