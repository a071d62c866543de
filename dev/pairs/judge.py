"""Judge a comparison of a known pair: what is joined wrongly, missed or ambiguous, and whether it has a mirror."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dev.pairs.made_packets import Seen, pcap
from dev.pairs.pair_kinds import KnownPair
from testbed.capture.read_file import load
from testbed.pairing.compare_captures import Comparison, compare
from testbed.pairing.fates import RowFate
from testbed.run.read_captures import Read, read_one


@dataclass(frozen=True, slots=True)
class Judged:
    """Counts of packets: ``wrong`` are joined and not the same, ``missed`` are the same and not joined.

    ``mirrored`` says whether the other order of files gives the mirror.
    """

    wrong: int
    missed: int
    ambiguous: int
    packets: int
    mirrored: bool


def read_seen(seen: list[Seen]) -> Read:
    """Return what the comparison needs of a made-up capture."""
    return read_one(load(pcap(seen)))


def judge(pair: KnownPair) -> Judged:
    """Compare in both orders and judge."""
    seens = [sorted(each, key=lambda one: one.time) for each in (pair.one, pair.two)]
    reads = [read_seen(each) for each in seens]
    compared, other = compare(*reads[0], *reads[1]), compare(*reads[1], *reads[0])
    wrong, missed, ambiguous = _count(compared, seens)
    packets = len(seens[0]) + len(seens[1])
    return Judged(wrong, missed, ambiguous, packets, as_seen(compared) == as_seen(other, turned=True))


def _count(compared: Comparison, seens: list[list[Seen]]) -> tuple[int, int, int]:
    table = compared.table
    ids = [[each.packet.ids for each in seen] for seen in seens]
    frames = [packets.frame for packets in compared.packets]
    wrong, joined = 0, set()
    for row in np.flatnonzero((table.one >= 0) & (table.two >= 0)).tolist():
        a, b = (ids[k][int(frames[k][items[row]])] for k, items in enumerate((table.one, table.two)))
        wrong += not set(a) & set(b)
        joined |= set(a) & set(b)
    unclear = int((table.fate == RowFate.AMBIGUOUS).sum())
    known = set(joined)
    for which, flows in enumerate(compared.pairs.ambiguous):
        unclear += int(compared.flows[which].count[flows].sum())
    excused: set[int] = set()
    for which, items in enumerate((table.one, table.two)):
        rows = np.flatnonzero((table.fate == RowFate.AMBIGUOUS) & (items >= 0))
        for item in items[rows].tolist():
            excused |= set(ids[which][int(frames[which][item])])
        for flow in compared.pairs.ambiguous[which]:
            for item in np.flatnonzero(compared.flows[which].of == flow).tolist():
                excused |= set(ids[which][int(frames[which][item])])
    crossed = {number for each in ids[0] for number in each} & {number for each in ids[1] for number in each}
    return wrong, len(crossed - known - excused), unclear


def as_seen(compared: Comparison, *, turned: bool = False) -> tuple[object, ...]:
    """Return what a comparison says, as that of the other order of files would say it if ``turned``."""
    table = compared.table
    order = (1, 0) if turned else (0, 1)
    items = (table.one, table.two)
    frames = []
    for which in order:
        known, item = compared.packets[which].frame, items[which]
        frames.append(np.where(item >= 0, known[item] if len(known) else -1, -1))
    unknown = compared.crossed.ways.same_place[table.place]
    fate = table.fate.astype(np.int64)
    sent = table.sent_at_one != turned
    delay = table.delay
    # of one place, there is no sender's end: what is split one way is merged the other, or split if both are larger
    fate[unknown & (fate == RowFate.MERGED)] = RowFate.SPLIT
    if turned:
        swapped = np.where(
            fate == RowFate.LOST, RowFate.APPEARED, np.where(fate == RowFate.APPEARED, RowFate.LOST, fate)
        )
        fate = np.where(unknown, swapped, fate)
        sent = np.where(unknown, table.sent_at_one, sent)
        delay = np.where(unknown, -delay, delay)
    # of one place, a packet is as the first has it, and its checksum must be right in the second
    length, altered = np.where(unknown, 0, table.length), ~unknown & (table.changes > 0)
    columns = (*frames, fate, length, sent, np.where(table.timed, delay, 0), altered)
    rows = sorted(zip(*(column.tolist() for column in columns), strict=True))
    sign = -1 if turned else 1
    pieces = tuple((sign * round(piece.drift * 1e9), piece.error) for piece in compared.clock.pieces)
    alone = tuple(len(compared.alone[which]) for which in order)
    unclear = tuple(len(compared.pairs.ambiguous[which]) for which in order)
    return rows, pieces, alone, unclear
