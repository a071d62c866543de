"""What of a run another run of the same scenario can have in common with it. Pure.

Times, addresses, ports and sequence numbers are left out, and so are bare ACKs, which TCP may send at any time, and how
reads cut a stream. A transfer of many segments counts as a whole: where it is cut is a matter of timing.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict

from testbed.analysis.expect.check_expectations import first_transmissions
from testbed.model import HOSTS, Analysis, Cause, ContentDifference, Crossing, Fate, Host, LedgerRow

MANY = 12
"""Segments one way above which only their sum is part of a signature."""
_SHOWN = 24
_DIGITS = 8

Facets = dict[str, list[str]]
"""What there is to compare, by name: outcome, segments, packets, causes, fates, ledger, checks; each a few lines."""


def facets(analysis: Analysis) -> Facets:
    """Return what a run can have in common with others."""
    crossings = analysis.inputs.joined.crossings
    many = {host: len(first_transmissions(crossings, host)) > MANY for host in HOSTS}
    return {
        "outcome": [analysis.outcome.value],
        "segments": [line for host in HOSTS for line in _segments(analysis, host)],
        "packets": [line for host in HOSTS for line in _control(crossings, host)],
        "causes": [line for host in HOSTS for line in _causes(crossings, analysis.causes, host, many=many[host])],
        "fates": _fates(crossings),
        "ledger": [_row(row) for row in analysis.ledger],
        "checks": [
            f"{_OK[check.ok]} {check.text}" for check in analysis.checks if check.applies and check.ok is not True
        ],
    }


_OK = {True: "holds", False: "fails", None: "unknown"}


def key(of: Mapping[str, list[str]]) -> str:
    """Return a short name that two runs share exactly when their facets are equal."""
    return hashlib.sha256(json.dumps(of, sort_keys=True).encode()).hexdigest()[:_DIGITS]


def _is_bare_ack(packet: Crossing) -> bool:
    return packet.flags == "." and not packet.length


def _segments(analysis: Analysis, host: Host) -> list[str]:
    found = first_transmissions(analysis.inputs.joined.crossings, host)
    if not found:
        return []
    if len(found) > MANY:
        return [f"{host}: {sum(map(len, found)):,} bytes in many segments"]
    return [f"{host}: {', '.join(map(_payload, found))}"]


def _payload(data: bytes) -> str:
    text = data.decode("ascii", "replace")
    plain = data and len(data) <= _SHOWN and text.isprintable() and text.isascii() and "," not in text
    return text.strip() if plain and text.strip() == text else f"{len(data)} bytes"


def _control(crossings: tuple[Crossing, ...], host: Host) -> list[str]:
    found = Counter(packet.flags for packet in crossings if packet.sender == host and set(packet.flags) & set("SRFU"))
    return [f"{host}: {', '.join(_times(flags, count) for flags, count in sorted(found.items()))}"] if found else []


def _causes(crossings: tuple[Crossing, ...], causes: tuple[Cause, ...], host: Host, *, many: bool) -> list[str]:
    found = Counter(
        cause.rule
        for packet, cause in zip(crossings, causes, strict=True)
        if packet.sender == host and not _is_bare_ack(packet)
    )
    if not found:
        return []
    shown = [rule if many else _times(rule, count) for rule, count in sorted(found.items())]
    return [f"{host}: {', '.join(shown)}"]


def _times(what: str, count: int) -> str:
    return what if count == 1 else f"{count} {what}"


def _fates(crossings: tuple[Crossing, ...]) -> list[str]:
    found = Counter(packet.fate for packet in crossings if packet.fate is not Fate.CROSSED and not _is_bare_ack(packet))
    altered = sum(bool(packet.changes) for packet in crossings)
    return [f"{count} {fate}" for fate, count in sorted(found.items())] + ([f"{altered} altered"] if altered else [])


def _row(row: LedgerRow) -> str:
    figures = [f"{point} {'?' if count.bytes is None else count.bytes}" for point, count in row.points()]
    unread = [f"unread {row.unread}"] if row.unread else []
    differs = [] if row.difference is None else [_difference(row.difference)]
    return f"#{row.flow + 1} {row.sender}: " + ", ".join([*figures, *unread, *differs])


def _difference(found: ContentDifference) -> str:
    """Return all of a difference but the packet's number, which bare ACKs before it change."""
    values = {name: value for name, value in asdict(found).items() if value is not None and name != "packet"}
    if found.call is not None:
        values["call"] = f"{found.call.name} {found.call.n}"
    return "differs: " + ", ".join(f"{name} {value}" for name, value in values.items())
