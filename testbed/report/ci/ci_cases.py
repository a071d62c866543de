"""A run as a CI system sees it: one case for each expectation, one for the run as a whole.

``campaign_cases.py`` does the same for a variant of a campaign; ``junit.py``, ``test_anything.py`` and
``markdown_summary.py`` write the cases in their formats, ``ci_files.py`` all that are asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

from testbed.model import Analysis, Outcome
from testbed.model.errors import BothendsError
from testbed.report.evidence_text import sentence
from testbed.report.text.finding_text import headline
from testbed.report.text.verdict_text import verdict_text

State = Literal["passed", "failed", "error", "skipped"]

STATES: dict[Outcome, State] = {
    Outcome.PASS: "passed",
    Outcome.FAIL: "failed",
    Outcome.INCONCLUSIVE: "error",
    Outcome.UNSUPPORTED: "skipped",
}
_UNSUPPORTED = 4


class Reported(Protocol):
    """What the writers report: a run, or a variant of a campaign."""

    @property
    def scenario(self) -> str:
        """Its name."""

    @property
    def seconds(self) -> float:
        """How long it took."""

    @property
    def directory(self) -> str:
        """Where its artefacts are; empty where there are none."""

    @property
    def outcome(self) -> Outcome:
        """How it ended."""

    def cases(self) -> list[Case]:
        """Return its cases, the one for the whole first; their worst state is that of the outcome.

        Expectations for other kernels are skipped, and say nothing about the outcome.
        """

    def verdict(self) -> str:
        """Return one line."""

    def drawing(self, width: int, height: int) -> list[str]:
        """Return a picture of what happened in text, empty where there is none."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A scenario that was run: its analysis, or the error that ended it. ``seconds`` is wall time.

    ``ended`` is the outcome where the analysis has not been worked out (again).
    """

    scenario: str
    seconds: float
    directory: str = ""
    analysis: Analysis | None = None
    error: BothendsError | None = None
    ended: Outcome | None = None

    @property
    def outcome(self) -> Outcome:
        """How it ended; an error of the infrastructure is ``inconclusive``."""
        if self.analysis is not None:
            return self.analysis.outcome
        if self.ended is not None:
            return self.ended
        unsupported = self.error is not None and self.error.exit_code == _UNSUPPORTED
        return Outcome.UNSUPPORTED if unsupported else Outcome.INCONCLUSIVE

    @property
    def exit_code(self) -> int:
        """What `invoke run` returns for it alone."""
        return self.outcome.exit_code if self.error is None else self.error.exit_code

    def cases(self) -> list[Case]:
        """Return the cases of the run."""
        return [_whole(self), *_expectations(self.analysis)]

    def verdict(self) -> str:
        """Return the verdict's first sentence, or what went wrong."""
        if self.analysis is not None:
            return next(iter(_told(self.analysis)), "")
        return self.error.what.splitlines()[0] if self.error else ""

    def drawing(self, width: int, height: int) -> list[str]:
        """Return the ladder."""
        from testbed.report.text.ladder import ladder

        return [line.text for line in ladder(self.analysis, width, height)] if self.analysis is not None else []


def not_made(scenario: str) -> RunRecord:
    """Return the record of a run that was ended or never begun because somebody wanted an end."""
    return RunRecord(scenario, 0.0, error=BothendsError("interrupted before it had a result"))


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that was to hold: ``error`` means that the observation cannot say, ``message`` is one line."""

    name: str
    state: State
    message: str = ""
    detail: str = ""


def _whole(record: RunRecord) -> Case:
    """Say whether the run could be carried through, its programs ended well and everything was observed."""
    if record.analysis is None:
        message = record.error.what if record.error else "it did not run"
        return Case("run", STATES[record.outcome], message, str(record.error or ""))
    inputs = record.analysis.inputs
    detail = "\n".join(_told(record.analysis))
    if inputs.failures:
        return Case("run", "failed", "; ".join(inputs.failures), detail)
    if inputs.incomplete:
        return Case("run", "error", "; ".join(inputs.incomplete), detail)
    if record.outcome is Outcome.UNSUPPORTED:
        return Case("run", "skipped", "; ".join(record.analysis.reasons), detail)
    return Case("run", "passed", "", detail)


def _told(analysis: Analysis) -> list[str]:
    """Return what is wrong, the dearest first, and then the verdict."""
    found = analysis.diagnosis.findings if analysis.diagnosis is not None else ()
    return [*map(headline, found), *verdict_text(analysis)]


def _expectations(analysis: Analysis | None) -> Iterator[Case]:
    for check in analysis.checks if analysis else ():
        actual = sentence(check.actual)
        detail = f"expected: {check.expected}\nactual:   {actual}\nat:       {check.where}"
        if not check.applies:
            yield Case(check.text, "skipped", f"for {check.expected}; this is {actual}", detail)
        elif check.ok:
            yield Case(check.text, "passed")
        elif check.ok is None:
            yield Case(check.text, "error", "the observation cannot decide it", detail)
        else:
            yield Case(check.text, "failed", f"expected {check.expected}, actual {actual}", detail)
