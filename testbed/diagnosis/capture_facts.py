"""Two captures, or one, as what the rules look at: an observation without calls.

A packet that the other capture could not have (it began later, ended earlier, or its tap missed it) counts as one that
crossed: nobody is accused of its loss. One capture is compared with itself, so that every packet crosses at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from testbed.analysis.analyse import analyse
from testbed.crossings.comparison_view import ComparisonView, FlowsOnDemand
from testbed.diagnosis.capture_trust import capture_doubts
from testbed.diagnosis.chosen_connections import Numbers, choose, restricted, times_of
from testbed.diagnosis.counted_rules import counted
from testbed.diagnosis.diagnose import dearest, diagnose, diagnose_beginning
from testbed.diagnosis.mapping_rules import mapping_findings
from testbed.diagnosis.observed import Observed
from testbed.diagnosis.renumbered import Renumbered, merged
from testbed.model import HOSTS, Crossing, Flow, Inputs, Joined
from testbed.model.findings import Diagnosis, Doubt, Finding, FindingName, Need, TimeAccount, Undecided
from testbed.pairing.compare_captures import Comparison
from testbed.pairing.fates import RowFate


class Depth(NamedTuple):
    """How many packets are looked at one by one, which takes some 0.1 ms for each.

    ``whole``: captures with at most so many packets in common are looked at whole; ``chosen``: of larger ones so many.
    """

    whole: int
    chosen: int


UNASKED = Depth(5_000, 1_000)
"""Where nobody asked for a diagnosis, as in `compare`."""
USUAL = Depth(20_000, 1_500)
"""What adds at most a tenth to a comparison of a million packets."""
THOROUGH = Depth(100_000, 50_000)

_KNOWN = (RowFate.CROSSED, RowFate.SPLIT, RowFate.MERGED, RowFate.LOST, RowFate.APPEARED, RowFate.DUPLICATED)


class CaptureFindings(NamedTuple):
    """What captures show to be wrong, and the flows (by index) that findings name."""

    diagnosis: Diagnosis
    flows: Sequence[Flow]


def diagnose_captures(compared: Comparison, *, both_ends: bool, depth: Depth = USUAL) -> CaptureFindings:
    """Return what captures show to be wrong; ``both_ends``: they are two.

    Of large captures the packets of those connections are looked at one by one on which most went wrong
    (:mod:`testbed.diagnosis.chosen_connections`), and what columns show of all the others.
    """
    both_ends = both_ends and not _one_place(compared)
    if len(compared.table) <= depth.whole:
        view = ComparisonView(compared)
        diagnosis = _by_packets(compared, view, diagnose, both_ends=both_ends)
        more = tuple(mapping_findings(compared, range(len(compared.pairs))))
        doubts = (*capture_doubts(compared, both_ends=both_ends), *diagnosis.doubts)
        return CaptureFindings(replace(diagnosis, findings=(*diagnosis.findings, *more), doubts=doubts), view.flows)
    return _of_many(compared, depth.chosen, both_ends=both_ends)


def _of_many(compared: Comparison, most: int, *, both_ends: bool) -> CaptureFindings:
    """Diagnose captures with more packets than are looked at one by one."""
    chosen = choose(compared, most)
    times = times_of(compared)
    numbers = Numbers(times, compared.table.skip)
    place = compared.table.place
    whole = np.zeros(len(compared.pairs), np.bool_)
    whole[chosen.whole] = True
    parts = [(chosen.whole, np.flatnonzero(whole.repeat(2)[place]), diagnose)] if len(chosen.whole) else []
    for large in chosen.begun.tolist():
        first = numbers.earliest(place >> 1 == large, max(most // 4, 1))
        parts.append((np.array([large], np.int64), np.sort(first), diagnose_beginning))
    found: list[Finding] = []
    undecided: list[Undecided] = []
    time: list[TimeAccount] = []
    doubts: dict[object, Doubt] = {}
    last = Diagnosis()
    for pairs, rows, by in parts:
        some = restricted(compared, pairs, rows)
        view = ComparisonView(some)
        there = rows[view.rows]
        renumber = Renumbered(tuple(numbers.of(there, times[there])), tuple(pairs.tolist()))
        diagnosis = _by_packets(some, view, by, both_ends=both_ends)
        found += [renumber.finding(each) for each in diagnosis.findings if each.name not in _OF_ALL]
        undecided += [renumber.undecided(each) for each in diagnosis.undecided]
        time += [replace(each, flow=int(pairs[each.flow])) for each in diagnosis.time]
        doubts |= {(each.what, each.host): each for each in diagnosis.doubts}
        last = last if last.looked_for else diagnosis
    if both_ends:
        found += counted(compared, ~whole, lambda rows: numbers.of(rows, times[rows]))
    found += mapping_findings(compared, np.concatenate([chosen.whole, chosen.begun]).tolist())
    missing = {**last.not_visible, **dict.fromkeys(_OF_ALL, Need.ALL_PACKETS)}
    whole_diagnosis = Diagnosis(
        findings=tuple(sorted(merged(found), key=dearest)),
        undecided=tuple(undecided),
        time=tuple(time),
        doubts=(*capture_doubts(compared, both_ends=both_ends), *doubts.values()),
        looked_for=tuple(name for name in last.looked_for if name not in missing),
        not_visible=missing,
        looked_at=(len(chosen.whole), len(compared.pairs)),
    )
    return CaptureFindings(whole_diagnosis, FlowsOnDemand(compared))


_OF_ALL = (FindingName.CONNECTION_PER_REQUEST,)
"""Findings that speak of all connections."""


def _by_packets(
    compared: Comparison, view: ComparisonView, by: Callable[[Observed], Diagnosis], *, both_ends: bool
) -> Diagnosis:
    inputs, unsure = _inputs(compared, view, both_ends=both_ends)
    clock = not compared.clock.unfit
    analysis = analyse(
        inputs, (), lambda facts: by(Observed(facts, both_ends=both_ends, unsure=unsure, one_clock=clock))
    )
    assert analysis.diagnosis is not None  # noqa: S101 - it was asked for
    return analysis.diagnosis


def _one_place(compared: Comparison) -> bool:
    """Say whether both captures were made at one place: what both ends sent came first to the same capture."""
    first = compared.statistics.sent_at_one
    return len(first) > 1 and bool((first[::2] == first[1::2]).all())


def _inputs(compared: Comparison, view: ComparisonView, *, both_ends: bool) -> tuple[Inputs, frozenset[int]]:
    """Return captures as the inputs of an analysis, and the numbers of the packets whose fate is not known."""
    numbers = np.arange(len(view), dtype=np.int64)
    crossings = view.crossings(numbers)
    known = np.isin(compared.table.fate[view.rows], [int(fate) for fate in _KNOWN])
    if both_ends:
        packets = tuple(one if sure else _as_crossed(one) for one, sure in zip(crossings, known.tolist(), strict=True))
    else:
        ways = view.ways(numbers).tolist()
        packets = tuple(replace(_as_crossed(one), sender=HOSTS[way]) for one, way in zip(crossings, ways, strict=True))
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
