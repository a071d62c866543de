"""Find out what is wrong: all rules in their order, findings by what they cost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from testbed.analysis.expect.run_facts import RunFacts
from testbed.diagnosis import (
    datagram_rules,
    ending_rules,
    idle_rules,
    loss_rules,
    opening_rules,
    path_rules,
    transfer_rules,
    waiting_rules,
)
from testbed.diagnosis.observed import Observed
from testbed.diagnosis.time_account import time_accounts
from testbed.diagnosis.trust import doubts
from testbed.model import HOSTS
from testbed.model.findings import FINDINGS, Diagnosis, Finding, FindingName, Need, Severity, TimeAccount, Undecided

_SEVERITIES = tuple(Severity)
_IN_ALL = 1000
"""Findings that are kept: more say nothing new."""


def diagnose_run(facts: RunFacts) -> Diagnosis:
    """Return what is wrong with a run."""
    return diagnose(Observed(facts))


def diagnose(seen: Observed) -> Diagnosis:
    """Return what is wrong with what was observed, the dearest first.

    A run that was cut short says nothing of the programs: nothing is looked for in it.
    """
    if seen.facts.inputs.cut_short:
        return Diagnosis()
    return _diagnosis(seen, _found(seen), time_accounts(seen) if seen.one_clock else ())


def diagnose_beginning(seen: Observed) -> Diagnosis:
    """Return what is wrong with connections of which only the first packets are given: nothing about their ends."""
    return _diagnosis(seen, _found_at_first(seen), ())


def _diagnosis(seen: Observed, rules: Iterator[Finding | Undecided], time: tuple[TimeAccount, ...]) -> Diagnosis:
    missing = _missing(seen)
    found = list(rules)
    findings = _without_consequences([each for each in found if isinstance(each, Finding) and each.name not in missing])
    told = {(each.name, each.flow) for each in findings}
    undecided = tuple(
        each
        for each in found
        if isinstance(each, Undecided) and not any((name, each.flow) in told for name in each.names)
    )
    findings.sort(key=dearest)
    return Diagnosis(
        findings=tuple(findings[:_IN_ALL]),
        undecided=undecided[:_IN_ALL],
        time=time,
        doubts=doubts(seen),
        looked_for=tuple(name for name in FINDINGS if name not in missing),
        not_visible=missing,
    )


_ENDED_BY = (
    *(FindingName.IDLE_FORGOTTEN, FindingName.PATH_DOWN),
    *(FindingName.WRITE_DEADLOCK, FindingName.REQUEST_NEVER_READ),
)
_ENDS = (FindingName.UNREAD_DATA_RESET, FindingName.LINGER_ZERO_ABORT)


def _without_consequences(findings: list[Finding]) -> list[Finding]:
    """Leave out how a program ended a connection that was beyond help: what it lost by that was lost before."""
    beyond_help = {
        each.flow
        for each in findings
        if each.name in _ENDED_BY
        or (each.name in (FindingName.ZERO_WINDOW, FindingName.MTU_BLACK_HOLE) and each.severity is Severity.ERROR)
    }
    return [each for each in findings if each.name not in _ENDS or each.flow not in beyond_help]


def dearest(finding: Finding) -> tuple[int, int, int]:
    """Return by what findings are sorted: severity, bytes lost, time waited."""
    return _SEVERITIES.index(finding.severity), -finding.cost.bytes, -finding.cost.wait


def _missing(seen: Observed) -> dict[FindingName, Need]:
    """Return the findings that what was observed cannot show, with what they need."""
    lacking: set[Need] = set()
    if not seen.both_ends:
        lacking.add(Need.BOTH_ENDS)
    if not seen.one_clock:
        lacking.add(Need.ONE_CLOCK)
    if not any(seen.facts.streams.observed[host] for host in HOSTS):
        lacking.add(Need.CALLS)
    if not any(each.opener is not None for each in seen.tcp) and seen.tcp:
        lacking.add(Need.HANDSHAKE)
    return {name: need for name, row in FINDINGS.items() for need in row.needs if need in lacking}


def _found_at_first(seen: Observed) -> Iterator[Finding | Undecided]:
    yield from opening_rules.slow(seen)
    yield from waiting_rules.nagle(seen)
    yield from path_rules.altered(seen)
    yield from transfer_rules.small_windows(seen)
    yield from transfer_rules.full_queues(seen)
    yield from transfer_rules.restarts(seen)


def _packets(found: Iterable[Finding | Undecided]) -> frozenset[int]:
    return frozenset(n for each in found if isinstance(each, Finding) for n in each.packets)


def _found(seen: Observed) -> Iterator[Finding | Undecided]:
    yield from opening_rules.refused(seen)
    yield from opening_rules.unanswered(seen)
    yield from opening_rules.slow(seen)
    yield from opening_rules.no_port(seen)
    yield from opening_rules.cookies(seen)
    yield from ending_rules.aborted(seen)
    yield from ending_rules.never_accepted(seen)
    met = [*ending_rules.raced(seen), *ending_rules.died(seen)]
    yield from met
    yield from ending_rules.late(seen, frozenset(each.flow for each in met))
    yield from ending_rules.forgotten(seen)
    dead = list(waiting_rules.dead_locked(seen))
    yield from dead
    stuck = frozenset(each.flow for each in dead if each.flow is not None)
    yield from waiting_rules.not_reading(seen, stuck)
    yield from waiting_rules.never_read(seen)
    yield from waiting_rules.nagle(seen)
    yield from waiting_rules.tiny(seen)
    swallowed = [*path_rules.mtu(seen), *idle_rules.idle(seen)]
    swallowed += idle_rules.down(seen, _packets(swallowed))
    swallowed += idle_rules.outages(seen, _packets(swallowed))
    yield from swallowed
    explained = _packets(swallowed)
    yield from ending_rules.forged(seen, explained)
    yield from loss_rules.losses(seen, explained)
    yield from path_rules.altered(seen)
    yield from path_rules.copies(seen)
    yield from path_rules.overtaking(seen)
    yield from path_rules.needless(seen)
    yield from transfer_rules.small_windows(seen)
    yield from transfer_rules.full_queues(seen)
    yield from transfer_rules.restarts(seen)
    yield from transfer_rules.one_each(seen)
    yield from datagram_rules.refused_datagrams(seen)
    yield from datagram_rules.too_large(seen)
    yield from datagram_rules.fragments(seen)
    yield from datagram_rules.overrun(seen)
    yield from datagram_rules.slow_names(seen)
