"""The card above the ledger: what is wrong, each with what proves it; where the time went, as a bar."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from testbed.model import Flow
from testbed.model.findings import Diagnosis, Finding, TimeAccount, WaitKind
from testbed.report.evidence_text import span
from testbed.report.html.ledger_picture import WIDTH
from testbed.report.html.links import LinkedPiece, Links
from testbed.report.text.finding_text import (
    details,
    doubt_text,
    evidence_of,
    looked_at_text,
    named,
    nothing_found,
    time_text,
    undecided_text,
)

_MOST, _BARS, _SELECTED, _NAMED = 20, 6, 200, 20


@dataclass(frozen=True, slots=True)
class ShownFinding:
    """A finding on the page; ``target`` selects its packets and calls, empty where the page has none of them."""

    name: str
    severity: str
    flow: str
    parts: list[LinkedPiece]
    details: list[tuple[str, str]]
    target: str


@dataclass(frozen=True, slots=True)
class BarPart:
    """A part of the bar: the kind's place among :class:`WaitKind`, and where it is drawn."""

    place: int
    x: float
    width: float
    text: str


@dataclass(frozen=True, slots=True)
class TimeBar:
    """Where the time of one connection went."""

    flow: str
    text: str
    parts: list[BarPart]


@dataclass(frozen=True, slots=True)
class FindingsCard:
    """What the card shows; ``more`` findings are left out."""

    findings: list[ShownFinding]
    more: int
    nothing: str
    undecided: list[str]
    doubts: list[str]
    bars: list[TimeBar]


def card(diagnosis: Diagnosis | None, flows: Sequence[Flow], packets: Iterable[int]) -> FindingsCard | None:
    """Return the card; ``packets`` are the numbers of those that the page holds. None where nobody looked."""
    if diagnosis is None or not diagnosis.looked_for:
        return None
    there = frozenset(packets)
    links = Links(there)
    return FindingsCard(
        findings=[
            ShownFinding(
                name=each.name.value,
                severity=each.severity.value,
                flow=named(flows, each.flow),
                parts=links.linked(evidence_of(each)),
                details=list(details(each)),
                target=_target(each, there),
            )
            for each in diagnosis.findings[:_MOST]
        ],
        more=max(len(diagnosis.findings) - _MOST, 0),
        nothing=nothing_found(diagnosis),
        undecided=[f"{named(flows, each.flow)}{undecided_text(each)}" for each in diagnosis.undecided[:_MOST]],
        doubts=[
            *map(doubt_text, diagnosis.doubts),
            *([looked_at_text(*diagnosis.looked_at)] if diagnosis.looked_at else []),
        ],
        bars=[_bar(each, named(flows, each.flow)) for each in diagnosis.time[:_BARS] if each.total],
    )


def named_packets(diagnosis: Diagnosis | None) -> list[int]:
    """Return the numbers of packets that the card leads to, some of each finding; a page should hold them."""
    found = diagnosis.findings[:_MOST] if diagnosis is not None else ()
    return [number for each in found for number in each.packets[:_NAMED]]


def _target(finding: Finding, there: frozenset[int]) -> str:
    names = [f"p{n}" for n in dict.fromkeys(finding.packets) if n in there]
    names += [f"{call.host}:{call.n}" for call in finding.calls]
    return f"of={','.join(names[:_SELECTED])}&sel={names[0]}" if names else ""


def _bar(account: TimeAccount, flow: str) -> TimeBar:
    parts: list[BarPart] = []
    at = 0
    for place, kind in enumerate(WaitKind):
        ns = account.parts.get(kind, 0)
        if ns:
            x, width = WIDTH * at / account.total, WIDTH * ns / account.total
            parts.append(BarPart(place, round(x, 2), round(width, 2), f"{kind.value}: {span(ns)}"))
            at += ns
    return TimeBar(f" of {flow.removesuffix(': ')}" if flow else "", time_text(account), parts)
