"""Expectations about the verdict: which facts about a run's data it holds."""

from __future__ import annotations

from testbed.analysis.expect.run_facts import Result, RunFacts, listed
from testbed.model import Host
from testbed.model.expect import ExpectedVerdict
from testbed.model.verdicts import (
    FACT_NAMES,
    BrokenOff,
    ConnectsFailed,
    NeverOpened,
    NoData,
    SocketEvents,
    Transfer,
    VerdictFact,
)


def check_verdict(expected: ExpectedVerdict, facts: RunFacts) -> Result:
    """Check how many facts of the verdict are of a name and fit."""
    found = [fact for fact in facts.verdict if _fits(expected, fact, facts)]
    given = [str(value) for value in (expected.host, expected.reason) if value is not None]
    given += [f"connection {expected.connection}"] if expected.connection is not None else []
    what = " ".join([expected.fact, *given])
    ok = expected.count.holds(len(found))
    there = listed([_name(fact) for fact in facts.verdict])
    return Result(ok if facts.complete else None, f"{expected.count} {what}", f"{len(found)} {what}, of: {there}")


def _fits(expected: ExpectedVerdict, fact: VerdictFact, facts: RunFacts) -> bool:
    return (
        _name(fact) == expected.fact
        and (expected.host is None or expected.host in hosts_of(fact))
        and (expected.reason is None or _reason(fact) == expected.reason)
        and (expected.connection is None or _connection(fact, facts) == expected.connection)
    )


def _name(fact: VerdictFact) -> str:
    return next((name for name, kind in FACT_NAMES.items() if isinstance(fact, kind)), "totals")


def hosts_of(fact: VerdictFact) -> tuple[Host, ...]:
    """Return the hosts that a fact names."""
    match fact:
        case NeverOpened():
            return (fact.opener,)
        case BrokenOff():
            return (fact.reset.host,)
        case Transfer():
            return (fact.row.sender,)
        case NoData():
            return (*((fact.reset_by,) if fact.reset_by else ()), *fact.closed_by)
    host = getattr(fact, "host", None)
    return (host,) if host is not None else ()


def _reason(fact: VerdictFact) -> str | None:
    if isinstance(fact, NeverOpened):
        return str(fact.reason)
    if isinstance(fact, SocketEvents):
        return str(fact.end)
    return fact.errno if isinstance(fact, ConnectsFailed) else None


def _connection(fact: VerdictFact, facts: RunFacts) -> int | None:
    flow = fact.row.flow if isinstance(fact, Transfer) else getattr(fact, "flow", None)
    return None if flow is None else facts.connections.get(flow)
