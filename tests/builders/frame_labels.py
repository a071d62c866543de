"""Wireshark's labels of made-up runs, which have no captures: the same rules, on what the captures would show."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from testbed.analysis.expect.run_facts import time_at
from testbed.model import HOSTS, Crossing, Host, Joined, Labels
from testbed.wireshark.label_names import TcpSegments, label_names
from testbed.wireshark.labels import label

_BITS = {letter: 1 << bit for bit, letter in enumerate("FSRP.UEWe")}


def frame_labels(joined: Joined) -> Labels:
    """Return the labels of both captures, by frame number."""
    return {host: _labels(joined.crossings, host) for host in HOSTS}


def _labels(crossings: Iterable[Crossing], host: Host) -> dict[int, tuple[str, ...]]:
    seen = [(time_at(each, host), each) for each in crossings if each.protocol == "tcp" and each.flow is not None]
    shown = sorted(((time, each.n, each) for time, each in seen if time is not None), key=lambda each: each[:2])
    if not shown:
        return {}
    packets = [packet for _, _, packet in shown]
    sacks = [
        (at, [edge for block in packet.options["sack"][:4] for edge in block])
        for at, packet in enumerate(packets)
        if packet.options.get("sack")
    ]
    edges = np.zeros((len(sacks), 4, 2), np.uint32)
    for row, (_, flat) in enumerate(sacks):
        edges[row].reshape(-1)[: len(flat)] = np.array([_base(edge) for edge in flat], np.uint32)
    values = label(
        TcpSegments(
            time=np.array([time for time, _, _ in shown], np.int64),
            conversation=np.array([packet.flow for packet in packets], np.int64),
            side=np.array([packet.sender == "server" for packet in packets], np.uint8),
            seq=np.array([_base(packet.seq) for packet in packets], np.uint32),
            ack=np.array([_base(packet.ack) if packet.ack is not None else 0 for packet in packets], np.uint32),
            flags=np.array([sum(_BITS.get(letter, 0) for letter in packet.flags) for packet in packets], np.uint16),
            window=np.array([packet.window for packet in packets], np.uint16),
            length=np.array([packet.length for packet in packets], np.int64),
            wscale=np.array([packet.options.get("wscale", -1) for packet in packets], np.int16),
            sack_at=np.array([at for at, _ in sacks], np.int64),
            sack_count=np.array([len(flat) // 2 for _, flat in sacks], np.uint8),
            sack=edges,
        )
    )
    frames = [packet.at_client if host == "client" else packet.at_server for packet in packets]
    return {
        frame: label_names(int(value))
        for frame, value in zip(frames, values, strict=True)
        if value and frame is not None
    }


def _base(relative: int) -> int:
    """Return a sequence number that the labels' rules take as known: 0 means to them that there is none."""
    return (relative + _START) % 2**32


_START = 1 << 20
