"""Why two captures have nothing in common, as facts; ``report/text/comparison_reasons.py`` makes sentences of them.

A ``capture`` is 0 for the first and 1 for the second.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from testbed.model.ip import AH, ESP, GRE, TCP, UDP
from testbed.pairing.match_flows import FlowPairs
from testbed.pairing.packet_table import ConversationEnds, PacketTable

_TUNNEL_PORTS = (51820, 4500, 500, 1194)  # WireGuard, IPsec NAT traversal, IKE, OpenVPN
_MOST_SHOWN = 4


class EmptyCapture(NamedTuple):
    """A capture has no IP packet."""

    capture: int


class AmbiguousFlows(NamedTuple):
    """So many flows of the first capture fit several of the second equally well."""

    flows: int


class CapturedApart(NamedTuple):
    """One capture begins ``apart`` ns after the other ended."""

    apart: int


class Tunnel(NamedTuple):
    """What encrypts or encapsulates: an IP ``protocol``, and the ``port`` if that is UDP, else 0."""

    protocol: int
    port: int = 0


class EncryptedInOne(NamedTuple):
    """A capture holds a tunnel that the other does not."""

    capture: int
    tunnel: Tunnel


class OtherConnections(NamedTuple):
    """Addresses and ports of so many flows are in both, but not their initial sequence numbers.

    ``payloads``: how many different payloads are in both captures.
    """

    flows: int
    example: ConversationEnds
    payloads: int = 0


class OtherFlows(NamedTuple):
    """No flow has its addresses and ports in both; these addresses are, in the order of their texts.

    ``payloads``: how many different payloads are in both captures.
    """

    addresses: tuple[str, ...]
    payloads: int = 0


class NothingFitsFilter(NamedTuple):
    """No flow of these captures fits the filter."""

    captures: tuple[int, ...]


class FitsInOneCapture(NamedTuple):
    """What fits the filter is in one capture only; so many other flows are in both."""

    common: int


NothingInCommon = (
    EmptyCapture
    | AmbiguousFlows
    | CapturedApart
    | EncryptedInOne
    | OtherConnections
    | OtherFlows
    | NothingFitsFilter
    | FitsInOneCapture
)


def why_nothing(one: PacketTable, two: PacketTable, pairs: FlowPairs) -> tuple[NothingInCommon, ...]:
    """Return what the captures show of the reason, the most telling first."""
    for capture, packets in enumerate((one, two)):
        if not len(packets):
            return (EmptyCapture(capture),)
    reasons: list[NothingInCommon] = []
    if pairs.ambiguous[0]:
        reasons.append(AmbiguousFlows(len(pairs.ambiguous[0])))
    (begin, end), (other_begin, other_end) = one.span, two.span
    apart = max(other_begin - end, begin - other_end)
    if apart > 0:
        reasons.append(CapturedApart(apart))
    first, second = _tunnel(one), _tunnel(two)
    if first != second and (tunnel := first or second) is not None:
        reasons.append(EncryptedInOne(0 if first else 1, tunnel))
    payloads = len(np.intersect1d(one.payload[one.payload != 0], two.payload))
    same = {ends for ends in one.ends if ends.protocol in (TCP, UDP)} & set(two.ends)
    if same:
        reasons.append(OtherConnections(len(same), min(same, key=str), payloads))
    else:
        addresses = [{address for ends in packets.ends for address in ends.addresses} for packets in (one, two)]
        reasons.append(OtherFlows(tuple(sorted(addresses[0] & addresses[1])[:_MOST_SHOWN]), payloads))
    return tuple(reasons)


def why_filtered(chosen: tuple[int, int], common: int) -> tuple[NothingInCommon, ...]:
    """Return the reason where it is the filter; () where it is not.

    ``chosen`` are the flows of each capture that fit it, ``common`` the flows that both have without it.
    """
    without = tuple(capture for capture, count in enumerate(chosen) if not count)
    if without:
        return (NothingFitsFilter(without),)
    return (FitsInOneCapture(common),) if common else ()


def _tunnel(packets: PacketTable) -> Tunnel | None:
    for ends in packets.ends:
        if ends.protocol in (ESP, AH, GRE):
            return Tunnel(ends.protocol)
        if ends.protocol == UDP and set(ends.ports) & set(_TUNNEL_PORTS):
            return Tunnel(UDP, next(port for port in ends.ports if port in _TUNNEL_PORTS))
    return None
