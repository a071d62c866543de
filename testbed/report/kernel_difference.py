"""What two kernels say of two runs, as lines to put side by side: states, repeats, RSTs, drops, congestion windows.

Times, places in the kernel and numbers of packets are left out: two runs of the same do not share them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from testbed.model import HOSTS

Lines = tuple[str, list[str], list[str]]


def kernel_lines(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[Lines]:
    """Return for two results what it is about and the lines of each; nothing unless both had a witness."""
    if one.get("kernel") is None or other.get("kernel") is None:
        return []
    found: list[Lines] = [("kernel trace: record", _record(one), _record(other))]
    for what, of in (("state changes", _states), ("retransmitted, reset, dropped", _events), ("at the end", _ends)):
        found += [(f"{host}: kernel trace: {what}", of(one, host), of(other, host)) for host in HOSTS]
    return found


def _record(result: Mapping[str, Any]) -> list[str]:
    return ["complete" if result["kernel"]["complete"] else "not complete: differences may be lost events"]


def _states(result: Mapping[str, Any], host: str) -> list[str]:
    changes = [change for change in result["kernel"]["state_changes"] if change["host"] == host]
    return [
        f"#{_number(change['flow'])} {change['old']} to {change['new']}: {_by(result, host, change)}"
        for change in sorted(changes, key=lambda change: (change["flow"] is None, change["flow"]))
    ]


def _number(flow: int | None) -> str:
    """Return a connection's number, from 1 as everywhere."""
    return "?" if flow is None else str(flow + 1)


def _by(result: Mapping[str, Any], host: str, change: Mapping[str, Any]) -> str:
    names = {call["n"]: call["name"] for call in result["hosts"][host]["calls"]}
    if change["calls"]:
        return ", ".join(names.get(number, "a call") for number in change["calls"])
    if change["packets"]:
        return ", ".join(_packet(result, number) for number in change["packets"])
    return str(change["kind"])


def _events(result: Mapping[str, Any], host: str) -> list[str]:
    kernel = result["kernel"]
    verbs = (("retransmissions", "sent again"), ("resets", "reset"), ("drops", "dropped"))
    told = [(event["time_ns"], verb, event) for kind, verb in verbs for event in kernel[kind] if event["host"] == host]
    lines = []
    for _, verb, event in sorted(told, key=lambda each: each[0]):
        packets = ", ".join(_packet(result, number) for number in event["packets"]) or "nothing"
        lines.append(f"{verb} {packets}: {event['reason'] or event['event']}")
    return lines


def _packet(result: Mapping[str, Any], number: int) -> str:
    packet = result["crossings"][number]
    return f"{packet['sender']} {packet['flags'] or packet['protocol']}, {packet['length']} bytes"


def _ends(result: Mapping[str, Any], host: str) -> list[str]:
    """Return the last congestion window of each connection."""
    last: dict[int, str] = {}
    for packet in result["crossings"]:
        said = packet["kernel"]
        if packet["sender"] == host and packet["flow"] is not None and said["cwnd"] is not None:
            threshold = "none" if said["ssthresh"] is None else said["ssthresh"]
            last[packet["flow"]] = (
                f"#{_number(packet['flow'])}: congestion window {said['cwnd']}, threshold {threshold}"
            )
    return [last[flow] for flow in sorted(last)]
