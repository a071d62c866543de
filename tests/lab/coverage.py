"""What a result must explain: every packet by a cause, every byte that a call wrote by segments or by a reason."""

from __future__ import annotations

from typing import Any

WROTE_NOTHING = "0 bytes"


def unexplained_packets(result: dict[str, Any]) -> list[str]:
    """Return the packets without a known cause."""
    return [
        f"#{crossing['n']} {crossing['sender']} {crossing['flags']}: {crossing['cause']['evidence']}"
        for crossing in result["crossings"]
        if crossing["cause"]["kind"] == "unknown"
    ]


def uncovered_bytes(result: dict[str, Any]) -> list[str]:
    """Return the successful writes of which some byte is in no segment that names the call, and no reason is given."""
    carried: dict[tuple[str, int], list[tuple[int, int]]] = {}
    for crossing in result["crossings"]:
        for n in crossing["cause"]["calls"]:
            if crossing["length"]:
                span = (crossing["start"], crossing["start"] + crossing["length"])
                carried.setdefault((crossing["sender"], n), []).append(span)
    found = []
    for host, described in result["hosts"].items():
        for call in described["calls"]:
            inside = call["socket"] is None or call["socket"]["protocol"] == "other"
            if call["direction"] != "out" or not call["length"] or call["errno"] or inside or call["silent"]:
                continue
            spans = carried.get((host, call["n"]), [])
            if call["socket"]["protocol"] == "udp":
                if not spans:
                    found.append(f"{host} {call['name']} #{call['n']}: no datagram, no reason")
                continue
            stream = call["stream"]
            if stream is None:
                found.append(f"{host} {call['name']} #{call['n']}: no place in a stream, no reason")
            elif missing := _missing(stream["start"], stream["end"], spans):
                found.append(f"{host} {call['name']} #{call['n']}: bytes {missing} are in no segment of it, no reason")
    return found


def _missing(start: int, end: int, spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    gaps = []
    for left, right in sorted(spans):
        if left > start:
            gaps.append((start, min(left, end)))
        start = max(start, right)
        if start >= end:
            return gaps
    return [*gaps, (start, end)]
