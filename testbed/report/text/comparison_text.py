"""A comparison on the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from testbed.diagnosis.capture_facts import CaptureFindings
from testbed.model.arrays import Int64
from testbed.model.ip import TCP
from testbed.pairing.between_taps import what_lies_between
from testbed.pairing.change_values import details
from testbed.pairing.compare_captures import Comparison
from testbed.pairing.delay_steps import delay_levels, loss_bursts
from testbed.pairing.fates import RowFate
from testbed.pairing.flow_summary import NAMES, close_text, display_filter, flow_mapping, terminated_ends
from testbed.pairing.icmp_errors import errors_of_pairs
from testbed.pairing.negative_delay import negative_delays
from testbed.pairing.same import USUAL, count_differences, inconclusive, nothing_to_compare, rewritten
from testbed.pairing.sender_guess import Origins
from testbed.pairing.suspect_flows import suspect_pairs
from testbed.report.json import comparison_json as plain
from testbed.report.text.between_text import between_text, terminated_text
from testbed.report.text.change_text import change_text
from testbed.report.text.comparison_reasons import negative_text, nothing_text, origin_text
from testbed.report.text.figures_text import figure_lines
from testbed.report.text.finding_text import summary_lines
from testbed.report.text.icmp_text import errors_text
from testbed.report.text.terminal_text import rate
from testbed.report.text.time_course_text import course_lines

_FLOWS = 20  # shown; the JSON has all
_EXAMPLES = 10
_FINDINGS = 5
_WIDEST = 120
_STYLES = {"lost": "red", "failed": "yellow", "folded": "dim"}


def render(
    compared: Comparison,
    paths: tuple[str, str],
    differs: tuple[str, ...],
    console: Console,
    diagnose: Callable[[], CaptureFindings | None] = lambda: None,
) -> None:
    """Print the summary; ``diagnose`` says what both captures show to be wrong, None where nobody looked."""
    between = f"[bold]between[/] {escape(between_text(what_lies_between(compared)))}"
    parts = list(_parts(compared, paths, differs))  # the diagnosis may be made meanwhile
    diagnosed = diagnose()
    console.print(between, highlight=False, soft_wrap=True)
    if diagnosed is not None:
        width = min(console.width, _WIDEST)
        for text, style in summary_lines(diagnosed.diagnosis, diagnosed.flows, width, most=_FINDINGS):
            console.print(text, style=_STYLES.get(style, ""), markup=False, highlight=False, soft_wrap=True)
    for part in parts:
        if isinstance(part, str):
            console.print(part, highlight=False, soft_wrap=True)
        else:
            console.print(part)


def _parts(compared: Comparison, paths: tuple[str, str], differs: tuple[str, ...]) -> Iterator[str | Table]:
    """Yield the lines and tables below the findings."""
    for which, (name, path) in enumerate(zip(NAMES, paths, strict=True)):
        yield _capture_line(compared, which, name, path)
    yield from _clock_lines(compared)
    if (before := negative_delays(compared)) is not None:
        told = f"[yellow]negative[/] delays of {before.packets:,} packets, down to {before.least / 1e6:.6f} ms"
        yield f"{told}: {negative_text(before)}"
    yield _flows_line(compared)
    for reason in compared.reasons:
        yield f"  {escape(nothing_text(reason))}"
    if len(compared.pairs):
        ways = [plain.direction(compared, from_one=from_one) for from_one in (True, False)]
        yield _totals(ways)
        if (trip := plain.round_trip((ways[0]["delay"], ways[1]["delay"]))) is not None:
            yield f"[bold]round trip[/] minimum {trip['minimum'] / 1e6:.6f} ms, median {trip['median'] / 1e6:.6f} ms"
        yield from course_lines(
            tuple(delay_levels(compared, from_one=each) for each in (True, False)),
            tuple(loss_bursts(compared, from_one=each) for each in (True, False)),
            ("client to server", "server to client"),
        )
        shown = _worst(compared)
        yield _flows(compared, shown)
        yield from figure_lines(compared, shown)
        errors = errors_of_pairs(compared)
        for pair in shown:
            for about in errors.get(pair, ()):
                yield f"[bold]ICMP[/] about flow {pair + 1}: {escape(errors_text(about))}"
        yield from _filters(compared, shown)
    yield from _details(compared)
    yield _verdict(compared, differs)


def _verdict(compared: Comparison, differs: tuple[str, ...]) -> str:
    if differs:
        return f"[red]differs[/]: {', '.join(differs)}"
    if count := inconclusive(compared):
        return f"[yellow]inconclusive[/]: {count:,} packets or flows are ambiguous, and may be lost or anything else"
    if nothing_to_compare(compared):
        return "[yellow]inconclusive[/]: neither capture has an IP packet, and nothing else is compared"
    uncounted = [name for name, count in count_differences(compared).items() if count and name in USUAL]
    rest = f" in everything that --fail-on names; also found: {', '.join(uncounted)}" if uncounted else ""
    return f"[green]same[/]{rest}"


def _capture_line(compared: Comparison, which: int, name: str, path: str) -> str:
    packets = compared.packets[which]
    first, last = packets.span
    line = f"[bold]{name}[/] {escape(path)}: {packets.frames:,} frames"
    line += f" of {' and '.join(packets.links)}" if packets.links else ""
    line += f", {len(packets):,} of IP"
    if len(packets):
        line += f", {_clock_time(first)} to {_clock_time(last)} UTC"
    if packets.other:
        others = ", ".join(
            f"{count} {kind}" for kind, count in sorted(packets.other.items(), key=lambda each: -each[1])
        )
        line += f"; also {escape(others)}"
    if packets.partial:
        line += f"\n  [yellow]partial[/]: {escape(packets.partial)}"
    return line


def _clock_time(ns: int) -> str:
    moment = datetime.fromtimestamp(ns // 10**9, UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{ns % 10**9:09d}"


def _clock_lines(compared: Comparison) -> Iterator[str]:
    clock = compared.clock
    if clock.unfit:
        told = "none of up to three pieces fits all packets, so delays are not known"
        suspects = ", ".join(str(pair + 1) for pair in suspect_pairs(compared)[:_EXAMPLES])
        yield f"[bold]clock[/] {told}{f'; suspect are flows {suspects}' if suspects else ''}"
        return
    if clock.exact:
        yield "[bold]clock[/] one for both captures"
        return
    for k, piece in enumerate(clock.pieces):
        ahead = f"the server's is {abs(piece.offset) / 1e6:.6f} ms {'ahead' if piece.offset >= 0 else 'behind'}"
        error = (
            ", delays count from the fastest packet: only one direction crossed"
            if piece.error is None
            else f" ± {piece.error / 1e6:.6f} ms"
        )
        drift = ""
        if piece.drift_error is not None and piece.drift:
            drift = f", drift {piece.drift * 1e6:+.2f} ± {piece.drift_error * 1e6:.2f} ppm"
        since = ""
        if k:
            step = (piece.offset - _offset_at(clock.pieces[k - 1], piece.start)) / 1e6
            since = f" from {_clock_time(piece.start)} on, after a step of {step:+.3f} ms:"
        yield f"[bold]clock[/]{since} {ahead}{error}{drift}"


def _offset_at(piece: Any, time: int) -> float:  # noqa: ANN401 - clock.Piece
    return float(piece.offset + (time - piece.start) * piece.drift)


def _flows_line(compared: Comparison) -> str:
    parts = [f"{len(compared.pairs):,} in both"]
    parts += [
        f"{len(alone):,} only at the {name}" for name, alone in zip(NAMES, compared.alone, strict=True) if len(alone)
    ]
    unclear = [len(each) for each in compared.pairs.ambiguous]
    if any(unclear):
        parts.append(f"{unclear[0]} and {unclear[1]} with several possible matches")
    return f"[bold]flows[/] {', '.join(parts)}"


def _totals(ways: list[dict[str, Any]]) -> Table:
    table = Table("", "client to server", "server to client", box=None, pad_edge=False)
    for fate in RowFate:
        counts = [way["fates"].get(fate.text, 0) for way in ways]
        if any(counts) or fate == RowFate.CROSSED:
            table.add_row(fate.text, *(f"{count:,}" for count in counts))
    for name in ("altered", "reordered"):
        if any(way[name] for way in ways):
            table.add_row(name, *(f"{way[name]:,}" for way in ways))
    table.add_row("payload that crossed", *(f"{way['bytes']:,} bytes" for way in ways))
    for name in ("minimum", "median", "p95", "p99", "maximum"):
        table.add_row(f"delay, {name}", *(f"{way['delay'][name] / 1e6:.6f} ms" if way["delay"] else "" for way in ways))
    table.add_row("throughput", *(rate(way["throughput"]) for way in ways))
    repeats = [way["retransmissions"] for way in ways]
    if any(any(each.values()) for each in repeats):
        table.add_row(
            "retransmitted",
            *(f"{each['needed']} needed, {each['not_needed']} spurious, {each['unknown']} unknown" for each in repeats),
        )
    return table


def _wrong(compared: Comparison) -> Int64:
    """Return how many packets of each place did not simply cross."""
    statistics = compared.statistics
    result: Int64 = statistics.fates[:, RowFate.LOST :].sum(axis=1) + statistics.altered + statistics.reordered
    return result


def _worst(compared: Comparison) -> list[int]:
    """Return the flows in which most went wrong, else the largest."""
    count = compared.statistics.packets.max(axis=1)
    wrong = _wrong(compared)
    pairs = np.lexsort((-count.reshape(-1, 2).sum(axis=1), -wrong.reshape(-1, 2).sum(axis=1)))
    result: list[int] = pairs[:_FLOWS].tolist()
    return result


def _filters(compared: Comparison, shown: list[int]) -> Iterator[str]:
    """Yield a ready display filter for each flow, two where it looks different at both ends."""
    pairs = compared.pairs
    for pair in shown:
        told = [display_filter(compared, which, int((pairs.a, pairs.b)[which][pair])) for which in (0, 1)]
        if told[0] == told[1]:
            yield f"[bold]Wireshark[/] {pair + 1}: {escape(told[0])}"
            continue
        for name, each in zip(NAMES, told, strict=True):
            yield f"[bold]Wireshark[/] {pair + 1} at the {name}: {escape(each)}"


def _flows(compared: Comparison, shown: list[int]) -> Table:
    statistics, wrong = compared.statistics, _wrong(compared)
    count = len(compared.pairs)
    title = "" if len(shown) == count else f"the {len(shown)} flows with most differences, of {count:,}"
    table = Table("", Column("flow", overflow="fold"), "packets", "lost", "other", "delay there / back", "close",
                  box=None, pad_edge=False, title=title or None, title_justify="left")  # fmt: skip
    for pair in shown:
        places = [2 * pair, 2 * pair + 1]
        packets = statistics.packets[places].sum(axis=0)
        lost = int(statistics.fates[places, RowFate.LOST].sum())
        medians = [statistics.delay[place, 1] / 1e6 for place in places]
        delays = " / ".join(
            f"{median:.3f}" if statistics.fates[place, : RowFate.MERGED + 1].sum() else "-"
            for place, median in zip(places, medians, strict=True)
        )
        table.add_row(
            str(pair + 1),
            escape(flow_mapping(compared, pair).text),
            f"{packets[0]:,} / {packets[1]:,}" if packets[0] != packets[1] else f"{packets[0]:,}",
            f"{lost:,}" if lost else "",
            f"{int(wrong[places].sum()) - lost:,}" if int(wrong[places].sum()) - lost else "",
            f"{delays} ms",
            close_text(compared, pair) if compared.flows[0].protocol[compared.pairs.a[pair]] == TCP else "",
        )
    return table


def _details(compared: Comparison) -> Iterator[str]:
    fields = plain.altered_fields(compared)
    if fields:
        told = ", ".join(f"{name} of {count:,}" for name, count in fields.items())
        yield f"[bold]altered[/] {told}"
    for flow in compared.terminated[:_EXAMPLES]:
        yield f"  {escape(terminated_text(flow, terminated_ends(compared, flow)))}"
    if (count := int(rewritten(compared).sum())) > 0:
        yield f"[bold]rewritten[/] {count:,} flows on the way: see their mapping"
    for name, counts in plain.label_totals(compared).items():
        if counts:
            told = ", ".join(f"{count:,} {label}" for label, count in counts.items())
            yield f"[bold]labels[/] at the {name}: {told}"
    differ = compared.statistics.label_differences()
    if differ:
        told = "; ".join(f"{label}: {one:,} only at the client, {two:,} only at the server"
                         for label, (one, two) in differ.items())  # fmt: skip
        yield f"[bold]labels differ[/] for {len(compared.statistics.differ):,} packets ({told})"
    yield from _examples(compared)


def _examples(compared: Comparison) -> Iterator[str]:
    odd = plain.odd_rows(compared)
    for row in odd[:_EXAMPLES].tolist():
        yield f"  {escape(row_text(compared, row))}"
    if len(odd) > _EXAMPLES:
        yield f"  and {len(odd) - _EXAMPLES:,} more: --csv writes all"


def row_text(compared: Comparison, row: int) -> str:
    """Say on one line what became of a packet."""
    table = compared.table
    frames = [
        f"frame {int(packets.frame[items[row]]) + 1} at the {name}"
        for name, packets, items in zip(NAMES, compared.packets, (table.one, table.two), strict=True)
        if items[row] >= 0
    ]
    what = [] if table.fate[row] == RowFate.CROSSED else [RowFate(int(table.fate[row])).text]
    what += ["reordered"] if table.reordered[row] else []
    changes = [
        f"{field} {sent} -> {arrived}"
        for field, sent, arrived in map(change_text, details(*compared.packets, table, row))
    ]
    what += [f"altered ({', '.join(changes)})"] if changes else []
    told = f"{', '.join(what)}: {', '.join(frames)}, {int(table.length[row])} bytes"
    if table.fate[row] == RowFate.APPEARED and (origin := Origins(*compared.packets, table).of(row)):
        told += f", from {origin_text(origin)}"
    return told
