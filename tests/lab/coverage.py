"""What a result must explain: every packet by a cause, every byte that a call wrote by segments or by a reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from testbed.model import CAUSES, CauseName

UNPROVEN = ": no call stack proves it"
WROTE_NOTHING = "0 bytes"
_AGAIN = {"inet_rtx_syn_ack", "tcp_rtx_synack"}
"""Functions that send a SYN+ACK again."""
_SHORT = 200
"""Bytes that a packet may carry and has a call stack in labs of programs too (kernel_trace.SHORT)."""
_BY_LISTENER = ("closed-port", "reset-answer")


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


def untold(result: dict[str, Any], directory: Path) -> list[str]:
    """Return what the kernel says otherwise or does not say, and events and packets of which only one side tells.

    ``directory`` is the run's: what :func:`without_stack` tells of is nobody's fault.

    What one run may have and another not (a delayed ACK that a busy machine sends early) may be inferred otherwise.

    Retransmissions, RSTs and changes of state are each other's, all of them.
    """
    kernel, without = result["kernel"], without_stack(directory, result)
    problems = [*kernel["problems"], *kernel["unmatched"]]
    problems += [
        f"#{crossing['n']} {crossing['cause']['rule']}: {crossing['kernel']['said']}"
        for crossing in result["crossings"]
        if crossing["kernel"]["agreement"] == "contradicted" and not CAUSES[CauseName(crossing["cause"]["rule"])].timing
    ]
    problems += [
        f"#{crossing['n']} {crossing['cause']['rule']}{UNPROVEN}"
        for crossing in result["crossings"]
        if crossing["sent_ns"] is not None
        and crossing["cause"]["basis"] != "kernel"
        and crossing["n"] not in without
        and (crossing["length"] < _SHORT or "net/netif_receive_skb" in kernel["recorded"])
    ]
    for kind, packets in (("retransmissions", _again(result)), ("resets", _resets(result))):
        told = [number for event in kernel[kind] for number in event["packets"]]
        if sorted(told) != sorted(packets):
            problems.append(f"{kind}: the kernel tells of packets {told}, the captures of {packets}")
    changes = kernel["state_changes"]
    return problems + [f"{change['old']} to {change['new']}" for change in changes if change["kind"] == "unknown"]


def _resets(result: dict[str, Any]) -> list[int]:
    """Return the RSTs that must have an event: that of a RST with which a listener may answer names no connection."""
    left = [each for each in result["crossings"] if "R" in each["flags"] and each["sent_ns"] is not None]
    told = {number for event in result["kernel"]["resets"] for number in event["packets"]}
    return [each["n"] for each in left if each["n"] in told or each["cause"]["rule"] not in _BY_LISTENER]


def _again(result: dict[str, Any]) -> list[int]:
    """Return TCP packets all of whose sequence space their sender had sent before.

    Not the SYN+ACK of two that open at once: its SYN was sent before, but it is no repeat (tcp_send_synack).
    """
    highest: dict[tuple[int, str], int] = {}
    found = []
    sent = [packet for packet in result["crossings"] if packet["protocol"] == "tcp" and packet["sent_ns"] is not None]
    for packet in sorted(sent, key=lambda each: each["sent_ns"]):
        length = packet["length"] + ("S" in packet["flags"]) + ("F" in packet["flags"])
        before = highest.get((packet["flow"], packet["sender"]))
        if not length:
            continue
        end = packet["seq"] + length
        origin = packet["kernel"]["origin"]
        opens_at_once = packet["cause"]["rule"] == "syn-ack" and not _AGAIN & {*(origin["functions"] if origin else ())}
        if before is not None and end <= before and not opens_at_once:
            found.append(packet["n"])
        highest[packet["flow"], packet["sender"]] = end if before is None else max(before, end)
    return found


def without_stack(directory: Path, result: dict[str, Any]) -> set[int]:
    """Return the packets that left in an interrupt and for which the kernel recorded no stack, as happens."""
    with (directory / "kernel.jsonl").open(encoding="utf-8") as lines:
        departures = json.loads(next(lines))["departures"]
    bare = {(host, each[0]) for host, own in departures.items() for each in own if each[5] is None and each[4]}
    return {
        crossing["n"]
        for crossing in result["crossings"]
        if (crossing["sender"], crossing[f"at_{crossing['sender']}"]) in bare
    }
