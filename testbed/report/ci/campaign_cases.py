"""What a campaign means to a CI system: a suite for each variant, one case for all its runs, one for each share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from testbed.campaign.campaign_summary import ShareCheck, Summary, Variant
from testbed.model import Outcome
from testbed.report.ci.ci_cases import STATES, Case, State
from testbed.report.text.campaign_text import variant_lines


@dataclass(frozen=True, slots=True)
class VariantRecord:
    """One variant; ``directory`` is the campaign's."""

    variant: Variant
    directory: str

    @property
    def scenario(self) -> str:
        """The variant's full name."""
        return self.variant.name

    @property
    def seconds(self) -> float:
        """How long all its runs took, one after the other."""
        return self.variant.seconds

    @property
    def outcome(self) -> Outcome:
        """The worst of its runs and shares."""
        return self.variant.outcome

    def cases(self) -> list[Case]:
        """Return one case for all runs, one for each expectation that is judged over them."""
        variant = self.variant
        detail = "\n".join(variant_lines(variant))
        whole = Case("runs", STATES[variant.outcome_of_runs], self.verdict(), detail)
        return [whole, *map(_share, variant.checks)]

    def verdict(self) -> str:
        """Say how many runs had which outcome."""
        return self.variant.tally

    def drawing(self, width: int, height: int) -> list[str]:
        """Return the kinds of runs there were."""
        del width
        return variant_lines(self.variant)[:height]


def _share(check: ShareCheck) -> Case:
    state: State = {True: "passed", False: "failed", None: "error"}[check.ok]  # type: ignore[assignment]
    found = f"in {check.held:,} of {check.of:,} runs: {check.sure}"
    return Case(check.text, state, "" if check.ok else found, f"{found}\nat: {check.where}")


def records(summary: Summary, directory: str) -> Iterator[VariantRecord]:
    """Yield a record for each variant."""
    for variant in summary.variants:
        yield VariantRecord(variant, directory)
