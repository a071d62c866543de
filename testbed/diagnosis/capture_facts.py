"""Two captures, or one, as what the rules look at: an observation without calls.

A packet that the other capture could not have (it began later, ended earlier, or its tap missed it) counts as one that
crossed: nobody is accused of its loss. One capture is compared with itself, so that every packet crosses at once.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from testbed.analysis.analyse import analyse
from testbed.analysis.expect.run_facts import RunFacts
from testbed.crossings.comparison_view import ComparisonView
from testbed.diagnosis.diagnose import diagnose
from testbed.diagnosis.mapping_rules import mapping_findings
from testbed.diagnosis.observed import Observed
from testbed.model import HOSTS, Analysis, Crossing, Inputs, Joined
from testbed.model.findings import Diagnosis
from testbed.pairing.compare_captures import Comparison
from testbed.pairing.fates import RowFate

MOST_PACKETS = 20_000
"""Packets above which only counts are diagnosed: the rules take some 0.1 ms for each."""

MOST_UNASKED = 5_000
"""The same where nobody asked for a diagnosis, as in `compare`, which must not become slower by it."""

_KNOWN = (RowFate.CROSSED, RowFate.SPLIT, RowFate.MERGED, RowFate.LOST, RowFate.APPEARED, RowFate.DUPLICATED)


def diagnose_captures(compared: Comparison, *, both_ends: bool) -> Analysis:
    """Return an analysis of captures with its diagnosis; ``both_ends``: they are two."""
    both_ends = both_ends and not _one_place(compared)
    inputs, unsure = _inputs(compared, both_ends=both_ends)

    def diagnosed(facts: RunFacts) -> Diagnosis:
        found = diagnose(Observed(facts, both_ends=both_ends, unsure=unsure))
        more = tuple(mapping_findings(compared))
        return replace(found, findings=(*found.findings, *more))

    return analyse(inputs, (), diagnosed)


def _one_place(compared: Comparison) -> bool:
    """Say whether both captures were made at one place: what both ends sent came first to the same capture."""
    first = compared.statistics.sent_at_one
    return len(first) > 1 and bool((first[::2] == first[1::2]).all())


def is_small(compared: Comparison, most: int = MOST_PACKETS) -> bool:
    """Say whether captures are small enough for the rules to look at every packet."""
    return len(compared.table) <= most


def _inputs(compared: Comparison, *, both_ends: bool) -> tuple[Inputs, frozenset[int]]:
    """Return captures as the inputs of an analysis, and the numbers of the packets whose fate is not known."""
    view = ComparisonView(compared)
    crossings = view.crossings(np.arange(len(view), dtype=np.int64))
    known = np.isin(compared.table.fate[view.rows], [int(fate) for fate in _KNOWN])
    if both_ends:
        packets = tuple(one if sure else _as_crossed(one) for one, sure in zip(crossings, known.tolist(), strict=True))
    else:
        packets = tuple(
            replace(_as_crossed(one), sender=HOSTS[way]) for one, way in zip(crossings, view.ways.tolist(), strict=True)
        )
    joined = Joined(
        view.flows,
        packets,
        {"client": compared.packets[0].frames, "server": compared.packets[1].frames},
        {"client": dict(compared.packets[0].other), "server": dict(compared.packets[1].other)},
    )
    inputs = Inputs(
        joined=joined,
        calls={"client": (), "server": ()},
        observed={"client": "none", "server": "none"},
        programs=(),
        output={"client": "", "server": ""},
    )
    return inputs, frozenset(np.flatnonzero(~known).tolist())


def _as_crossed(packet: Crossing) -> Crossing:
    return replace(packet, sent=packet.time, arrived=packet.time if packet.arrived is None else packet.arrived)
