"""ICMP errors belong to the flow that they quote: which flow that is, and which errors of both captures may be one.

A NAT rewrites what an error quotes as it rewrites the flow, or leaves it as it is (tools that rewrite captures do).
So the flow that is quoted is evidence where it is known, and never a condition.
"""

from __future__ import annotations

import numpy as np

from testbed.model.arrays import Int64
from testbed.model.ip import ICMP, ICMPV6
from testbed.pairing.flow_table import Flows
from testbed.pairing.packet_table import PacketTable

NO_ERROR = -2
_MOST = 32  # flows of errors between two addresses that are tried with each other


def quoted_conversations(packets: PacketTable, flows: Flows) -> Int64:
    """Return the conversation that each flow's packets quote: int64[flows], -1 for one that the capture lacks.

    Flows that are no errors have NO_ERROR, which is lower.
    """
    if not ((packets.protocol == ICMP) | (packets.protocol == ICMPV6)).any():
        return np.full(len(flows), NO_ERROR, np.int64)
    result = np.full(len(packets.ends), NO_ERROR, np.int64)
    errors = [number for number, ends in enumerate(packets.ends) if ends.quoted is not None]
    if errors:
        known = {ends: number for number, ends in enumerate(packets.ends)}
        result[errors] = [known.get(packets.ends[number].quoted, -1) for number in errors]  # type: ignore[arg-type]
    return result[flows.conversation]


def about_the_same(
    quotes: tuple[Int64, Int64], flows: tuple[Flows, Flows], pairs: tuple[Int64, Int64]
) -> tuple[Int64, Int64]:
    """Return pairs of flows of errors that quote conversations of which flows are the same (``pairs``)."""
    related: dict[int, set[int]] = {}
    conversations = (flows[k].conversation[pairs[k]].tolist() for k in (0, 1))
    for a, b in zip(*conversations, strict=True):
        related.setdefault(a, set()).add(b)
    errors: dict[int, list[int]] = {}
    for flow in np.flatnonzero(quotes[1] >= 0).tolist():
        errors.setdefault(int(quotes[1][flow]), []).append(flow)
    found = [
        (flow, other)
        for flow in np.flatnonzero(quotes[0] >= 0).tolist()
        for conversation in sorted(related.get(int(quotes[0][flow]), ()))
        for other in errors.get(conversation, ())
    ]
    made = np.array(found, np.int64).reshape(-1, 2)
    return made[:, 0], made[:, 1]


def between_the_same(
    packets: tuple[PacketTable, PacketTable], flows: tuple[Flows, Flows], matched: tuple[Int64, Int64],
    unclear: tuple[list[int], list[int]],
) -> tuple[Int64, Int64]:  # fmt: skip
    """Return pairs of flows of ICMP that are left and have the same addresses, whatever they quote; echos are none."""
    numbers: list[dict[tuple[str, str], list[int]]] = []
    for each, mine, used, doubtful in zip(packets, flows, matched, unclear, strict=True):
        left = np.isin(mine.protocol, (ICMP, ICMPV6))
        left[used] = False
        left[doubtful] = False
        known: dict[tuple[str, str], list[int]] = {}
        for flow in np.flatnonzero(left).tolist():
            if (ends := each.ends[int(mine.conversation[flow])]).echo is None:
                known.setdefault(ends.addresses, []).append(flow)
        numbers.append(known)
    found = [
        (flow, other)
        for addresses, ours in numbers[0].items()
        for flow in ours[:_MOST]
        for other in numbers[1].get(addresses, ())[:_MOST]
    ]
    made = np.array(found, np.int64).reshape(-1, 2)
    return made[:, 0], made[:, 1]
