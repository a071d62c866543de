"""Summary of one flow of a comparison: its mapping, its handshake, its close, filters for Wireshark."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from testbed.model.ip import PROTOCOL_NAMES, TCP, UDP
from testbed.model.tcp import seq_diff
from testbed.pairing.compare_captures import Comparison
from testbed.pairing.fates import RowFate
from testbed.pairing.flow_changes import FlowChange
from testbed.pairing.packet_table import ConversationEnds
from testbed.pairing.terminated import TerminatedFlow

NAMES = ("client", "server")


@dataclass(frozen=True, slots=True)
class FlowMapping:
    """How a flow looks at both ends; each entry of ``rewritten`` is one thing that was rewritten.

    ``ends`` are (opener, other end) in each capture. ``ttl`` is by how much the TTL changed on the way for packets
    of each direction, ``sequence`` by how much the second capture's numbers are higher; None where nothing crossed.
    ``vlan`` is the outermost tag of the first packet in each, -1 without one; that it differs is no rewriting.
    ``changed`` are other changes of all its packets, ``quoted`` is the conversation that ICMP errors are about.
    """

    ends: tuple[tuple[str, str], tuple[str, str]]
    ttl: tuple[int | None, int | None]
    sequence: tuple[int, int]
    vlan: tuple[int, int]
    rewritten: tuple[str, ...]
    changed: tuple[FlowChange, ...] = ()
    quoted: str = ""

    @property
    def text(self) -> str:
        """One line: ``10.0.0.5:4711 -> 203.0.113.9:60012, TTL -17, sequence +0``."""
        parts = [one if one == two else f"{one} -> {two}" for one, two in zip(self.ends[0], self.ends[1], strict=True)]
        known = [ttl for ttl in self.ttl if ttl is not None]
        if known:
            parts.append(f"TTL {known[0]:+d}" if len(set(known)) == 1 else f"TTL {known[0]:+d} and {known[1]:+d}")
        same = self.sequence[0] == self.sequence[1]
        parts.append(f"sequence {self.sequence[0]:+d}" + ("" if same else f" and {self.sequence[1]:+d}"))
        parts += [f"errors about {self.quoted}"] if self.quoted else []
        if self.vlan[0] != self.vlan[1]:
            parts.append(f"VLAN {_vlan(self.vlan[0])} -> {_vlan(self.vlan[1])}")
        if "ip ids" in self.rewritten:
            parts.append("new IP identifications")
        told = dict.fromkeys((fact.field, fact.before, fact.after) for fact in self.changed)
        parts.extend(f"{field} {_absent(before)} -> {_absent(after)}" for field, before, after in told)
        return ", ".join(parts)


def _absent(value: int | None) -> str:
    return "none" if value is None else str(value)


def _vlan(tag: int) -> str:
    return "none" if tag < 0 else str(tag)


def protocol_name(number: int) -> str:
    """Return ``tcp``, ``udp``, ... or ``ip protocol N``."""
    return PROTOCOL_NAMES.get(number, f"ip protocol {number}")


def flow_mapping(compared: Comparison, pair: int) -> FlowMapping:
    """Return how a flow's packets were rewritten as a whole."""
    pairs, (one, two), (first, second) = compared.pairs, compared.packets, compared.flows
    a, b = int(pairs.a[pair]), int(pairs.b[pair])
    opener = int(pairs.opener[pair])
    there = opener ^ int(pairs.flip[pair])
    ours, theirs = one.ends[int(first.conversation[a])], two.ends[int(second.conversation[b])]
    ends = (ours.end(opener), ours.end(1 - opener)), (theirs.end(there), theirs.end(1 - there))
    shift = tuple(seq_diff(int(pairs.shift[pair, side]), 0) for side in (opener, 1 - opener))
    ttl: list[int | None] = []
    for direction in (0, 1):
        place = 2 * pair + direction
        crossed = int(compared.statistics.fates[place, RowFate.CROSSED]) > 0
        sent_at_one = _sent_at_one(compared, place)
        drop = int(compared.usual.ttl[place])
        ttl.append((-drop if sent_at_one else drop) if crossed else None)
    vlan = int(one.vlan[first.first[a]]), int(two.vlan[second.first[b]])
    rewritten = []
    hosts = [tuple(each.addresses[side] for side in order) for each, order in _orders(ours, theirs, opener, there)]
    ports = [tuple(each.ports[side] for side in order) for each, order in _orders(ours, theirs, opener, there)]
    if hosts[0] != hosts[1]:
        rewritten.append("addresses")
    if ports[0] != ports[1]:
        rewritten.append("ports")
    if any(shift):
        rewritten.append("sequence numbers")
    if bool(compared.usual.new_ids[2 * pair : 2 * pair + 2].any()):
        rewritten.append("ip ids")
    if any(each is not None and each > 0 for each in ttl):
        rewritten.append("ttl")
    changed = tuple(fact for fact in compared.usual.facts if fact.place >> 1 == pair)
    rewritten += dict.fromkeys(fact.field.value for fact in changed)
    quoted = "" if ours.quoted is None else str(ours.quoted)
    return FlowMapping(ends, (ttl[0], ttl[1]), (shift[0], shift[1]), vlan, tuple(rewritten), changed, quoted)


def _orders(
    ours: ConversationEnds, theirs: ConversationEnds, opener: int, there: int
) -> list[tuple[ConversationEnds, tuple[int, int]]]:
    return [(ours, (opener, 1 - opener)), (theirs, (there, 1 - there))]


def _sent_at_one(compared: Comparison, place: int) -> bool:
    return bool(compared.statistics.sent_at_one[place])


def terminated_ends(compared: Comparison, flow: TerminatedFlow) -> tuple[str, str]:
    """Return a terminated connection as each capture names it: opener, then the other end."""
    told = []
    for which, (number, side) in enumerate(((flow.a, flow.opener), (flow.b, flow.opener ^ flow.flip))):
        ends = compared.packets[which].ends[int(compared.flows[which].conversation[number])]
        told.append(f"{ends.end(side)} - {ends.end(1 - side)}")
    return told[0], told[1]


def opener_end(compared: Comparison, pair: int) -> str:
    """Return which capture's end opened the flow."""
    return NAMES[0 if _sent_at_one(compared, 2 * pair) else 1]


def handshake_text(compared: Comparison, pair: int) -> str:
    """Return what the captures show of a TCP connection's opening, in words."""
    statistics = compared.statistics
    took = int(statistics.handshake[pair])
    if took >= 0:
        return f"complete, SYN to SYN+ACK {took / 1e6:.3f} ms at the {opener_end(compared, pair)}"
    if statistics.syn[2 * pair] >= 0:
        return "SYN answered late or not" if statistics.syn[2 * pair + 1] < 0 else "seen in part"
    return "not captured"


def close_text(compared: Comparison, pair: int) -> str:
    """Return who ended a TCP connection, and how: ``client FIN, then server RST``."""
    statistics = compared.statistics
    who = opener_end(compared, pair)
    names = who, NAMES[1 - NAMES.index(who)]
    fins = [int(statistics.fin[2 * pair + k]) for k in (0, 1)]
    resets = [int(statistics.rst[2 * pair + k]) for k in (0, 1)]
    events = []
    order = sorted((time, names[k], kind) for kind, times in (("FIN", fins), ("RST", resets))
                   for k, time in enumerate(times) if time >= 0)  # fmt: skip
    for _, name, kind in order:
        events.append(f"{name} {kind}")
    return ", then ".join(events) if events else "not seen"


def display_filter(compared: Comparison, which: int, flow: int) -> str:
    """Return a display filter for Wireshark that shows one flow of one capture (0: first, 1: second)."""
    packets, flows = compared.packets[which], compared.flows[which]
    conversation = int(flows.conversation[flow])
    ends = packets.ends[conversation]
    family = "ip" if ends.version == 4 else "ipv6"
    parts = [f"{family}.addr == {address}" for address in dict.fromkeys(ends.addresses)]
    if ends.protocol in (TCP, UDP):
        name = protocol_name(ends.protocol)
        parts += [f"{name}.port == {port}" for port in dict.fromkeys(ends.ports)]
    elif ends.echo is not None:
        parts.append(f"{'icmp.ident' if ends.version == 4 else 'icmpv6.echo.identifier'} == {ends.echo}")
    else:
        parts.append(f"{family}.{'proto' if ends.version == 4 else 'nxt'} == {ends.protocol}")
    if int(np.count_nonzero(flows.conversation == conversation)) > 1:
        frames = packets.frame[[int(flows.first[flow]), int(flows.last[flow])]] + 1
        parts.append(f"frame.number >= {frames[0]} && frame.number <= {frames[1]}")
    return " && ".join(parts)
