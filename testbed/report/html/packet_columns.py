"""Crossings as columns of a page, with the header fields at both ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from testbed.model import HOSTS, Cause, Crossing, Fate
from testbed.model.event_times import place_of
from testbed.pairing.clock import Clock
from testbed.report.cause_words import full_evidence
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

Source = TypeVar("Source")


@dataclass(frozen=True, slots=True)
class PacketColumn(Generic[Source]):
    """One fact about each packet: a row of these tables is all that it needs to be in a page's data.

    ``stored`` is the packer's way; ``of`` gives the value of a crossing, or of its cause. With a ``title`` a packet's
    panel shows the column in a row of its own; a number of -1 and an empty text are left out.
    """

    name: str
    stored: Literal["numbers", "texts", "lists", "sentences"]
    of: Callable[[Source], Any]
    title: str = ""


C = PacketColumn
COLUMNS: tuple[PacketColumn[Crossing], ...] = (
    C("n", "numbers", lambda one: one.n),
    C("delay", "numbers", lambda one: 0 if one.sent is None or one.arrived is None else one.arrived - one.sent),
    C("left", "numbers", lambda one: place_of(one.sent)),
    C("came", "numbers", lambda one: place_of(one.arrived)),
    C("fate", "numbers", lambda one: FATES.index(one.fate)),
    C("sender", "numbers", lambda one: HOSTS.index(one.sender)),
    C("flow", "numbers", lambda one: -1 if one.flow is None else one.flow),
    C("seq", "numbers", lambda one: one.seq),
    C("window", "numbers", lambda one: one.window),
    C("start", "numbers", lambda one: one.start),
    C("length", "numbers", lambda one: one.length),
    C("ttl", "numbers", lambda one: one.ttl),
    C("ack", "numbers", lambda one: one.ack or 0),  # whether there is one: see the flags
    C("at_client", "numbers", lambda one: one.at_client or 0),
    C("at_server", "numbers", lambda one: one.at_server or 0),
    C("protocol", "texts", lambda one: one.protocol),
    C("flags", "texts", lambda one: one.flags),
    C("made", "texts", lambda one: one.made),
    C("note", "sentences", lambda one: one.note),
    C("link", "texts", lambda one: "; ".join(link_texts(one.link))),
    # Time stamps and SACK edges as numbers, since they are never the same twice; the other options as one text.
    C("tsval", "numbers", lambda one: one.options.get("tsval", -1), "timestamp"),
    C("tsecr", "numbers", lambda one: one.options.get("tsecr", -1), "timestamp echo"),
    C("wscale", "numbers", lambda one: one.options.get("wscale", -1)),
    C("sack", "lists", lambda one: _edges(one.options.get("sack"))),
    C("options", "texts", lambda one: _other_options(one.options)),
)
CAUSE_COLUMNS: tuple[PacketColumn[Cause], ...] = (
    C("kind", "texts", lambda cause: cause.kind.value),
    C("rule", "texts", lambda cause: cause.rule.value),
    C("basis", "texts", lambda cause: cause.basis.value),
    C("evidence", "sentences", full_evidence),
    C("calls", "lists", lambda cause: cause.calls),
    C("answers", "lists", lambda cause: cause.packets),
)


def put(packer: Packer, wire: ShownPackets, base: int, payload_limit: int) -> dict[str, Any]:
    """Add the columns of a page's packets, and return what belongs into the head.

    ``base`` is the time 0 (ns since the epoch); of each payload at most ``payload_limit`` bytes are stored.
    """
    crossings = wire.crossings
    packer.numbers("packet.time", [one.time - base for one in crossings])
    packer.numbers("packet.marks", wire.marks)
    packer.numbers("packet.way", wire.ways)
    packer.texts("packet.what", wire.fates)
    _put_columns(packer, COLUMNS, crossings)
    if wire.causes:
        _put_columns(packer, CAUSE_COLUMNS, wire.causes)
    if wire.kernel:
        kernel_columns.put(packer, wire.kernel)
    for host, labels in wire.labels.items():
        packer.texts(f"packet.label.{host}", labels)
    packer.blobs("packet.payload", [one.payload[:payload_limit] for one in crossings])
    _ends(packer, wire)
    return {
        "counts": dict(wire.counts),
        "changes": {
            place: [list(change_text(change)) for change in one.changes]
            for place, one in enumerate(crossings)
            if one.changes
        },
        "titled": [[column.name, column.stored, column.title] for column in COLUMNS if column.title],
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


def _put_columns(packer: Packer, columns: Sequence[PacketColumn[Source]], packets: Sequence[Source]) -> None:
    for column in columns:
        name, values = f"packet.{column.name}", [column.of(one) for one in packets]
        if column.stored == "numbers":
            packer.numbers(name, values)
        elif column.stored == "texts":
            packer.texts(name, values)
        elif column.stored == "lists":
            packer.lists(name, values)
        else:
            put_sentences(packer, name, values)


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
