"""Split a four-tuple into successive connections.

A connection is known by its initial sequence numbers: a SYN, or a SYN+ACK (its own number, and the one that it
acknowledges minus one). A SYN with another number is another connection, also after RST or FIN; the same number is
a repeat. A SYN that only its target captured, and did not answer, was forged on the way: it begins nothing. A
four-tuple that was used once, as nearly always, is not examined packet by packet.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from testbed.analysis.join.lab_frames import Selection
from testbed.model import HOSTS, Host
from testbed.model.arrays import Int64
from testbed.model.ip import TCP
from testbed.model.tcp import ACK, RST, SYN, seq_add, seq_diff, seq_offset

if TYPE_CHECKING:
    from testbed.capture.columns import Capture

_SLACK = 2**20  # bytes beyond the highest number so far that a packet may be: loss in the capture, a window
_RECENT = 3  # a late packet belongs to one of so many connections
_UNKNOWN = 2**33  # worse than any distance between two sequence numbers

Token = tuple[int, int]  # host (0 client, 1 server) and its initial sequence number


@dataclass(slots=True)
class Connection:
    """One connection of a conversation: initial sequence numbers of client and server, None where not captured."""

    isn: list[int | None] = field(default_factory=lambda: [None, None])
    reached: list[int] = field(default_factory=lambda: [0, 0])  # highest relative number so far
    last: list[int | None] = field(default_factory=lambda: [None, None])


@dataclass(slots=True)
class Connections:
    """For each host's packets the connection within their conversation (int64[n]), and what is known of each.

    ``known`` goes by conversation and number; ``by_token`` gives the number by conversation and token.
    """

    of: dict[Host, Int64]
    known: dict[tuple[int, int], Connection] = field(default_factory=dict)
    by_token: dict[tuple[int, int, int], int] = field(default_factory=dict)


def split_connections(
    captures: Mapping[Host, Capture], selections: Mapping[Host, Selection], conversations: Mapping[Host, Int64]
) -> Connections:
    """Count the connections of each conversation from 0, the same in both captures."""
    of = {host: np.zeros(len(selections[host].rows), np.int64) for host in HOSTS}
    found = Connections(of)
    syns: dict[Host, Int64] = {}
    for host in HOSTS:
        capture, rows = captures[host], selections[host].rows
        syns[host] = np.flatnonzero((capture.transport[rows] == TCP) & ((capture.flags[rows] & SYN) != 0))
    tokens = _all_tokens(captures, selections, conversations, syns)
    reused = set()
    older = {}
    for conversation, seen in tokens.items():
        groups = _groups(seen)
        older[conversation] = len(groups)
        for number, group in enumerate(groups):
            generation = found.known[conversation, number] = Connection()
            for side, isn in group:
                generation.isn[side] = isn
                found.by_token[conversation, side, isn] = number
        if len(groups) > 1:
            reused.add(conversation)
    for host in HOSTS:
        reused |= _begun_before(conversations[host], syns[host])
    for host in HOSTS:
        # one by one, in file order
        items = np.flatnonzero(np.isin(conversations[host], list(reused)))
        _assign(captures[host], selections[host], conversations[host], items, found, of[host], older)
        for generation in found.known.values():
            generation.reached, generation.last = [0, 0], [None, None]
    return found


def _all_tokens(
    captures: Mapping[Host, Capture],
    selections: Mapping[Host, Selection],
    conversations: Mapping[Host, Int64],
    syns: Mapping[Host, Int64],
) -> dict[int, list[tuple[Token, ...]]]:
    """Return for each conversation what every SYN and SYN+ACK says of initial sequence numbers."""
    tokens: dict[int, list[tuple[Token, ...]]] = defaultdict(list)
    seen_by_target: list[tuple[int, Token]] = []
    answers: list[tuple[int, Token, int]] = []
    opened: dict[tuple[int, int, int], int] = {}  # conversation, sender, number that an answer acknowledges
    for host in HOSTS:
        capture, chosen = captures[host], selections[host]
        for item in syns[host].tolist():
            row, sender = int(chosen.rows[item]), int(chosen.sender[item])
            conversation, isn = int(conversations[host][item]), int(capture.seq[row])
            if int(capture.flags[row]) & ACK:
                answers.append((conversation, (sender, isn), int(capture.ack[row])))
                continue
            if HOSTS[sender] == host:
                tokens[conversation].append(((sender, isn),))
            else:
                seen_by_target.append((conversation, (sender, isn)))
            for end in (1, 1 + int(capture.payload_length[row])):  # TCP Fast Open: data on the SYN (RFC 7413)
                opened[conversation, sender, seq_add(isn, end)] = isn
    for conversation, own, acknowledged in answers:
        peer = 1 - own[0]
        isn = opened.get((conversation, peer, acknowledged), seq_add(acknowledged, -1))
        tokens[conversation].append((own, (peer, isn)))
    for conversation, token in seen_by_target:
        if not tokens[conversation]:  # the other capture may have begun later
            tokens[conversation].append((token,))
    return tokens


def _groups(seen: list[tuple[Token, ...]]) -> list[set[Token]]:
    """Return the tokens of each connection: those of one packet belong together, directly or through others."""
    of: dict[Token, set[Token]] = {}
    for together in dict.fromkeys(seen):
        merged = set(together).union(*(of.get(token, ()) for token in together))
        of.update(dict.fromkeys(merged, merged))
    return list({id(group): group for group in of.values()}.values())


def _begun_before(conversations: Int64, syns: Int64) -> set[int]:
    """Return the conversations with a packet before their first SYN, maybe of an older connection."""
    keys, first = np.unique(conversations, return_index=True)
    with_syn, position = np.unique(conversations[syns], return_index=True)
    first_syn = syns[position]
    begun = first[np.searchsorted(keys, with_syn)] < first_syn
    return set(with_syn[begun].tolist())


def _assign(
    capture: Capture,
    chosen: Selection,
    conversations: Int64,
    items: Int64,
    found: Connections,
    of: Int64,
    older: Mapping[int, int],
) -> None:
    opened: dict[int, list[int]] = defaultdict(list)
    for item in items.tolist():
        conversation = int(conversations[item])
        row, sender = int(chosen.rows[item]), int(chosen.sender[item])
        begun = found.by_token.get((conversation, sender, int(capture.seq[row])))
        if int(capture.flags[row]) & SYN and begun is not None:
            number = begun
            if number not in opened[conversation][-_RECENT:]:
                opened[conversation].append(number)
        else:
            number = _nearest(capture, row, sender, conversation, found, opened[conversation], older[conversation])
        of[item] = number
        generation = found.known.setdefault((conversation, number), Connection())
        isn, sequence = generation.isn[sender], int(capture.seq[row])
        if isn is not None:
            end = seq_offset(sequence, isn) + int(capture.payload_length[row])
            generation.reached[sender] = max(generation.reached[sender], end)
        generation.last[sender] = sequence


def _nearest(
    capture: Capture, row: int, sender: int, conversation: int, found: Connections, opened: list[int], older: int
) -> int:
    """Return the connection whose numbers the packet continues, the newest of those that fit.

    ``older`` is the number of the connection that was there before the first SYN, if there was one.
    """
    candidates = opened[: -_RECENT - 1 : -1] or [0]
    scores = {number: _distance(capture, row, sender, found.known[conversation, number]) for number in candidates}
    best = min(candidates, key=scores.__getitem__)
    if scores[best] == 0:
        return best
    before = found.known.get((conversation, older))
    if not opened:
        return older
    last = before.last[sender] if before else None
    if last is not None:
        gap = seq_diff(int(capture.seq[row]), last)
        if abs(gap) < min(scores[best], _SLACK):
            return older
    return best


def _distance(capture: Capture, row: int, sender: int, generation: Connection) -> int:
    """Return how far a packet's number lies outside what a connection has reached, 0 when it fits."""
    number, side = int(capture.seq[row]), sender
    if not number and int(capture.flags[row]) & (RST | ACK) == RST | ACK:
        number, side = int(capture.ack[row]), 1 - sender  # RFC 9293 3.10.7.1: it answers by acknowledging
    isn = generation.isn[side]
    if isn is None:
        return _UNKNOWN
    beyond = seq_offset(number, isn) - generation.reached[side]
    return 0 if beyond <= _SLACK else beyond
