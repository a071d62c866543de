"""Which frames of a capture are packets between the two hosts, and what the others are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from testbed.model import HOSTS, Host
from testbed.model.arrays import Bool, Int64
from testbed.model.ip import ICMPV6, UDP, address_words, is_group, quoted_transport

if TYPE_CHECKING:
    from testbed.capture.columns import Capture


SENTINEL = b"BOTHENDS-SENTINEL"
SENTINEL_PORT = 9  # the discard service
_MLD = (130, 131, 132, 143)  # ICMPv6 types that never leave a link: RFC 2710, RFC 3810
_NDP = (133, 134, 135, 136, 137)  # RFC 4861


@dataclass(frozen=True, slots=True)
class Selection:
    """The packets between the two hosts in one capture, in file order.

    ``rows`` are rows of the capture; aligned with them, ``sender`` is 0 for the client and 1 for the server, and
    ``client`` and ``server`` index the addresses of each host, those of groups after its own. ``other`` counts the
    remaining frames by name. A packet that came in fragments is one row; its other fragments are counted nowhere.
    """

    rows: Int64
    sender: Int64
    client: Int64
    server: Int64
    other: dict[str, int]

    def only(self, chosen: Bool) -> Selection:
        """Return some of the packets (bool[n])."""
        return replace(
            self,
            rows=self.rows[chosen],
            sender=self.sender[chosen],
            client=self.client[chosen],
            server=self.server[chosen],
        )


def groups(captures: Iterable[Capture], addresses: Mapping[Host, Collection[str]]) -> tuple[str, ...]:
    """Return the groups (multicast, and broadcast to all) to which the hosts sent UDP datagrams, sorted."""
    own = [address for host in HOSTS for address in addresses[host]]
    found: set[str] = set()
    for capture in captures:
        rows = np.flatnonzero((capture.transport == UDP) & (_owned(capture, "src", own) >= 0))
        _, first = np.unique(np.stack([capture.dst_hi[rows], capture.dst_lo[rows]]), axis=1, return_index=True)
        found.update(capture.destination(row) for row in rows[first].tolist())
    return tuple(sorted(address for address in found if is_group(address)))


def select(capture: Capture, addresses: Mapping[Host, Collection[str]], to: Collection[str] = ()) -> Selection:
    """Find the packets between the hosts; the lab's sentinels (and ICMP errors about them) are left out.

    ``to`` are groups (:func:`groups`): what a host sends to one is to the other host, which may be a member.
    """
    source = [_owned(capture, "src", addresses[host]) for host in HOSTS]
    target = [_owned(capture, "dst", (*addresses[host], *to)) for host in HOSTS]
    from_client = (source[0] >= 0) & (target[1] >= 0)
    from_server = (source[1] >= 0) & (target[0] >= 0)
    rows = np.arange(len(capture))
    considered = ~sentinel_rows(capture)
    considered &= (capture.reassembled_in < 0) | (capture.reassembled_in == rows)
    link_local = (capture.transport == ICMPV6) & np.isin(capture.icmp_type, _MLD + _NDP)
    between = (from_client | from_server) & considered & ~link_local
    return Selection(
        rows=np.flatnonzero(between),
        sender=np.where(from_client, 0, 1)[between],
        client=np.where(from_client, source[0], target[0])[between],
        server=np.where(from_client, target[1], source[1])[between],
        other=_names(capture, considered & ~between),
    )


def sentinels(capture: Capture) -> tuple[bytes, ...]:
    """Return the payloads of the lab's sentinel datagrams in the order in which this capture saw them."""
    return tuple(
        payload
        for row in np.flatnonzero((capture.transport == UDP) & (capture.dport == SENTINEL_PORT))
        if (payload := capture.payload(int(row))).startswith(SENTINEL)
    )


def sentinel_rows(capture: Capture) -> Bool:
    """Tell which rows are sentinels, or ICMP errors that quote one (its port is closed on most hosts)."""
    result = np.zeros(len(capture), np.bool_)
    for row in np.flatnonzero((capture.transport == UDP) & (capture.dport == SENTINEL_PORT)):
        result[row] = capture.payload(int(row)).startswith(SENTINEL)
    for row in np.flatnonzero(capture.embedded_offset >= 0):
        result[row] = _quotes_sentinel(capture.payload(int(row)))
    return result


def _quotes_sentinel(packet: bytes) -> bool:
    protocol, header = quoted_transport(packet)
    datagram = packet[header:]
    port = int.from_bytes(datagram[2:4], "big")
    return protocol == UDP and port == SENTINEL_PORT and datagram[8:].startswith(SENTINEL)


def _owned(capture: Capture, side: str, addresses: Collection[str]) -> Int64:
    """Return for each row which of ``addresses`` its source or destination is, or -1."""
    high, low = getattr(capture, side + "_hi"), getattr(capture, side + "_lo")
    owner = np.full(len(capture), -1, np.int64)
    for index, text in enumerate(addresses):
        wanted_high, wanted_low = map(np.uint64, address_words(text))
        version = 6 if ":" in text else 4
        owner[(low == wanted_low) & (high == wanted_high) & (capture.version == version)] = index
    return owner


def _names(capture: Capture, chosen: Bool) -> dict[str, int]:
    result: Counter[str] = Counter()
    rows = np.flatnonzero(chosen)
    # frames of one kind share these three, so only one of each needs a name
    detail = np.where(capture.transport[rows] == ICMPV6, capture.icmp_type[rows].astype(np.int64), 0)
    code = detail << 40 | capture.transport[rows].astype(np.int64) << 32 | capture.what[rows]
    _, first, counts = np.unique(code, return_index=True, return_counts=True)
    for row, number in zip(rows[first].tolist(), counts.tolist(), strict=True):
        kind = int(capture.icmp_type[row]) if capture.transport[row] == ICMPV6 else 0
        result["NDP" if kind in _NDP else "MLD" if kind in _MLD else capture.kind(row)] += number
    return dict(result)
