"""Findings about some connections, with the numbers of packets and flows as all captured ones have them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from testbed.model.evidence import Part
from testbed.model.findings import Finding, FindingName, Undecided
from testbed.model.references import PacketRef


class Renumbered(NamedTuple):
    """``packets`` and ``flows`` are the numbers among all, by those among some."""

    packets: Sequence[int]
    flows: Sequence[int]

    def finding(self, of: Finding) -> Finding:
        """Return a finding with its packets and its flow renumbered."""
        return replace(
            of,
            flow=None if of.flow is None else self.flows[of.flow],
            packets=tuple(self.packets[n] for n in of.packets),
            facts={name: self._part(part) for name, part in of.facts.items()},
        )

    def undecided(self, of: Undecided) -> Undecided:
        """Return what is not decided with its packets and its flow renumbered."""
        flow = None if of.flow is None else self.flows[of.flow]
        return replace(of, flow=flow, packets=tuple(self.packets[n] for n in of.packets))

    def _part(self, part: Part) -> Part:
        return PacketRef(self.packets[part.n]) if isinstance(part, PacketRef) else part


def merged(findings: Iterable[Finding]) -> list[Finding]:
    """Leave out what several parts of the captures each say of all: a rewritten address, a clock, twice the same."""
    told: set[tuple[FindingName, str, int | None, tuple[int, ...]]] = set()
    kept = []
    for each in findings:
        key = (each.name, str(each.facts.get("host", "")), each.flow, each.packets)
        if key not in told:
            told.add(key)
            kept.append(each)
    return kept
