"""The page of two captures from anywhere: the ladder of a run, but for what only a run knows (calls and causes)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from testbed.crossings.comparison_view import ComparisonView
from testbed.diagnosis.capture_facts import CaptureFindings
from testbed.model.arrays import Int64
from testbed.model.findings import Diagnosis
from testbed.pairing.compare_captures import Comparison
from testbed.pairing.fates import RowFate
from testbed.pairing.flow_summary import NAMES
from testbed.pairing.packet_table import PacketTable
from testbed.pairing.same import CATEGORIES
from testbed.report.html import assemble, packet_columns
from testbed.report.html.findings_card import card, named_packets
from testbed.report.html.fit import CHOSEN, LIMIT, MOST_PACKETS, fitting, kept
from testbed.report.html.ledger_picture import WIDTH
from testbed.report.html.marks import PacketMark
from testbed.report.html.pack import Packer
from testbed.report.html.page_source import ShownPackets
from testbed.report.html.run_page import SCRIPTS, STYLES, Chip
from testbed.report.json import comparison_json as plain
from testbed.report.text.terminal_text import counted, duration, rate
from testbed.run.at_once import at_once
from testbed.wireshark.label_names import label_names

_FLOWS = 200  # rows of the table
_TEMPLATES = ("compare.html.j2", "base.html.j2", "findings.html.j2", "sentence.html.j2")
_MARKS = {
    RowFate.LOST: PacketMark.LOST,
    RowFate.APPEARED: PacketMark.APPEARED,
    RowFate.DUPLICATED: PacketMark.DUPLICATED,
    RowFate.AMBIGUOUS: PacketMark.AMBIGUOUS,
    RowFate.SPLIT: PacketMark.RESIZED,
    RowFate.MERGED: PacketMark.RESIZED,
    RowFate.BEFORE_START: PacketMark.NOT_CAPTURED,
    RowFate.AFTER_END: PacketMark.NOT_CAPTURED,
    RowFate.NOT_CAPTURED: PacketMark.NOT_CAPTURED,
    RowFate.AGAIN: PacketMark.DUPLICATED,
}
_NOT_OFFERED = PacketMark.CONTRADICTED | PacketMark.UNKNOWN | PacketMark.MISLABELLED  # all are about causes
_PRESETS = {
    **{name: name for name in ("lost", "appeared", "duplicated", "ambiguous", "altered", "reordered")},
    "split": "resized",
    "merged": "resized",
    "not-captured": "uncaptured",
}
"""Category of differences -> the page's preset that shows them."""


def prepare() -> None:
    """Begin with what a page needs before its captures are known, in a thread."""
    at_once(assemble.compiling(*_TEMPLATES))


def render(
    compared: Comparison,
    paths: tuple[str, str],
    differs: tuple[str, ...],
    diagnosed: CaptureFindings | None = None,
    *,
    thorough: bool = False,
    limit: int = LIMIT,
) -> str:
    """Return the page, at most ``limit`` bytes; ``differs`` are the categories that count.

    ``diagnosed`` is what both captures show to be wrong, None where nobody looked. ``thorough``: a page of large
    captures has as many packets as any page may have.
    """
    told = cache(at_once(partial(plain.to_json, compared, paths, differs)))
    found = diagnosed if diagnosed is not None else CaptureFindings(Diagnosis(), ())
    most = MOST_PACKETS if thorough or len(compared.table) <= MOST_PACKETS else CHOSEN
    return fitting(
        of_comparison(compared, named_packets(found.diagnosis)),
        lambda wire, payload: _page(compared, wire, paths, differs, found, told, payload),
        limit,
        most,
    )


def of_comparison(compared: Comparison, named: Sequence[int] = ()) -> Callable[[int], ShownPackets]:
    """Return a function that gives at most so many packets of a comparison, those ``named`` by the page first."""
    rows = ComparisonView(compared)
    table, statistics = compared.table, compared.statistics
    every = _marks(compared)[rows.rows]
    flows = table.place[rows.rows] >> 1
    counts = {int(mark): int(np.count_nonzero(every & mark)) for mark in PacketMark if not mark & _NOT_OFFERED}
    words = [fate.text for fate in RowFate]

    def at_most(most: int) -> ShownPackets:
        numbers = kept(every, flows, most, named)
        chosen = rows.rows[numbers]
        return ShownPackets(
            flows=rows.flows,
            crossings=rows.crossings(numbers),
            total=len(rows),
            marks=every[numbers].tolist(),
            counts=counts,
            fates=[words[fate] for fate in table.fate[chosen].tolist()],
            ways=rows.ways(numbers).tolist(),
            labels={
                "client": [", ".join(label_names(bits)) for bits in statistics.labels[0][chosen].tolist()],
                "server": [", ".join(label_names(bits)) for bits in statistics.labels[1][chosen].tolist()],
            },
            ends=_ends(compared, chosen),
        )

    return at_most


def _marks(compared: Comparison) -> Int64:
    """Return the bits of each row of the table."""
    table, statistics = compared.table, compared.statistics
    of_fate = np.array([int(_MARKS.get(fate, 0)) for fate in RowFate], np.int64)
    marks = of_fate[table.fate]
    marks[table.changes > 0] |= PacketMark.ALTERED
    marks[table.reordered] |= PacketMark.REORDERED
    marks[statistics.repeated[0]] |= PacketMark.RETRANSMITTED
    marks[statistics.differ] |= PacketMark.LABELS_DIFFER
    return marks


def _ends(compared: Comparison, rows: Int64) -> dict[str, tuple[Int64, Int64]]:
    """Return header fields at both ends; what was not seen counts as 0."""
    items = compared.table.one[rows].astype(np.int64), compared.table.two[rows].astype(np.int64)
    both = [_fields(packets, mine) for packets, mine in zip(compared.packets, items, strict=True)]
    return {name: (both[0][name], both[1][name]) for name, _, _ in packet_columns.ENDS if name in both[0]}


def _fields(packets: PacketTable, items: Int64) -> dict[str, Int64]:
    seen = items >= 0

    def column(values: np.typing.NDArray[Any]) -> Int64:
        result = np.zeros(len(items), np.int64)
        result[seen] = values[items[seen]].astype(np.int64)
        return result

    names = ("ttl", "ip_id", "dont_fragment", "seq", "ack", "flags", "window", "urgent", "checksum")
    tos, word = column(packets.tos), column(packets.icmp)
    return {name: column(getattr(packets, name)) for name in names} | {
        "dscp": tos >> 2,
        "ecn": tos & 3,
        "payload_length": column(packets.length),
        "icmp_type": word >> 40 & 0xFF,
        "icmp_code": word >> 32 & 0xFF,
    }


def _page(
    compared: Comparison,
    wire: ShownPackets,
    paths: tuple[str, str],
    differs: tuple[str, ...],
    found: CaptureFindings,
    told: Callable[[], dict[str, Any]],
    payload_limit: int,
) -> str:
    times = [time for one in wire.crossings for time in (one.sent, one.arrived) if time is not None]
    base = min(times, default=0)
    packer = Packer()
    about = packet_columns.put(packer, wire, base, payload_limit)
    head = packet_columns.head(wire, base, compared.clock) | {"packets": about, "rules": {}}
    packed = at_once(partial(packer.pack, head))
    diagnosis = card(found.diagnosis, found.flows, (one.n for one in wire.crossings))
    words = _words(told(), wire, paths, differs, about)
    return assemble.page(
        "compare.html.j2",
        scripts=SCRIPTS,
        styles=STYLES,
        data=packed(),
        title=f"{Path(paths[0]).name}, {Path(paths[1]).name}: {'differs' if differs else 'same'}",
        diagnosis=diagnosis,
        picture_width=WIDTH,
        **words,
    )


def _words(
    told: dict[str, Any], wire: ShownPackets, paths: tuple[str, str], differs: tuple[str, ...], about: dict[str, Any]
) -> dict[str, Any]:
    ways = list(told["directions"].items())
    met = {name for _, way in ways for name in way["fates"]}
    fates = [fate.text for fate in RowFate if fate.text in met or fate is RowFate.CROSSED]
    wrong = sorted(range(len(told["flows"])), key=lambda pair: -_wrong(told["flows"][pair]))
    return {
        "paths": paths,
        "told": told,
        "verdict": list(_verdict(told, differs)),
        "evidence": list(_evidence(told, differs, wire)),
        "outcome": "fail" if differs else "pass",
        "ways": ways,
        "fates": fates,
        "flows": [(pair, told["flows"][pair]) for pair in wrong[:_FLOWS]],
        "flows_more": max(len(wrong) - _FLOWS, 0),
        "alone": [(name, one) for name in NAMES for one in told["alone"][name]][:_FLOWS],
        "ambiguous": [(name, one) for name in NAMES for one in told["ambiguous"][name]][:_FLOWS],
        "total": wire.total,
        "kept": len(wire.crossings),
        "most": MOST_PACKETS,
        "payload_limit": about["payload_limit"],
        "payload_cut": about["payload_cut"],
        "duration": lambda ns: duration(ns).replace("us", "µs"),
        "counted": counted,
        "rate": rate,
    }


def _wrong(flow: dict[str, Any]) -> int:
    """Return how much of a flow did not simply cross."""
    usual = (RowFate.CROSSED.text, RowFate.SPLIT.text, RowFate.MERGED.text)
    ways = flow["from_opener"], flow["to_opener"]
    return sum(
        sum(count for fate, count in way["fates"].items() if fate not in usual) + way["altered"] + way["reordered"]
        for way in ways
    )


def _verdict(told: dict[str, Any], differs: tuple[str, ...]) -> Iterator[str]:
    counts = told["counts"]
    common = counted(len(told["flows"]), "flow")
    if not told["flows"]:
        yield "the captures have no flow in common"
    elif differs:
        yield f"{common} at both ends; {', '.join(_count(name, counts[name]) for name in differs if name in counts)}"
    else:
        yield f"{common} at both ends, and no difference that counts"
    yield from told["reasons"]


def _count(name: str, count: int) -> str:
    if name in ("alone", "rewritten"):
        return f"{counted(count, 'flow')} {'only in one capture' if name == 'alone' else name}"
    return f"{counted(count, 'packet')} {name.replace('-', ' ')}"


def _evidence(told: dict[str, Any], differs: tuple[str, ...], wire: ShownPackets) -> Iterator[Chip]:
    """Lead from each kind of difference to its packets, or flows."""
    yield Chip("clocks", "#clocks")
    for name in CATEGORIES:
        if count := told["counts"][name]:
            target = f"preset={_PRESETS[name]}" if name in _PRESETS else "#flows"
            yield Chip(_count(name, count), target, "bad" if name in differs else "")
    if labels := wire.counts.get(int(PacketMark.LABELS_DIFFER)):
        yield Chip(f"labels of {counted(labels, 'packet')} differ", "preset=labels", "doubtful")
