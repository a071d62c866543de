"""Why two captures have nothing in common."""

from __future__ import annotations

from testbed.model.ip import AH, ESP, GRE, TCP, UDP
from testbed.pairing.match_flows import FlowPairs
from testbed.pairing.packet_table import PacketTable

_TUNNEL_PORTS = (51820, 4500, 500, 1194)  # WireGuard, IPsec NAT traversal, IKE, OpenVPN
_MINUTE = 60 * 10**9


def why_nothing(one: PacketTable, two: PacketTable, pairs: FlowPairs) -> tuple[str, ...]:
    """Return what the captures show of the reason, the most telling first."""
    for packets, name in ((one, "first"), (two, "second")):
        if not len(packets):
            return (f"the {name} capture has no IP packet",)
    reasons = []
    if pairs.ambiguous[0]:
        reasons.append(f"{len(pairs.ambiguous[0])} flows of the first capture fit several of the second equally well")
    (begin, end), (other_begin, other_end) = one.span, two.span
    apart = max(other_begin - end, begin - other_end)
    if apart > 0:
        reasons.append(f"other time: the captures are {_duration(apart)} apart (unless a clock is wrong by that much)")
    tunnels = [_tunnel(packets) for packets in (one, two)]
    if any(tunnels) and tunnels[0] != tunnels[1]:
        where = "first" if tunnels[0] else "second"
        reasons.append(f"encrypted: the {where} capture holds a tunnel ({tunnels[0] or tunnels[1]})")
    same = {ends for ends in one.ends if ends.protocol in (TCP, UDP)} & set(two.ends)
    if same:
        example = min(same, key=str)
        reasons.append(
            f"addresses and ports are in both (of {len(same)} flow{'s' * (len(same) > 1)}, as {example}), but neither "
            "initial sequence numbers nor payloads: another connection, or terminated by a proxy"
        )
    else:
        addresses = [{address for ends in packets.ends for address in ends.addresses} for packets in (one, two)]
        shared = addresses[0] & addresses[1]
        about = f"addresses in both: {', '.join(sorted(shared)[:4])}" if shared else "not one address is in both"
        reasons.append(
            f"other flows, or terminated by a proxy or encrypted in between: {about}; no initial sequence number, "
            "payload or time stamp is in both"
        )
    return tuple(reasons)


def why_filtered(chosen: tuple[int, int], common: int) -> tuple[str, ...]:
    """Return the reason where it is the filter; () where it is not.

    ``chosen`` are the flows of each capture that fit it, ``common`` the flows that both have without it.
    """
    if not any(chosen):
        return ("no flow of either capture fits the filter",)
    for count, name in zip(chosen, ("first", "second"), strict=True):
        if not count:
            return (f"no flow of the {name} capture fits the filter",)
    if common:
        return (f"what fits the filter is in one capture only; other flows are in both: {common}",)
    return ()


def _tunnel(packets: PacketTable) -> str:
    for ends in packets.ends:
        if ends.protocol in (ESP, AH, GRE):
            return {ESP: "ESP", AH: "AH", GRE: "GRE"}[ends.protocol]
        if ends.protocol == UDP and set(ends.ports) & set(_TUNNEL_PORTS):
            return f"UDP port {next(port for port in ends.ports if port in _TUNNEL_PORTS)}"
    return ""


def _duration(ns: int) -> str:
    return f"{ns / 10**9:.1f} s" if ns < 10 * _MINUTE else f"{ns / _MINUTE / 60:.1f} h"
