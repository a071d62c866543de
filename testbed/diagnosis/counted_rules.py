"""What the columns of two captures show of connections whose packets are not looked at one by one: loss, copies, order.

A row is one of ``compared.table``; a packet is named by its row until the numbers are known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from testbed.model import HOSTS, Host, PacketRef, peer_of
from testbed.model.arrays import AnyInt, Bool, Int64
from testbed.model.evidence import Part, Quantity
from testbed.model.findings import Cost, Culprit, Finding, FindingName, Severity, kernel_of
from testbed.model.ip import TCP
from testbed.model.tcp import FIN, RST, SYN, seq_add
from testbed.pairing.compare_captures import Comparison
from testbed.pairing.fates import RowFate
from testbed.pairing.needed_retransmissions import Needed

NumbersOf = Callable[[Int64], list[int]]
"""Return the numbers of rows."""

_NAMED = 100
"""Packets that a finding names at most."""


def counted(compared: Comparison, others: Bool, numbers_of: NumbersOf) -> Iterator[Finding]:
    """Yield what was lost, doubled, reordered and sent again needlessly on some pairs of flows (bool[pairs])."""
    table, statistics = compared.table, compared.statistics
    places = np.arange(2 * len(others))
    clients = (places & 1) == ~statistics.sent_at_one[::2].repeat(2)
    count = statistics.fates.sum(axis=1)
    rows_of = {
        FindingName.RANDOM_LOSS: np.flatnonzero(table.fate == RowFate.LOST),
        FindingName.DUPLICATED: np.flatnonzero(table.fate == RowFate.DUPLICATED),
        FindingName.REORDERING: np.flatnonzero(table.reordered),
    }
    for host in HOSTS:
        mine = others[places >> 1] & (clients == (host == "client"))
        some = {name: rows[mine[table.place[rows]]] for name, rows in rows_of.items()}
        yield from _lost(compared, some.pop(FindingName.RANDOM_LOSS), int(count[mine].sum()), host, numbers_of)
        for name, rows in some.items():
            if len(rows):
                packets = Quantity(len(rows), "packet")
                yield _finding(name, Severity.NOTE, Culprit.PATH, host, rows, numbers_of, packets=packets)
    yield from _needless(compared, others, numbers_of)


def _lost(compared: Comparison, rows: Int64, total: int, host: Host, numbers_of: NumbersOf) -> Iterator[Finding]:
    """Yield what was lost of ``total`` packets: ACKs, data in a row (the next bytes were lost too), single packets."""
    table = compared.table
    which = np.where(table.one[rows] >= 0, 0, 1)
    flags, seq, protocol = (_at_sender(compared, name, rows, which) for name in ("flags", "seq", "protocol"))
    plain = (protocol == TCP) & ((flags & (SYN | RST)) == 0)
    rows, flags, seq = rows[plain], flags[plain], seq[plain].astype(np.int64)
    length = table.length[rows].astype(np.int64)
    acks = rows[(length == 0) & ((flags & FIN) == 0)]
    data = length > 0
    rows, seq, length = rows[data], seq[data], length[data]
    order = np.lexsort((seq, table.place[rows]))
    place, seq, length = table.place[rows][order], seq[order], length[order]
    follows = (place[1:] == place[:-1]) & (seq[1:] == seq_add(seq[:-1], length[:-1]))
    row_of = rows[order]
    several = np.zeros(len(row_of), np.bool_)
    several[1:] |= follows
    several[:-1] |= follows
    for name, lost in (
        (FindingName.RANDOM_LOSS, np.sort(row_of[~several])),
        (FindingName.BURST_LOSS, np.sort(row_of[several])),
        (FindingName.ACK_LOSS, acks),
    ):
        if len(lost):
            severity = Severity.NOTE if name is FindingName.ACK_LOSS else Severity.WARNING
            facts: dict[str, Part] = {
                "lost": Quantity(len(lost), "packet"),
                "of": Quantity(total),
            }
            yield _finding(name, severity, Culprit.PATH, host, lost, numbers_of, "counted", **facts)


def _needless(compared: Comparison, others: Bool, numbers_of: NumbersOf) -> Iterator[Finding]:
    """Yield bytes that were sent again although they had arrived, where no ACK of them was lost."""
    table, statistics = compared.table, compared.statistics
    rows, verdicts = statistics.repeated
    place = table.place[rows]
    heard = statistics.fates[place ^ 1, RowFate.LOST] == 0
    some = (verdicts == Needed.NO) & others[place >> 1] & heard & (table.length[rows] > 1)
    turned = ~statistics.sent_at_one[::2][place >> 1]
    for host in HOSTS:
        mine = rows[some & ((place & 1 == turned) == (host == "client"))]
        if len(mine):
            yield _finding(
                FindingName.SPURIOUS_RETRANSMISSION,
                Severity.NOTE,
                kernel_of(host),
                host,
                mine,
                numbers_of,
                packets=Quantity(len(mine), "packet"),
                bytes=Quantity(int(table.length[mine].sum()), "byte"),
            )


def _at_sender(compared: Comparison, name: str, rows: Int64, which: AnyInt) -> AnyInt:
    """Return a column of the packets of some rows, each from the capture that has it (0 or 1)."""
    table = compared.table
    one, two = (getattr(packets, name) for packets in compared.packets)
    if not len(one) or not len(two):
        return np.zeros(len(rows), np.int64)
    return np.asarray(np.where(which == 0, one[table.one[rows]], two[table.two[rows]]))


def _finding(
    name: FindingName,
    severity: Severity,
    who: Culprit,
    host: Host,
    rows: Int64,
    numbers_of: NumbersOf,
    variant: str = "",
    **facts: Part,
) -> Finding:
    numbers = numbers_of(rows[:_NAMED])
    first: Part = PacketRef(numbers[0])
    return Finding(
        name,
        severity,
        who,
        None,
        {"host": host, "peer": peer_of(host), "first": first, **facts},
        variant=variant,
        packets=tuple(numbers),
        cost=Cost(),
    )
