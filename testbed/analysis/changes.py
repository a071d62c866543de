"""What differs between a packet as it was sent and as it arrived."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from testbed.analysis.checksums import checksum_is_right
from testbed.analysis.describe import flag_letters, options_text
from testbed.analysis.flows import Tap
from testbed.analysis.pairing import Pairs, Side
from testbed.model import HOSTS, Change, Host

if TYPE_CHECKING:
    from testbed.capture.columns import Capture

# column of the capture, the name of the change
_PLAIN = (
    ("dscp", "dscp"),
    ("ecn", "ecn"),
    ("ip_id", "ip id"),
    ("dont_fragment", "don't fragment"),
    ("seq", "sequence number"),
    ("ack", "acknowledgment number"),
    ("flags", "flags"),
    ("window", "window"),
    ("urgent", "urgent pointer"),
    ("icmp_type", "icmp type"),
    ("icmp_code", "icmp code"),
    ("icmp_rest", "icmp header"),
    ("payload_length", "length"),
)
_TEXT: dict[str, Callable[[int], str]] = {
    "flags": flag_letters,
    "dont_fragment": lambda value: str(bool(value)).lower(),
}


def find_changes(taps: dict[Host, Tap], sent: Side, arrived: Side, pairs: Pairs) -> dict[int, tuple[Change, ...]]:
    """Return the changes of those pairs that have any, by position in ``pairs``.

    A TTL lowered equally for all packets of a direction is routing, no change; only an exception is named. Nor is a
    checksum that the sender's network card fills in after the tap.
    """
    result: dict[int, list[Change]] = {}
    for index, host in enumerate(HOSTS):
        mine = np.flatnonzero(sent.sender[pairs.sent] == index)
        there = taps[HOSTS[1 - index]]
        a = taps[host].rows[sent.item[pairs.sent[mine]]]
        b = there.rows[arrived.item[pairs.arrived[mine]]]
        ours, theirs = taps[host].capture, there.capture
        for column, name in _PLAIN:
            before, after = getattr(ours, column)[a], getattr(theirs, column)[b]
            text = _TEXT.get(column, str)
            for k in np.flatnonzero(before != after).tolist():
                change = Change(name, text(int(before[k])), text(int(after[k])))
                result.setdefault(int(mine[k]), []).append(change)
        dropped = ours.ttl[a].astype(np.int64) - theirs.ttl[b]
        for k in np.flatnonzero(dropped != _routing(dropped)).tolist():
            change = Change("ttl", str(ours.ttl[a[k]]), str(theirs.ttl[b[k]]))
            result.setdefault(int(mine[k]), []).append(change)
        own, other = sent.fields, arrived.fields
        p, q = pairs.sent[mine], pairs.arrived[mine]
        for k in np.flatnonzero(own["options"][p] != other["options"][q]).tolist():
            change = Change("options", options_text(ours, int(a[k])), options_text(theirs, int(b[k])))
            result.setdefault(int(mine[k]), []).append(change)
        for k in np.flatnonzero(own["payload"][p] != other["payload"][q]).tolist():
            if payload := _payload_change(ours, int(a[k]), theirs, int(b[k])):
                result.setdefault(int(mine[k]), []).append(payload)
        for k in np.flatnonzero(ours.checksum[a] != theirs.checksum[b]).tolist():
            if checksum_is_right(theirs, int(b[k])) is False:
                change = Change("checksum", f"0x{ours.checksum[a[k]]:04x}", f"0x{theirs.checksum[b[k]]:04x} (wrong)")
                result.setdefault(int(mine[k]), []).append(change)
    return {position: tuple(changes) for position, changes in result.items()}


def _routing(dropped: np.typing.NDArray[np.int64]) -> int:
    """Return by how much the TTL of most packets fell; 0 if it did not."""
    values, counts = np.unique(dropped, return_counts=True)
    if not len(values):
        return 0
    most = int(values[counts.argmax()])
    return most if most > 0 and counts.max() * 2 > len(dropped) else 0


def _payload_change(ours: Capture, a: int, theirs: Capture, b: int) -> Change | None:
    """Return the first difference within what both captured, None if that is equal."""
    before, after = ours.payload(a), theirs.payload(b)
    common = min(len(before), len(after))
    x = np.frombuffer(before, np.uint8, common) if common else np.zeros(0, np.uint8)
    y = np.frombuffer(after, np.uint8, common) if common else np.zeros(0, np.uint8)
    different = np.flatnonzero(x != y)
    if len(different):
        at = int(different[0])
        more = f" and {len(different) - 1} more" if len(different) > 1 else ""
        return Change("payload", f"byte {at} is 0x{before[at]:02x}", f"0x{after[at]:02x}{more}")
    if ours.payload_length[a] == theirs.payload_length[b]:  # one was captured shorter
        return None
    return Change("payload", f"{ours.payload_length[a]} bytes", f"{theirs.payload_length[b]} bytes")
