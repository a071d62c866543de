"""One capture alone: its flows, what each shows, and what one end cannot tell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape

from testbed.model.ip import TCP
from testbed.pairing.flow_figures import closing, figures, opening
from testbed.pairing.flow_summary import protocol_name
from testbed.pairing.flow_table import Flows, members
from testbed.pairing.icmp_errors import ErrorsAbout, errors_of_capture
from testbed.pairing.packet_table import PacketTable
from testbed.report.json.figures_json import direction_figures
from testbed.report.text.figures_text import figure_texts
from testbed.report.text.icmp_text import error_text

_FLOWS = 20  # shown; the JSON has all
CANNOT = (
    "one capture cannot tell whether what is missing was lost before or behind its tap, how a round trip divides into "
    "its two directions, whether anything changed on the way, or what never came by: compare it with the other end's"
)


def plain(packets: PacketTable, flows: Flows, path: str) -> dict[str, Any]:
    """Return what one capture shows as plain values; times in ns."""
    order, edges = members(flows.of, len(flows))
    errors = errors_of_capture(packets, flows)
    return {
        "version": 1,
        "capture": {
            "path": path,
            "links": list(packets.links),
            "frames": packets.frames,
            "packets": len(packets),
            "other": packets.other,
            "partial": packets.partial,
        },
        "flows": [
            _flow(packets, flows, k, order[edges[k] : edges[k + 1]]) | _about(packets, flows, k, errors.get(k, ()))
            for k in range(len(flows))
        ],
        "cannot_tell": CANNOT,
    }


def _flow(packets: PacketTable, flows: Flows, flow: int, rows: np.typing.NDArray[np.int64]) -> dict[str, Any]:
    ends, opener = packets.ends[int(flows.conversation[flow])], int(flows.opener[flow])
    ways = figures(packets, flows, flow, rows)
    told: dict[str, Any] = {
        "protocol": protocol_name(int(flows.protocol[flow])),
        "ends": [ends.end(opener), ends.end(1 - opener)],
        "duration": int(packets.time[rows].max() - packets.time[rows].min()),
        **{name: direction_figures(way) for name, way in zip(("from_opener", "to_opener"), ways, strict=True)},
    }
    if flows.protocol[flow] == TCP:
        captured, took = opening(packets, rows)
        told["handshake"] = {"captured": captured, "syn_to_answer": took}
        told["close"] = [f"{('opener', 'other end')[who]} {kind}" for who, kind in closing(packets, rows, opener)]
    return told


def _about(packets: PacketTable, flows: Flows, flow: int, errors: Sequence[ErrorsAbout]) -> dict[str, Any]:
    """Return what a flow of ICMP errors quotes, and what errors were said about a flow."""
    ends = packets.ends[int(flows.conversation[flow])]
    return {
        "about": None if ends.quoted is None else str(ends.quoted),
        "icmp_errors": [
            {
                "text": error_text(each.error),
                "type": each.error.type,
                "code": each.error.code,
                "mtu": each.error.mtu,
                "by": each.error.by,
                "packets": each.packets[0],
            }
            for each in errors
        ],
    }


def render(packets: PacketTable, flows: Flows, path: str, console: Console) -> None:
    """Print the summary of one capture."""
    told = plain(packets, flows, path)
    console.print(f"[bold]capture[/] {escape(path)}: {packets.frames:,} frames, {len(packets):,} of IP, "
                  f"{len(flows):,} flows", highlight=False, soft_wrap=True)  # fmt: skip
    if packets.partial:
        console.print(f"  [yellow]partial[/]: {escape(packets.partial)}", highlight=False, soft_wrap=True)
    largest = sorted(told["flows"], key=lambda each: -each["from_opener"]["packets"] - each["to_opener"]["packets"])
    for each in largest[:_FLOWS]:
        for line in _lines(each):
            console.print(escape(line), highlight=False, soft_wrap=True)
    if len(largest) > _FLOWS:
        console.print(f"and {len(largest) - _FLOWS:,} more flows: --json has all", highlight=False)
    console.print(CANNOT, highlight=False, soft_wrap=True)


def _lines(flow: dict[str, Any]) -> Iterator[str]:
    about = f" about {flow['about']}" if flow["about"] else ""
    head = f"{flow['protocol']} {flow['ends'][0]} -> {flow['ends'][1]}{about}: {flow['duration'] / 1e9:.3f} s"
    if "handshake" in flow:
        took = flow["handshake"]["syn_to_answer"]
        head += f"; handshake {f'{took / 1e6:.3f} ms' if took is not None else 'not captured whole'}"
        head += f"; close: {', then '.join(flow['close']) or 'not seen'}"
    yield head
    for name, way in (("->", flow["from_opener"]), ("<-", flow["to_opener"])):
        if not way["packets"]:
            yield f"  {name} nothing captured"
            continue
        line = f"  {name} {way['packets']:,} packets, {way['bytes']:,} bytes"
        line += "".join(f", {told}" for told in figure_texts(way))
        if way["labels"]:
            line += f"; {', '.join(f'{count} {label}' for label, count in way['labels'].items())}"
        yield line
    for error in flow["icmp_errors"]:
        yield f"  {error['packets']:,} ICMP: {error['text']}"
