"""What a campaign found: for each variant the kinds of runs there were, and how they differ. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from testbed.campaign import shares
from testbed.campaign.task_list import Plan, label
from testbed.campaign.work import Report
from testbed.model import Outcome

_WORST = (Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.UNSUPPORTED)


def worst(outcomes: Collection[Outcome]) -> Outcome:
    """Return the worst of outcomes; pass if there is none."""
    return next((outcome for outcome in _WORST if outcome in outcomes), Outcome.PASS)


@dataclass(frozen=True, slots=True)
class RunKind:
    """Runs that have everything in common. ``kept`` are the directories of those that were kept, below ``runs/``."""

    signature: str
    count: int
    outcome: str
    facets: Mapping[str, list[str]]
    kept: tuple[str, ...]

    @property
    def example(self) -> str:
        """The directory of one of them; empty where none is kept."""
        return self.kept[0] if self.kept else ""


@dataclass(frozen=True, slots=True)
class ShareCheck:
    """An expectation judged over many runs: it held in ``held`` of ``of``; ``ok`` None: too few runs to tell."""

    text: str
    where: str
    wanted: float
    held: int
    of: int
    ok: bool | None

    @property
    def sure(self) -> str:
        """What can be said of the true share, in words."""
        if not self.of:
            return "no run could tell"
        least, most = shares.at_least(self.held, self.of), shares.at_most(self.held, self.of)
        confidence = f"{shares.CONFIDENCE:.0%} confidence"
        if self.ok is False:
            return f"at most {most:.2%} with {confidence}"
        more = f"; {shares.runs_needed(self.wanted)} runs without a failure would do" if self.ok is None else ""
        return f"at least {least:.2%} with {confidence}{more}"


@dataclass(frozen=True, slots=True)
class Variant:
    """One variant's runs: ``settings`` make it, ``label`` is them in words, ``wanted`` is how many there shall be.

    ``seconds`` is the sum over all runs. ``kinds`` begin with the most frequent.
    """

    scenario: str
    label: str
    settings: Mapping[str, Any]
    seconds: float
    runs: int
    wanted: int
    kinds: tuple[RunKind, ...]
    checks: tuple[ShareCheck, ...]

    @property
    def name(self) -> str:
        """Scenario and label."""
        return f"{self.scenario} {self.label}".rstrip()

    @property
    def outcomes(self) -> Counter[str]:
        """How many runs had each outcome."""
        found: Counter[str] = Counter()
        for kind in self.kinds:
            found[kind.outcome] += kind.count
        return found

    @property
    def tally(self) -> str:
        """How many runs there were and how they ended, in words: ``998 of 1,000 runs: 997 pass, 1 fail``."""
        of = f" of {self.wanted:,}" if self.runs != self.wanted else ""
        outcomes = ", ".join(f"{count:,} {outcome}" for outcome, count in self.outcomes.most_common())
        return f"{self.runs:,}{of} run{'' if self.runs == 1 else 's'}: {outcomes or 'none'}"

    @property
    def outcome_of_runs(self) -> Outcome:
        """The worst outcome of a run; inconclusive where there are not as many as there shall be."""
        missing = {Outcome.INCONCLUSIVE} if self.runs < self.wanted else set()
        return worst({Outcome(outcome) for outcome in self.outcomes} | missing)

    @property
    def outcome(self) -> Outcome:
        """The worst outcome of a run, or of an expectation over all of them."""
        shares = {True: Outcome.PASS, False: Outcome.FAIL, None: Outcome.INCONCLUSIVE}
        return worst({self.outcome_of_runs, *(shares[check.ok] for check in self.checks)})


@dataclass(frozen=True, slots=True)
class Summary:
    """All variants in the plan's order; ``differences`` compare the variants of one scenario."""

    engine: str
    variants: tuple[Variant, ...]
    differences: Mapping[str, tuple[FacetDifference, ...]]

    @property
    def outcome(self) -> Outcome:
        """The worst of all."""
        return worst({variant.outcome for variant in self.variants})


@dataclass(frozen=True, slots=True)
class FacetDifference:
    """A facet that is not the same in the most frequent runs of all variants: variant's label to lines."""

    facet: str
    lines: Mapping[str, list[str]]


def summarise(plan: Plan, reports: Iterable[Report]) -> Summary:
    """Group the reports of a campaign."""
    by_variant: dict[tuple[str, int], list[Report]] = defaultdict(list)
    for report in sorted(reports, key=lambda each: each.task.repeat):
        by_variant[report.task.scenario, report.task.variant].append(report)
    variants = tuple(
        _variant(source.name, settings, by_variant[source.name, number], plan.repeat)
        for source in plan.sources
        for number, settings in enumerate(plan.variants[source.name])
    )
    differences = {
        source.name: _differences([variant for variant in variants if variant.scenario == source.name])
        for source in plan.sources
    }
    return Summary(plan.engine, variants, differences)


def _variant(scenario: str, settings: Mapping[str, Any], reports: list[Report], wanted: int) -> Variant:
    groups: dict[str, list[Report]] = defaultdict(list)
    for report in reports:
        groups[report.signature].append(report)
    kinds = [
        RunKind(
            signature=signature,
            count=len(group),
            outcome=group[0].outcome,
            facets=group[0].facets,
            kept=tuple(report.directory for report in group if report.directory),
        )
        for signature, group in groups.items()
    ]
    kinds.sort(key=lambda kind: -kind.count)
    seconds = sum(report.seconds for report in reports)
    return Variant(scenario, label(settings), settings, seconds, len(reports), wanted, tuple(kinds), _checks(reports))


def _checks(reports: list[Report]) -> tuple[ShareCheck, ...]:
    held: Counter[tuple[str, str, float]] = Counter()
    of: Counter[tuple[str, str, float]] = Counter()
    for report in reports:
        for check in report.shares:
            at = (check["text"], check["where"], check["share"])
            of[at] += check["ok"] is not None
            held[at] += check["ok"] is True
    return tuple(
        ShareCheck(text, where, wanted, held[at], count, shares.judge(held[at], count, wanted))
        for at, count in of.items()
        for text, where, wanted in [at]
    )


def _differences(variants: list[Variant]) -> tuple[FacetDifference, ...]:
    usual = {variant.label: variant.kinds[0].facets for variant in variants if variant.kinds}
    names = dict.fromkeys(name for found in usual.values() for name in found)
    found = []
    for name in names:
        lines = {at: facets.get(name, []) for at, facets in usual.items()}
        if len({tuple(each) for each in lines.values()}) > 1:
            found.append(FacetDifference(name, lines))
    return tuple(found)
