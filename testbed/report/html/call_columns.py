"""Calls as columns of a page."""

from __future__ import annotations

import json

from testbed.analysis.calls.streams import build_streams
from testbed.model import HOSTS, Analysis, Call, Endpoint, Host
from testbed.model.event_times import place_of
from testbed.report.html import kernel_columns
from testbed.report.html.links import put_sentences
from testbed.report.html.pack import Packer
from testbed.report.no_packet_text import no_packet

KERNEL_ONLY = "seen by the kernel only"
"""Where in the program a call was made that its observer missed."""
_DIRECTIONS = (None, "out", "in")


def put(packer: Packer, analysis: Analysis, base: int) -> None:
    """Add the columns of all calls, the client's first, each host's in order of ``n``; ``base`` is the time 0."""
    calls = [call for host in HOSTS for call in analysis.inputs.calls.get(host, ())]
    packer.numbers("call.host", [HOSTS.index(call.host) for call in calls])
    for name in ("n", "pid", "tid", "fd", "result", "length"):
        packer.numbers(f"call.{name}", [getattr(call, name) for call in calls])
    packer.numbers("call.start", [call.start - base for call in calls])
    for name, moment in (("begun", "start"), ("returned", "end")):
        packer.numbers(f"call.{name}", [place_of(getattr(call, moment)) for call in calls])
    # 0: never returned
    packer.numbers("call.took", [0 if call.end is None else call.end - call.start + 1 for call in calls])
    packer.numbers("call.direction", [_DIRECTIONS.index(call.direction) for call in calls])
    for name in ("program", "name", "errno", "digest", "caller"):
        packer.texts(f"call.{name}", [getattr(call, name) or "" for call in calls])
    packer.texts("call.source", [KERNEL_ONLY if call.kernel_only else call.source or "" for call in calls])
    packer.texts("call.args", [json.dumps(call.args, default=_shown, ensure_ascii=True) for call in calls])
    packer.texts("call.socket", [_socket(call) for call in calls])
    absences = [analysis.no_packet.get((call.host, call.n)) for call in calls]
    put_sentences(packer, "call.no_packet", [no_packet(absence) if absence else () for absence in absences])
    packer.blobs("call.data", [call.data for call in calls])
    if analysis.kernel is not None:
        kernel_columns.put_calls(packer, analysis.kernel, calls)
    _ranges(packer, analysis, calls)


def _ranges(packer: Packer, analysis: Analysis, calls: list[Call]) -> None:
    """Add the flow of each call (-1: of none), and the bytes of its stream that it moved (-1 to -1: none)."""
    inputs = analysis.inputs
    streams = build_streams(inputs.joined, inputs.calls, inputs.observed)
    ranges: dict[tuple[Host, int], tuple[int, int]] = {}
    for (_, host, _), stream in streams.streams.items():
        for share in stream.shares:
            ranges[host, share.call.n] = (share.start, share.end)
    packer.numbers("call.flow", [streams.flow_of.get((call.host, call.n), -1) for call in calls])
    for place, name in enumerate(("from", "to")):
        packer.numbers(f"call.{name}", [ranges.get((call.host, call.n), (-1, -1))[place] for call in calls])


def _socket(call: Call) -> str:
    info = call.socket
    if info is None:
        return ""
    ends = [_text(info.local), _text(info.peer)]
    return f"{info.protocol} {ends[0]}" + (f" - {ends[1]}" if info.peer else "")


def _text(endpoint: Endpoint | None) -> str:
    return str(endpoint) if endpoint else "unbound"


def _shown(value: object) -> str:
    """Arguments that JSON has no word for: bytes as hex, others as their text."""
    return bytes(value).hex() if isinstance(value, bytes | bytearray) else str(value)
