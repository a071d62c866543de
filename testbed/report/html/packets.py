"""Crossings as columns of a page, with the header fields at both ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from testbed.analysis.mislabelled import labels_of
from testbed.model import HOSTS, Cause, Crossing
from testbed.report.html.marks import marks
from testbed.report.html.pack import Packer
from testbed.report.html.source import Source

ENDS = (
    ("wire", "frame length", ""),
    ("ip_length", "IP length", ""),
    ("ttl", "TTL", "ttl"),
    ("dscp", "DSCP", "dscp"),
    ("ecn", "ECN", "ecn"),
    ("ip_id", "IP id", "ip id"),
    ("dont_fragment", "don't fragment", "don't fragment"),
    ("seq", "seq (raw)", "sequence number"),
    ("ack", "ack (raw)", "acknowledgment number"),
    ("flags", "flags", "flags"),
    ("window", "window", "window"),
    ("urgent", "urgent pointer", "urgent pointer"),
    ("checksum", "checksum", "checksum"),
    ("payload_length", "payload", "length"),
    ("icmp_type", "ICMP type", "icmp type"),
    ("icmp_code", "ICMP code", "icmp code"),
)
"""Column of a capture, what the page calls it, and what :class:`testbed.model.Change` calls it."""

FATES = ("crossed", "lost", "appeared")


def put(packer: Packer, source: Source, kept: NDArray[np.int64], base: int, payload_limit: int) -> dict[str, Any]:
    """Add the columns of the kept crossings (by position), and return what belongs into the head.

    ``base`` is the time 0 (ns since the epoch); of each payload at most ``payload_limit`` bytes are stored.
    """
    joined = source.analysis.inputs.joined
    every = marks(joined.crossings, source.analysis.causes, source.labels)
    crossings = [joined.crossings[k] for k in kept.tolist()]
    causes = [source.analysis.causes[k] for k in kept.tolist()]
    _numbers(packer, crossings, base)
    packer.numbers("packet.marks", [every[k] for k in kept.tolist()])
    for name in ("protocol", "flags", "note", "made"):
        packer.texts(f"packet.{name}", [getattr(one, name) for one in crossings])
    packer.texts("packet.link", ["; ".join(one.link) for one in crossings])
    _causes(packer, causes)
    _options(packer, crossings)
    packer.blobs("packet.payload", [one.payload[:payload_limit] for one in crossings])
    _ends(packer, source, crossings)
    return {
        "counts": {bit: sum(1 for mark in every if mark & bit) for bit in (1 << k for k in range(7))},
        "changes": {
            place: [[change.what, change.at_sender, change.at_receiver] for change in one.changes]
            for place, one in enumerate(crossings)
            if one.changes
        },
        "labels": {
            place: found
            for place, one in enumerate(crossings)
            if source.labels and (found := labels_of(one, source.labels))
        },
        "ends": [list(field) for field in ENDS] if source.captures else [],
        "payload_limit": payload_limit,
        "payload_cut": sum(1 for one in crossings if len(one.payload) > payload_limit),
    }


def _numbers(packer: Packer, crossings: Sequence[Crossing], base: int) -> None:
    packer.numbers("packet.n", [one.n for one in crossings])
    packer.numbers("packet.time", [one.time - base for one in crossings])
    packer.numbers(
        "packet.delay",
        [one.arrived - one.sent if one.sent is not None and one.arrived is not None else 0 for one in crossings],
    )
    packer.numbers("packet.fate", [FATES.index(one.fate) for one in crossings])
    packer.numbers("packet.sender", [HOSTS.index(one.sender) for one in crossings])
    packer.numbers("packet.flow", [-1 if one.flow is None else one.flow for one in crossings])
    for name in ("seq", "window", "start", "length", "ttl"):
        packer.numbers(f"packet.{name}", [getattr(one, name) for one in crossings])
    packer.numbers("packet.ack", [one.ack or 0 for one in crossings])  # whether there is one: see the flags
    packer.numbers("packet.at_client", [one.at_client or 0 for one in crossings])
    packer.numbers("packet.at_server", [one.at_server or 0 for one in crossings])


def _causes(packer: Packer, causes: Sequence[Cause]) -> None:
    packer.texts("packet.kind", [cause.kind.value for cause in causes])
    packer.texts("packet.rule", [cause.rule for cause in causes])
    packer.texts("packet.evidence", [cause.evidence for cause in causes])
    packer.lists("packet.calls", [cause.calls for cause in causes])
    packer.lists("packet.answers", [cause.packets for cause in causes])


def _options(packer: Packer, crossings: Sequence[Crossing]) -> None:
    """Time stamps and SACK edges as numbers, since they are never the same twice; the others as one text."""
    packer.numbers("packet.tsval", [one.options.get("tsval", -1) for one in crossings])
    packer.numbers("packet.tsecr", [one.options.get("tsecr", -1) for one in crossings])
    packer.numbers("packet.wscale", [one.options.get("wscale", -1) for one in crossings])
    packer.lists("packet.sack", [_edges(one.options.get("sack")) for one in crossings])
    packer.texts("packet.options", [_other_options(one.options) for one in crossings])


def _edges(blocks: object) -> list[int]:
    """Return the SACK edges as left, right, left, right ...; none where they are not decoded."""
    if not isinstance(blocks, list | tuple):
        return []
    return [edge for block in blocks for edge in block]


def _other_options(options: dict[str, Any]) -> str:
    others = {name: value for name, value in options.items() if name not in ("tsval", "tsecr", "sack")}
    return ", ".join(name if value is True else f"{name} {value}" for name, value in others.items())


def _ends(packer: Packer, source: Source, crossings: Sequence[Crossing]) -> None:
    """Header fields at the client, and how those at the server differ; what was not seen counts as 0."""
    if not source.captures:
        return
    rows = {
        "client": np.array([(one.at_client or 0) - 1 for one in crossings], np.int64),
        "server": np.array([(one.at_server or 0) - 1 for one in crossings], np.int64),
    }
    for column, _, _ in ENDS:
        values = {}
        for host in HOSTS:
            all_rows = getattr(source.captures[host], column).astype(np.int64)
            seen = rows[host] >= 0
            values[host] = np.zeros(len(crossings), np.int64)
            values[host][seen] = all_rows[rows[host][seen]]
        packer.numbers(f"end.{column}", values["client"])
        packer.numbers(f"end.{column}.differs", values["server"] - values["client"])
