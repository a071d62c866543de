"""Where two runs differ, side by side: calls, packets, causes, ledger, checks and conditions. Pure.

What two runs of the same never share is left out: times, addresses, ports, process ids and names of runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Any

from testbed.model import HOSTS
from testbed.report.plain import clip, escape

WIDTH = 56
MOST_ROWS = 60
_NEVER_EQUAL = frozenset(
    {"run", "started", "ended", "processes", "containers", "subnet", "address", "path", "statistics", "programs"}
)
_CHANCE = ("net.ipv4.tcp_mem", "net.ipv4.udp_mem", "net.core.bpf_jit_limit")


@dataclass(frozen=True, slots=True)
class Told:
    """A run: its name, ``result.json``'s content worked out anew, its manifest."""

    name: str
    result: Mapping[str, Any]
    manifest: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """A place where they differ; empty where one of them has nothing."""

    one: str
    other: str


@dataclass(frozen=True, slots=True)
class Section:
    """One respect in which they differ."""

    what: str
    rows: tuple[Row, ...]


def compare(one: Told, other: Told) -> list[Section]:
    """Return where two runs differ; empty when in nothing that is not chance."""
    pairs: list[tuple[str, list[str], list[str]]] = [("outcome", [one.result["outcome"]], [other.result["outcome"]])]
    for what, of in (("calls", _calls), ("packets", _packets), ("causes of packets", _causes)):
        pairs += [(f"{host}: {what}", of(one, host), of(other, host)) for host in HOSTS]
    pairs += [("ledger", _ledger(one), _ledger(other)), ("expectations", _checks(one), _checks(other))]
    sections = [Section(what, _aligned(left, right)) for what, left, right in pairs]
    sections.append(Section("conditions", _conditions(one.manifest, other.manifest)))
    return [section for section in sections if section.rows]


def lines(sections: Sequence[Section], one: str, other: str) -> list[str]:
    """Return the differences as text in two columns."""
    if not sections:
        return ["no difference but in times, addresses and ids"]
    found = [f"{clip(escape(one), WIDTH):<{WIDTH}} | {escape(other)}"]
    for section in sections:
        found += ["", section.what]
        for row in section.rows[:MOST_ROWS]:
            found.append(f"  {clip(escape(row.one), WIDTH - 2):<{WIDTH - 2}} | {clip(escape(row.other), WIDTH)}")
        if len(section.rows) > MOST_ROWS:
            found.append(f"  ... {len(section.rows) - MOST_ROWS:,} more")
    return found


def _aligned(one: Sequence[str], other: Sequence[str]) -> tuple[Row, ...]:
    """Put what differs side by side; what both have in the same order is left out."""
    rows: list[Row] = []
    for tag, begin, end, other_begin, other_end in SequenceMatcher(None, one, other, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        pairs = zip_longest(one[begin:end], other[other_begin:other_end], fillvalue="")
        rows += [Row(left, right) for left, right in pairs]
    return tuple(rows)


def _calls(run: Told, host: str) -> list[str]:
    return [
        " ".join(filter(None, (f"{call['name']} = {call['result']}", call["errno"], _bytes(call["length"]))))
        for call in run.result["hosts"][host]["calls"]
    ]


def _bytes(length: int) -> str:
    return f"({length} bytes)" if length else ""


def _packets(run: Told, host: str) -> list[str]:
    return [
        f"{packet['flags'] or packet['protocol']}, {packet['length']} bytes {packet['payload'][:16]}, {packet['fate']}"
        for packet in run.result["crossings"]
        if packet["sender"] == host
    ]


def _causes(run: Told, host: str) -> list[str]:
    names = {call["n"]: call["name"] for call in run.result["hosts"][host]["calls"]}
    return [
        f"{packet['flags'] or packet['protocol']}: {packet['cause']['rule']} "
        f"{', '.join(names.get(n, '?') for n in packet['cause']['calls'])}".strip()
        for packet in run.result["crossings"]
        if packet["sender"] == host
    ]


def _ledger(run: Told) -> list[str]:
    found = []
    for row in run.result["ledger"]:
        points = ("written", "sent", "arrived", "acknowledged", "read")
        figures = [f"{point} {'?' if row[point]['bytes'] is None else row[point]['bytes']}" for point in points]
        found.append(f"#{row['flow']} {row['sender']}: {', '.join(figures)}, unread {row['unread']}")
    return found


def _checks(run: Told) -> list[str]:
    words = {True: "holds", False: "fails", None: "unknown"}
    return [f"{words[check['ok']]}: {check['text']}" for check in run.result["checks"]]


def _conditions(one: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[Row, ...]:
    left, right = dict(_leaves(one)), dict(_leaves(other))
    return tuple(
        Row(*(f"{name} = {found[name]}" if name in found else "" for found in (left, right)))
        for name in dict.fromkeys([*left, *right])
        if left.get(name) != right.get(name)
    )


def _leaves(value: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    for key, member in value.items():
        name = f"{path} {key}".strip()
        if key in _NEVER_EQUAL or key in _CHANCE:
            continue
        if isinstance(member, Mapping):
            yield from _leaves(member, name)
        else:
            yield name, str(member)
