"""ICMP errors by the flow that they quote: who said what about it, and which tap captured it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from testbed.model.arrays import Int64
from testbed.model.ip import ICMP
from testbed.pairing.compare_captures import Comparison
from testbed.pairing.flow_table import Flows
from testbed.pairing.packet_table import PacketTable
from testbed.pairing.quoting_flows import NO_ERROR, quoted_conversations


@dataclass(frozen=True, slots=True)
class IcmpError:
    """An ICMP error (RFC 792, RFC 4443) as far as it is the same whenever it is said: who says what.

    ``six`` says that it is one of ICMPv6. ``mtu`` is the size (bytes) that it asks for, None where it asks for none.
    """

    six: bool
    type: int
    code: int
    mtu: int | None
    by: str


@dataclass(slots=True)
class ErrorsAbout:
    """Errors of one kind about a flow.

    ``packets`` are how many each tap captured. ``misquoted`` says that one tap has them with a quote that names no flow
    there, although the other's names this one: what lies between rewrites the flow and not the quote.
    """

    error: IcmpError
    packets: list[int] = field(default_factory=lambda: [0, 0])
    misquoted: bool = False


def errors_of_capture(packets: PacketTable, flows: Flows) -> dict[int, list[ErrorsAbout]]:
    """Return the errors about each flow that one capture has, by the flow's number."""
    quotes = quoted_conversations(packets, flows)
    found: dict[tuple[int, IcmpError], ErrorsAbout] = {}
    for row in _rows(flows, quotes >= 0):
        about = _flow_at(flows, int(quotes[flows.of[row]]), row)
        error = _error(packets, row)
        found.setdefault((about, error), ErrorsAbout(error)).packets[0] += 1
    return _by_flow(found)


def errors_of_pairs(compared: Comparison) -> dict[int, list[ErrorsAbout]]:
    """Return the errors about each flow that both captures have, by the number of the pair."""
    found: dict[tuple[int, IcmpError], ErrorsAbout] = {}
    quotes = [quoted_conversations(*each) for each in zip(compared.packets, compared.flows, strict=True)]
    if not any(bool((each > NO_ERROR).any()) for each in quotes):
        return {}
    pair_of, partner = [], []
    sides = compared.pairs.a, compared.pairs.b
    for which, (mine, others) in enumerate((sides, sides[::-1])):
        pair_of.append(np.full(len(compared.flows[which]), -1, np.int64))
        partner.append(np.full(len(compared.flows[which]), -1, np.int64))
        pair_of[-1][mine], partner[-1][mine] = np.arange(len(mine)), others
    for which, flows in enumerate(compared.flows):
        for row in _rows(flows, quotes[which] > NO_ERROR):
            flow, misquoted = int(flows.of[row]), False
            other = int(partner[which][flow])
            pair = _pair_of_quoted(flows, int(quotes[which][flow]), row, pair_of[which])
            if pair < 0 and other >= 0:
                there, quoted = compared.flows[1 - which], int(quotes[1 - which][other])
                misquoted = bool(quotes[which][flow] < 0)
                pair = _pair_of_quoted(there, quoted, int(there.first[other]), pair_of[1 - which])
            if pair < 0:
                continue
            error = _error(compared.packets[which], row)
            if which and other >= 0:  # as the first capture names it
                flip = int(compared.pairs.flip[pair_of[which][flow]])
                side = int(compared.packets[1].side[row]) ^ flip
                ends = compared.packets[0].ends[int(compared.flows[0].conversation[other])]
                error = replace(error, by=ends.addresses[side])
            told = found.setdefault((pair, error), ErrorsAbout(error))
            told.packets[which] += 1
            told.misquoted |= misquoted
    return _by_flow(found)


def _rows(flows: Flows, wanted: np.typing.NDArray[np.bool_]) -> list[int]:
    return np.flatnonzero(wanted[flows.of]).tolist() if wanted.any() else []


def _by_flow(found: dict[tuple[int, IcmpError], ErrorsAbout]) -> dict[int, list[ErrorsAbout]]:
    result: dict[int, list[ErrorsAbout]] = {}
    for (about, _), told in found.items():
        result.setdefault(about, []).append(told)
    return result


def _pair_of_quoted(flows: Flows, conversation: int, row: int, pair_of: Int64) -> int:
    return int(pair_of[_flow_at(flows, conversation, row)]) if conversation >= 0 else -1


def _flow_at(flows: Flows, conversation: int, row: int) -> int:
    """Return the last flow of a conversation that had begun at a packet, else the first one."""
    mine = np.flatnonzero(flows.conversation == conversation)
    begun = mine[flows.first[mine] <= row]
    return int(begun[-1] if len(begun) else mine[0])


def _error(packets: PacketTable, row: int) -> IcmpError:
    word, protocol = int(packets.icmp[row]), int(packets.protocol[row])
    kind, code, rest = word >> 40 & 0xFF, word >> 32 & 0xFF, word & 0xFFFFFFFF
    mtu = None
    if protocol != ICMP and kind == 2:  # packet too big (RFC 4443 section 3.2)
        mtu = rest
    elif protocol == ICMP and (kind, code) == (3, 4) and rest & 0xFFFF:  # RFC 1191 section 4
        mtu = rest & 0xFFFF
    by = packets.ends[int(packets.conversation[row])].addresses[int(packets.side[row])]
    return IcmpError(protocol != ICMP, kind, code, mtu, by)
