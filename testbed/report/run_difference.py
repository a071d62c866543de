"""Where two runs differ, side by side: calls, packets, causes, the kernel's word, ledger, checks, conditions. Pure.

What two runs of the same never share is left out: times, addresses, ports, process ids and names of runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Any

from testbed.model import HOSTS
from testbed.report.kernel_difference import kernel_lines
from testbed.report.text.terminal_text import clip, counted, escape, quote

WIDTH = 56
MOST_ROWS = 60
_MOST_PAIRS = 4_000_000  # lines of one times lines of the other; more would take minutes to align
_PAYLOAD = 36  # characters of a payload
_NEVER_EQUAL = frozenset(
    {
        "run",
        "counters",
        "started",
        "ended",
        "processes",
        "containers",
        "subnet",
        "address",
        "addresses",
        "path",
        "statistics",
        "programs",
    }
)
_CHANCE = ("net.ipv4.tcp_mem", "net.ipv4.udp_mem", "net.core.bpf_jit_limit")


@dataclass(frozen=True, slots=True)
class Told:
    """A run: its name, ``result.json``'s content worked out anew, its manifest."""

    name: str
    result: Mapping[str, Any]
    manifest: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DifferenceRow:
    """A place where they differ; empty where one of them has nothing."""

    one: str
    other: str


@dataclass(frozen=True, slots=True)
class Section:
    """One respect in which they differ."""

    what: str
    rows: tuple[DifferenceRow, ...]


def compare(one: Told, other: Told) -> list[Section]:
    """Return where two runs differ; empty when in nothing that is not chance."""
    sections = [
        Section(section.what, tuple(row for row in section.rows if row.one != row.other))
        for section in align(one, other)
    ]
    return [section for section in sections if section.rows]


def align(one: Told, other: Told) -> list[Section]:
    """Return everything of two runs side by side, what they have in common too."""
    pairs: list[tuple[str, list[str], list[str]]] = [("outcome", [one.result["outcome"]], [other.result["outcome"]])]
    for what, of in (("calls", _calls), ("packets", _packets), ("causes of packets", _causes)):
        pairs += [(f"{host}: {what}", of(one, host), of(other, host)) for host in HOSTS]
    pairs += kernel_lines(one.result, other.result)
    pairs += [("ledger", _ledger(one), _ledger(other)), ("expectations", _checks(one), _checks(other))]
    sections = [Section(what, _aligned(left, right)) for what, left, right in pairs]
    return [*sections, *_conditions(one.manifest, other.manifest)]


def lines(sections: Sequence[Section], one: str, other: str) -> list[str]:
    """Return the differences as text in two columns."""
    if not sections:
        return ["no differences except in times, addresses and ids"]
    found = [f"{clip(escape(one), WIDTH):<{WIDTH}} | {escape(other)}"]
    for section in sections:
        found += ["", section.what]
        for row in section.rows[:MOST_ROWS]:
            found.append(f"  {clip(escape(row.one), WIDTH - 2):<{WIDTH - 2}} | {clip(escape(row.other), WIDTH)}")
        if len(section.rows) > MOST_ROWS:
            found.append(f"  ... {len(section.rows) - MOST_ROWS:,} more")
    return found


def _aligned(one: Sequence[str], other: Sequence[str]) -> tuple[DifferenceRow, ...]:
    """Put both side by side in order, what is in both in one row.

    What is between two that are the same is put in rows as it comes, as is all of what is too long to be aligned.
    """
    least = min(len(one), len(other))
    begin = next((k for k in range(least) if one[k] != other[k]), least)
    end = next((k for k in range(least - begin) if one[-1 - k] != other[-1 - k]), least - begin)
    rows = [DifferenceRow(line, line) for line in one[:begin]]
    left, right = one[begin : len(one) - end], other[begin : len(other) - end]
    if len(left) * len(right) > _MOST_PAIRS:
        rows += [DifferenceRow(*pair) for pair in zip_longest(left, right, fillvalue="")]
    else:
        for _, first, last, other_first, other_last in SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
            pairs = zip_longest(left[first:last], right[other_first:other_last], fillvalue="")
            rows += [DifferenceRow(*pair) for pair in pairs]
    return (*rows, *(DifferenceRow(line, line) for line in one[len(one) - end :]))


def _calls(run: Told, host: str) -> list[str]:
    return [
        " ".join(filter(None, (f"{_named(call)} = {call['result']}", call["errno"], _bytes(call["length"]))))
        for call in run.result["hosts"][host]["calls"]
    ]


def _named(call: Mapping[str, Any]) -> str:
    """Return a call's name, with the option for a call that is about one."""
    option = call["args"].get("name") if call["name"].endswith("sockopt") else None
    return f"{call['name']}({option})" if option else str(call["name"])


def _bytes(length: int) -> str:
    return f"({counted(length, 'byte')})" if length else ""


def _packets(run: Told, host: str) -> list[str]:
    return [_packet(packet) for packet in run.result["crossings"] if packet["sender"] == host]


def _packet(packet: Mapping[str, Any]) -> str:
    """Return ``P. "cstring"``, ``. lost``: flags, the first of the payload, what became of it unless it crossed."""
    payload = quote(bytes.fromhex(packet["payload"]), _PAYLOAD, packet["length"]) if packet["length"] else ""
    fate = "" if packet["fate"] == "crossed" else packet["fate"]
    return " ".join(filter(None, (packet["flags"] or packet["protocol"], payload, fate)))


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
        found.append(f"#{row['flow'] + 1} {row['sender']}: {', '.join(figures)}, unread {row['unread']}")
    return found


def _checks(run: Told) -> list[str]:
    words = {True: "holds", False: "fails", None: "unknown"}
    applies = [(check.get("applies", True), check) for check in run.result["checks"]]
    return [f"{words[check['ok']] if here else 'not applicable'}: {check['text']}" for here, check in applies]


def _conditions(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[Section]:
    """Return the manifests' settings, the kernels' and all else, by what they are about."""
    left, right = dict(_leaves(one)), dict(_leaves(other))
    rows: dict[str, list[DifferenceRow]] = {
        name: [] for name in ("scenario and settings", "sysctls", "kernel and versions")
    }
    rows["conditions"] = []
    for name in dict.fromkeys([*left, *right]):
        pair = DifferenceRow(*(f"{name} = {found[name]}" if name in found else "" for found in (left, right)))
        rows[_about(name)].append(pair)
    return [Section(what, tuple(found)) for what, found in rows.items()]


def _about(name: str) -> str:
    first = name.partition(" ")[0]
    if " sysctls" in name:
        return "sysctls"
    return {"scenario": "scenario and settings", "engine": "kernel and versions", "runner": "kernel and versions",
            "images": "kernel and versions"}.get(first, "conditions")  # fmt: skip


def _leaves(value: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    for key, member in value.items():
        name = f"{path} {key}".strip()
        if key in _NEVER_EQUAL or key in _CHANCE:
            continue
        if isinstance(member, Mapping):
            yield from _leaves(member, name)
        else:
            yield name, str(member)
