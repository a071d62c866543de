"""Crossings as columns of a page, with the header fields at both ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from testbed.model import HOSTS, Cause, Crossing, Fate
from testbed.pairing.clock import Clock
from testbed.report.html import kernel_columns
from testbed.report.html.links import put_sentences
from testbed.report.html.pack import Packer
from testbed.report.html.page_source import ShownPackets
from testbed.report.text.change_text import change_text
from testbed.report.text.link_text import link_texts

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
"""Column of a capture, what the page calls it, and the :class:`testbed.model.HeaderField`; empty for none."""

FATES = tuple(Fate)
"""The page's number of a fate is its place here (``assets/model.js``)."""


def put(packer: Packer, wire: ShownPackets, base: int, payload_limit: int) -> dict[str, Any]:
    """Add the columns of a page's packets, and return what belongs into the head.

    ``base`` is the time 0 (ns since the epoch); of each payload at most ``payload_limit`` bytes are stored.
    """
    crossings = wire.crossings
    _numbers(packer, crossings, base)
    packer.numbers("packet.marks", wire.marks)
    packer.numbers("packet.way", wire.ways)
    packer.texts("packet.what", wire.fates)
    for name in ("protocol", "flags", "made"):
        packer.texts(f"packet.{name}", [getattr(one, name) for one in crossings])
    put_sentences(packer, "packet.note", [one.note for one in crossings])
    packer.texts("packet.link", ["; ".join(link_texts(one.link)) for one in crossings])
    if wire.causes:
        _causes(packer, wire.causes)
    if wire.kernel:
        kernel_columns.put(packer, wire.kernel)
    for host, labels in wire.labels.items():
        packer.texts(f"packet.label.{host}", labels)
    _options(packer, crossings)
    packer.blobs("packet.payload", [one.payload[:payload_limit] for one in crossings])
    _ends(packer, wire)
    return {
        "counts": dict(wire.counts),
        "changes": {
            place: [list(change_text(change)) for change in one.changes]
            for place, one in enumerate(crossings)
            if one.changes
        },
        "ends": [list(field) for field in ENDS if field[0] in wire.ends],
        "payload_limit": payload_limit,
        "payload_cut": sum(1 for one in crossings if len(one.payload) > payload_limit),
    }


def head(wire: ShownPackets, base: int, clock: Clock) -> dict[str, Any]:
    """Return what is in the head of the data whatever the packets are of."""
    return {
        "base": str(base),  # ns since the epoch: too large for a JavaScript number
        "hosts": list(HOSTS),
        "flows": [
            {"protocol": flow.protocol, "client": str(flow.client), "server": str(flow.server)} for flow in wire.flows
        ],
        "clock": {
            "one": clock.exact,
            "pieces": [
                {
                    "start": piece.start - base,
                    "offset": str(piece.offset),  # clocks may be decades apart
                    "error": piece.error,
                    "drift": piece.drift * 1e6,
                }
                for piece in clock.pieces
                if not clock.exact
            ],
        },
        "total": wire.total,
        "cut": wire.cut,
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
    packer.texts("packet.rule", [cause.rule.value for cause in causes])
    put_sentences(packer, "packet.evidence", [cause.evidence for cause in causes])
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


def _ends(packer: Packer, wire: ShownPackets) -> None:
    """Header fields at the client, and how those at the server differ."""
    for column, (client, server) in wire.ends.items():
        packer.numbers(f"end.{column}", client)
        packer.numbers(f"end.{column}.differs", server - client)
