"""Expectations about what was found to be wrong."""

from __future__ import annotations

from testbed.analysis.expect.run_facts import Result, RunFacts, listed
from testbed.model import HOSTS
from testbed.model.expect import ExpectedFinding, ExpectedFindings
from testbed.model.findings import BY_THE_MACHINE, Finding

_WITH_CALLS = ("probe", "trace", "strace", "winsock")
"""Observers that see the calls and do not hold them."""


def check_finding(expected: ExpectedFinding, facts: RunFacts) -> Result:
    """Check how many findings are of a name and fit; undecided where nobody looked, or what was seen cannot show it."""
    told = str(expected.name)
    given = [str(each) for each in (expected.severity, expected.who) if each is not None]
    given += [f"connection {expected.connection}"] if expected.connection is not None else []
    wanted = f"{expected.count} {' '.join([told, *given])}"
    if facts.diagnosis is None:
        return Result(None, wanted, "nobody looked for findings")
    found = [each for each in facts.diagnosis.findings if _fits(expected, each, facts)]
    ok: bool | None = expected.count.holds(len(found))
    if not facts.complete or (expected.name in facts.diagnosis.not_visible and not found):
        ok = None
    return Result(ok, wanted, f"{len(found)} of them, of: {_names(facts)}")


def _fits(expected: ExpectedFinding, finding: Finding, facts: RunFacts) -> bool:
    number = None if finding.flow is None else facts.connections.get(finding.flow)
    return (
        finding.name is expected.name
        and expected.severity in (None, finding.severity)
        and expected.who in (None, finding.who)
        and expected.connection in (None, number)
    )


def check_findings(expected: ExpectedFindings, facts: RunFacts) -> Result:
    """Check that there are none of some severities, or exactly those that are named."""
    wanted = (
        f"no {' and no '.join(expected.none)}"
        if expected.exactly is None
        else listed(list(expected.exactly))
        + (f", and perhaps {listed(list(expected.maybe))}" if expected.maybe else "")
    )
    if facts.diagnosis is None:
        return Result(None, wanted, "nobody looked for findings")
    findings = facts.diagnosis.findings
    if expected.exactly is None:
        ok = not any(each.severity in expected.none for each in findings)
    else:
        names = {each.name for each in findings}
        ok = set(expected.exactly) <= names <= {*expected.exactly, *expected.maybe, *BY_THE_MACHINE}
    return Result(ok if facts.complete else None, wanted, _names(facts))


def applies(expected: ExpectedFindings, facts: RunFacts) -> bool:
    """Say whether a run can show what is named exactly: with both hosts' calls, none of which was held."""
    if expected.exactly is None:
        return True
    return all(facts.inputs.observed.get(host) in _WITH_CALLS for host in HOSTS)


def _names(facts: RunFacts) -> str:
    findings = facts.diagnosis.findings if facts.diagnosis is not None else ()
    return listed(list(dict.fromkeys(f"{each.name} ({each.severity})" for each in findings)))
