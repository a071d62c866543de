"""What a scenario expects to be said of a run: facts of its verdict, and what is found to be wrong."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from testbed.model import Host, expect
from testbed.model.expect import AT_LEAST_ONE
from testbed.scenario.expect.written_expectation import WrittenExpectation
from testbed.scenario.language.base import Opt, Short
from testbed.scenario.language.limits import CountText
from testbed.scenario.language.values import CulpritWord, FactName, FindingWord, Line, SeverityWord, Whole


class VerdictFigures(Short):
    """A fact about the data of a run, and how often it is in the verdict."""

    short = "fact"
    fact: FactName
    """Its name: connection-refused, never-opened, no-data, transfer, broken-off, given-up, connects-failed,
    datagrams-refused, dead-lock, socket-events, no-packets or no-flows."""
    host: Opt[Host] = None
    """The host that it names: that refused, opened, sent, gave up, or whose RST broke the connection off."""
    reason: Opt[Line] = None
    """Of never-opened, why: given-up, answers-lost, syns-lost or no-answer. Of connects-failed the errno. Of
    socket-events, how it ended: all-read, not-read, closed or reset."""
    connection: Opt[Whole] = Field(default=None, ge=1)
    """Only of this connection or conversation, from 1 in the order of their first packets."""
    count: CountText = Field(default=AT_LEAST_ONE)
    """How many such facts: 1, ">=1"; 0 for none."""


class VerdictExpectation(WrittenExpectation):
    """A fact of the verdict."""

    key = "verdict"
    verdict: VerdictFigures
    """The fact's name, or a mapping."""

    def _wanted(self) -> expect.Wanted:
        figures = self.verdict
        return expect.ExpectedVerdict(figures.fact, figures.count, figures.host, figures.reason, figures.connection)


class FindingFigures(Short):
    """A finding, and how often it is made."""

    short = "name"
    name: FindingWord
    """Its name (`invoke diagnose`): nagle-delayed-ack."""
    severity: Opt[SeverityWord] = None
    """How bad it is: error, warning or note."""
    who: Opt[CulpritWord] = None
    """Who did it: client program, client kernel, path, server kernel, server program or not decidable."""
    connection: Opt[Whole] = Field(default=None, ge=1)
    """Only of this connection or conversation, from 1 in the order of their first packets."""
    count: CountText = Field(default=AT_LEAST_ONE)
    """How many such findings: 1, ">=1"; 0 for none."""


class FindingExpectation(WrittenExpectation):
    """Something that is found to be wrong."""

    key = "finding"
    finding: FindingFigures
    """The finding's name, or a mapping."""

    def _wanted(self) -> expect.Wanted:
        wanted = self.finding
        return expect.ExpectedFinding(wanted.name, wanted.count, wanted.severity, wanted.who, wanted.connection)


class WantedFindings(Short):
    """Which findings there are."""

    short = "exactly"
    exactly: Opt[tuple[FindingWord, ...]] = None
    """These and no others, each at least once; [] for none at all. Only where both hosts' calls are seen. `reordering`
    may always be there: a machine with several processors does it by itself."""
    maybe: tuple[FindingWord, ...] = ()
    """Beside `exactly`: others that a run may have, as the machine's timing decides."""
    none: tuple[SeverityWord, ...] = ()
    """No finding of these severities."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.exactly is None) == (not self.none):
            raise ValueError("exactly one of exactly, none is needed")
        if self.maybe and self.exactly is None:
            raise ValueError("`maybe` goes with `exactly`")
        return self


class FindingsExpectation(WrittenExpectation):
    """All that is found to be wrong: these findings and no others, or none that is so bad."""

    key = "findings"
    findings: WantedFindings
    """A list of names, or a mapping."""

    def _wanted(self) -> expect.Wanted:
        return expect.ExpectedFindings(self.findings.none, self.findings.exactly, self.findings.maybe)
